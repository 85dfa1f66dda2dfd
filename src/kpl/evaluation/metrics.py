"""How good predictions are, from class indices and probabilities. All figures are shares, 0 to 1.

Shapes everywhere: truth (n,) integers, the true class of each image; predictions (n,) integers; probabilities (n, C),
one column a class (any score that grows with the class will do: only its order counts).
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from kpl.errors import LabelsError
from kpl.evaluation.trust import Trust, is_distribution
from kpl.evaluation.weighted import Confusion, FloatArray, IntArray, OneClass, Ranks
from kpl.proxies.arrays import as_array

REGISTRY = tuple(
    sorted((*Confusion.metrics, *Ranks.metrics, *Trust.metrics), key=lambda metric: not metric.first)  # stable
)
"""The metrics that every method is scored by, in the order of tables. The two weighted kappas need ordered classes.

A metric is an entry of `metrics` in the part that computes it, and a line of its `scores`; every table, page and JSON
has it then. Those of one class against the rest are `CLASS_METRICS`, which a multi-label run has of each class.
"""
CLASS_METRICS = OneClass.metrics
"""The metrics of one class against the rest."""
METRICS = tuple(metric.name for metric in REGISTRY)
"""Their names."""
FIRST = tuple(metric for metric in REGISTRY if metric.first)
"""Those that stand first."""


class Measure:
    """All metrics of one method on the same images: sorted once, scored under any weights.

    The metrics of rankings need probabilities, and those of trust need rows that sum to one; what cannot be had is
    missing from the scores.
    """

    def __init__(
        self,
        truth: IntArray,
        predictions: IntArray,
        probabilities: FloatArray | None = None,
        ranking: FloatArray | None = None,
        *,
        ordered: bool = False,
    ) -> None:
        """Check and sort: truth (n,), predictions (n,), probabilities (n, C), ranking (n, C) in their place for ranks.

        Raises:
            LabelsError: arrays that do not fit each other.
        """
        truth, predictions = check_predictions(truth, predictions)
        self._parts: list[Confusion | Ranks | Trust] = [Confusion(truth, predictions, ordered=ordered)]
        if probabilities is not None:
            probabilities = check_probabilities(truth, probabilities)
            ranks = probabilities if ranking is None else check_probabilities(truth, ranking)
            self._parts.append(Ranks(truth, ranks))
            if predictions.max() < probabilities.shape[1] and is_distribution(probabilities):
                self._parts.append(Trust(truth, predictions, probabilities))

    def scores(self, weights: IntArray) -> dict[str, FloatArray]:
        """Score each column of `weights` (n, b): metric to (b,), NaN where it is not defined."""
        return {name: values for part in self._parts for name, values in part.scores(weights).items()}


def accuracy(truth: IntArray, predictions: IntArray) -> float:
    """Share of images whose prediction is right.

    Raises:
        LabelsError: the arrays are empty, of different length, or not class indices.

    Example:
        >>> accuracy(np.array([0, 0, 1]), np.array([0, 1, 1]))
        0.6666666666666666
    """
    return _score("accuracy", truth, predictions)


def balanced_accuracy(truth: IntArray, predictions: IntArray) -> float:
    """Mean over the classes that occur in the truth of the share of the class's images that were found.

    Raises:
        LabelsError: as `accuracy`.

    Example:
        >>> balanced_accuracy(np.array([0, 0, 1]), np.array([0, 1, 1]))
        0.75
    """
    return _score("balanced_accuracy", truth, predictions)


def macro_f1(truth: IntArray, predictions: IntArray) -> float:
    """Mean of F1 = 2 hits / (true + predicted) over the classes that occur in the truth or in the predictions.

    A class that was predicted but never occurs counts with 0.

    Raises:
        LabelsError: as `accuracy`.

    Example:
        >>> macro_f1(np.array([0, 0, 1]), np.array([0, 0, 2]))
        0.3333333333333333
    """
    return _score("macro_f1", truth, predictions)


def auroc(truth: IntArray, probabilities: FloatArray) -> float:
    """Mean over the classes in the truth of the area under the one-vs-rest ROC curve.

    The area is the probability that an image of the class scores higher than one of another class, ties counted one
    half (Hanley and McNeil 1982). Classes absent from the truth are left out; NaN when only one class occurs.

    Raises:
        LabelsError: shapes that do not fit, a true class without a column, a score that is not a number.

    Example:
        >>> auroc(np.array([0, 1, 1]), np.array([[0.6, 0.4], [0.6, 0.4], [0.1, 0.9]]))
        0.75
    """
    truth = _class_indices("truth", truth)
    probabilities = check_probabilities(truth, probabilities)
    return float(Ranks(truth, probabilities).scores(_ones(truth))["auroc"][0])


def average_precision(truth: IntArray, probabilities: FloatArray) -> float:
    """Mean over the classes in the truth of the average precision of the class against the rest.

    The sum over thresholds of precision times the gain in recall, without interpolation; images of equal score share a
    threshold. Classes absent from the truth are left out; NaN when only one class occurs.

    Raises:
        LabelsError: as `auroc`.

    Example:
        >>> average_precision(np.array([0, 1, 1]), np.array([[0.6, 0.4], [0.5, 0.5], [0.1, 0.9]]))
        1.0
    """
    truth = _class_indices("truth", truth)
    probabilities = check_probabilities(truth, probabilities)
    return float(Ranks(truth, probabilities).scores(_ones(truth))["average_precision"][0])


def cohen_kappa(truth: IntArray, predictions: IntArray, weights: Literal["linear", "quadratic"] | None = None) -> float:
    """Cohen's kappa: agreement beyond chance, 1 at best; weighted by the distance between grades if asked.

    NaN when chance could not disagree: one and the same class throughout both.

    Raises:
        LabelsError: as `accuracy`.

    Example:
        >>> cohen_kappa(np.array([0, 1, 2, 2]), np.array([0, 1, 2, 1]))
        0.6363636363636364
        >>> cohen_kappa(np.array([0, 1, 2, 2]), np.array([0, 1, 2, 1]), "quadratic")
        0.8
    """
    name = f"kappa_{weights}" if weights else "kappa"
    scores = Measure(truth, predictions, ordered=True).scores(_ones(truth))
    return float(scores[name][0])


def brier_score(truth: IntArray, probabilities: FloatArray) -> float:
    """Mean over images of the squared distance between probabilities and truth, summed over classes; 0 to 2.

    Raises:
        LabelsError: as `auroc`, or rows that do not sum to one.

    Example:
        >>> brier_score(np.array([0, 1]), np.array([[1.0, 0.0], [0.5, 0.5]]))
        0.25
    """
    return _trust("brier", truth, probabilities)


def negative_log_likelihood(truth: IntArray, probabilities: FloatArray) -> float:
    """Mean over images of -log of the true class's probability, which counts as 5e-7 at least.

    Raises:
        LabelsError: as `brier_score`.

    Example:
        >>> round(negative_log_likelihood(np.array([0, 1]), np.array([[1.0, 0.0], [0.5, 0.5]])), 4)
        0.3466
    """
    return _trust("nll", truth, probabilities)


def calibration_error(truth: IntArray, probabilities: FloatArray, *, classwise: bool = False) -> float:
    """Expected calibration error in 15 bins of equal width: of the largest probability, or of each class's own.

    The share-weighted mean of `|accuracy - confidence|` over bins; `classwise` does so for each class's probability and
    averages the classes.

    Raises:
        LabelsError: as `brier_score`.

    Example:
        >>> round(calibration_error(np.array([0, 1]), np.array([[0.8, 0.2], [0.8, 0.2]])), 6)
        0.3
    """
    return _trust("classwise_ece" if classwise else "ece", truth, probabilities)


def majority_rate(truth: IntArray) -> float:
    """Accuracy of always answering the most frequent true class.

    Raises:
        LabelsError: the truth is empty or not class indices.

    Example:
        >>> majority_rate(np.array([0, 0, 0, 1]))
        0.75
    """
    truth = _class_indices("truth", truth)
    return float(np.bincount(truth).max() / len(truth))


def chance_rate(n_classes: int) -> float:
    """Expected accuracy, and balanced accuracy, of guessing evenly among `n_classes` classes.

    Raises:
        LabelsError: fewer than one class.

    Example:
        >>> chance_rate(8)
        0.125
    """
    if n_classes < 1:
        raise LabelsError(f"cannot guess among {n_classes} classes: at least one is needed")
    return 1 / n_classes


def check_predictions(truth: IntArray, predictions: IntArray) -> tuple[IntArray, IntArray]:
    """Return both as (n,) arrays of class indices, n >= 1.

    Raises:
        LabelsError: the arrays are empty, of different length, or not class indices.
    """
    truth, predictions = _class_indices("truth", truth), _class_indices("predictions", predictions)
    if len(truth) != len(predictions):
        raise LabelsError(f"{len(truth)} true labels but {len(predictions)} predictions: give one of each an image")
    return truth, predictions


def check_probabilities(truth: IntArray, probabilities: FloatArray) -> FloatArray:
    """Return `probabilities` as an (n, C) array that covers every true class and holds no NaN.

    Raises:
        LabelsError: it does not.
    """
    probabilities = as_array(probabilities, "probabilities")
    if probabilities.ndim != 2 or len(probabilities) != len(truth):
        raise LabelsError(
            f"probabilities have shape {probabilities.shape}: "
            f"give one row for each of the {len(truth)} images and one column a class"
        )
    if truth.max() >= probabilities.shape[1]:
        raise LabelsError(
            f"true class {int(truth.max())} has no column: probabilities have {probabilities.shape[1]}, "
            "give one a class"
        )
    broken = np.flatnonzero(np.isnan(probabilities).any(axis=1))
    if broken.size:
        raise LabelsError(
            f"probabilities of {broken.size} image(s) are not numbers, first in row {broken[0]}: "
            "check the features of that image"
        )
    return probabilities


def _score(metric: str, truth: IntArray, predictions: IntArray) -> float:
    truth, predictions = check_predictions(truth, predictions)
    return float(Confusion(truth, predictions).scores(_ones(truth))[metric][0])


def _trust(metric: str, truth: IntArray, probabilities: FloatArray) -> float:
    truth = _class_indices("truth", truth)
    probabilities = check_probabilities(truth, probabilities)
    if not is_distribution(probabilities):
        raise LabelsError("the probabilities of an image must be at least 0 and sum to 1: divide each row by its sum")
    return float(Trust(truth, probabilities.argmax(axis=1), probabilities).scores(_ones(truth))[metric][0])


def _ones(truth: IntArray) -> IntArray:
    return np.ones((len(truth), 1), dtype=np.int64)


def _class_indices(what: str, values: IntArray) -> IntArray:
    values = as_array(values, what)
    if values.ndim != 1 or not values.size or values.dtype.kind not in "iu":
        raise LabelsError(
            f"{what} has shape {values.shape} and type {values.dtype}: "
            "give a list of class indices, one whole number an image"
        )
    if values.min() < 0:
        raise LabelsError(f"{what} holds {int(values.min())}: class indices start at 0, leave unlabelled images out")
    return values
