"""How long work says how far it is."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Counted", "Progress", "silent"]

Progress = Callable[[str, int, int], None]
"""Told the stage's name, how much of it is done, and how much there is."""

Counted = Callable[[int, int], None]
"""Told how much of one stage is done, and how much there is."""


def silent(*_: object) -> None:
    """Report progress to nobody."""
