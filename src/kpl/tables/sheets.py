"""Tables that need a library: Excel and Parquet."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kpl.errors import TableError, from_extra
from kpl.tables.records import Content, Row, Slice, as_text
from kpl.tables.workbooks import check_workbook

if TYPE_CHECKING:
    from python_calamine import CalamineSheet, CalamineWorkbook

_BATCH = 1 << 16
_LONGEST = 1 << 17  # characters of a cell, as of CSV; Excel itself takes 32767
_UNPACKED = 1 << 28  # bytes to which a part of a Parquet file may unpack,
_UNPACKED_TIMES = 200  # and more only where it is large itself


def open_excel(path: Path, *, sheet: str | None = None, header: bool = True) -> Content:
    """Open one sheet of a workbook: the one named, or the only one that holds anything.

    Cells that are merged down a column say the same of each row, which is said.

    Raises:
        MissingExtraError: python-calamine is not installed.
        TableError: a password, another file under this name, no such sheet, several to choose from, or cells that are
            merged across columns.
    """
    if path.name.startswith(("~$", ".~lock.")):
        raise TableError(f"{path.name!r} is the lock that is kept beside an open file: name the file itself")
    book = _book(path)
    chosen = book.get_sheet_by_name(_sheet(path, book, sheet))
    merged = _merged(path, chosen)

    def found() -> Iterator[Row]:
        above: list[Any] = []
        for line, values in enumerate(chosen.iter_rows()):
            for at in merged.get(line, ()):
                values[at] = above[at]
            above = values
            if any(value is not None and value != "" for value in values):
                cells = [as_text(value) for value in values]
                if max(map(len, cells)) > _LONGEST:
                    raise TableError(f"{path.name!r}, row {line + 1}: a cell of more than {_LONGEST} characters")
                yield Row(line + 1, cells)

    top = next(found(), Row(0, [])).cells
    while top and not top[-1].strip():
        top.pop()
    titles = [cell.strip() for cell in top] if header else [str(number) for number in range(1, len(top) + 1)]

    def rows() -> Iterator[Row]:
        lines = found()
        if header:
            next(lines, None)
        width = len(titles)
        for line, cells in lines:
            if beyond := [cell for cell in cells[width:] if cell]:
                raise TableError(f"{path.name!r}, row {line}: {beyond[0]!r} stands under no title: give it one")
            yield Row(line, cells[:width] + [""] * (width - len(cells)))

    filled = sum(map(len, merged.values()))
    merges = f"{filled} cells of {path.name!r} are merged with those above them, and were read as these"
    if filled == 1:
        merges = f"1 cell of {path.name!r} is merged with the one above it, and was read as that"
    return Content(titles, rows, (merges,) if filled else (), ", ".join(top))


def _book(path: Path) -> CalamineWorkbook:
    with from_extra("excel", f"reading the Excel file {path.name!r}"):
        from python_calamine import CalamineError, CalamineWorkbook
    check_workbook(path)
    try:
        return CalamineWorkbook.from_path(path)
    except CalamineError as error:
        raise TableError(f"{path.name!r} is no Excel workbook ({error}): save it as .xlsx or CSV") from error


def _merged(path: Path, sheet: CalamineSheet) -> dict[int, list[int]]:
    """Return the columns, from the first that is filled on, of the cells of each row that are one with the one above.

    Raises:
        TableError: cells are merged across columns.
    """
    first = (sheet.start or (0, 0))[1]
    found: dict[int, list[int]] = {}
    for (top, left), (bottom, right) in sheet.merged_cell_ranges or ():
        if left != right:
            raise TableError(
                f"{path.name!r}, row {top + 1}: cells are merged across columns {left + 1} to {right + 1}: "
                "unmerge them, so that each has a title"
            )
        if not 0 <= left - first < sheet.width:
            continue  # beside the table
        for line in range(top + 1, min(bottom + 1, (sheet.start or (0, 0))[0] + sheet.height)):
            if left - first in found.get(line, ()):
                raise TableError(f"{path.name!r}, row {line + 1}: a cell is merged twice: save the workbook anew")
            found.setdefault(line, []).append(left - first)
    return found


def _sheet(path: Path, book: CalamineWorkbook, wanted: str | None) -> str:
    """Choose the sheet: by its name, or of those that are not hidden the only one with something on it."""
    from python_calamine import SheetVisibleEnum

    if wanted is not None:
        if wanted not in book.sheet_names:
            raise TableError(f"{path.name!r} has no sheet {wanted!r}: it has {', '.join(map(repr, book.sheet_names))}")
        return wanted
    seen = [each.name for each in book.sheets_metadata if each.visible == SheetVisibleEnum.Visible]
    full = [name for name in seen or book.sheet_names if book.get_sheet_by_name(name).height]
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
    with from_extra("parquet", f"reading the Parquet file {path.name!r}"):
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    try:
        with ParquetFile(path) as file:
            titles = list(file.schema_arrow.names)
            words = _measured(path.name, file.metadata)
    except ArrowException as error:
        raise TableError(f"{path.name!r} is no Parquet file that can be read: {error}") from error

    def rows() -> Iterator[Row]:
        line = 0
        with ParquetFile(path, read_dictionary=words) as file:
            for batch in file.iter_batches(_BATCH):
                columns = [_texts(path.name, *each) for each in zip(titles, batch.columns, strict=True)]
                for at, cells in enumerate(zip(*columns, strict=True), start=line + 1):
                    yield Row(at, list(cells))
                line += batch.num_rows

    def slices(places: Sequence[int], size: int, numbers: Iterable[int]) -> Iterator[Slice]:
        with ParquetFile(path, read_dictionary=words) as file:
            ends = list(accumulate(file.metadata.row_group(at).num_rows for at in range(file.num_row_groups)))
            held: tuple[int, int, Any] = (0, 0, None)  # rows from, to, and what they hold
            for number in numbers:
                start, stop = number * size, min((number + 1) * size, ends[-1] if ends else 0)
                if start >= stop:
                    return
                if held[2] is None or not held[0] <= start < stop <= held[1]:
                    first, last = bisect_right(ends, start), bisect_left(ends, stop)
                    table = file.read_row_groups(list(range(first, last + 1)), [titles[place] for place in places])
                    held = (ends[first - 1] if first else 0, ends[last], table)
                part = held[2].slice(start - held[0], stop - start)
                columns = [
                    [
                        text
                        for chunk in part.column(titles[place]).chunks
                        for text in _texts(path.name, titles[place], chunk)
                    ]
                    for place in places
                ]
                yield Slice(number, range(start + 1, stop + 1), columns)

    return Content(titles, rows, first=", ".join(titles), slices=slices)


def _measured(name: str, metadata: Any) -> list[str]:  # noqa: ANN401 - pyarrow is untyped
    """Name the columns of text, after a look at how far every part of the file says that it unpacks."""
    words = set()
    for group in range(metadata.num_row_groups):
        for number in range(metadata.num_columns):
            part = metadata.row_group(group).column(number)
            if part.total_uncompressed_size > max(_UNPACKED, _UNPACKED_TIMES * part.total_compressed_size):
                raise TableError(
                    f"{name!r} is no table that can be read: a part of {part.total_compressed_size} bytes "
                    f"unpacks to {part.total_uncompressed_size}"
                )
            if part.physical_type == "BYTE_ARRAY":
                words.add(part.path_in_schema)
    return sorted(words)


def _texts(name: str, title: str, column: Any) -> list[str]:  # noqa: ANN401 - pyarrow is untyped
    """Write a column's cells as text, those of text as they stand; a word that stands in many rows is kept once."""
    from pyarrow.types import is_dictionary, is_nested

    if is_dictionary(column.type):
        used = column.indices.unique()  # of a slice of the rows few words may be
        words = dict(zip(used.to_pylist(), _texts(name, title, column.dictionary.take(used)), strict=True))
        return [words[at] for at in column.indices.to_pylist()]
    if is_nested(column.type) and _spelt_out(column) > _UNPACKED:
        raise TableError(f"{name!r}, column {title!r}: its lists are too long to be cells of a table")
    cells = [cell if type(cell) is str else as_text(cell) for cell in column.to_pylist()]
    if any(len(cell) > _LONGEST for cell in cells):
        raise TableError(f"{name!r}, column {title!r}: a cell of more than {_LONGEST} characters")
    return cells


def _spelt_out(column: Any) -> int:  # noqa: ANN401 - pyarrow is untyped
    """Count the bytes that a column takes at most once every word stands where it is named."""
    from pyarrow.types import is_dictionary, is_map, is_nested, is_struct

    if is_map(column.type):
        return _spelt_out(column.keys) + _spelt_out(column.items)
    if is_nested(column.type):
        return sum(map(_spelt_out, column.flatten() if is_struct(column.type) else [column.flatten()]))
    if is_dictionary(column.type):
        return len(column) * max((len(str(word)) for word in column.dictionary.to_pylist()), default=0)
    return int(column.nbytes)
