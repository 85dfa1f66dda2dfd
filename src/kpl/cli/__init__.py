"""The command line: one file per command; each parses, calls one library function, prints."""

import os
import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line. Ctrl-C while its libraries are still loading is answered like any other."""
    os.environ.setdefault("MPL_IGNORE_SYSTEM_FONTS", "1")  # else matplotlib starts a program that lists them
    try:
        from kpl.cli.main import main as run
    except KeyboardInterrupt:
        sys.stderr.write("kpl: stopped. Nothing was begun\n")
        sys.exit(130)
    run()
