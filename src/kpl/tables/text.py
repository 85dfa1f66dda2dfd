"""Delimited text: in which encoding, by which delimiter, under which header."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Generator, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

from kpl.errors import TableError
from kpl.tables.records import Content, Row

_DELIMITERS = ",;\t|"
_MARKS = (  # the longer first: the mark of UTF-32 begins as that of UTF-16
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CHUNK = 1 << 20
_HEAD_LINES = 100
_WESTERN = "the text is not UTF-8: read as Windows-1252 (cp1252); if letters look wrong, save it in UTF-8"


def encoding_of(path: Path) -> str:
    """Name the encoding of a text file: by its mark, else UTF-8 if all of it is, else Windows-1252.

    Raises:
        TableError: it is none of them, or cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(4)
        for mark, name in _MARKS:
            if head.startswith(mark):
                return name
        if head[1:2] == b"\0" != head[:1]:
            return "utf-16-le"
        if head[:1] == b"\0" != head[1:2]:
            return "utf-16-be"
        for name in ("utf-8", "cp1252"):
            file.seek(0)
            decoder = codecs.getincrementaldecoder(name)()
            with suppress(UnicodeDecodeError):
                while chunk := file.read(_CHUNK):
                    decoder.decode(chunk)
                decoder.decode(b"", final=True)
                return name
    raise TableError(f"{path.name!r} is not a text in UTF-8, UTF-16 or Windows-1252: save it as CSV in UTF-8")


def open_text(path: Path, *, header: bool = True) -> Content:
    """Open delimited text: comma, semicolon, tab or bar, whichever parts the first line into the most columns.

    Empty lines are passed over, as are lines above the header that begin with `#`, and a line `sep=;`, which says the
    delimiter. Without `header` the columns are called 1, 2, 3.

    Raises:
        TableError: the text cannot be read; reading on, a line that does not fit the header, by its number.
    """
    encoding = encoding_of(path)
    skipped, delimiter, first = _head(path, encoding)
    records = read_records(path, encoding, delimiter, skipped)
    titles = [cell.strip() for cell in next(records, Row(0, [])).cells]
    records.close()
    if not header:
        titles = [str(number) for number in range(1, len(titles) + 1)]
    notes = (_WESTERN,) if encoding == "cp1252" else ()

    def rows() -> Iterator[Row]:
        found, name, width = read_records(path, encoding, delimiter, skipped), path.name, len(titles)
        if header:
            next(found, None)
        for row in found:
            yield row if len(row.cells) == width else _fitted(row, width, delimiter, name)

    return Content(titles, rows, notes, first)


def _head(path: Path, encoding: str) -> tuple[int, str, str]:
    """Return how many lines stand above the header, the delimiter, and the header's line."""
    with path.open(encoding=encoding, newline="") as file:
        lines = list(islice(file, _HEAD_LINES))
    said, skipped = "", 0
    for skipped, line in enumerate(lines):
        plain = line.strip()
        if plain.lower().startswith("sep=") and len(plain) == 5 and not said:
            said = plain[4]
        elif plain.lower() == "sep=" and line.rstrip("\r\n").endswith("\t"):
            said = "\t"
        elif plain and not _is_comment(plain, lines[skipped + 1 :]):
            break
    else:
        return len(lines), ",", ""
    first = lines[skipped]
    return skipped, said or _delimiter([line.rstrip("\r\n") for line in lines[skipped:]]), first.strip()


def _is_comment(line: str, below: list[str]) -> bool:
    """Say whether a line is a remark; `#id,label` above lines of as many cells is a header."""
    if not line.startswith("#"):
        return False
    if line[1:2].strip() == "":
        return True
    follows = next((each.strip() for each in below if each.strip() and not each.startswith("#")), "")
    return not any(0 < line.count(mark) == follows.count(mark) for mark in _DELIMITERS)


def _delimiter(lines: list[str]) -> str:
    """Return the delimiter that makes the most columns of the first line; a space if each line has as many of them."""
    widths = {}
    for mark in _DELIMITERS:
        with suppress(csv.Error):
            widths[mark] = len(next(csv.reader(lines, delimiter=mark, strict=True), []))
    best = max(widths, key=lambda mark: widths[mark], default=",")
    parts = {len(line.split(" ")) for line in lines if line.strip()}
    return " " if widths.get(best, 1) < 2 and len(parts) == 1 and parts != {1} else best


def read_records(path: Path, encoding: str = "utf-8", delimiter: str = ",", skipped: int = 0) -> Generator[Row]:
    """Yield every record that is not empty, below so many lines that are skipped.

    Raises:
        TableError: quotes that do not close, or a cell that is too long, by its line.
        OSError, UnicodeDecodeError: it cannot be read.
    """
    with path.open(encoding=encoding, newline="") as file:
        for _ in islice(file, skipped):
            pass
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        try:
            for cells in reader:
                if any(cells):
                    yield Row(reader.line_num + skipped, cells)
        except csv.Error as error:
            line = reader.line_num + skipped
            raise TableError(f"{path.name!r}, line {line}: {error}; mend the quotes there") from error


def _fitted(row: Row, width: int, delimiter: str, name: str) -> Row:
    """Take empty cells beyond the header off a row.

    Raises:
        TableError: it has more cells that are filled, or fewer.
    """
    cells = row.cells
    while len(cells) > width and not cells[-1].strip():
        cells.pop()
    if len(cells) != width:
        raise TableError(
            f"{name!r}, line {row.line}: {len(cells)} cells where the header has {width}; "
            f"put a name that holds {delimiter!r} in double quotes"
        )
    return row
