"""The true classes of the images of a run, for scoring only: nothing here reaches a method."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kpl.errors import LabelsError
from kpl.evaluation.meanings import either_class, none_told, only_class, parts_of
from kpl.evaluation.reading import Reading
from kpl.evaluation.several import agreed_label, by_image
from kpl.evaluation.sources import LabelRow, LabelRows, match_rows, read_rows
from kpl.evaluation.weighted import IntArray
from kpl.knowledge import KnowledgeBase, Level, levels
from kpl.knowledge.folding import fold_name
from kpl.tables import Identifiers, Pictures

_DATE = re.compile(
    r"\d{4}-\d{1,2}(-\d{1,2}.*)?|\d{1,2}[./-]\d{1,2}[./-]\d{2,4}|\d{1,2}[-. ](?P<month>[a-z]{3,4})\.?([-. ]\d{2,4})?|"
    r"[a-z]{3}[-. ]\d{2,4}",
    re.IGNORECASE,
)


@dataclass(frozen=True, eq=False)
class Truth:
    """The true class of each image of a run, and what did not fit."""

    labels: NDArray[np.int64]
    """(n,) class indices in the order of the run's images, -1 where there is no label."""
    groups: tuple[str | None, ...] | None = None
    """(n,) groups as the labels name them; None when they name none."""
    missing: int = 0
    """Images of the run without a label."""
    unused: int = 0
    """Labels of images that are not in the run."""
    ignored: Mapping[str, int] = field(default_factory=dict)
    """Class names that the knowledge does not have, with the number of images left out for each."""
    notices: tuple[str, ...] = ()
    """What the user should be told, one sentence each."""
    columns: Mapping[str, tuple[str | None, ...]] = field(default_factory=dict)
    """Further columns that were asked for, (n,) each; None where the labels say nothing."""
    said: str = ""
    """Which columns of a table were taken."""
    group_column: str | None = None
    """What says which images belong together, for the user."""
    unlisted: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))
    """(n,) which images the labels name as of no listed class."""
    above: Mapping[int, IntArray] = field(default_factory=dict)
    """Where groups were asked for, the number of each level above the classes to (n,) places in its names, -1 for none;
    an image whose label is a group has one at the levels from that group upward, and no class."""


