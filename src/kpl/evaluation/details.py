"""What one figure hides: each class by itself, the confusion matrix, reliability, and the cost of answering all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kpl.errors import LabelsError
from kpl.evaluation.bootstrap import Groups, Interval, Resampling, intervals_of
from kpl.evaluation.trust import ReliabilityBin, coverage_risk, is_distribution, reliability
from kpl.evaluation.weighted import ClassCounts, Figured, FloatArray, IntArray, OneRanking

_CURVE_POINTS = 101
_LARGEST_MATRIX = 100


class OperatingRule(NamedTuple):
    """What a class's threshold must reach: a sensitivity or a specificity, above 0 and at most 1."""

    reach: Literal["sensitivity", "specificity"]
    value: float


class OperatingPoint(NamedTuple):
    """A threshold, and what calling a class present from there on finds and spares."""

    threshold: float
    sensitivity: float
    specificity: float


@dataclass(frozen=True)
class ClassScores(Figured):
    """One class against the rest; each of `CLASS_METRICS` is an attribute, None where it is undefined.

    Attributes:
        n, predicted: images of the class, and images called so.
        figures: by the predictions; AUROC and average precision by the class's probability.
        intervals: of the figures; of the ranking's only where they were asked for.
        operating: the point that an `OperatingRule` chose. Chosen on the images it is scored on, it flatters.
    """

    n: int
    predicted: int
    figures: Mapping[str, float | None]
    intervals: Mapping[str, Interval | None]
    operating: OperatingPoint | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the attributes and figures, ready for `json.dump`."""
        intervals = {name: pair and list(pair) for name, pair in self.intervals.items()}
        operating = self.operating and self.operating._asdict()
        counts = {"n": self.n, "predicted": self.predicted}
        return {**counts, **self.figures, "intervals": intervals, "operating": operating}


@dataclass(frozen=True)
class Details:
    """What one method did, class by class.

    Attributes:
        classes: key to scores.
        confusion: (C, C) images of each true class (row) called each class (column); None above 100 classes.
        reliability: bins of confidence; empty without probabilities that sum to one.
        coverage, risk, threshold: up to 101 points of the coverage-risk curve; empty like `reliability`.
        area_under_risk: mean risk over coverage; None like `reliability`.
    """

    classes: Mapping[str, ClassScores]
    confusion: NDArray[np.int64] | None
    reliability: Sequence[ReliabilityBin] = ()
    coverage: Sequence[float] = ()
    risk: Sequence[float] = ()
    threshold: Sequence[float] = ()
    area_under_risk: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return {"per_class", "confusion", "reliability", "coverage_risk"}, ready for `json.dump`."""
        return {
            "per_class": {key: scores.to_json() for key, scores in self.classes.items()},
            "confusion": None if self.confusion is None else self.confusion.tolist(),
            "reliability": [each._asdict() for each in self.reliability],
            "coverage_risk": {
                "coverage": list(self.coverage),
                "risk": list(self.risk),
                "threshold": list(self.threshold),
                "area": self.area_under_risk,
            },
        }


