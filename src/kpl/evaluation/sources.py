"""Where labels come from: a table, or a folder whose sub-folders are the classes; both become rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from kpl.errors import InputError, LabelsError, TableError
from kpl.evaluation.matching import Pictures
from kpl.evaluation.reading import Columns, Reading, choose_columns, open_labels
from kpl.images import find_pictures
from kpl.tables import Row, TableReader

__all__ = ["LabelRow", "LabelRows", "read_folder", "read_rows", "read_table"]

_OF_FOLDER = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
_PATIENT_FOLDER = re.compile(r"(?:patient|subject|sub|pat)[-_]?\w*\d", re.IGNORECASE)


class LabelRow(NamedTuple):
    """One label as written: the image's name, the class's name ("" when left open), the group if there is one."""

    image: str
    label: str
    group: str | None = None
    more: tuple[str | None, ...] = ()
    """Cells of the further columns that were asked for; None where a cell is empty."""
    marks: tuple[str, ...] = ()
    """Cells of the columns of classes."""
    none: str = ""
    """The cell that says whether no class is there."""
    line: int = 0


@dataclass(frozen=True)
class LabelRows:
    """Rows that may be of images of the run, and what is to be said of the table.

    Attributes:
        rows: without those whose image is not in the run.
        classes: title and class index of each column of a class.
        said: which columns were taken; empty for a folder.
        notes: how the table was read, where that is not plain.
        others: how many rows were left out.
        example: an image that the table names.
        group_column: what says which images belong together, for the user.
    """

    rows: list[LabelRow]
    classes: Mapping[str, int] = field(default_factory=dict)
    said: str = ""
    notes: tuple[str, ...] = ()
    others: int = 0
    example: str = ""
    group_column: str | None = None


Resolve = Callable[[str], int | None]


def read_rows(
    source: Path, columns: Sequence[str], reading: Reading, pictures: Pictures, resolve: Resolve
) -> LabelRows:
    """Read a folder or a table, whichever `source` is; of a table also the named further columns.

    Raises:
        LabelsError: it does not exist, holds no labels that can be read, or has no such column.
    """
    if source.is_dir():
        tables = sorted(path for name in _OF_FOLDER[:1] for path in source.rglob(name)) or sorted(
            path for name in _OF_FOLDER[1:] for path in source.rglob(name)
        )
        if tables:
            return _read_metadata(source, tables, columns, reading, pictures, resolve)
        if columns:
            raise LabelsError(f"a folder of class folders has no column {columns[0]!r}: give the labels as a CSV file")
        return read_folder(source, resolve)
    if not source.is_file():
        raise LabelsError(f"no such labels: {str(source)!r}. Give a CSV file, or a folder with one sub-folder a class")
    below = source.parent.name if source.name in _OF_FOLDER else ""
    return read_table(source, columns, reading, pictures, resolve, below)


def read_folder(root: Path, resolve: Resolve) -> LabelRows:
    """Take the first folder below `root` for the class of every picture in it, at any depth.

    Where no first folder is a class (train, val, test), the folder just above a picture is. Images are named as a run
    over the same folder names them. Pictures that lie in `root` itself have no label.

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
    first = sorted({row.label for row in rows})
    above = [row._replace(label=row.image.split("/")[-2]) for row in rows]
    if not any(resolve(label) is not None for label in first) and all(resolve(row.label) is not None for row in above):
        told = f"the class is the folder just above each picture, since {', '.join(first[:3])} are no classes"
        return LabelRows(above, notes=(told,), example=rows[0].image)
    return LabelRows(rows, example=rows[0].image)


def _read_metadata(
    root: Path, tables: list[Path], columns: Sequence[str], reading: Reading, pictures: Pictures, resolve: Resolve
) -> LabelRows:
    """Read the tables that lie in the folders whose pictures they name."""
    found = []
    for path in tables:
        below = path.parent.relative_to(root).as_posix()
        found.append(read_table(path, columns, reading, pictures, resolve, "" if below == "." else below))
    names = ", ".join(path.relative_to(root).as_posix() for path in tables[:3])
    return replace(
        found[0],
        rows=[row for each in found for row in each.rows],
        notes=(f"labels from {len(tables)} tables in the folder: {names}", *found[0].notes),
        others=sum(each.others for each in found),
    )


def read_table(
    path: Path,
    columns: Sequence[str] = (),
    reading: Reading | None = None,
    pictures: Pictures | None = None,
    resolve: Resolve = lambda _: None,
    below: str = "",
) -> LabelRows:
    """Read a table of labels: a column for the image, one for the label or one a class, perhaps one for the group.

    Args:
        path: any table that `kpl.tables` reads.
        columns: titles of further columns to read.
        reading: which columns, if not those of known names.
        pictures: of the run; rows that are of none of them are counted and not kept.
        resolve: class index of a title, for columns of classes.
        below: the folder that the images are named from.

    Raises:
        LabelsError: the file cannot be read, has no such columns, or a line does not fit it; names the line.
    """
    reading = reading or Reading()
    try:
        table = open_labels(str(path), reading)
        chosen = choose_columns(table, reading, pictures, resolve, columns)
        rows, others, example = [], 0, ""
        for group in table.groups():
            for row in group:
                image, told = _image(row, chosen, table, below, pictures)
                example = example or told
                others += not image
                rows += [_label_row(row, name, chosen) for name in image]
    except TableError as error:
        raise LabelsError(str(error)) from error
    if not example:
        raise LabelsError(f"{path.name!r} has a header and no labels: write one line an image")
    group_column = None if chosen.group is None else f"column {table.titles[chosen.group]!r}"
    said = chosen.told
    if chosen.group is None and not reading.group_column:
        rows, told = _patients_by_folder(rows)
        said += f", group from folders such as {told!r}" if told else ""
        group_column = f"folders such as {told!r}" if told else None
    titles = {table.titles[at]: c for at, c in chosen.classes.items()}
    return LabelRows(rows, titles, said, table.notes, others, example, group_column)


def _image(
    row: Row, chosen: Columns, table: TableReader, below: str, pictures: Pictures | None
) -> tuple[list[str], str]:
    """Return the images of the run that a row may be of, and how the row names them."""
    if chosen.image is None:
        folders = [row.cells[at].strip() for at in chosen.joined]
        found = [] if pictures is None else [pictures.ids[place] for place in pictures.below(folders)]
        return found, "/".join(folders)
    name = row.cells[chosen.image]
    if not name:
        raise LabelsError(f"{table.name!r}, line {row.line}: no image named; fill the cell or remove the line")
    name = f"{below}/{name}" if below else name
    return [name] if pictures is None or pictures.may_fit(name) else [], name


def _label_row(row: Row, image: str, chosen: Columns) -> LabelRow:
    def cell(at: int | None) -> str:
        return "" if at is None else row.cells[at].strip()

    return LabelRow(
        image,
        cell(chosen.label),
        cell(chosen.group) or None,
        tuple(cell(at) or None for at in chosen.further),
        tuple(cell(at) for at in chosen.classes),
        cell(chosen.none),
        row.line,
    )


def _patients_by_folder(rows: list[LabelRow]) -> tuple[list[LabelRow], str]:
    """Take the folder that is named for a patient for the group, if every image lies in such a one."""
    found = [next(_patient_folders(row.image), None) for row in rows]
    if not rows or None in found:
        return rows, ""
    return [row._replace(group=group) for row, group in zip(rows, found, strict=True)], str(found[0])


def _patient_folders(image: str) -> Iterator[str]:
    return (part for part in image.replace("\\", "/").split("/")[:-1] if _PATIENT_FOLDER.match(part))