def read_labels(
    source: str | Path | IntArray,
    ids: Sequence[str],
    knowledge: KnowledgeBase | Sequence[str],
    *,
    ignore_unknown: bool = False,
    columns: Sequence[str] = (),
    reading: Reading | None = None,
    also: Sequence[str] = (),
    identifiers: Identifiers | None = None,
    patients: Sequence[str | None] = (),
    groups: bool = False,
) -> Truth:
    """Read the true classes of a run's images.

    Args:
        source: a table (image, label and perhaps group; or a column a class) of any kind that `kpl.tables` reads, a
            folder whose sub-folders are the classes or hold such tables, or an array (n,) of class indices with -1 for
            unlabelled images.
        ids: (n,) the images of the run.
        knowledge: what resolves class names: a knowledge base (key, name or alias), or a plain list of C class names.
        ignore_unknown: leave images of classes that the knowledge does not have out of the score, instead of refusing.
        columns: further columns of a table to read, such as a site or a scanner.
        reading: which columns of a table are which, and what its cells mean, where that is not plain.
        also: labels beside the classes, which get the indices C, C + 1, ...
        identifiers: what stands for the images beside their ids; one of a patient is one of all that patient's images.
        patients: of the images, (n,), for labels of patients.
        groups: take a label that names a group of classes for what it says, instead of an unknown class.

    Raises:
        LabelsError: no label is for an image of the run, an image has two labels, a class is unknown, or the source
            cannot be read.
    """
    classes = Classes(knowledge, also, groups=groups)
    if not isinstance(source, str | Path):
        if columns:
            raise LabelsError(f"an array of class indices has no column {columns[0]!r}: give the labels as a CSV file")
        labels = _check_array(source, len(ids), len(classes.own))
        return _finish(labels, None, unused=0, ignored={}, notices=[])
    reading = reading or Reading()
    path, pictures = Path(source), Pictures(ids, identifiers, patients)
    table = read_rows(path, columns, reading, pictures, classes.resolve)
    rows = table.rows
    told: list[str] = []
    if len(table.classes) == 1 and len(classes.own) == 2:
        rows, told = either_class(table, reading, classes.own)
    elif table.classes:
        rows = [only_class(row, list(table.classes), path.name, lenient=ignore_unknown) for row in rows]
    found = match_rows(pictures, rows)
    matched = by_image(rows, found.places, reading.readers, pictures)
    if not matched:
        raise LabelsError(none_fits(table, pictures))
    words = {place: agreed_label(own, reading.readers, classes.same) for place, own in matched.items()}
    meant = {label: classes.meant(label, reading) for label in set(words.values()) if label}
    if not ignore_unknown:
        several = {label for label, index in meant.items() if index is None and len(classes.parts(label, reading)) > 1}
        _refuse_several(matched, words, several, path.name)
    unknown = Counter(label for label in words.values() if label and meant[label] is None)
    if unknown and not ignore_unknown:
        raise LabelsError(classes.describe_unknown(unknown))
    labels, unlisted = np.full(len(ids), -1, dtype=np.int64), np.zeros(len(ids), dtype=np.bool_)
    for place, label in words.items():
        index = meant.get(label or "")
        labels[place] = -1 if index is None or index == NO_CLASS else index
        unlisted[place] = bool(label) and labels[place] < 0 and len(classes.parts(label or "", reading)) == 1
    together = tuple(matched[place][0].group if place in matched else None for place in range(len(ids)))
    named = labels - len(classes.own)  # which group, below 0 for none
    labels[named >= 0] = -1
    truth = _finish(
        labels,
        together if set(together) != {None} else None,
        unused=sum(place is None for place in found.places) + table.others,
        ignored=dict(unknown.most_common()),
        notices=[*table.notes, *told, *found.told(), *classes.told(words.values(), reading), *_open(words, reading)],
        named=sum(meant[label] == NO_CLASS for label in words.values() if label),
        coarse=int((named >= 0).sum()),
    )
    truth = replace(truth, columns=further_columns(columns, matched, len(ids)), said=table.said)
    above = {level.number: _at_level(level, labels, named, classes.groups) for level in classes.tree}
    return replace(truth, group_column=table.group_column, unlisted=unlisted, above=above)


def _at_level(level: Level, labels: IntArray, named: IntArray, groups: Sequence[str]) -> IntArray:
    """Return the place of each image at a level, (n,), by its class or else by the group that its label names."""
    by_class = np.where(labels < 0, -1, np.array(level.of_classes)[labels])
    by_group = np.array([level.of_groups.get(group, -1) for group in groups])[np.maximum(named, 0)]
    return np.where(named < 0, by_class, by_group)


def further_columns(
    columns: Sequence[str], matched: Mapping[int, Sequence[LabelRow]], n: int
) -> dict[str, tuple[str | None, ...]]:
    """Return further columns, (n,) each; None where an image has no row, or its rows say different things."""
    found: dict[str, list[str | None]] = {column: [None] * n for column in columns}
    for place, own in matched.items():
        for at, column in enumerate(columns):
            said = {row.more[at] for row in own}
            found[column][place] = said.pop() if len(said) == 1 else None
    return {column: tuple(cells) for column, cells in found.items()}


def none_fits(table: LabelRows, pictures: Pictures) -> str:
    """Say that no label is for an image of the run, or why those of medical files are not found by identifiers."""
    own = repr(pictures.ids[0]) if pictures.ids else "none"
    told = f": the labels name images such as {table.example!r}, the run {own}"
    if pictures.identifiers is not None:
        told = f", which has such as {own}; {pictures.identifiers.hint}"
    return (
        f"none of the {len(table.rows) + table.others} labels is for one of the {len(pictures.ids)} images of the run"
        f"{told}"
    )


