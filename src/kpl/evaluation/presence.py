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
from kpl.evaluation.labels import one_each, tell_matches
from kpl.evaluation.matching import Pictures
from kpl.evaluation.meanings import marks_of
from kpl.evaluation.reading import Reading
from kpl.evaluation.sources import read_rows
from kpl.evaluation.weighted import FloatArray, IntArray, OneRanking
from kpl.knowledge import KnowledgeBase
from kpl.knowledge.folding import fold_name

__all__ = ["PRESENCE_METRICS", "PresenceLabels", "PresenceTable", "read_presence", "score_presence"]

PRESENCE_METRICS = ("accuracy", "auroc", "average_precision", "sensitivity", "specificity", "f1")
"""Of each class against its absence; the mean over classes is the run's."""


@dataclass(frozen=True, eq=False)
class PresenceLabels:
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
class PresenceTable:
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
    """

    n: int
    mean: Mapping[str, float | None]
    classes: Mapping[str, Mapping[str, float | None]]
    intervals: Mapping[str, Interval | None]
    operating: Mapping[str, OperatingPoint | None]
    majority: float
    prevalence: float
    subgroups: Mapping[str, Mapping[str, PresenceTable]] = field(default_factory=dict)

    def to_json(self) -> dict[str, dict[str, Any]]:
        """Return {"presence": {metric: ..., "per_class": ..., "intervals": ...}, "majority": ..., "chance": ...}.

        With subgroups "presence" has "subgroups": {column: {value: scores}}.
        """

        def pair(name: str) -> list[float] | None:
            found = self.intervals.get(name)
            return None if found is None else list(found)

        per_class = {
            key: {
                **figures,
                "intervals": {metric: pair(f"{metric} {key}") for metric in PRESENCE_METRICS},
                "operating": point._asdict() if (point := self.operating.get(key)) else None,
            }
            for key, figures in self.classes.items()
        }
        means = {metric: pair(metric) for metric in PRESENCE_METRICS}
        inside = {
            column: {value: table.to_json()["presence"] for value, table in values.items()}
            for column, values in self.subgroups.items()
        }
        own = {**self.mean, "n": self.n, "intervals": means, "per_class": per_class}
        return {
            "presence": {**own, "subgroups": inside} if inside else own,
            "majority": {"accuracy": self.majority, "auroc": None, "average_precision": None, "n": self.n},
            "chance": {"accuracy": 0.5, "auroc": 0.5, "average_precision": self.prevalence, "n": self.n},
        }


def read_presence(
    path: Path,
    ids: Sequence[str],
    knowledge: KnowledgeBase,
    *,
    columns: Sequence[str] = (),
    reading: Reading | None = None,
) -> PresenceLabels:
    """Read which classes each image of a run has, from a table of one of two shapes.

    With a column of labels, its cell names the classes that are there, joined by "|"; an empty cell says that none is.
    Otherwise each class has a column of its own: 1 or 0 (yes, no, true, false), empty or -1 where it is not known.
    Images without a line are not scored. `columns` names further ones to read, such as a site or a scanner; `reading`
    says which columns are which and what cells mean, where that is not plain.

    Raises:
        LabelsError: no such header or column, an unknown class or cell, a repeated image, or no image of the run.
    """
    if path.is_dir():
        raise LabelsError(f"{path.name!r} is a folder, which can give a picture one class only: give a CSV of labels")
    reading = reading or Reading()
    pictures = Pictures(ids)
    table = read_rows(path, columns, reading, pictures, knowledge.resolve)
    places, how = pictures.match([row.image for row in table.rows])
    matched = one_each(table.rows, places)
    present = np.full((len(ids), len(knowledge.classes)), -1, dtype=np.int64)
    notices = list(table.notes)
    if table.classes:
        marks, told = marks_of(table, reading)
        notices += told
        classes = list(table.classes.values())
        for place, own in zip(places, marks, strict=True):
            if place is not None:
                present[place, classes] = own
    else:
        for place, row in matched.items():
            present[place] = _joined(row.label, knowledge, f"{path.name!r}, line {row.line}", reading.none)
    if not (present >= 0).any():
        raise LabelsError(
            f"none of the {len(table.rows) + table.others} lines of {path.name!r} labels one of the {len(ids)} images"
        )
    unknown = int((present < 0).all(axis=1).sum())
    notices += [f"not scored, no label: {unknown} of {len(ids)} images"] if unknown else []
    groups = tuple(matched[place].group if place in matched else None for place in range(len(ids)))
    further = {
        column: tuple(matched[place].more[at] if place in matched else None for place in range(len(ids)))
        for at, column in enumerate(columns)
    }
    return PresenceLabels(
        present,
        groups if any(groups) else None,
        (*notices, *tell_matches(how)),
        further,
        said=table.said,
        group_column=table.group_column,
    )


def score_presence(
    present: IntArray,
    probabilities: FloatArray,
    keys: Sequence[str],
    thresholds: FloatArray,
    *,
    groups: Groups | None = None,
    resampling: Resampling | None = None,
    rule: OperatingRule | None = None,
    subgroups: Mapping[str, Sequence[str | None]] | None = None,
) -> PresenceTable:
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

    def of(rows: IntArray, rule: OperatingRule | None = None) -> PresenceTable:
        kept = groups and [groups[row] for row in rows.tolist()]
        return _score(present[rows], probabilities[rows], keys, thresholds, kept, usual, rule)

    apart = {}
    for column, values in (subgroups or {}).items():
        told = sorted({value for row in labelled.tolist() if (value := values[row]) is not None})
        apart[column] = {value: of(np.array([r for r in labelled.tolist() if values[r] == value])) for value in told}
    return replace(of(labelled, rule), subgroups=apart)


def _score(
    present: IntArray,
    probabilities: FloatArray,
    keys: Sequence[str],
    thresholds: FloatArray,
    groups: Groups | None,
    resampling: Resampling,
    rule: OperatingRule | None,
) -> PresenceTable:
    """Score images that all have a label."""
    rows = len(present)
    measures = [_Presence(present[:, c], probabilities[:, c], thresholds[c]) for c in range(len(keys))]

    def scores(weights: IntArray) -> dict[str, FloatArray]:
        found = [measure.scores(weights) for measure in measures]
        named = {f"{m} {key}": each[m] for key, each in zip(keys, found, strict=True) for m in PRESENCE_METRICS}
        return {m: _mean(np.stack([each[m] for each in found])) for m in PRESENCE_METRICS} | named

    plain = {name: float(value[0]) for name, value in scores(np.ones((rows, 1), dtype=np.int64)).items()}
    figures = {name: None if np.isnan(value) else value for name, value in plain.items()}
    known = [present[:, c][present[:, c] >= 0] for c in range(len(keys))]
    shares = [column.mean() for column in known if column.size]
    return PresenceTable(
        n=rows,
        mean={metric: figures[metric] for metric in PRESENCE_METRICS},
        classes={
            key: {
                "n": len(column),
                "positives": int(column.sum()),
                "threshold": float(least),
                **{metric: figures[f"{metric} {key}"] for metric in PRESENCE_METRICS},
            }
            for key, column, least in zip(keys, known, thresholds, strict=True)
        },
        intervals=intervals_of(scores, rows, groups, resampling),
        operating={
            key: operating_point(present[sure, c] == 1, probabilities[sure, c], rule)
            for c, key in enumerate(keys)
            if (sure := present[:, c] >= 0).any()
        }
        if rule
        else {},
        majority=float(np.mean([max(share, 1 - share) for share in shares])),
        prevalence=float(np.mean(shares)),
    )


class _Presence:
    """One class against its absence under weights (n, b), on the images where it is known."""

    def __init__(self, present: IntArray, probabilities: FloatArray, threshold: float) -> None:
        self._known = np.flatnonzero(present >= 0)
        self._there = present[self._known] == 1
        self._called = probabilities[self._known] >= threshold
        self._ranking = OneRanking(self._there, probabilities[self._known])

    def scores(self, weights: IntArray) -> dict[str, FloatArray]:
        drawn = weights[self._known]
        there, called = self._there, self._called
        hit, missed, false, spared = (
            drawn[mask].sum(axis=0) for mask in (there & called, there & ~called, ~there & called, ~there & ~called)
        )
        area, precision = self._ranking(drawn)
        return {
            "accuracy": _ratio(hit + spared, drawn.sum(axis=0)),
            "auroc": area,
            "average_precision": precision,
            "sensitivity": _ratio(hit, hit + missed),
            "specificity": _ratio(spared, spared + false),
            "f1": _ratio(2 * hit, 2 * hit + missed + false),
        }


def _ratio(above: IntArray | FloatArray, below: IntArray) -> FloatArray:
    return np.asarray(np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0))


def _mean(rows: FloatArray) -> FloatArray:
    """Average over classes (rows) what is a number; NaN where none is."""
    there = ~np.isnan(rows)
    return _ratio(np.where(there, rows, 0.0).sum(axis=0), there.sum(axis=0))


def _joined(cell: str, knowledge: KnowledgeBase, where: str, none: str | None) -> NDArray[np.int64]:
    row = np.zeros(len(knowledge.classes), dtype=np.int64)
    for name in filter(None, (part.strip() for part in cell.split("|"))):
        number = knowledge.resolve(name)
        if number is None and none is not None and fold_name(name) == fold_name(none):
            continue
        if number is None:
            known = ", ".join(entry.key for entry in knowledge.classes[:20])
            raise LabelsError(
                f"{where}: {name!r} is no class of the knowledge. Known: {known}. "
                f"If it says that no class is there: --none {name!r}"
            )
        row[number] = 1
    return row
