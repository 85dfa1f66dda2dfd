"""Where labels come from: a table, or a folder whose sub-folders are the classes; both become rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from kpl.alike import same_content
from kpl.errors import InputError, LabelsError, TableError
from kpl.evaluation.reading import Columns, Reading, choose_columns
from kpl.images import Unit, find_pictures
from kpl.tables import Matched, Pictures, Row, open_wanted

_OF_FOLDER = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
_OF_FILES = "file_name"  # the title by which metadata of Hugging Face name what lies beside them; other metadata do not
_COMPARED = 10  # files of one size before each, so that folders of raw pictures, all of one size, take no age
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
    reader: str = ""
    """Whose word it is, where there are several."""
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
        return read_folder(source, pictures, resolve, by_number=reading.numbers == "order")
    if not source.is_file():
        raise LabelsError(f"no such labels: {str(source)!r}. Give a CSV file, or a folder with one sub-folder a class")
    below = source.parent.name if source.name in _OF_FOLDER else ""
    return read_table(source, columns, reading, pictures, resolve, below)


def match_rows(pictures: Pictures, rows: Sequence[LabelRow]) -> Matched:
    """Match rows with the images of a run.

    Raises:
        LabelsError: one fits several images, or several fit one.
    """
    try:
        return pictures.match([row.image for row in rows])
    except TableError as error:
        raise LabelsError(str(error)) from error


def read_folder(root: Path, pictures: Pictures, resolve: Resolve, *, by_number: bool = False) -> LabelRows:
    """Take the first folder below `root` for the class of every picture in it, at any depth.

    Where no first folder is a class (train, val, test), the folder just above a picture is; where that is none either,
    the only folder on the way to it that is. Images are named as a run over the same folder names them, those of
    medical files by what these are known by. What lies in `root` itself has no label.

    Raises:
        LabelsError: there are no pictures in sub-folders.
    """
    try:
        units = find_pictures(root).units
    except InputError as error:
        raise LabelsError(f"no labels in the folder: {error}") from error
    found: list[tuple[LabelRow, list[str], Path]] = []  # the row, its folders, the first of its files
    for unit in units:
        path = unit.instances[0].path
        *folders, _ = (path.relative_to(root).as_posix() if unit.sources else unit.id).split("/")
        if folders:
            found.append((LabelRow(_known_as(unit, pictures), folders[0]), folders, path))
    if not found:
        raise LabelsError(
            f"{str(root)!r} has {len(units)} pictures but none in a sub-folder: "
            "give a folder with one sub-folder a class, or a CSV file"
        )
    rows = [row for row, _, _ in found]
    first = sorted({row.label for row in rows})
    of_class = {name for _, folders, _ in found for name in folders if resolve(name) is not None}
    if by_number or not of_class:  # told of below, if it was not asked for
        of_class |= {folders[-1] for _, folders, _ in found if folders[-1].isdecimal()}
    notes: tuple[str, ...] = ()
    if not of_class.intersection(first):
        which = "" if pictures.identifiers else f", since {', '.join(first[:3])} are no classes"
        only = [[name for name in folders if name in of_class] for _, folders, _ in found]
        if all(folders[-1] in of_class for _, folders, _ in found):
            rows = [row._replace(label=folders[-1]) for row, folders, _ in found]
            notes = (f"the class is the folder just above each picture{which}",)
        elif all(len(names) == 1 for names in only):
            rows = [row._replace(label=names[0]) for row, names in zip(rows, only, strict=True)]
            notes = (f"the class is the only folder on the way to each picture that is one{which}",)
    if not any(place is not None for place in match_rows(pictures, rows).places):
        below = [_below(row, folders) for row, (_, folders, _) in zip(rows, found, strict=True)]
        if any(place is not None for place in match_rows(pictures, below).places):
            rows, notes = below, (*notes, "images are called by what their path says below the folder of the class")
    paths = [path for _, _, path in found]
    return LabelRows(rows, notes=(*notes, *_twice(rows, paths)), example=rows[0].image)


def _below(row: LabelRow, folders: list[str]) -> LabelRow:
    """Call an image by its path below the folder of its class, as a run of the same pictures in other folders may."""
    at = len(folders) - folders[::-1].index(row.label)
    return row._replace(image="/".join([*folders[at:], row.image.rpartition("/")[2]]))


def _twice(rows: list[LabelRow], paths: list[Path]) -> Iterator[str]:
    """Say which pictures lie in the folders of two classes, to the byte."""
    alike: dict[int, list[tuple[LabelRow, Path]]] = {}
    for row, path in zip(rows, paths, strict=True):
        alike.setdefault(path.stat().st_size, []).append((row, path))
    pairs = [
        (one[0].image, other[0].image)
        for same in alike.values()
        for at, other in enumerate(same)
        for one in same[:at][-_COMPARED:]
        if one[0].label != other[0].label and same_content(one[1], other[1])
    ]
    if pairs:
        more = "" if len(pairs) == 1 else f", and {len(pairs) - 1} more such pairs"
        yield f"one picture lies under two classes: {pairs[0][0]!r} and {pairs[0][1]!r} are alike{more}"


def _known_as(unit: Unit, pictures: Pictures) -> str:
    """Return how the run calls a unit that was found again: medical files are known by their pseudonyms."""
    said = [each for path, uid in unit.sources for each in (uid, path)]
    return next((found[0] for each in said if each and (found := pictures.called(each))), unit.id)


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
    columns: Sequence[str],
    reading: Reading,
    pictures: Pictures,
    resolve: Resolve,
    below: str = "",
) -> LabelRows:
    """Read a table of labels: a column for the image, one for the label or one a class, perhaps one for the group.

    Args:
        path: any table that `kpl.tables` reads.
        columns: titles of further columns to read.
        reading: which columns, if not those of known names.
        pictures: of the run; rows that are of none of them are counted and not kept.
        resolve: class index of a title, for columns of classes.
        below: the folder that the images are named from, if the table says so by its title `file_name`.

    Raises:
        LabelsError: the file cannot be read, has no such columns, or a line does not fit it; names the line.
    """
    try:
        table = open_wanted(path, reading, reading.label_column)
        below = below if _OF_FILES in table.titles else ""
        chosen = choose_columns(table, reading, pictures, resolve, columns)
        find, make = chosen.image.finder(pictures, below), _maker(chosen)
        rows, others, example = [], 0, ""
        for row in table.rows():
            if images := find(row):
                rows += [make(row, name) for name in images]
            else:
                others += 1
            if not example:
                example = chosen.image.names(row, below)[0]
    except TableError as error:
        raise LabelsError(str(error)) from error
    if not example:
        raise LabelsError(f"{path.name!r} has a header and no labels: write one line an image")
    group_column = None if chosen.group is None else repr(table.titles[chosen.group])
    said = chosen.told
    if chosen.group is None and len(chosen.image.places) > 1:
        rows = [row._replace(group=f"line {row.line}") for row in rows]
        said, group_column = f"{said}, group from the line, which is of several images", "lines"
    elif chosen.group is None:
        rows, told = _patients_by_folder(rows)
        said += f", group from folders such as {told!r}" if told else ""
        group_column = f"folders such as {told!r}" if told else None
    titles = {table.titles[at]: c for at, c in chosen.classes.items()}
    return LabelRows(rows, titles, said, table.notes, others, example, group_column)


def _maker(chosen: Columns) -> Callable[[Row, str], LabelRow]:
    """Return what makes a label of a row, for one of its images."""
    label, group, none, reader = chosen.label, chosen.group, chosen.none, chosen.reader
    further, classes = chosen.further, tuple(chosen.classes)

    def make(row: Row, image: str) -> LabelRow:
        cells = row.cells
        return LabelRow(
            image,
            "" if label is None else cells[label].strip(),
            None if group is None else cells[group].strip() or None,
            tuple([cells[at].strip() or None for at in further]) if further else (),
            tuple([cells[at].strip() for at in classes]) if classes else (),
            "" if none is None else cells[none].strip(),
            "" if reader is None else cells[reader].strip(),
            row.line,
        )

    return make


def _patients_by_folder(rows: list[LabelRow]) -> tuple[list[LabelRow], str]:
    """Take the folder that is named for a patient for the group, if every image lies in such a one."""
    found = [next(_patient_folders(row.image), None) for row in rows]
    if not rows or None in found:
        return rows, ""
    return [row._replace(group=group) for row, group in zip(rows, found, strict=True)], str(found[0])


def _patient_folders(image: str) -> Iterator[str]:
    return (part for part in image.replace("\\", "/").split("/")[:-1] if _PATIENT_FOLDER.match(part))
