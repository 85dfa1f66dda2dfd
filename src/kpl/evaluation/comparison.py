"""Methods side by side on the same images: scores, intervals, and the majority rate beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kpl.errors import LabelsError, UnknownNameError
from kpl.evaluation.bootstrap import (
    Difference,
    Groups,
    Interval,
    Resampling,
    bootstrap_intervals,
    paired_difference,
)
from kpl.evaluation.metrics import METRICS, accuracy, auroc, balanced_accuracy, chance_rate, macro_f1
from kpl.evaluation.weighted import FloatArray, IntArray

__all__ = ["MAJORITY", "Predicted", "Scores", "Table", "compare", "evaluate_predictions"]

MAJORITY = "majority"
"""The row of always answering the most frequent true class. No method may have this name."""

_USUAL = Resampling()


class Predicted(NamedTuple):
    """What a method said: predictions (n,) class indices, and probabilities (n, C) if it has any."""

    predictions: IntArray
    probabilities: FloatArray | None = None


@dataclass(frozen=True)
class Scores:
    """How good one method is on n labelled images; each figure a share, with its interval in `intervals`."""

    n: int
    accuracy: float
    balanced_accuracy: float
    macro_f1: float
    auroc: float | None
    """None without probabilities, or when only one class occurs."""
    intervals: Mapping[str, Interval | None] = field(default_factory=dict)
    """Metric to (low, high); None where there is nothing to resample."""

    def to_json(self) -> dict[str, Any]:
        """Return {"accuracy": ..., ..., "intervals": {metric: [low, high] or null}, "n": ...}."""
        figures: dict[str, Any] = {metric: getattr(self, metric) for metric in METRICS}
        intervals = {metric: None if pair is None else list(pair) for metric, pair in self.intervals.items()}
        return {**figures, "intervals": intervals, "n": self.n}


@dataclass(frozen=True)
class Table:
    """Scores of several methods on the same images, in the order they were given."""

    scores: Mapping[str, Scores]
    majority: Scores
    chance: float
    """Expected accuracy of guessing evenly among all classes of the knowledge."""
    reference: str | None = None
    differences: Mapping[str, Difference] = field(default_factory=dict)
    """Method to its accuracy minus the reference's; empty without a reference."""

    def to_json(self) -> dict[str, dict[str, Any]]:
        """Return {method: {"accuracy": ..., "intervals": {...}}, ..., "majority": {...}}, ready for `json.dump`.

        With a reference, every other method also has
        "difference": {"from": reference, "accuracy": ..., "interval": [low, high]}.
        """
        rows = {name: scores.to_json() for name, scores in self.scores.items()}
        for name, difference in self.differences.items():
            interval = None if difference.interval is None else list(difference.interval)
            rows[name]["difference"] = {"from": self.reference, "accuracy": difference.accuracy, "interval": interval}
        return {**rows, MAJORITY: self.majority.to_json()}


def evaluate_predictions(
    truth: IntArray,
    predictions: IntArray,
    probabilities: FloatArray | None = None,
    *,
    groups: Groups | None = None,
    resampling: Resampling = _USUAL,
) -> Scores:
    """Score one method: truth (n,) with -1 for unlabelled images, predictions (n,), probabilities (n, C).

    Unlabelled images are left out. Intervals are bootstrapped over images, or over `groups` (n,) if given.

    Raises:
        LabelsError: no image is labelled, or the arrays do not fit each other.

    Example:
        >>> scores = evaluate_predictions(np.array([0, 1, -1]), np.array([0, 0, 1]))
        >>> scores.n, scores.accuracy, scores.auroc
        (2, 0.5, None)
    """
    sample = _Sample.of(truth, groups)
    return sample.score(sample.keep(Predicted(predictions, probabilities)), resampling)


def compare(
    truth: IntArray,
    results: Mapping[str, Predicted],
    *,
    n_classes: int,
    groups: Groups | None = None,
    reference: str | None = None,
    resampling: Resampling = _USUAL,
) -> Table:
    """Score methods on the same images and the same resamples, with the majority row beside them.

    Shapes as in `evaluate_predictions`; `n_classes` counts the classes a method chose from, absent ones too.
    With a `reference` method, every other method's accuracy is also compared with it, image by image.

    Raises:
        LabelsError: no image is labelled, arrays that do not fit, or a method called "majority".
        UnknownNameError: the reference is not among the methods.

    Example:
        >>> truth = np.array([0, 1, 1])
        >>> table = compare(truth, {"kpl": Predicted(truth)}, n_classes=2)
        >>> table.to_json()["kpl"]["accuracy"], table.majority.balanced_accuracy
        (1.0, 0.5)
    """
    if MAJORITY in results:
        raise LabelsError(f"a method is called {MAJORITY!r}, which is the row of the majority rate: rename the method")
    if reference is not None and reference not in results:
        raise UnknownNameError("reference method", reference, results)
    sample = _Sample.of(truth, groups)
    kept = {name: sample.keep(result) for name, result in results.items()}
    always = np.full(len(sample.truth), np.bincount(sample.truth).argmax())
    differences = {}
    if reference is not None:
        differences = {
            name: paired_difference(
                sample.truth,
                result.predictions,
                kept[reference].predictions,
                groups=sample.groups,
                resampling=resampling,
            )
            for name, result in kept.items()
            if name != reference
        }
    return Table(
        scores={name: sample.score(result, resampling) for name, result in kept.items()},
        majority=sample.score(Predicted(always), resampling),
        chance=chance_rate(n_classes),
        reference=reference,
        differences=differences,
    )


@dataclass(frozen=True)
class _Sample:
    """The labelled images: which rows they are, their truth (n,) and their groups."""

    rows: NDArray[np.bool_]
    truth: IntArray
    groups: Groups | None

    @classmethod
    def of(cls, truth: IntArray, groups: Groups | None) -> _Sample:
        truth = np.asarray(truth)
        rows = truth >= 0
        if not rows.any():
            raise LabelsError(f"none of the {len(truth)} images has a label: nothing to score")
        if groups is not None and len(groups) != len(truth):
            raise LabelsError(
                f"{len(groups)} groups for {len(truth)} images: give one an image, None where it stands alone"
            )
        return cls(rows, truth[rows], groups and [groups[row] for row in np.flatnonzero(rows).tolist()])

    def keep(self, result: Predicted) -> Predicted:
        """Leave the unlabelled images out of what a method said."""
        for values in result:
            if values is not None and len(values) != len(self.rows):
                raise LabelsError(
                    f"{len(self.rows)} true labels but predictions for {len(values)} images: give one of each an image"
                )
        predictions, probabilities = result
        return Predicted(
            np.asarray(predictions)[self.rows],
            None if probabilities is None else np.asarray(probabilities)[self.rows],
        )

    def score(self, result: Predicted, resampling: Resampling) -> Scores:
        predictions, probabilities = result
        area = float("nan") if probabilities is None else auroc(self.truth, probabilities)
        return Scores(
            n=len(self.truth),
            accuracy=accuracy(self.truth, predictions),
            balanced_accuracy=balanced_accuracy(self.truth, predictions),
            macro_f1=macro_f1(self.truth, predictions),
            auroc=None if np.isnan(area) else area,
            intervals=bootstrap_intervals(
                self.truth, predictions, probabilities, groups=self.groups, resampling=resampling
            ),
        )