def _refuse_several(
    matched: Mapping[int, Sequence[LabelRow]], words: Mapping[int, str | None], several: Collection[str], name: str
) -> None:
    """Refuse a label that names several classes.

    Raises:
        LabelsError: by its line.
    """
    for place, label in words.items():
        if label in several:
            row = matched[place][0]
            raise LabelsError(
                f"{name!r}, line {row.line}: {row.image!r} is labelled {label!r}, several classes, and the run gives a "
                "picture one: classify with --multi-label, or leave such pictures out with --ignore-unknown"
            )


def _open(words: Mapping[int, str | None], reading: Reading) -> list[str]:
    """Say how many images have lines that do not agree."""
    count = sum(label is None for label in words.values())
    return [f"not scored, their lines do not agree (--readers {reading.readers}): {count} images"] if count else []


NO_CLASS = -1
"""What a label means that says that no class is there."""
NONE_OF_THESE = "none of these"
"""The label of an image that is of no listed class; "No Finding" is a class like any other, where it is listed."""


class Classes:
    """The names that a class answers to."""

    resolve: Callable[[str], int | None]

    def __init__(
        self, knowledge: KnowledgeBase | Sequence[str], also: Sequence[str] = (), *, groups: bool = False
    ) -> None:
        self.tree = levels(knowledge) if groups and isinstance(knowledge, KnowledgeBase) else ()
        self.groups = list(dict.fromkeys(group for level in self.tree for group in level.of_groups))
        if isinstance(knowledge, KnowledgeBase):
            self.names = [entry.key for entry in knowledge.classes]
            self.resolve = knowledge.resolve
            answers = [(entry.key, entry.name, *entry.aliases) for entry in knowledge.classes]
        else:
            self.names = list(knowledge)
            self.resolve = lambda label: self._indices.get(fold_name(label))
            answers = [(name,) for name in knowledge]
            if len({fold_name(name) for name in self.names}) < len(self.names):
                raise LabelsError(f"two of the class names are one when case and spaces do not count: {self.names}")
        self.listed = len(self.names)
        self.own = [*self.names, *also]
        self.names = [*self.own, *self.groups]
        answers += [(name,) for name in (*also, *self.groups)]
        self._indices = {fold_name(name): index for index, names in enumerate(answers) for name in names}

    def meant(self, label: str, reading: Reading) -> int | None:
        """Return the class that a label names; a number is a place in the order of classes if the user says so."""
        found = self.resolve(label)
        found = self._indices.get(fold_name(label)) if found is None else found
        if found is not None:
            return found
        if fold_name(label) in {fold_name(none) for none in (NONE_OF_THESE, reading.none) if none is not None}:
            return NO_CLASS
        number = label.removesuffix(".0")
        if reading.numbers == "order" and number.isdecimal() and int(number) < self.listed:
            return int(number)
        parts = self.parts(label, reading)
        several = {self.meant(part, reading) for part in parts} if parts != [label] else set()
        return several.pop() if len(several) == 1 else None

    def parts(self, label: str, reading: Reading) -> list[str]:
        """Part a label that names several classes."""
        if reading.numbers != "order":
            return parts_of(label, self.resolve)
        return parts_of(label, lambda part: 0 if part.isdecimal() else self.resolve(part))

    def same(self, label: str) -> object:
        """Return what two spellings of one label have in common."""
        found = self.resolve(label)
        return fold_name(label) if found is None else found

    def told(self, labels: Iterable[str | None], reading: Reading) -> list[str]:
        """Say which classes are spelled in several ways, and what the label for none was taken for."""
        spelled: dict[str, set[str]] = {}
        for label in {label for label in labels if label}:
            spelled.setdefault(label.casefold(), set()).add(label)
        found = [
            f"{' and '.join(map(repr, sorted(forms)))} differ in capitals only, and are one class"
            for forms in spelled.values()
            if len(forms) > 1
        ]
        return [*found, *none_told(reading, self.resolve)]

    def describe_unknown(self, unknown: Counter[str]) -> str:
        """Say which labels are no classes, with the nearest that are."""
        listed = [f"{label!r} ({count}{self.near(label)})" for label, count in unknown.most_common(5)]
        if len(unknown) > 5:
            listed.append(f"{len(unknown) - 5} more")
        some = ", ".join(self.names[:20]) + (", ..." if len(self.names) > 20 else "")
        hint = ""
        if all(label.removesuffix(".0").isdecimal() for label in unknown):
            hint = "; if the numbers count the classes from 0 in the knowledge's order, say --label-numbers order"
        elif all(map(_DATE.fullmatch, unknown)):
            hint = (
                "; these are dates, which a spreadsheet makes of names such as MAR1 or 1-2: give the column the format "
                "Text there, and enter them again"
            )
        return (
            f"{len(unknown)} of the labels' class names are not in the knowledge, "
            f"which concerns {unknown.total()} of the images: {', '.join(listed)}. Known: {some}. "
            f"Mend the labels, add an alias to the knowledge, or ignore unknown classes{hint}"
        )

    def near(self, label: str) -> str:
        """Name the class that a label is nearest to, if one is near."""
        near = difflib.get_close_matches(fold_name(label), self._indices, n=1, cutoff=0.6)
        return f"; did you mean {self.names[self._indices[near[0]]]!r}?" if near else ""


