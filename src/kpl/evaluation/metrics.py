"""How good predictions are, from class indices and probabilities. All figures are shares, 0 to 1.

Shapes everywhere: truth (n,) integers, the true class of each image; predictions (n,) integers; probabilities (n, C),
one column a class (any score that grows with the class will do: only its order counts).
"""

from __future__ import annotations

import numpy as np

from kpl.errors import LabelsError
from kpl.evaluation.weighted import Confusion, FloatArray, IntArray, Ranks

__all__ = [
    "METRICS",
    "accuracy",
    "auroc",
    "balanced_accuracy",
    "chance_rate",
    "check_predictions",
    "check_probabilities",
    "macro_f1",
    "majority_rate",
]

METRICS = ("accuracy", "balanced_accuracy", "macro_f1", "auroc")
"""The metrics that every method is scored by, in the order of tables."""


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
    return float(Ranks(truth, probabilities).auroc(_ones(truth))[0])


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
    probabilities = np.asarray(probabilities)
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


def _ones(truth: IntArray) -> IntArray:
    return np.ones((len(truth), 1), dtype=np.int64)


def _class_indices(what: str, values: IntArray) -> IntArray:
    values = np.asarray(values)
    if values.ndim != 1 or not values.size or values.dtype.kind not in "iu":
        raise LabelsError(
            f"{what} has shape {values.shape} and type {values.dtype}: "
            "give a list of class indices, one whole number an image"
        )
    if values.min() < 0:
        raise LabelsError(f"{what} holds {int(values.min())}: class indices start at 0, leave unlabelled images out")
    return values
