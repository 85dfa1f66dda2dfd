"""How long work says how far it is."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Told the stage's name, how much of it is done, and how much there is."""

Counted = Callable[[int, int], None]
"""Told how much of one stage is done, and how much there is."""


def silent(*_: object) -> None:
    """Report progress to nobody."""


def counted(tell: Counted | None, before: int, total: int, done: int) -> None:
    """Tell of a part of a stage, where `before` were done before it."""
    if tell is not None:
        tell(before + done, total)
