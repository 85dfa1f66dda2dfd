"""How a table of labels is read: which columns, and what their cells mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from kpl.errors import LabelsError
from kpl.tables import Choice, ImageColumns, Pictures, TableReader, Wanted

_OF = (" of a class", "s of classes")
_OF_PREDICTIONS = {"confidence", "margin"}


@dataclass(frozen=True)
class Reading(Wanted):
    """How a table of labels is to be read, where that is not plain.

    Attributes:
        label_column: the title of the column of labels; in a table without a header its number, from 1 on.
        numbers: "order" takes the labels 0, 1, 2 for the classes in the order of the knowledge.
        blank: what an empty cell says under a class of its own; None leaves it unknown, but for CheXpert's form.
        uncertain: what -1 says there.
        none: the label, or the column, that says that no class is there.
        readers: what several lines of an image say together: what most of them say, what any does, what all do.
        reader_column: the title of the column that says whose word a line is.
    """

    label_column: str | None = None
    numbers: Literal["order"] | None = None
    blank: Literal["absent", "unknown"] | None = None
    uncertain: Literal["ignore", "present", "absent"] = "ignore"
    none: str | None = None
    readers: Literal["majority", "any", "all"] | None = None
    reader_column: str | None = None


@dataclass(frozen=True)
class Columns:
    """The places of the columns that are read.

    Attributes:
        image: how the rows name their images.
        label: None if each class has its own column.
        group: which images belong together.
        classes: class index by place.
        none: of the column that says that no class is there.
        reader: of the column that says whose word a line is; None unless `readers` asks for it.
        further: of columns that were asked for.
        told: which were taken, for the user.
    """

    image: ImageColumns
    label: int | None
    group: int | None
    classes: Mapping[int, int]
    none: int | None
    reader: int | None
    further: tuple[int, ...]
    told: str


def choose_columns(
    table: TableReader,
    reading: Reading,
    pictures: Pictures | None,
    resolve: Callable[[str], int | None],
    further: Sequence[str] = (),
) -> Columns:
    """Choose the columns of a table of labels: those asked for, else those of known names.

    Raises:
        LabelsError, TableError: none fits, or several do; says which there are, and the option that decides.
    """
    choice = Choice(table)
    titles = choice.folded
    if _OF_PREDICTIONS.issubset(titles) or ("labels" in titles and any(t.startswith("p_") for t in table.titles)):
        raise LabelsError(
            f"{table.name!r} holds predictions, not labels (it has columns confidence and margin, or p_CLASS): "
            "give the true labels"
        )
    classes = _classes(table, resolve)
    image = ImageColumns.choose(choice, reading, pictures.may_fit if pictures is not None else lambda _: True)
    label, how = _label(choice, reading, resolve, image, classes)
    if image is None or (label is None and not classes):
        raise LabelsError(_lacking(table, images=image is None, labels=label is None and not classes))
    group = choice.group(reading.group_column)
    none = None
    if label is None:
        none = choice.named(reading.none) if reading.none else choice.first("none")
    reader = choice.named(reading.reader_column) if reading.reader_column else choice.first("reader")
    asked = tuple(choice.named(column) for column in further)
    shown = table.titles
    labels = (
        f"label from {shown[label]!r}{how}"
        if label is not None
        else f"labels from {len(classes)} column{_OF[len(classes) > 1]} ({', '.join(shown[at] for at in classes)})"
    )
    parts = [image.told, labels, *([] if group is None else [f"group from {shown[group]!r}"])]
    if reading.readers and reader is not None:
        parts.append(f"reader from {shown[reader]!r}")
    left = choice.unused({*image.used, *asked, *([] if group is None else [group])})
    return Columns(
        image=image,
        label=label,
        group=group,
        classes={} if label is not None else classes,
        none=none,
        reader=reader if reading.readers else None,
        further=asked,
        told=f"columns: {', '.join(parts)}{left}",
    )


def _classes(table: TableReader, resolve: Callable[[str], int | None]) -> dict[int, int]:
    """Return the class of each column whose title is one.

    Raises:
        LabelsError: two columns are of one class, such as two that differ in their capitals.
    """
    classes = {at: c for at, title in enumerate(table.titles) if title and (c := resolve(title)) is not None}
    places = list(classes)
    for at, place in enumerate(places):
        for other in places[:at]:
            if classes[other] == classes[place]:
                raise LabelsError(
                    f"{table.name!r} has two columns of one class, {table.titles[other]!r} and "
                    f"{table.titles[place]!r}: rename or remove one"
                )
    return classes


def _label(
    choice: Choice,
    reading: Reading,
    resolve: Callable[[str], int | None],
    image: ImageColumns | None,
    classes: Mapping[int, int],
) -> tuple[int | None, str]:
    """Choose the column of labels: of a known name, else the only one that names classes; None for one a class."""

    def fits(cell: str) -> bool:
        return resolve(cell) is not None or (reading.numbers == "order" and cell.removesuffix(".0").isdecimal())

    label = choice.one("label", reading.label_column, fits)
    if label is not None and classes and not reading.label_column and not choice.fitting([label], fits):
        return None, ""
    if label is not None or classes or image is None:
        return label, ""
    others = [at for at in range(len(choice.folded)) if at not in image.used]
    found = choice.fitting(others, lambda cell: resolve(cell) is not None)
    if len(found) > 1:
        raise LabelsError(choice.both("label", found))
    return (found[0], ", the only column that names classes") if found else (None, "")


def _lacking(table: TableReader, *, images: bool, labels: bool) -> str:
    lacks = " and ".join([*(["images"] if images else []), *(["labels"] if labels else [])])
    told = ", ".join(map(repr, table.titles[:20])) + (", ..." if len(table.titles) > 20 else "")
    return (
        f"{table.name!r} has no column of {lacks} that is known by its title: it has {told}. Name it with "
        "--image-column and --label-column, with numbers if there is no header (--image-column 1 --label-column 2)"
    )
