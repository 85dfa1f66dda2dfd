"""What every kind of table is brought to: titles, rows of text cells, and what is to be said of it."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple


class Row(NamedTuple):
    """One row: the number of the line where it ends (in a sheet, of its row), and its cells as text."""

    line: int
    cells: list[str]


class Slice(NamedTuple):
    """Some rows of a table, by columns: its number, the rows' lines, and the cells of each column."""

    number: int
    lines: Sequence[int]
    columns: list[list[str]]


class Content(NamedTuple):
    """A table that was opened: its titles, a function that reads its rows from the start, and how it is read."""

    titles: list[str]
    rows: Callable[[], Iterator[Row]]
    notes: tuple[str, ...] = ()
    first: str = ""
    """The first line as it stands, for a message."""
    slices: Callable[[Sequence[int], int, Iterable[int]], Iterator[Slice]] | None = None
    """As `TableReader.slices`, where a kind of table has a faster way than by its rows."""


def as_text(value: Any) -> str:  # noqa: ANN401 - a cell of a sheet or of JSON is anything
    """Write a cell as text: a whole number without a point, a date as ISO 8601, nothing as an empty text.

    Example:
        >>> as_text(3.0), as_text(0.5), as_text(None), as_text(True), as_text(["a", "b"])
        ('3', '0.5', '', 'true', 'a|b')
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if value != value:
            return ""
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    if isinstance(value, datetime.datetime):
        return value.date().isoformat() if value.time() == datetime.time() else value.isoformat(sep=" ")
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return "|".join(value)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else str(value)