def _check_array(source: IntArray, n: int, n_classes: int) -> NDArray[np.int64]:
    labels = np.asarray(source)
    if labels.shape != (n,) or labels.dtype.kind not in "iu":
        raise LabelsError(
            f"the labels have shape {labels.shape} and type {labels.dtype}: "
            f"give one whole number for each of {n} images"
        )
    if n and not -1 <= labels.min() <= labels.max() < n_classes:
        raise LabelsError(
            f"the labels run from {labels.min()} to {labels.max()}: allowed are class indices 0 to {n_classes - 1}, "
            "and -1 for an image without a label"
        )
    return labels.astype(np.int64)


def _finish(
    labels: NDArray[np.int64],
    groups: tuple[str | None, ...] | None,
    *,
    unused: int,
    ignored: Mapping[str, int],
    notices: list[str],
    named: int = 0,
    coarse: int = 0,
) -> Truth:
    """Count what is left out, and say it; `named` images are labelled as of no class, `coarse` ones as of a group."""
    n, left_out = len(labels), sum(ignored.values())
    scored = labels[labels >= 0]
    missing = n - len(scored) - left_out - named - coarse
    if not scored.size and not coarse:
        raise LabelsError(
            f"none of the {n} images of the run has a label that can be scored "
            f"({missing} without a label, {left_out} of unknown classes, {named} of none): check the labels"
        )
    if missing:
        notices.append(f"not scored, no label: {missing} of {n} images")
    if unused:
        notices.append(f"labels not used, their image is not in the run: {unused}")
    if named:
        notices.append(f"not scored, of no listed class: {named} of {n} images")
    if ignored:
        names = ", ".join(repr(name) for name in list(ignored)[:5]) + (", ..." if len(ignored) > 5 else "")
        notices.append(f"not scored, class not in the knowledge: {left_out} of {n} images ({names})")
    if coarse:
        notices.append(f"labels that name a group of classes, scored at its level alone: {coarse} of {n} images")
    if scored.size and np.all(scored == scored[0]):
        notices.append("the labels hold a single class: AUROC is undefined and balanced accuracy equals accuracy")
    if groups is not None and None in groups:
        alone = sum(group is None and label >= 0 for group, label in zip(groups, labels, strict=True))
        if alone:
            notices.append(f"labelled without a group, each counts as a group of its own: {alone} of {n} images")
    return Truth(labels, groups, missing, unused, ignored, tuple(notices), unlisted=np.zeros(n, dtype=np.bool_))
