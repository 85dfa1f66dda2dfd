"""What a workbook asks of memory, found out before a library gives it: it holds a sheet as a full rectangle.

A file of two kilobytes may name its first and its very last cell, and one of a megabyte may unpack to a thousand.
"""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import IO, Final
from xml.parsers import expat

from kpl.errors import TableError

_OLE = b"\xd0\xcf\x11\xe0"  # of workbooks before 2007, and of every one with a password
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
_UNPACKED: Final = 1 << 30  # bytes of all parts
_CELLS: Final = 32 << 20  # of the rectangle around the cells of a sheet: 24 bytes each, or more
_BLOCK: Final = 1 << 20
_ROWS, _COLUMNS = 1 << 20, 1 << 14  # of a sheet, by the standard
_LONG: Final = 9  # letters or digits: a place of more is beyond them all


def check_workbook(path: Path) -> None:
    """Refuse what is no workbook of Excel 2007 or later, and what would need far more memory than its rows.

    Raises:
        TableError: it has a password, is of another kind, damaged, or too large.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        if file.read(4) == _OLE:
            before = b""
            while block := file.read(_BLOCK):
                if _ENCRYPTED in before[-len(_ENCRYPTED) :] + block:
                    raise TableError(f"{path.name!r} has a password: save it without one, or as CSV")
                before = block
            raise TableError(f"{path.name!r} has a password, or is no workbook of 2007 or later: save it as CSV")
    try:
        with zipfile.ZipFile(path) as parts:
            left = _UNPACKED
            for name in parts.namelist():
                with parts.open(name) as part:
                    left -= _Sheet(path, left).read(part)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise TableError(f"{path.name!r} is no Excel workbook ({error}): save it as .xlsx or CSV") from error


class _Sheet:
    """One part of a workbook; if it is a sheet, how far its cells reach."""

    def __init__(self, path: Path, room: int) -> None:
        self._path, self._room = path, room
        self._root = ""
        self._row = self._rows = self._column = self._columns = 0

    def read(self, part: IO[bytes]) -> int:
        """Read the part, and return its size unpacked."""
        parser = expat.ParserCreate()
        parser.StartElementHandler = self._start
        parser.StartDoctypeDeclHandler = self._doctype
        size, looking = 0, True
        while block := part.read(_BLOCK):
            size += len(block)
            if size > self._room:
                raise TableError(f"{self._path.name!r} unpacks to more than {_UNPACKED >> 30} GiB: save it as CSV")
            if looking:
                try:
                    parser.Parse(block)
                except expat.ExpatError as error:
                    if self._root == "worksheet":
                        raise TableError(f"{self._path.name!r}: a damaged sheet ({error}): save it anew") from error
                    looking = False  # a picture
                looking = looking and self._root in ("", "worksheet")
        return size

    def _doctype(self, *_: object) -> None:
        raise TableError(f"{self._path.name!r} declares a document type, which no workbook does: save it as CSV")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        name = name.rpartition(":")[2]
        self._root = self._root or name
        if name == "row":
            said = attributes.get("r", "")
            self._row = int(said[:_LONG]) if said.isascii() and said.isdigit() else self._row + 1
            self._column = 0
        elif name == "c":
            said = attributes.get("r", "")
            letters = said.rstrip("0123456789")
            if letters.isascii() and letters.isalpha():
                self._column = _number(letters.upper()[:_LONG])
                self._row = max(self._row, int(said[len(letters) :][:_LONG] or 0))
            else:
                self._column += 1
        else:
            return
        self._rows, self._columns = max(self._rows, self._row), max(self._columns, self._column)
        if self._rows > _ROWS or self._columns > _COLUMNS or self._rows * self._columns > _CELLS:
            raise TableError(
                f"{self._path.name!r}: its cells reach to row {self._rows}, column {self._columns}: delete those far "
                "from the table, or save it as CSV"
            )


def _number(letters: str) -> int:
    """Return the place of a column, from 1, by its letters."""
    found = 0
    for letter in letters:
        found = 26 * found + ord(letter) - ord("A") + 1
    return found
