"""CSV as everybody reads it: RFC 4180, UTF-8, any text survives the quoting, and no cell is a spreadsheet's formula."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from kpl.errors import FeaturesError, TableError
from kpl.tables import read_records

_OF_UNITS = ("kind", "patient", "instances", "key_instance")
_FORMULA = re.compile(r"(?='*[=+\-@\t\r])")
_MARKED = re.compile(r"'(?='*[=+\-@\t\r])")


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write rows as they come; memory holds one.

    A text that a spreadsheet would take for a formula, because it begins with one of `= + - @`, a tab or a carriage
    return, gets an apostrophe before it, and so does one that begins as such a marked text does. A number gets none.

    Raises:
        OSError: the disk refuses; whoever owns the folder says so to the user.
    """
    with path.open("w", encoding="utf-8", newline="") as file:
        _write(file, header, rows)


def csv_bytes(header: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    """Return what `write_csv` would write."""
    file = io.StringIO(newline="")
    _write(file, header, rows)
    return file.getvalue().encode()


def _write(file: TextIO, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    writer = csv.writer(file)
    writer.writerow(header)
    writer.writerows([_marked(cell) for cell in row] for row in rows)


def read_csv(path: Path) -> list[list[str]]:
    """Read what `write_csv` wrote, its header first; every text is what it was.

    Raises:
        OSError, ValueError: it cannot be read.
    """
    return list(_rows(path))


def _rows(path: Path) -> Iterator[list[str]]:
    try:
        for row in read_records(path):
            yield [cell[1:] if _MARKED.match(cell) else cell for cell in row.cells]
    except TableError as error:
        raise ValueError(str(error)) from error


def read_columns(path: Path, names: Sequence[str]) -> list[tuple[str, ...]]:
    """Read columns of what `write_csv` wrote by their names, wherever they stand and whatever stands beside them.

    Raises:
        OSError, ValueError: it cannot be read, is ragged, has no row, no such column, or two of one name.
    """
    header, *rows = read_csv(path)
    if missing := [name for name in names if header.count(name) != 1]:
        raise ValueError(f"not one column {missing[0]!r}")
    if any(len(row) != len(header) for row in rows):
        raise ValueError("ragged rows")
    if not rows:
        raise ValueError("no row")
    places = [header.index(name) for name in names]
    return [tuple(row[place] for row in rows) for place in places]


def titles(path: Path) -> list[str]:
    """Return the titles of the columns of a table."""
    return next(_rows(path), [])


def named_column(path: Path) -> str:
    """Return what the column of what was decided on is called, wherever it stands."""
    return "image" if "image" in titles(path) else "unit"


def read_key_instances(path: Path) -> tuple[str, ...] | None:
    """Return of each unit the name of the instance that speaks loudest; None where every image stands for itself.

    Raises:
        FeaturesError: the table cannot be read.
    """
    try:
        if named_column(path) == "image":
            return None
        (names,) = read_columns(path, ("key_instance",))
        return names
    except (OSError, ValueError) as error:
        raise FeaturesError(f"{str(path)!r} is not the predictions file of this run: classify again") from error


def read_unit_columns(path: Path) -> dict[str, Sequence[Any]] | None:
    """Return the columns of a table of predictions that tell of units; None where every image stands for itself.

    Raises:
        FeaturesError: the table cannot be read.
    """
    try:
        if named_column(path) == "image":
            return None
        names = [name for name in titles(path) if name in _OF_UNITS or name.startswith("by_")]
        told: dict[str, Sequence[Any]] = dict(zip(names, read_columns(path, names), strict=True))
        told["patient"] = [patient or None for patient in told["patient"]]
        told["instances"] = [int(size) for size in told["instances"]]
        return told
    except (OSError, ValueError, KeyError) as error:
        raise FeaturesError(f"{str(path)!r} is not the predictions file of this run: classify again") from error


def _marked(cell: str) -> str:
    if not _FORMULA.match(cell):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell
