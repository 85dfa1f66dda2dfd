"""Tables that need a library: Excel and Parquet."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from kpl.errors import MissingExtraError, TableError
from kpl.tables.records import Content, Row, as_text

__all__ = ["open_excel", "open_parquet"]

_OLD = b"\xd0\xcf\x11\xe0"  # the container of .xls, and of every workbook with a password
_BATCH = 1 << 16


def open_excel(path: Path, *, sheet: str | None = None, header: bool = True) -> Content:
    """Open one sheet of a workbook: the one named, or the only one that holds anything.

    Raises:
        MissingExtraError: openpyxl is not installed.
        TableError: a password, another file under this name, no such sheet, or several to choose from.
    """
    try:
        from openpyxl import load_workbook
        from openpyxl.utils.exceptions import InvalidFileException
    except ImportError as error:
        raise MissingExtraError(f"reading the Excel file {path.name!r}", "excel") from error
    if path.name.startswith("~$"):
        raise TableError(f"{path.name!r} is the lock that Excel keeps beside an open file: name the file itself")
    with path.open("rb") as file:
        if file.read(4) == _OLD:
            raise TableError(
                f"{path.name!r} has a password, or is of the old kind .xls: save it as .xlsx without a password"
            )
    try:
        book = load_workbook(path, read_only=True, data_only=True)
    except (InvalidFileException, KeyError, ValueError, OSError) as error:
        raise TableError(f"{path.name!r} is no Excel workbook ({error}): save it as .xlsx or CSV") from error
    except Exception as error:
        if type(error).__name__ != "BadZipFile":
            raise
        raise TableError(f"{path.name!r} is no Excel workbook ({error}): save it as .xlsx or CSV") from error
    name = _sheet(path, {ws.title: any(map(_filled, islice(_values(ws), 100))) for ws in book.worksheets}, sheet)

    def found() -> Iterator[Row]:
        for line, values in enumerate(_values(book[name]), start=1):
            if _filled(values):
                yield Row(line, [as_text(value) for value in values])

    top = next(found(), Row(0, [])).cells
    while top and not top[-1].strip():
        top.pop()
    titles = [cell.strip() for cell in top] if header else [str(number) for number in range(1, len(top) + 1)]

    def rows() -> Iterator[Row]:
        for row in islice(found(), 1 if header else 0, None):
            cells = row.cells[: len(titles)]
            if beyond := [cell for cell in row.cells[len(titles) :] if cell]:
                raise TableError(f"{path.name!r}, row {row.line}: {beyond[0]!r} stands under no title: give it one")
            yield Row(row.line, cells + [""] * (len(titles) - len(cells)))

    return Content(titles, rows, first=", ".join(top))


def _values(sheet) -> Iterator[tuple[object, ...]]:  # type: ignore[no-untyped-def]  # noqa: ANN001 - openpyxl is untyped
    return iter(sheet.iter_rows(values_only=True))


def _filled(values: tuple[object, ...]) -> bool:
    return any(value is not None and value != "" for value in values)


def _sheet(path: Path, sheets: dict[str, bool], wanted: str | None) -> str:
    """Choose the sheet: by its name, or the only one with something on it."""
    full = [name for name, filled in sheets.items() if filled]
    if wanted is not None:
        if wanted not in sheets:
            raise TableError(f"{path.name!r} has no sheet {wanted!r}: it has {', '.join(map(repr, sheets))}")
        return wanted
    if not full:
        raise TableError(f"{path.name!r} is an empty workbook: write a table with a header on a sheet")
    if len(full) > 1:
        raise TableError(
            f"{path.name!r} has {len(full)} sheets with something on them, {', '.join(map(repr, full))}: "
            "name one with --sheet"
        )
    return full[0]


def open_parquet(path: Path) -> Content:
    """Open a Parquet file, which is read in batches.

    Raises:
        MissingExtraError: pyarrow is not installed.
        TableError: it is no Parquet file.
    """
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise MissingExtraError(f"reading the Parquet file {path.name!r}", "parquet") from error
    try:
        with ParquetFile(path) as file:
            titles = list(file.schema_arrow.names)
    except ArrowException as error:
        raise TableError(f"{path.name!r} is no Parquet file that can be read: {error}") from error

    def rows() -> Iterator[Row]:
        line = 0
        with ParquetFile(path) as file:
            for batch in file.iter_batches(_BATCH):
                for values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    line += 1
                    yield Row(line, [as_text(value) for value in values])

    return Content(titles, rows, first=", ".join(titles))
