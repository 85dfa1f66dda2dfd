"""The metrics under weights: sort once, then score any number of resamples by reweighting.

Every metric of this room is defined here and nowhere else. A plain score is the case of weights of one; a bootstrap
replicate is the case of weights that count how often each image was drawn.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Confusion", "FloatArray", "IntArray", "Ranks"]

IntArray = NDArray[np.integer[Any]]
FloatArray = NDArray[np.floating[Any]]


class _SumByClass:
    """Sums of weights by class, (n, b) to (C, b), with the images put in class order beforehand."""

    def __init__(self, rows: IntArray, classes: IntArray, n_classes: int) -> None:
        order = np.argsort(classes, kind="stable")
        self._rows = rows[order]
        self._present, self._starts = np.unique(classes[order], return_index=True)
        self._n_classes = n_classes

    def __call__(self, weights: IntArray) -> IntArray:
        sums = np.zeros((self._n_classes, weights.shape[1]), dtype=weights.dtype)
        if self._present.size:
            sums[self._present] = np.add.reduceat(weights[self._rows], self._starts, axis=0)
        return sums


class Confusion:
    """What the confusion matrix says under weights, from its diagonal and its two margins.

    The full matrix would be C x C for each replicate; these metrics need only 3 C numbers of it.
    """

    def __init__(self, truth: IntArray, predictions: IntArray) -> None:
        """Sort (n,) truth and predictions, both class indices."""
        n_classes = int(max(truth.max(), predictions.max())) + 1
        rows = np.arange(len(truth))
        right = rows[truth == predictions]
        self._hits = _SumByClass(right, truth[right], n_classes)
        self._truths = _SumByClass(rows, truth, n_classes)
        self._chosen = _SumByClass(rows, predictions, n_classes)

    def scores(self, weights: IntArray) -> dict[str, FloatArray]:
        """Score each column of `weights` (n, b): accuracy, balanced accuracy and macro F1, each (b,)."""
        hits, truths, chosen = self._hits(weights), self._truths(weights), self._chosen(weights)
        return {
            "accuracy": hits.sum(axis=0) / truths.sum(axis=0),
            "balanced_accuracy": _mean_of_ratios(hits, truths),
            "macro_f1": _mean_of_ratios(2 * hits, truths + chosen),
        }


class Ranks:
    """One-vs-rest AUROC under weights (n, b), ties counted one half, from one sort a class."""

    def __init__(self, truth: IntArray, probabilities: FloatArray) -> None:
        """Sort (n, C) probabilities by class."""
        self._classes = []
        for k in np.unique(truth):
            scores = probabilities[:, k]
            positives, negatives = np.flatnonzero(truth == k), np.flatnonzero(truth != k)
            negatives = negatives[np.argsort(scores[negatives], kind="stable")]
            lower = np.searchsorted(scores[negatives], scores[positives], side="left")
            upper = np.searchsorted(scores[negatives], scores[positives], side="right")
            self._classes.append((positives, negatives, lower, upper))

    def auroc(self, weights: IntArray) -> FloatArray:
        """Average the classes that have a positive and a negative in the column; (b,), NaN where none has."""
        areas = np.zeros(weights.shape[1])
        defined = np.zeros(weights.shape[1])
        for positives, negatives, lower, upper in self._classes:
            below = np.zeros((len(negatives) + 1, weights.shape[1]), dtype=weights.dtype)
            np.cumsum(weights[negatives], axis=0, out=below[1:])
            drawn = weights[positives]
            won_twice = np.einsum("ib,ib->b", drawn, below[lower] + below[upper])
            pairs = drawn.sum(axis=0) * below[-1]
            areas += np.divide(won_twice / 2, pairs, out=np.zeros_like(areas), where=pairs > 0)
            defined += pairs > 0
        return np.divide(areas, defined, out=np.full_like(areas, np.nan), where=defined > 0)


def _mean_of_ratios(above: IntArray, below: IntArray) -> FloatArray:
    """Average above / below over the classes (rows) that occur in a column, that is where `below` is not zero."""
    ratios = np.divide(above, below, out=np.zeros(above.shape), where=below > 0)
    mean: FloatArray = ratios.sum(axis=0) / (below > 0).sum(axis=0)
    return mean
