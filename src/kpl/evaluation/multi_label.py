"""Scoring of classes that may occur together: each against its absence, then the mean over classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kpl.errors import LabelsError
from kpl.evaluation.bootstrap import Groups, Interval, Resampling, intervals_of
from kpl.evaluation.details import OperatingPoint, OperatingRule, operating_point
from kpl.evaluation.labels import NO_CLASS, Classes, further_columns, none_fits
from kpl.evaluation.meanings import marks_of, none_told
from kpl.evaluation.metrics import CLASS_METRICS
from kpl.evaluation.reading import Reading
from kpl.evaluation.several import agreed_marks, by_image
from kpl.evaluation.sources import LabelRow, match_rows, read_rows
from kpl.evaluation.units import count_units, unit_told
from kpl.evaluation.weighted import FloatArray, IntArray, OneClass
from kpl.knowledge import KnowledgeBase
from kpl.tables import Identifiers, Pictures

_METRICS = tuple(metric.name for metric in CLASS_METRICS)


@dataclass(frozen=True, eq=False)
class MultiLabelTruth:
    """Which classes each image has.

    Attributes:
        present: (n, C): 1 there, 0 not there, -1 unknown.
        groups: (n,), or None.
        notices: what the user should be told.
        columns: further columns that were asked for, (n,) each; None where the labels say nothing.
        said: which columns of the table were taken.
        group_column: what says which images belong together, for the user.
    """

    present: NDArray[np.int64]
    groups: tuple[str | None, ...] | None
    notices: tuple[str, ...]
    columns: Mapping[str, tuple[str | None, ...]] = field(default_factory=dict)
    said: str = ""
    group_column: str | None = None


@dataclass(frozen=True)
class MultiLabelTable:
    """Scores of a multi-label run; a figure that does not exist is None.

    Attributes:
        n: images with a label.
        mean: metric to its mean over the classes where it exists.
        classes: class key to metric to figure, with "n", "positives" and "threshold".
        intervals: of the means by metric, and of each class by "metric key".
        operating: class key to the point that a rule chose, on the very labels it is scored on.
        majority: accuracy of always saying what is commoner, mean over classes.
        prevalence: mean over classes of the share present, which is the average precision of guessing.
        subgroups: column to value to the scores among those images.
        units: what the intervals are over, groups of images such as patients; None where they are over images.
        group_column: what says which images belong together, for the user.
    """

    n: int
    mean: Mapping[str, float | None]
    classes: Mapping[str, Mapping[str, float | None]]
    intervals: Mapping[str, Interval | None]
    operating: Mapping[str, OperatingPoint | None]
    majority: float
    prevalence: float
    subgroups: Mapping[str, Mapping[str, MultiLabelTable]] = field(default_factory=dict)
    units: int | None = None
    group_column: str | None = None

    @property
    def unit(self) -> str:
        """What the intervals are over, in words: "25 patients by 'patient_id', 240 images"."""
        return unit_told(self.n, self.units, self.group_column)

    def to_json(self) -> dict[str, dict[str, Any]]:
        """Return {"multi-label": {metric: ..., "per_class": ..., "intervals": ...}, "majority": ..., "chance": ...}.

        "unit" says what the intervals are over; with subgroups "multi-label" has also
        "subgroups": {column: {value: scores}}.
        """

        def pair(name: str) -> list[float] | None:
            found = self.intervals.get(name)
            return None if found is None else list(found)

        per_class = {
            key: {
                **figures,
                "intervals": {metric: pair(f"{metric} {key}") for metric in _METRICS},
                "operating": point._asdict() if (point := self.operating.get(key)) else None,
            }
            for key, figures in self.classes.items()
        }
        means = {metric: pair(metric) for metric in _METRICS}
        inside = {
            column: {value: table.to_json()["multi-label"] for value, table in values.items()}
            for column, values in self.subgroups.items()
        }
        own: dict[str, Any] = {**self.mean, "n": self.n, "unit": unit_told(self.n, self.units), "intervals": means}
        own["per_class"] = per_class
        return {
            "multi-label": {**own, "subgroups": inside} if inside else own,
            "majority": {"accuracy": self.majority, "auroc": None, "average_precision": None, "n": self.n},
            "chance": {"accuracy": 0.5, "auroc": 0.5, "average_precision": self.prevalence, "n": self.n},
        }


def read_multi_label(
    path: Path,
    ids: Sequence[str],
    knowledge: KnowledgeBase,
    *,
    columns: Sequence[str] = (),
    reading: Reading | None = None,
    identifiers: Identifiers | None = None,
    patients: Sequence[str | None] = (),
) -> MultiLabelTruth:
    """Read which classes each image of a run has, from a table of one of two shapes.

    With a column of labels, its cell names the classes that are there, joined by "|"; an empty cell says that none is.
    Otherwise each class has a column of its own: 1 or 0 (yes, no, true, false), empty or -1 where it is not known.
    Images without a line are not scored. `columns` names further ones to read, such as a site or a scanner; `reading`
    says which columns are which and what cells mean, where that is not plain, `identifiers` what stands for the images
    beside their ids, and `patients` (n,) whose they are.

    Raises:
        LabelsError: no such header or column, an unknown class or cell, a repeated image, or no image of the run.
    """
    if path.is_dir():
        raise LabelsError(f"{path.name!r} is a folder, which can give a picture one class only: give a CSV of labels")
    reading = reading or Reading()
    pictures, classes = Pictures(ids, identifiers, patients), Classes(knowledge)
    table = read_rows(path, columns, reading, pictures, knowledge.resolve)
    found = match_rows(pictures, table.rows)
    matched = by_image(table.rows, found.places, reading.readers, pictures)
    if not matched:
        raise LabelsError(none_fits(table, pictures))
    notices = [*table.notes, *found.told()]
    marks: Mapping[LabelRow, Sequence[int]]
    of = list(range(len(classes.names)))
    if table.classes:
        of = list(table.classes.values())
        rows = [row for own in matched.values() for row in own]
        read, told = marks_of(replace(table, rows=rows), reading)
        notices += [*told, *none_told(reading, knowledge.resolve)]
        marks = dict(zip(rows, read, strict=True))
    else:
        marks = {row: _joined(row, classes, path.name, reading) for own in matched.values() for row in own}
        notices += classes.told((label for row in marks for label in classes.parts(row.label, reading)), reading)
    present = np.full((len(ids), len(classes.names)), -1, dtype=np.int64)
    for place, own in matched.items():
        present[place, of] = agreed_marks([marks[row] for row in own], [row.reader for row in own], reading.readers)
    if not (present >= 0).any():
        raise LabelsError(f"none of the {len(matched)} images with a line in {path.name!r} has a mark that is known")
    unknown = int((present < 0).all(axis=1).sum())
    notices += [f"not scored, no label: {unknown} of {len(ids)} images"] if unknown else []
    unused = sum(place is None for place in found.places) + table.others
    notices += [f"labels not used, their image is not in the run: {unused}"] if unused else []
    groups = tuple(matched[place][0].group if place in matched else None for place in range(len(ids)))
    return MultiLabelTruth(
        present,
        groups if any(groups) else None,
        tuple(notices),
        further_columns(columns, matched, len(ids)),
        said=table.said,
        group_column=table.group_column,
    )


def _joined(row: LabelRow, classes: Classes, name: str, reading: Reading) -> list[int]:
    """Return 1 for each class that a cell names, and 0 for the others.

    Raises:
        LabelsError: it names something else.
    """
    said = [0] * len(classes.names)
    for part in classes.parts(row.label, reading):
        index = classes.meant(part, reading)
        if index is None:
            known = ", ".join(classes.names[:20]) + (", ..." if len(classes.names) > 20 else "")
            raise LabelsError(
                f"{name!r}, line {row.line}: {part!r} is no class of the knowledge{classes.near(part)}. "
                f"Known: {known}. If it says that no class is there: --none {part!r}"
            )
        if index != NO_CLASS:
            said[index] = 1
    return said


def score_multi_label(
    present: IntArray,
    probabilities: FloatArray,
    keys: Sequence[str],
    thresholds: FloatArray,
    *,
    groups: Groups | None = None,
    group_column: str | None = None,
    resampling: Resampling | None = None,
    rule: OperatingRule | None = None,
    subgroups: Mapping[str, Sequence[str | None]] | None = None,
) -> MultiLabelTable:
    """Score presence (n, C) of 1, 0 or -1 by probabilities (n, C) at thresholds (C,); intervals over images or groups.

    A class that is always or never there has no AUROC; the means leave it out where it has no figure. With `subgroups`,
    column to (n,) values, the images of each value are also scored by themselves.

    Raises:
        LabelsError: no image has a label, or arrays that do not fit.
    """
    if present.shape != probabilities.shape or present.shape[1] != len(keys):
        raise LabelsError(
            f"presence {present.shape} and probabilities {probabilities.shape} are not of the same images"
        )
    labelled = np.flatnonzero((present >= 0).any(axis=1))
    if not labelled.size:
        raise LabelsError(f"none of the {len(present)} images has a label: nothing to score")
    usual = resampling or Resampling()

    def of(rows: IntArray, rule: OperatingRule | None = None) -> MultiLabelTable:
        kept = groups and [groups[row] for row in rows.tolist()]
        return _score(present[rows], probabilities[rows], keys, thresholds, kept, usual, rule)

    apart = {}
    for column, values in (subgroups or {}).items():
        told = sorted({value for row in labelled.tolist() if (value := values[row]) is not None})
        apart[column] = {value: of(np.array([r for r in labelled.tolist() if values[r] == value])) for value in told}
    return replace(of(labelled, rule), subgroups=apart, group_column=group_column)


def _score(
    present: IntArray,
    probabilities: FloatArray,
    keys: Sequence[str],
    thresholds: FloatArray,
    groups: Groups | None,
    resampling: Resampling,
    rule: OperatingRule | None,
) -> MultiLabelTable:
    """Score images that all have a label."""
    rows = len(present)
    sure = [np.flatnonzero(column >= 0) for column in present.T]
    measures = [
        OneClass(present[told, c] == 1, probabilities[told, c] >= thresholds[c], probabilities[told, c])
        for c, told in enumerate(sure)
    ]

    def scores(weights: IntArray) -> dict[str, FloatArray]:
        found = [measure.scores(weights[told]) for measure, told in zip(measures, sure, strict=True)]
        named = {f"{m} {key}": each[m] for key, each in zip(keys, found, strict=True) for m in _METRICS}
        return {m: _mean(np.stack([each[m] for each in found])) for m in _METRICS} | named

    plain = {name: float(value[0]) for name, value in scores(np.ones((rows, 1), dtype=np.int64)).items()}
    figures = {name: None if np.isnan(value) else value for name, value in plain.items()}
    known = [present[:, c][present[:, c] >= 0] for c in range(len(keys))]
    shares = [column.mean() for column in known if column.size]
    return MultiLabelTable(
        n=rows,
        mean={metric: figures[metric] for metric in _METRICS},
        classes={
            key: {
                "n": len(column),
                "positives": int(column.sum()),
                "threshold": float(least),
                **{metric: figures[f"{metric} {key}"] for metric in _METRICS},
            }
            for key, column, least in zip(keys, known, thresholds, strict=True)
        },
        intervals=intervals_of(scores, rows, groups, resampling),
        operating={
            key: operating_point(present[sure[c], c] == 1, probabilities[sure[c], c], rule)
            for c, key in enumerate(keys)
            if sure[c].size
        }
        if rule
        else {},
        units=count_units(groups, range(rows)),
        majority=float(np.mean([max(share, 1 - share) for share in shares])),
        prevalence=float(np.mean(shares)),
    )


def _mean(rows: FloatArray) -> FloatArray:
    """Average over classes (rows) what is a number; NaN where none is."""
    there = ~np.isnan(rows)
    total, count = np.where(there, rows, 0.0).sum(axis=0), there.sum(axis=0)
    return np.asarray(np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0))
