"""Which column of a table is which: by the names in use, or as the user says; and which pictures a row is of."""

from __future__ import annotations

import string
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kpl.errors import TableError
from kpl.tables.matching import Pictures
from kpl.tables.opening import TableReader, open_table
from kpl.tables.records import Row

_NAMES = {
    "image": "image images imageid imgid img imageindex imagename imgname imagepath imgpath imagefile imgfile "
    "imagefilename imagefilepath file filename fname filepath fullpath relativepath path pathtoimage idcode dicomid "
    "isicid picture photo slide slideid tile tileid patch patchid",
    "identifier": "id sopinstanceuid uid seriesinstanceuid seriesuid studyinstanceuid studyuid patientid patient "
    "subjectid name",
    "label": "label labels class classes classname classlabel diagnosis dx choice findinglabels finding findings "
    "category target grade level pathology groundtruth truth annotation disease celltype tumortype",
    "patient": "group groupid patient patientid patientnumber patientno subject subjectid pid participant "
    "participantid person personid donor donorid mrn lesionid caseid",
    "study": "studyid studyuid studyinstanceuid accession accessionnumber examid",
    "joined": "studyid studyuid studyinstanceuid accession accessionnumber examid patientid patient patientnumber "
    "subjectid subject participantid donorid mrn",
    "reader": "reader readerid radid radiologist radiologistid rater raterid grader graderid annotator annotatorid "
    "observer observerid",
    "none": "nofinding",
    "named study": "study",
    "unit": "unit",
    "frame": "frame",
    "window": "window",
}
_KNOWN = {kind: names.split() for kind, names in _NAMES.items()}


def fold_title(title: str) -> str:
    """Bring a title to the form in which two spellings of it are equal: letters and digits, whatever the case.

    Example:
        >>> fold_title("Patient ID") == fold_title("patient_id")
        True
    """
    return "".join(letter for letter in unicodedata.normalize("NFKC", title).casefold() if letter.isalnum())


@dataclass(frozen=True)
class Wanted:
    """Which columns of a table name pictures and patients, where that is not plain.

    Attributes:
        image_column: the title of the column of images, or of several with an image each, joined by commas; in a table
            without a header its number, from 1 on.
        group_column: the same of the column that says which images belong together, such as patients.
        sheet: of an Excel workbook.
        image_pattern: how the names of images are made of columns: `patient_{patient}/x_{x}.png`. What stands after a
            colon is as in Python's `format`, for text: `{patient:0>4}` puts zeros before it.
    """

    image_column: str | None = None
    group_column: str | None = None
    sheet: str | None = None
    image_pattern: str | None = None


def open_wanted(path: str | Path, wanted: Wanted, *others: str | None) -> TableReader:
    """Open a table; columns, also `others`, that are asked for by number say that it has no header.

    Raises:
        TableError: as of `open_table`.
    """
    table = open_table(path, sheet=wanted.sheet)
    asked = [each for each in (*(wanted.image_column or "").split(","), wanted.group_column, *others) if each]
    if any(each.isdecimal() and each not in table.titles for each in asked):
        return open_table(path, sheet=wanted.sheet, header=False)
    return table


