"""Open a table of whatever kind it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from kpl.errors import TableError
from kpl.tables.json_rows import open_json, open_json_lines
from kpl.tables.records import Content, Row, Slice
from kpl.tables.sheets import open_excel, open_parquet
from kpl.tables.text import open_text

GROUP_ROWS = 1 << 16
"""Rows of a group, unless another number is asked for."""


@dataclass(frozen=True, eq=False)
class TableReader:
    """A table that was opened. Its rows are read anew, group by group, each time they are asked for.

    Attributes:
        name: the file's name.
        titles: of its columns, without outer spaces.
        notes: how it was read, where that is not plain.
        first: its first line as it stands.
    """

    name: str
    titles: tuple[str, ...]
    notes: tuple[str, ...]
    first: str
    _content: Content

    def rows(self) -> Iterator[Row]:
        """Read the rows one by one.

        Raises:
            TableError: a row that does not fit the titles, by its line; or the file cannot be read any more.
        """
        try:
            yield from self._content.rows()
        except OSError as error:
            raise TableError(f"cannot read {self.name!r}: {error.strerror}") from error

    def slices(self, places: Sequence[int], size: int, numbers: Iterable[int]) -> Iterator[Slice]:
        """Read columns of some of the slices of `size` rows that the table falls into; nothing else is kept.

        Of Parquet no other columns are read, and no other groups of rows.

        Args:
            places: of the columns.
            size: rows of a slice.
            numbers: of the slices, rising; those behind the last row are left out.

        Raises:
            TableError: as of `rows`.
        """
        try:
            yield from (self._content.slices or self._by_rows)(places, size, numbers)
        except OSError as error:
            raise TableError(f"cannot read {self.name!r}: {error.strerror}") from error

    def _by_rows(self, places: Sequence[int], size: int, numbers: Iterable[int]) -> Iterator[Slice]:
        rows, at = self._content.rows(), 0
        for number in numbers:
            next(islice(rows, (number - at) * size, (number - at) * size), None)
            at = number + 1
            if not (group := list(islice(rows, size))):
                return
            yield Slice(number, [row.line for row in group], [[row.cells[place] for row in group] for place in places])

    def groups(self, size: int = GROUP_ROWS) -> Iterator[list[Row]]:
        """Read the rows in groups of `size`, so that no more than one lies in memory; errors as of `rows`."""
        rows = self.rows()
        while group := list(islice(rows, size)):
            yield group


def open_table(path: str | Path, *, sheet: str | None = None, header: bool = True) -> TableReader:
    """Open CSV, TSV and other delimited text, JSON, JSON lines, Parquet or Excel, by the suffix of its name.

    Args:
        path: the file.
        sheet: of an Excel workbook, if more than one holds something.
        header: whether the first line holds the titles; without it the columns of text and sheets are called 1, 2, 3.

    Raises:
        TableError: the file cannot be read, or two of its titles are equal.
        MissingExtraError: Parquet or Excel without its library.
    """
    path = Path(path)
    try:
        content = _open(path, sheet, header)
    except OSError as error:
        raise TableError(f"cannot read {path.name!r}: {error.strerror}") from error
    return TableReader(path.name, tuple(content.titles), content.notes, content.first, content)


def _open(path: Path, sheet: str | None, header: bool) -> Content:
    suffix = path.suffix.lower().removesuffix("#")  # of a lock that LibreOffice keeps
    match suffix:
        case ".xlsx" | ".xlsm":
            return open_excel(path, sheet=sheet, header=header)
        case ".xls" | ".xlsb" | ".ods":
            raise TableError(f"{path.name!r} is a workbook of another kind: save it as .xlsx or CSV")
        case ".parquet" | ".pq":
            return open_parquet(path)
        case ".jsonl" | ".ndjson":
            return open_json_lines(path)
        case ".json":
            return open_json(path)
    return open_text(path, header=header)
