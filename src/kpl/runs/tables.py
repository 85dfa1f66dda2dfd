"""CSV as everybody reads it: RFC 4180, UTF-8, any text survives the quoting, and no cell is a spreadsheet's formula.

The predictions of a run lie in one CSV or in a folder of Parquet, a file a shard of its features: whoever reads them
asks here, and gets the same text of either.
"""

from __future__ import annotations

import csv
import io
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, count, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TextIO

import numpy as np
from numpy.typing import NDArray

from kpl.errors import FeaturesError, InputError, TableError, from_extra
from kpl.runs.folder import PREDICTIONS_FOLDER, PREDICTIONS_TABLE
from kpl.tables import open_table, read_records

if TYPE_CHECKING:
    import pandas

Kept = Literal["csv", "parquet"]
"""How the predictions of a run are kept."""
_AT_ONCE = 1 << 14  # rows of a table
_OF_UNITS = ("kind", "patient", "instances", "key_instance")
_AT_ONCE = 1 << 14  # rows of a table
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


def predictions_place(run: Path, kept: Kept | None = None) -> Path:
    """Return where the predictions of a run lie, or where those of this kind would; of none that is the CSV."""
    folder = run / PREDICTIONS_FOLDER
    parquet = kept == "parquet" if kept else folder.is_dir()
    return folder if parquet else run / PREDICTIONS_TABLE


def check_kept(kept: Kept) -> None:
    """Refuse to begin what cannot be written.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """
    if kept == "parquet":
        with from_extra("parquet", "predictions in Parquet"):
            import pyarrow  # noqa: F401 - whether it is there


def write_columns(place: Path, blocks: Iterable[Mapping[str, Sequence[Any]]], sizes: Iterable[int]) -> None:
    """Write blocks of columns as they come; memory holds one, or one file of Parquet.

    Args:
        place: a CSV, whose numbers are rounded; or a folder for Parquet, whose numbers are not.
        blocks: the same columns in each: lists of texts, or of whole numbers, and arrays of others.
        sizes: rows of the files of Parquet.

    Raises:
        OSError: the disk refuses; whoever owns the folder says so to the user.
    """
    if place.suffix == ".csv":
        rest = iter(blocks)
        first = next(rest)
        rows = (list(map(_cell, row)) for own in chain([first], rest) for row in zip(*own.values(), strict=True))
        write_csv(place, list(first), rows)
        return
    from pyarrow import concat_tables
    from pyarrow.parquet import write_table

    place.mkdir()
    tables, held = map(_arrow, blocks), None
    for number, size in enumerate(sizes):
        while size and (held is None or len(held) < size):
            held = concat_tables([next(tables)] if held is None else [held, next(tables)])
        if size and held is not None:
            write_table(held.slice(0, size), place / f"{PREDICTIONS_FOLDER}-{number:05d}.parquet")
            held = held.slice(size)


def _arrow(columns: Mapping[str, Sequence[Any]]) -> Any:  # noqa: ANN401 - pyarrow is untyped
    from pyarrow import array, string, table

    return table({
        name: array(values, None if not isinstance(values, list) or isinstance(values[0], int) else string())
        for name, values in columns.items()
    })  # fmt: skip


def _cell(value: Any) -> str:  # noqa: ANN401 - a text, nothing, or a number
    return value or "" if isinstance(value, str | None) else f"{value:.6f}" if isinstance(value, float) else str(value)


def write_as_csv(place: Path, path: Path) -> None:
    """Write predictions as the CSV that they are, or would be.

    Raises:
        OSError, ValueError: they cannot be read, or it not be written.
    """
    if place.suffix == ".csv":
        shutil.copyfile(place, path)
        return
    header = _titles(place)

    def rows() -> Iterator[list[str]]:
        numbers = [name in ("confidence", "margin", "unlike") or name.startswith("p_") for name in header]
        for columns in _blocks(place, header):
            for row in zip(*columns, strict=True):
                yield [_cell(float(cell)) if number else cell for cell, number in zip(row, numbers, strict=True)]

    write_csv(path, header, rows())


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


def read_columns(path: Path, names: Sequence[str], rows: NDArray[np.intp] | None = None) -> list[tuple[str, ...]]:
    """Read columns of what was written here by their names, wherever they stand and whatever stands beside them.

    Args:
        path: of a CSV, or of a folder of Parquet.
        names: of the columns.
        rows: that are wanted, rising; None takes all. Memory holds these and some that are read together.

    Raises:
        OSError, ValueError: it cannot be read, is ragged, has no row, no such column, or two of one name.
    """
    found: list[list[str]] = [[] for _ in names]
    start = 0
    for columns in _blocks(path, names):
        stop = start + len(columns[0])
        chosen = None if rows is None else (rows[slice(*np.searchsorted(rows, [start, stop]))] - start).tolist()
        for own, cells in zip(found, columns, strict=True):
            own += cells if chosen is None else [cells[row] for row in chosen]
        start = stop
    if not start:
        raise ValueError("no row")
    return list(map(tuple, found))


def _blocks(path: Path, names: Sequence[str]) -> Iterator[list[list[str]]]:
    """Yield columns, some rows at a time."""
    if path.is_dir():
        for file in _files(path):
            try:
                table = open_table(file)
                _check_titles(table.titles, names)
                places = [table.titles.index(name) for name in names]
                yield from (part.columns for part in table.slices(places, _AT_ONCE, count()))
            except TableError as error:
                raise ValueError(str(error)) from error
        return
    rows = _rows(path)
    header = next(rows, [])
    _check_titles(header, names)
    places = [header.index(name) for name in names]
    while group := list(islice(rows, _AT_ONCE)):
        if any(len(row) != len(header) for row in group):
            raise ValueError("ragged rows")
        yield [[row[place] for row in group] for place in places]


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"{PREDICTIONS_FOLDER}-*.parquet"), key=lambda file: (len(file.name), file.name))


def _check_titles(header: Sequence[str], names: Sequence[str]) -> None:
    if missing := [name for name in names if header.count(name) != 1]:
        raise ValueError(f"not one column {missing[0]!r}")


def _titles(path: Path) -> list[str]:
    """Return the titles of the columns of a table."""
    if not path.is_dir():
        return next(_rows(path), [])
    try:
        return next((list(open_table(file).titles) for file in _files(path)), [])
    except TableError as error:
        raise ValueError(str(error)) from error


def has_column(path: Path, name: str) -> bool:
    """Say whether a table has a column of this name."""
    return name in _titles(path)


def named_column(path: Path) -> str:
    """Return what the column of what was decided on is called, wherever it stands."""
    return "image" if "image" in _titles(path) else "unit"


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
        names = [name for name in _titles(path) if name in _OF_UNITS or name.startswith("by_")]
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


def as_pandas(
    columns: Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Any]],
) -> pandas.DataFrame:
    """Return columns, or rows, as a pandas DataFrame.

    Raises:
        InputError: pandas is not installed.
    """
    try:
        from pandas import DataFrame
    except ImportError as error:
        raise InputError("to_pandas needs pandas, which is not installed: pip install pandas") from error
    return DataFrame(columns)