class Choice:
    """The columns of a table by the kind of their names."""

    def __init__(self, table: TableReader) -> None:
        self.table = table
        self.folded = [fold_title(title) for title in table.titles]

    def named(self, wanted: str) -> int:
        """Find a column by its title, or in a table without a header by its number.

        Raises:
            TableError: there is none, or there are two.
        """
        exact = [at for at, title in enumerate(self.table.titles) if title == wanted]
        found = exact or [at for at, title in enumerate(self.folded) if title == fold_title(wanted)]
        if not found:
            raise TableError(f"{self.table.name!r} has no column {wanted!r}: it has {', '.join(self.table.titles)}")
        return self._only(found)

    def all(self, *kinds: str) -> tuple[int, ...]:
        """List the columns of known names, in the order of the names.

        Raises:
            TableError: two have the same name.
        """
        names = [name for kind in kinds for name in _KNOWN[kind] if name in self.folded]
        return tuple(self._only([at for at, title in enumerate(self.folded) if title == name]) for name in names)

    def _only(self, found: Sequence[int]) -> int:
        if len(found) > 1:
            raise TableError(
                f"{self.table.name!r} has {len(found)} columns {self.table.titles[found[0]]!r}: rename or remove one"
            )
        return found[0]

    def first(self, *kinds: str) -> int | None:
        """Return the first of these."""
        return next(iter(self.all(*kinds)), None)

    def one(self, kind: str, asked: str | None, fits: Callable[[str], bool], also: str = "") -> int | None:
        """Return the column asked for, else the only one of a known name, else the only one of these that fits.

        Raises:
            TableError: several fit: the message names the option that decides.
        """
        if asked:
            return self.named(asked)
        found = self.all(kind)
        if len(found) < 2:
            return next(iter(found), None)
        fitting = self.fitting(found, fits)
        if len(fitting) > 1:
            raise TableError(self.both(kind, fitting, also))
        return (fitting or list(found))[0]

    def both(self, kind: str, places: Sequence[int], also: str = "") -> str:
        """Say that several columns fit, and which option decides."""
        told = " and ".join(repr(self.table.titles[at]) for at in places)
        return (
            f"{self.table.name!r} has {len(places)} columns that could hold the {kind}, {told}: "
            f"name one with --{kind}-column {self.table.titles[places[0]]!r}{also}"
        )

    def fitting(self, places: Iterable[int], fits: Callable[[str], bool]) -> list[int]:
        """Return the columns among these of which a cell fits, in the first group of rows where one does."""
        places = list(places)
        for rows in self.table.groups() if places else ():
            if found := [at for at in places if any(fits(c) for row in rows if (c := row.cells[at].strip()))]:
                return found
        return []

    def naming(self, fits: Callable[[str], bool]) -> list[int]:
        """Return the columns of any title with cells that fit; bare numbers could be anything and do not count.

        None where a title fits too, or looks like a file: the first line is no header then, and would be lost.
        """
        if any(fits(title) or Path(title).suffix for title in self.table.titles if title):
            return []
        return self.fitting(range(len(self.folded)), lambda cell: not cell.isdecimal() and fits(cell))

    def group(self, asked: str | None) -> int | None:
        """Return the column that says which pictures belong together, if there is one: patients, else studies."""
        return self.named(asked) if asked else self.first("patient", "study")

    def unused(self, used: set[int]) -> str:
        """Say which identifiers were not taken."""
        left = [at for at in sorted(self.all("patient", "study")) if at not in used]
        return "; not used: " + ", ".join(repr(self.table.titles[at]) for at in left) if left else ""


