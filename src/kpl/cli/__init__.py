"""The command line: one file per command; each parses, calls one library function, prints."""

from kpl.cli.main import main

__all__ = ["main"]
