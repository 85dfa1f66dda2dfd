"""Plain data read from a file, with the line of every entry at hand for error messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from kpl.errors import KnowledgeError

MAX_DEPTH = 12  # the format needs six

Place = tuple[str | int, ...]
"""Where in the data: keys and list positions from the top."""


@dataclass(frozen=True)
class Source:
    """A file as plain data; `line_of` gives the line (from 1) of a place or of what encloses it, None if unknown."""

    name: str
    data: Any
    line_of: Callable[[Place], int | None]


def enclosing_line(lines: Mapping[Place, int], place: Place) -> int | None:
    """Find the line of a place or of the nearest thing around it.

    Example:
        >>> enclosing_line({("classes",): 4, ("classes", 0): 5}, ("classes", 0, "name"))
        5
    """
    return next((lines[place[:n]] for n in range(len(place), 0, -1) if place[:n] in lines), None)


def repeated_key(name: str, key: str, line: int | None, first: int | None) -> KnowledgeError:
    """Build the error for a key that a mapping holds twice; a parser that keeps the last would lose the first."""
    where = f", line {line}" if line else ""
    earlier = f" (first on line {first})" if first else ""
    return KnowledgeError(f"{name}{where}: key {key!r} appears twice{earlier}: merge the two or rename one")
