"""The command line: one file per command; each parses, calls one library function, prints."""

import os
import sys

__all__ = ["main"]

_SPARED = {
    "MPL_IGNORE_SYSTEM_FONTS": "1",  # else matplotlib starts a program that lists them
    "OPENBLAS_THREAD_TIMEOUT": "18",  # 2^18 instead of 2^26 clock ticks that an idle thread keeps a core busy
    "PYDANTIC_DISABLE_PLUGINS": "__all__",  # else every installed package is asked whether it has some
}


def main() -> None:
    """Run the command line. Ctrl-C while its libraries are still loading is answered like any other."""
    for name, value in _SPARED.items():
        os.environ.setdefault(name, value)
    try:
        from kpl.cli.main import main as run
    except KeyboardInterrupt:
        sys.stderr.write("kpl: stopped. Nothing was begun\n")
        sys.exit(130)
    run()
