"""The command line: one file per command; each parses, calls one library function, prints."""

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line. Ctrl-C while its libraries are still loading is answered like any other."""
    try:
        from kpl.cli.main import main as run
    except KeyboardInterrupt:
        sys.stderr.write("kpl: stopped. Nothing was begun\n")
        sys.exit(130)
    run()
