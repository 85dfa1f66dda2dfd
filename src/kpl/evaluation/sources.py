"""Where labels come from: a table, or a folder whose sub-folders are the classes; both become rows."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from kpl.errors import InputError, LabelsError
from kpl.images import find_pictures
from kpl.knowledge.folding import fold_name

__all__ = [
    "LabelRow",
    "group_column",
    "headers",
    "place_of",
    "place_of_further",
    "read_folder",
    "read_rows",
    "read_table",
    "read_text",
    "records",
]

_DELIMITERS = ",;\t|"
_COLUMNS = {
    "image": ("image", "file", "filename", "path"),
    "label": ("label", "class"),
    "group": ("group", "patient"),
}
_OF_PREDICTIONS = {"confidence", "margin"}


class LabelRow(NamedTuple):
    """One label as written: the image's name, the class's name ("" when left open), the group if there is one."""

    image: str
    label: str
    group: str | None = None
    more: tuple[str | None, ...] = ()
    """Cells of the further columns that were asked for; None where a cell is empty."""


def read_rows(source: Path, columns: Sequence[str] = ()) -> list[LabelRow]:
    """Read a folder or a table, whichever `source` is; of a table also the named further columns.

    Raises:
        LabelsError: it does not exist, holds no labels that can be read, or has no such column.
    """
    if source.is_dir():
        if columns:
            raise LabelsError(f"a folder of class folders has no column {columns[0]!r}: give the labels as a CSV file")
        return read_folder(source)
    if not source.is_file():
        raise LabelsError(f"no such labels: {str(source)!r}. Give a CSV file, or a folder with one sub-folder a class")
    return read_table(source, columns)


def read_folder(root: Path) -> list[LabelRow]:
    """Take the first folder below `root` for the class of every picture in it, at any depth.

    Images are named as a run over the same folder names them. Pictures that lie in `root` itself have no label.

    Raises:
        LabelsError: there are no pictures in sub-folders.
    """
    try:
        names = [picture.id for picture in find_pictures(root).pictures]
    except InputError as error:
        raise LabelsError(f"no labels in the folder: {error}") from error
    rows = [LabelRow(name, name.partition("/")[0]) for name in names if "/" in name]
    if not rows:
        raise LabelsError(
            f"{str(root)!r} has {len(names)} pictures but none in a sub-folder: "
            "give a folder with one sub-folder a class, or a CSV file"
        )
    return rows


def read_table(path: Path, columns: Sequence[str] = ()) -> list[LabelRow]:
    """Read a delimited text file with a header: a column for the image, one for the label, perhaps one for the group.

    `columns` names further ones to read.

    The columns are called image, file, filename or path; label or class; group or patient.
    The delimiter (comma, semicolon, tab or bar) is the one that makes such a header of the first line.

    Raises:
        LabelsError: the file cannot be read, has no such header, or a line does not fit it; names the line.
    """
    text = read_text(path)
    delimiter, header = _find_header(text, path.name)
    width = len(header)
    image_at, label_at, group_at = (_place(header, _COLUMNS[kind]) for kind in ("image", "label", "group"))
    further = [place_of_further(header, column, path.name) for column in columns]
    rows: list[LabelRow] = []
    for line, cells in list(records(text, delimiter, path.name))[1:]:
        if len(cells) != width:
            raise LabelsError(
                f"{path.name!r}, line {line}: {len(cells)} cells where the header has {width}; "
                f"put a name that holds {delimiter!r} in double quotes"
            )
        image, label, group = (cells[at] if at is not None else "" for at in (image_at, label_at, group_at))
        if not image:
            raise LabelsError(f"{path.name!r}, line {line}: no image named; fill the cell or remove the line")
        more = tuple(cells[at].strip() or None for at in further)
        rows.append(LabelRow(image, label.strip(), group.strip() or None, more))
    if not rows:
        raise LabelsError(f"{path.name!r} has a header and no labels: write one line an image")
    return rows


def read_text(path: Path) -> str:
    """Read a text file as it is, its line ends included.

    Raises:
        LabelsError: the file cannot be read, or is not UTF-8.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return file.read()
    except OSError as error:
        raise LabelsError(f"cannot read {path.name!r}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise LabelsError(f"{path.name!r} is not a UTF-8 text ({error.reason}): save it as CSV in UTF-8") from error


def headers(text: str, name: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each delimiter with the folded titles that it makes of the first line; those that fail are left out."""
    for delimiter in _DELIMITERS:
        try:
            header = next(records(text, delimiter, name), (0, []))[1]
        except LabelsError:
            continue
        yield delimiter, [fold_name(title) for title in header]


def _find_header(text: str, name: str) -> tuple[str, list[str]]:
    """Return the delimiter and the titles of the columns."""
    for delimiter, titles in headers(text, name):
        if any(_place(titles, _COLUMNS[kind]) is None for kind in ("image", "label")):
            continue
        if _OF_PREDICTIONS.issubset(titles):
            raise LabelsError(
                f"{name!r} holds predictions, not labels (it has columns confidence and margin): give the true labels"
            )
        return delimiter, titles
    first = text.partition("\n")[0].strip()
    raise LabelsError(
        f"{name!r} has no header that names the columns image and label: its first line is {first[:80]!r}. "
        "Write image,label or image,label,group there"
    )


def place_of_further(titles: Sequence[str], column: str, name: str) -> int:
    """Return the place of a column that was asked for by its title, which is folded.

    Raises:
        LabelsError: there is none.
    """
    at = _place(titles, [fold_name(column)])
    if at is None:
        raise LabelsError(f"{name!r} has no column {column!r}: it has {', '.join(titles)}")
    return at


def place_of(titles: Sequence[str], kind: Literal["image", "label", "group"]) -> int | None:
    """Return the place of the column of that kind among folded titles."""
    return _place(titles, _COLUMNS[kind])


def group_column(source: Path) -> str | None:
    """Name the column of a table of labels that says which images belong together; None without one, or for a folder.

    Raises:
        LabelsError: the file cannot be read.
    """
    if source.is_dir():
        return None
    for _, titles in headers(read_text(source), source.name):
        at = place_of(titles, "group")
        if at is not None and place_of(titles, "image") is not None:
            return titles[at]
    return None


def _place(titles: Sequence[str], wanted: Sequence[str]) -> int | None:
    return next((titles.index(title) for title in wanted if title in titles), None)


def records(text: str, delimiter: str, name: str) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, cells) of every line that is not empty."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for cells in reader:
            if any(cells):
                yield reader.line_num, cells
    except csv.Error as error:
        raise LabelsError(f"{name!r}, line {reader.line_num}: {error}; mend the quotes there") from error
