"""What every command says in the same way: the notes on a result."""

from __future__ import annotations

from collections.abc import Iterable

from kpl.cli.shown import Console, plain

__all__ = ["print_notes"]


def print_notes(console: Console, notes: Iterable[str]) -> None:
    """Print what to know before believing a result, a line each; nothing in it is read as markup."""
    for note in notes:
        console.print(plain(f"Note: {note}", style="yellow"), soft_wrap=True)