@dataclass(frozen=True)
class ImageColumns:
    """How a row names its pictures: by columns, by a pattern, or by the folders that they lie in.

    Attributes:
        name: of the table, for messages.
        places: of the columns, one image each.
        joined: of columns that name folders, if no column names pictures.
        pattern: text, column and format, one after the other.
        told: how, for the user.
    """

    name: str
    places: tuple[int, ...] = ()
    joined: tuple[int, ...] = ()
    pattern: tuple[tuple[str, int | None, str], ...] = ()
    told: str = ""

    @classmethod
    def choose(cls, choice: Choice, wanted: Wanted, fits: Callable[[str], bool]) -> ImageColumns | None:
        """Choose them: as asked for, else by their names, else the only one that fits; None if there are none.

        Raises:
            TableError: what was asked for is not there, or several columns fit.
        """
        name, titles = choice.table.name, choice.table.titles
        if wanted.image_pattern is not None:
            if wanted.image_column:
                raise TableError("--image-column and --image-pattern both say how images are named: leave one out")
            return cls(name, pattern=_parsed(wanted.image_pattern, choice), told=f"image as {wanted.image_pattern!r}")
        asked = wanted.image_column
        if asked and "," in asked and asked not in titles:
            places = tuple(choice.named(each.strip()) for each in asked.split(","))
        else:
            both = ", or all of them, joined by commas, if each line is of several images"
            found = choice.one("image", asked, fits, both)
            known = [found] if found is not None else choice.fitting(choice.all("identifier"), fits)
            places = tuple(known[:1])
        if places:
            return cls(name, places, told="image from " + " and ".join(repr(titles[at]) for at in places))
        naming = choice.naming(fits)
        if len(naming) > 1:
            every = ",".join(titles[at] for at in naming)
            raise TableError(choice.both("image", naming, f", or all of them with --image-column {every!r}"))
        if naming:
            told = f"image from {titles[naming[0]]!r}, the only column that names these images"
            return cls(name, (naming[0],), told=told)
        if joined := choice.all("joined"):
            told = " and ".join(repr(titles[at]) for at in joined)
            return cls(name, joined=joined, told=f"images by the {told} that they are of")
        return None

    @property
    def used(self) -> set[int]:
        """Places of the columns that are read."""
        return {*self.places, *self.joined, *(at for _, at, _ in self.pattern if at is not None)}

    def names(self, row: Row, below: str = "") -> list[str]:
        """Return how a row calls its pictures, `below` a folder; one that is called by a folder ends in a slash.

        Raises:
            TableError: it names none.
        """
        cells = row.cells
        if self.joined:
            return ["/".join(cells[at].strip() for at in self.joined) + "/"]
        if self.pattern:
            said = [text + ("" if at is None else format(cells[at].strip(), form)) for text, at, form in self.pattern]
            return [f"{below}/{''.join(said)}" if below else "".join(said)]
        found = [cells[at] for at in self.places if cells[at]]
        if not found:
            raise TableError(f"{self.name!r}, line {row.line}: no image named; fill the cell or remove the line")
        return [f"{below}/{name}" for name in found] if below else found

    def finder(self, pictures: Pictures, below: str = "") -> Callable[[Row], list[str]]:
        """Return what says which of these pictures a row may be of, as `images` does, ready for many rows."""
        if len(self.places) != 1 or below:
            return lambda row: self.images(row, pictures, below)
        at, called = self.places[0], pictures.called

        def find(row: Row) -> list[str]:
            name = row.cells[at]
            return called(name) if name and name[-1] not in "/\\ " else self.images(row, pictures)

        return find

    def images(self, row: Row, pictures: Pictures, below: str = "") -> list[str]:
        """Return the names of a row that may be of these pictures; a folder is the pictures in it."""
        if self.joined:
            folders = [row.cells[at].strip() for at in self.joined]
            return [pictures.ids[place] for place in pictures.below(folders)]
        found: list[str] = []
        for name in self.names(row, below):
            inside = pictures.inside(name) if name.rstrip().endswith(("/", "\\")) else []
            found += [pictures.ids[place] for place in inside] or pictures.called(name)
        return found


def _parsed(pattern: str, choice: Choice) -> tuple[tuple[str, int | None, str], ...]:
    """Take a pattern apart.

    Raises:
        TableError: it names no column, or one that is not there, or a form that text has not.
    """
    try:
        parts = list(string.Formatter().parse(pattern))
        found = tuple(_part(each, choice) for each in parts)
    except ValueError as error:
        raise TableError(f"--image-pattern {pattern!r} cannot be read: {error}") from error
    if not any(at is not None for _, at, _ in found):
        raise TableError(f"--image-pattern {pattern!r} names no column: write {{patient}} for what stands in 'patient'")
    return found


def _part(part: tuple[str, str | None, str | None, str | None], choice: Choice) -> tuple[str, int | None, str]:
    text, title, form, _ = part
    if title is None:
        return text, None, ""
    format("", form or "")  # refused here, not in a row
    return text, choice.named(title), form or ""