def describe(
    truth: IntArray,
    predictions: IntArray,
    probabilities: FloatArray | None,
    classes: Sequence[str],
    *,
    ranking: FloatArray | None = None,
    groups: Groups | None = None,
    resampling: Resampling | None = None,
    rule: OperatingRule | None = None,
    with_rankings: bool = False,
) -> Details:
    """Score each class of one method: truth (n,), predictions (n,), probabilities (n, C), C class keys.

    With a `ranking` (n, C) AUROC, average precision and the order of the coverage-risk curve are by it, see
    `Predicted`; operating points are thresholds of the probability.
    With `with_rankings` AUROC and average precision of a class have intervals too, which takes as long as all others.

    Raises:
        LabelsError: an operating rule without probabilities, or a value outside (0, 1].
    """
    counts = ClassCounts(truth, predictions, len(classes))
    plain = counts.scores(np.ones((len(truth), 1), dtype=np.int64))

    ranks = probabilities if ranking is None else ranking
    rankings = []
    if with_rankings and ranks is not None:
        rankings = [OneRanking(truth == c, ranks[:, c]) for c in range(len(classes))]

    def wanted(weights: IntArray) -> dict[str, FloatArray]:
        found = {f"{m} {c}": row for m, rows in counts.scores(weights).items() for c, row in enumerate(rows)}
        for c, one in enumerate(rankings):
            found[f"auroc {c}"], found[f"average_precision {c}"] = one(weights)
        return found

    pairs = intervals_of(wanted, len(truth), groups, resampling or Resampling())
    entries = {}
    for c, key in enumerate(classes):
        figures = {name: _defined(values[c, 0]) for name, values in plain.items()}
        area, precision = (None, None) if ranks is None else _ranked(truth == c, ranks[:, c])
        entries[key] = ClassScores(
            n=int((truth == c).sum()),
            predicted=int((predictions == c).sum()),
            figures={**figures, "auroc": area, "average_precision": precision},
            intervals={name: pairs.get(f"{name} {c}") for name in (*plain, "auroc", "average_precision")},
            operating=None if rule is None else _operating(truth == c, c, probabilities, rule),
        )
    matrix = confusion_matrix(truth, predictions, len(classes)) if len(classes) <= _LARGEST_MATRIX else None
    if probabilities is None or not is_distribution(probabilities):
        return Details(entries, matrix)
    coverage, risk, threshold = coverage_risk(
        truth, predictions, probabilities.max(axis=1), None if ranking is None else ranking.max(axis=1)
    )
    shown = np.unique(np.linspace(0, len(coverage) - 1, _CURVE_POINTS).round().astype(int))
    return Details(
        entries,
        matrix,
        reliability(truth, predictions, probabilities),
        coverage[shown].tolist(),
        risk[shown].tolist(),
        threshold[shown].tolist(),
        float(np.sum(risk * np.diff(coverage, prepend=0.0))),
    )


def confusion_matrix(truth: IntArray, predictions: IntArray, n_classes: int) -> NDArray[np.int64]:
    """Count images by true class (row) and predicted class (column), (C, C).

    Example:
        >>> confusion_matrix(np.array([0, 1, 1]), np.array([0, 0, 1]), 2).tolist()
        [[1, 0], [1, 1]]
    """
    cells = np.asarray(truth, dtype=np.int64) * n_classes + predictions
    return np.bincount(cells, minlength=n_classes**2).reshape(n_classes, n_classes)


def operating_point(positive: NDArray[np.bool_], scores: FloatArray, rule: OperatingRule) -> OperatingPoint | None:
    """Choose the threshold of one class, positive (n,), scores (n,): present where the score is at least that.

    For a sensitivity the highest threshold that reaches it, for a specificity the lowest. None when the labels hold
    no positive or no negative, or when no threshold below the largest score keeps the specificity.

    Raises:
        LabelsError: the value is not above 0 and at most 1.

    Example:
        >>> positive, scores = np.array([True, False, True, False]), np.array([0.9, 0.8, 0.6, 0.1])
        >>> operating_point(positive, scores, OperatingRule("sensitivity", 1.0))
        OperatingPoint(threshold=0.6, sensitivity=1.0, specificity=0.5)
    """
    if not 0 < rule.value <= 1:
        raise LabelsError(f"a {rule.reach} of {rule.value} cannot be reached: give a share above 0 and at most 1")
    if positive.all() or not positive.any():
        return None
    order = np.argsort(-scores, kind="stable")
    falling, own = scores[order], positive[order]
    last = np.flatnonzero(np.append(falling[1:] != falling[:-1], True))
    sensitivity = np.cumsum(own)[last] / own.sum()
    specificity = 1 - np.cumsum(~own)[last] / (~own).sum()
    if rule.reach == "sensitivity":
        at = int(np.argmax(sensitivity >= rule.value - 1e-12))
    else:
        kept = np.flatnonzero(specificity >= rule.value - 1e-12)
        if not kept.size:
            return None
        at = int(kept[-1])
    return OperatingPoint(float(falling[last[at]]), float(sensitivity[at]), float(specificity[at]))


def _ranked(positive: NDArray[np.bool_], scores: FloatArray) -> tuple[float | None, float | None]:
    area, precision = OneRanking(positive, scores)(np.ones((len(positive), 1), dtype=np.int64))
    return _defined(area[0]), _defined(precision[0])


def _operating(
    positive: NDArray[np.bool_], class_index: int, probabilities: FloatArray | None, rule: OperatingRule
) -> OperatingPoint | None:
    if probabilities is None:
        raise LabelsError("an operating point needs probabilities, and this method gave none: leave it out")
    return operating_point(positive, probabilities[:, class_index], rule)


def _defined(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
