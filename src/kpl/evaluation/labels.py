"""The true classes of the images of a run, for scoring only: nothing here reaches a method."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kpl.errors import LabelsError
from kpl.evaluation.matching import Pictures
from kpl.evaluation.meanings import only_class
from kpl.evaluation.reading import Reading
from kpl.evaluation.sources import LabelRow, read_rows
from kpl.evaluation.weighted import IntArray
from kpl.knowledge import KnowledgeBase
from kpl.knowledge.folding import fold_name

__all__ = ["Truth", "one_each", "read_labels", "tell_matches"]


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


def read_labels(
    source: str | Path | IntArray,
    ids: Sequence[str],
    knowledge: KnowledgeBase | Sequence[str],
    *,
    ignore_unknown: bool = False,
    columns: Sequence[str] = (),
    reading: Reading | None = None,
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

    Raises:
        LabelsError: no label is for an image of the run, an image has two labels, a class is unknown, or the source
            cannot be read.
    """
    classes = _Classes(knowledge)
    if not isinstance(source, str | Path):
        if columns:
            raise LabelsError(f"an array of class indices has no column {columns[0]!r}: give the labels as a CSV file")
        labels = _check_array(source, len(ids), len(classes.names))
        return _finish(labels, None, unused=0, ignored={}, notices=[])
    reading = reading or Reading()
    path, pictures = Path(source), Pictures(ids)
    table = read_rows(path, columns, reading, pictures, classes.resolve)
    rows = table.rows
    if table.classes:
        rows = [row._replace(label=only_class(row, list(table.classes), path.name)) for row in rows]
    places, how = pictures.match([row.image for row in rows])
    matched = one_each(rows, places)
    if not matched:
        raise LabelsError(
            f"none of the {len(rows) + table.others} labels is for one of the {len(ids)} images of the run: "
            f"the labels name images such as {table.example!r}, the run {ids[0] if ids else 'none'!r}"
        )
    indices = {row.label: classes.index(row.label, reading) for row in matched.values() if row.label}
    unknown = Counter(row.label for row in matched.values() if row.label and indices[row.label] is None)
    if unknown and not ignore_unknown:
        raise LabelsError(classes.describe_unknown(unknown))
    labels = np.full(len(ids), -1, dtype=np.int64)
    groups: list[str | None] = [None] * len(ids)
    for place, row in matched.items():
        index = indices.get(row.label)
        labels[place] = -1 if index is None else index
        groups[place] = row.group
    truth = _finish(
        labels,
        tuple(groups) if any(group is not None for group in groups) else None,
        unused=sum(place is None for place in places) + table.others,
        ignored=dict(unknown.most_common()),
        notices=[*table.notes, *tell_matches(how)],
    )
    further = {
        column: tuple(matched[place].more[at] if place in matched else None for place in range(len(ids)))
        for at, column in enumerate(columns)
    }
    return replace(truth, columns=further, said=table.said, group_column=table.group_column)


def tell_matches(how: Mapping[str, int]) -> list[str]:
    """Say how many images were matched by which rule, where their names are not as the run has them."""
    if not how:
        return []
    return ["images were matched " + "; ".join(f"{rule}: {count}" for rule, count in how.items())]


class _Classes:
    """The names that a class answers to."""

    resolve: Callable[[str], int | None]

    def __init__(self, knowledge: KnowledgeBase | Sequence[str]) -> None:
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
        self._indices = {fold_name(name): index for index, names in enumerate(answers) for name in names}

    def index(self, label: str, reading: Reading) -> int | None:
        """Return the class that a label names; a number is a place in the order of classes if the user says so."""
        found = self.resolve(label)
        number = label.removesuffix(".0")
        if found is None and reading.numbers == "order" and number.isdecimal() and int(number) < len(self.names):
            return int(number)
        return found

    def describe_unknown(self, unknown: Counter[str]) -> str:
        listed = [f"{label!r} ({count}{self._hint(label)})" for label, count in unknown.most_common(5)]
        if len(unknown) > 5:
            listed.append(f"{len(unknown) - 5} more")
        some = ", ".join(self.names[:20]) + (", ..." if len(self.names) > 20 else "")
        return (
            f"{len(unknown)} of the labels' class names are not in the knowledge, "
            f"which concerns {unknown.total()} of the images: {', '.join(listed)}. Known: {some}. "
            "Mend the labels, add an alias to the knowledge, or ignore unknown classes"
            + (
                "; if the numbers count the classes from 0 in the knowledge's order, say --label-numbers order"
                if all(label.removesuffix(".0").isdecimal() for label in unknown)
                else ""
            )
        )

    def _hint(self, label: str) -> str:
        near = difflib.get_close_matches(fold_name(label), self._indices, n=1, cutoff=0.6)
        return f"; did you mean {self.names[self._indices[near[0]]]!r}?" if near else ""


def one_each(rows: Sequence[LabelRow], places: Sequence[int | None]) -> dict[int, LabelRow]:
    """Return the row of each image.

    Raises:
        LabelsError: rows of one image contradict each other.
    """
    matched: dict[int, LabelRow] = {}
    for row, place in zip(rows, places, strict=True):
        if place is None:
            continue
        first = matched.setdefault(place, row)
        if _facts(first) != _facts(row):
            raise LabelsError(f"{row.image!r} is labelled twice, as {_said(first)} and as {_said(row)}: keep one")
    return matched


def _facts(row: LabelRow) -> tuple[object, ...]:
    return fold_name(row.label), row.group, row.more, row.marks


def _said(row: LabelRow) -> str:
    """Quote what a row says of its image."""
    further = ([] if row.group is None else [f"group {row.group!r}"]) + [repr(cell) for cell in row.more if cell]
    return repr(row.label or "|".join(row.marks)) + (f" ({', '.join(further)})" if further else "")


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
) -> Truth:
    """Count what is left out, and say it."""
    n, left_out = len(labels), sum(ignored.values())
    scored = labels[labels >= 0]
    missing = n - len(scored) - left_out
    if not scored.size:
        raise LabelsError(
            f"none of the {n} images of the run has a label that can be scored "
            f"({missing} without a label, {left_out} of unknown classes): check the labels"
        )
    if missing:
        notices.append(f"not scored, no label: {missing} of {n} images")
    if unused:
        notices.append(f"labels not used, their image is not in the run: {unused}")
    if ignored:
        names = ", ".join(repr(name) for name in list(ignored)[:5]) + (", ..." if len(ignored) > 5 else "")
        notices.append(f"not scored, class not in the knowledge: {left_out} of {n} images ({names})")
    if np.all(scored == scored[0]):
        notices.append("the labels hold a single class: AUROC is undefined and balanced accuracy equals accuracy")
    if groups is not None and None in groups:
        alone = sum(group is None and label >= 0 for group, label in zip(groups, labels, strict=True))
        if alone:
            notices.append(f"labelled without a group, each counts as a group of its own: {alone} of {n} images")
    return Truth(labels, groups, missing, unused, ignored, tuple(notices))
