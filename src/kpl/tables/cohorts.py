"""Cohorts and manifests: tables that name the pictures to read, and the patients they are of. Nothing else is taken."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from kpl.errors import TableError
from kpl.tables.columns import Choice, ImageColumns, Wanted, open_wanted
from kpl.tables.matching import Pictures
from kpl.tables.opening import TableReader
from kpl.tables.records import Slice

_SUFFIXES = {".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".pq", ".xlsx", ".xlsm", ".xls", ".xlsb", ".ods"}


class CohortRow(NamedTuple):
    """One picture as a cohort names it; what the table does not say is None."""

    image: str
    patient: str | None = None
    study: str | None = None
    unit: str | None = None
    frame: int | None = None
    window: str | None = None
    line: int = 0


def is_table(path: str | Path) -> bool:
    """Say whether a file that is given for pictures is a table of their names, by its suffix."""
    path = Path(path)
    return path.suffix.lower() in _SUFFIXES and path.is_file()


@dataclass(frozen=True, eq=False)
class OpenedCohort:
    """A table of pictures whose columns are chosen.

    Attributes:
        name: the file's name.
        said: which columns were taken, for the user.
        notes: how the table was read, where that is not plain.
    """

    name: str
    said: str
    notes: tuple[str, ...]
    _table: TableReader
    _image: ImageColumns
    _places: tuple[int | None, ...]

    @property
    def plain(self) -> bool:
        """Whether a row is a picture by itself: one column of images, and at most one of patients beside it."""
        return len(self._image.places) == 1 and all(place is None for place in self._places[1:])

    def slices(self, size: int, numbers: Iterable[int]) -> Iterator[tuple[Slice, list[str], list[str | None]]]:
        """Read some of the slices of a plain table, see `TableReader.slices`: with the images and the patients.

        Raises:
            TableError: a row without an image, or one that does not fit the titles.
        """
        patient = self._places[0]
        places = [self._image.places[0], *([] if patient is None else [patient])]
        for part in self._table.slices(places, size, numbers):
            images = part.columns[0]
            if "" in images:
                line = part.lines[images.index("")]
                raise TableError(f"{self.name!r}, line {line}: no image named; fill the cell or remove the line")
            patients = [cell.strip() or None for cell in part.columns[1]] if patient is not None else []
            yield part, images, patients or [None] * len(images)

    def rows(self, pictures: Pictures | None = None) -> Iterator[CohortRow]:
        """Read the rows as they come; none lies in memory but the one that is given.

        Args:
            pictures: with them, a row that can be of none of these has an empty image.

        Raises:
            TableError: a row without an image, a frame that is no number, or a row that does not fit the titles.
        """
        for row in self._table.rows():
            patient, study, unit, frame, window = (
                None if at is None else row.cells[at].strip() or None for at in self._places
            )
            names = self._image.names(row) if pictures is None else self._image.images(row, pictures) or [""]
            number = None if frame is None else _number(frame, self.name, row.line)
            for name in names:
                yield CohortRow(name, patient, study, unit, number, window, row.line)


def open_cohort(
    path: str | Path, wanted: Wanted | None = None, fits: Callable[[str], bool] | None = None
) -> OpenedCohort:
    """Open a table of pictures and choose the columns of image, patient, study, unit, frame and window.

    Args:
        path: any table that `open_table` reads.
        wanted: which columns, if not those of known names.
        fits: whether a cell names a picture, to choose among columns.

    Raises:
        TableError: it cannot be read, or no column names pictures: says which there are, and the option that decides.
    """
    wanted = wanted or Wanted()
    table = open_wanted(path, wanted)
    choice = Choice(table)
    image = ImageColumns.choose(choice, wanted, fits or (lambda _: True))
    if image is None:
        told = ", ".join(map(repr, table.titles[:20])) + (", ..." if len(table.titles) > 20 else "")
        raise TableError(
            f"{table.name!r} has no column of images that is known by its title: it has {told}. Name it with "
            "--image-column, with its number if there is no header (--image-column 1)"
        )
    study = choice.first("study", "named study")
    unit, frame, window = (choice.first(kind) for kind in ("unit", "frame", "window"))
    patient = choice.named(wanted.group_column) if wanted.group_column else choice.first("patient")
    places = (patient, study, unit, frame, window)
    taken = [f"{what} from {table.titles[at]!r}" for what, at in zip(_TAKEN, places, strict=True) if at is not None]
    left = choice.unused({*image.used, *(at for at in places if at is not None)})
    said = f"columns of {table.name!r}: {', '.join([image.told, *taken])}{left}; nothing else of it is used"
    return OpenedCohort(table.name, said, table.notes, table, image, places)


_TAKEN = ("patient", "study", "unit", "frame", "window")


def _number(frame: str, name: str, line: int) -> int:
    if not frame.isdecimal():
        raise TableError(
            f"{name!r}, line {line}: frame {frame!r} is no number: count frames from 0 on, or leave it empty"
        )
    return int(frame)
