"""How a table of labels is read: which columns, and what their cells mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from kpl.errors import LabelsError
from kpl.evaluation.matching import Pictures
from kpl.knowledge.folding import fold_name
from kpl.tables import Row, TableReader, open_table

__all__ = ["Columns", "Reading", "choose_columns", "open_labels"]

_NAMES = {
    "image": "image images imageid imgid img imageindex imagename imagepath imagefile imagefilename file filename "
    "filepath path idcode dicomid picture slide slideid",
    "unit": "id patientid patient subjectid sopinstanceuid uid name",
    "label": "label labels class classname diagnosis dx choice findinglabels finding findings category target",
    "group": "group patient patientid subject subjectid pid lesionid caseid studyid studyinstanceuid",
    "joined": "studyid studyinstanceuid accessionnumber patientid patient subjectid subject",
}
_KNOWN = {kind: names.split() for kind, names in _NAMES.items()}
_OF_PREDICTIONS = {"confidence", "margin"}


@dataclass(frozen=True)
class Reading:
    """How a table of labels is to be read, where that is not plain.

    Attributes:
        image_column: the title of the column of images; in a table without a header its number, from 1 on.
        label_column: the same of the column of labels.
        group_column: the same of the column that says which images belong together.
        sheet: of an Excel workbook.
        numbers: "order" takes the labels 0, 1, 2 for the classes in the order of the knowledge.
        blank: what an empty cell says under a class of its own; None leaves it unknown, but for CheXpert's form.
        uncertain: what -1 says there.
        none: the label, or the column, that says that no class is there.
    """

    image_column: str | None = None
    label_column: str | None = None
    group_column: str | None = None
    sheet: str | None = None
    numbers: Literal["order"] | None = None
    blank: Literal["absent", "unknown"] | None = None
    uncertain: Literal["ignore", "present", "absent"] = "ignore"
    none: str | None = None


@dataclass(frozen=True)
class Columns:
    """The places of the columns that are read.

    Attributes:
        image: None if the rows are of patients or studies, which `joined` names.
        label: None if each class has its own column.
        group: which images belong together.
        classes: class index by place.
        joined: of the names of folders that the images of a row lie in.
        none: of the column that says that no class is there.
        further: of columns that were asked for.
        told: which were taken, for the user.
    """

    image: int | None
    label: int | None
    group: int | None
    classes: Mapping[int, int]
    joined: tuple[int, ...]
    none: int | None
    further: tuple[int, ...]
    told: str


def open_labels(path: str, reading: Reading) -> TableReader:
    """Open a table of labels; columns that are asked for by number say that it has no header.

    Raises:
        TableError: as of `kpl.tables.open_table`.
    """
    table = open_table(path, sheet=reading.sheet)
    asked = [each for each in (reading.image_column, reading.label_column, reading.group_column) if each]
    if any(each.isdecimal() and each not in table.titles for each in asked):
        return open_table(path, sheet=reading.sheet, header=False)
    return table


def choose_columns(
    table: TableReader,
    reading: Reading,
    pictures: Pictures | None,
    resolve: Callable[[str], int | None],
    further: Sequence[str] = (),
) -> Columns:
    """Choose the columns of a table of labels: those asked for, else those of known names.

    Raises:
        LabelsError: none fits, or several do; says which there are, and the option that decides.
    """
    titles = [fold_name(title) for title in table.titles]
    if _OF_PREDICTIONS.issubset(titles) or ("labels" in titles and any(t.startswith("p_") for t in table.titles)):
        raise LabelsError(
            f"{table.name!r} holds predictions, not labels (it has columns confidence and margin, or p_CLASS): "
            "give the true labels"
        )
    sample = next(table.groups(), [])
    choice = _Choice(table, titles, sample)
    classes = {at: c for at, title in enumerate(table.titles) if title and (c := resolve(title)) is not None}
    fits = pictures.may_fit if pictures is not None else lambda _: True
    image = choice.one("image", reading.image_column, fits)
    if image is None:
        image = choice.fitting("unit", fits)
    joined = choice.all("joined") if image is None else ()
    label = choice.one("label", reading.label_column, lambda cell: resolve(cell) is not None)
    if (image is None and not joined) or (label is None and not classes):
        raise LabelsError(
            f"{table.name!r} has no header that names the columns image and label: its first line is "
            f"{table.first[:80]!r}. Write image,label or image,label,group there, or name them: --image-column and "
            "--label-column, with numbers if there is no header (--image-column 1 --label-column 2)"
        )
    group = choice.named(reading.group_column) if reading.group_column else next(iter(choice.all("group")), None)
    none = None
    if label is None:
        none = next((at for at, title in enumerate(titles) if title == fold_name(reading.none or "No Finding")), None)
    chosen = Columns(
        image=image,
        label=label,
        group=group,
        classes={} if label is not None else classes,
        joined=joined,
        none=None if none in classes else none,
        further=tuple(choice.named(column) for column in further),
        told="",
    )
    return Columns(**{**vars(chosen), "told": _tell(table.titles, titles, chosen)})


class _Choice:
    """Columns of a table by the kind of their names."""

    def __init__(self, table: TableReader, titles: Sequence[str], sample: Sequence[Row]) -> None:
        self._table, self._titles, self._sample = table, titles, sample

    def named(self, wanted: str) -> int:
        """Find a column by its title, or in a table without a header by its number."""
        folded = fold_name(wanted)
        if folded not in self._titles:
            told = ", ".join(self._titles)
            raise LabelsError(f"{self._table.name!r} has no column {wanted!r}: it has {told}")
        return self._titles.index(folded)

    def all(self, kind: str) -> tuple[int, ...]:
        return tuple(self._titles.index(name) for name in _KNOWN[kind] if name in self._titles)

    def fitting(self, kind: str, fits: Callable[[str], bool]) -> int | None:
        return next((at for at in self.all(kind) if any(fits(row.cells[at]) for row in self._sample)), None)

    def one(self, kind: Literal["image", "label"], asked: str | None, fits: Callable[[str], bool]) -> int | None:
        """Return the column asked for, else the only one of a known name, else the only one of these that fits."""
        if asked:
            return self.named(asked)
        found = self.all(kind)
        if len(found) < 2:
            return next(iter(found), None)
        fitting = [at for at in found if any(fits(row.cells[at].strip()) for row in self._sample)]
        if len(fitting) > 1:
            told = " and ".join(repr(self._table.titles[at]) for at in fitting)
            raise LabelsError(
                f"{self._table.name!r} has {len(fitting)} columns that could hold the {kind}, {told}: "
                f"name one with --{kind}-column {self._table.titles[fitting[0]]!r}"
            )
        return (fitting or list(found))[0]


def _tell(shown: Sequence[str], titles: Sequence[str], chosen: Columns) -> str:
    """Say which columns were taken, and which identifiers were not."""
    parts = [] if chosen.image is None else [f"image from {shown[chosen.image]!r}"]
    if chosen.joined:
        parts.append(f"images by the folders that {' and '.join(repr(shown[at]) for at in chosen.joined)} name")
    parts.append(
        f"label from {shown[chosen.label]!r}"
        if chosen.label is not None
        else f"labels from {len(chosen.classes)} columns of classes ({', '.join(shown[at] for at in chosen.classes)})"
    )
    if chosen.group is not None:
        parts.append(f"group from {shown[chosen.group]!r}")
    used = {chosen.image, chosen.group, *chosen.joined, *chosen.further}
    left = [shown[at] for at, title in enumerate(titles) if title in _KNOWN["group"] and at not in used]
    return f"columns: {', '.join(parts)}" + (f"; not used: {', '.join(map(repr, left))}" if left else "")
