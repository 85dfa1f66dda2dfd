"""Thresholds of classes that may occur together, chosen by a few labelled images and tried on others of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kpl.errors import LabelsError
from kpl.evaluation.bootstrap import Groups, units_of
from kpl.evaluation.calibration import folds_of
from kpl.evaluation.details import OperatingRule, operating_point
from kpl.evaluation.units import count_units
from kpl.evaluation.weighted import FloatArray, IntArray, OneClass

_SHOWN = ("sensitivity", "specificity", "f1")
_FEWEST = 10


@dataclass(frozen=True)
class ClassThreshold:
    """The threshold of one class.

    Attributes:
        threshold: from which probability on it is there.
        positives, n: labelled images that have it, and of which it is known.
        before, after: sensitivity, specificity and F1 at the threshold there was, and held out at the one that is; a
            figure that does not exist is None.
    """

    threshold: float
    positives: int
    n: int
    before: dict[str, float | None]
    after: dict[str, float | None]


@dataclass(frozen=True)
class ThresholdReport:
    """The thresholds of all classes, in order, and how they were chosen.

    Attributes:
        classes: one entry a class.
        n, folds: labelled images, and folds of the cross-validation.
        units: groups of images that were held out whole; None where it was image by image.
    """

    classes: tuple[ClassThreshold, ...]
    n: int
    folds: int
    units: int | None = None

    def mean(self, when: str) -> dict[str, float]:
        """Return the means over the classes that have a figure, "before" or "after"."""
        found = {m: [f for c in self.classes if (f := getattr(c, when)[m]) is not None] for m in _SHOWN}
        return {metric: float(np.mean(values)) for metric, values in found.items() if values}


def choose_thresholds(
    present: IntArray,
    probabilities: FloatArray,
    thresholds: Sequence[float],
    *,
    groups: Groups | None = None,
    rule: OperatingRule | None = None,
    seed: int = 0,
) -> ThresholdReport:
    """Choose the threshold of each class by presence (n, C) of 1, 0 or -1 (unknown) and probabilities (n, C).

    Without a rule that with the largest sum of sensitivity and specificity (Youden's index), which does not depend on
    how common a class is among the labelled; and only if on images, or whole groups, that had no part in choosing it is
    better than the threshold there was. With a rule the point that reaches it. A class of which the labels hold no
    image with it, or none without it, keeps its threshold.

    Raises:
        LabelsError: fewer than ten labelled images, a single group, or a rule that no threshold can reach.

    Example:
        >>> chance = np.linspace(0.01, 0.4, 40)[:, None]
        >>> found = choose_thresholds((chance > 0.2).astype(int), chance, [0.5])
        >>> round(found.classes[0].threshold, 2), found.mean("before")["f1"], round(found.mean("after")["f1"], 2)
        (0.21, 0.0, 0.98)
    """
    rows = np.flatnonzero((present >= 0).any(axis=1))
    if len(rows) < _FEWEST:
        raise LabelsError(f"{len(rows)} labelled images are too few to choose thresholds by: label at least {_FEWEST}")
    folds = folds_of(units_of(len(rows), groups and [groups[row] for row in rows.tolist()]), seed)
    found = (
        _of_class(present[rows, c], probabilities[rows, c], before, folds, rule) for c, before in enumerate(thresholds)
    )
    return ThresholdReport(tuple(found), len(rows), int(folds.max()) + 1, count_units(groups, rows))


def _of_class(
    marks: IntArray, chances: FloatArray, before: float, folds: NDArray[np.int64], rule: OperatingRule | None
) -> ClassThreshold:
    told = marks >= 0
    there, chances, folds = marks[told] == 1, np.asarray(chances[told], dtype=np.float64), folds[told]
    called = chances >= before
    was = _figures(there, called, chances)
    if there.all() or not there.any():
        return ClassThreshold(before, int(there.sum()), len(there), was, was)
    held_out = called.copy()
    for fold in np.unique(folds):
        inside = folds == fold
        held_out[inside] = chances[inside] >= _chosen(there[~inside], chances[~inside], before, rule)
    now = _figures(there, held_out, chances)
    better = rule is not None or _youden(now) > _youden(was)
    threshold = _chosen(there, chances, before, rule) if better else before
    return ClassThreshold(threshold, int(there.sum()), len(there), was, now if better else was)


def _chosen(there: NDArray[np.bool_], chances: FloatArray, before: float, rule: OperatingRule | None) -> float:
    """Return the threshold that the rule asks for, or Youden's; of equal ones that nearest to the one before."""
    if there.all() or not there.any():
        return before
    if rule is not None:
        point = operating_point(there, chances, rule)
        return before if point is None else _middle(chances, point.threshold)
    levels = np.unique(chances)
    above = np.searchsorted(np.sort(chances[there]), levels) / there.sum()  # share of those with it that is missed
    below = np.searchsorted(np.sort(chances[~there]), levels) / (~there).sum()
    best = levels[np.isclose(below - above, (below - above).max(), rtol=0, atol=1e-12)]
    middles = [_middle(chances, float(level)) for level in best]
    return min(middles, key=lambda each: abs(each - before))


def _middle(chances: FloatArray, level: float) -> float:
    """Return what parts the same images as a level does, as far from it as from the next below."""
    return (level + float(chances[chances < level].max(initial=0.0))) / 2


def _figures(there: NDArray[np.bool_], called: NDArray[np.bool_], chances: FloatArray) -> dict[str, float | None]:
    if not len(there):
        return dict.fromkeys(_SHOWN)
    scores = OneClass(there, called, chances).scores(np.ones((len(there), 1), dtype=np.int64))
    return {name: None if np.isnan(scores[name][0]) else float(scores[name][0]) for name in _SHOWN}


def _youden(figures: dict[str, float | None]) -> float:
    return (figures["sensitivity"] or 0.0) + (figures["specificity"] or 0.0)
