"""The metrics under weights: sort once, then score any number of resamples by reweighting.

Every metric of this room is defined here and nowhere else. A plain score is the case of weights of one; a bootstrap
replicate is the case of weights that count how often each image was drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.integer[Any]]
FloatArray = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Metric:
    """A metric as tables and pages name it; a part of this room that computes metrics lists them as its `metrics`.

    Attributes:
        name: key of the figure, and in JSON.
        title: on a page; `short` at the head of a narrow column, None for the title.
        less_is_better: otherwise more is.
        first: among the first figures of a method, not in the second table; of a class, in the terminal.
    """

    name: str
    title: str
    narrow: str | None = None
    less_is_better: bool = False
    first: bool = False

    @property
    def short(self) -> str:
        """At the head of a narrow column."""
        return self.narrow or self.title


class Figured:
    """Has the figures of metrics, which are its attributes too: None where one does not exist.

    Attributes:
        figures: metric to figure.
    """

    figures: Mapping[str, float | None]

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - a figure, or None
        figures = vars(self).get("figures", {})  # none yet in one that is being copied
        if name not in figures:
            raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")
        return figures[name]

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.figures]


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

    The full matrix would be C x C for each replicate; these metrics need only 3 C numbers of it, and the weighted
    kappas the mean distance between truth and prediction.
    """

    metrics = (
        Metric("accuracy", "accuracy", first=True),
        Metric("balanced_accuracy", "balanced accuracy", "balanced", first=True),
        Metric("macro_f1", "macro F1", first=True),
        Metric("kappa", "kappa"),
        Metric("kappa_linear", "kappa, linear", "linear"),
        Metric("kappa_quadratic", "kappa, quadratic", "quadratic"),
    )

    def __init__(self, truth: IntArray, predictions: IntArray, *, ordered: bool = False) -> None:
        """Sort (n,) truth and predictions, both class indices; `ordered` classes have weighted kappas too."""
        n_classes = int(max(truth.max(), predictions.max())) + 1
        rows = np.arange(len(truth))
        right = rows[truth == predictions]
        self._hits = _SumByClass(right, truth[right], n_classes)
        self._truths = _SumByClass(rows, truth, n_classes)
        self._chosen = _SumByClass(rows, predictions, n_classes)
        steps = np.abs(truth.astype(np.int64) - predictions)
        between = np.abs(np.subtract.outer(np.arange(n_classes), np.arange(n_classes)))
        self._distances = (
            {"kappa_linear": (steps, between), "kappa_quadratic": (steps**2, between**2)} if ordered else {}
        )

    def scores(self, weights: IntArray) -> dict[str, FloatArray]:
        """Score each column of `weights` (n, b): accuracy, balanced accuracy, macro F1 and the kappas, each (b,)."""
        hits, truths, chosen = self._hits(weights), self._truths(weights), self._chosen(weights)
        total = truths.sum(axis=0)
        right = hits.sum(axis=0)
        by_chance = np.einsum("cb,cb->b", truths.astype(np.float64), chosen)
        found = {
            "accuracy": right / total,
            "balanced_accuracy": _mean_of_ratios(hits, truths),
            "macro_f1": _mean_of_ratios(2 * hits, truths + chosen),
            "kappa": _kappa(total - right, total**2 - by_chance, total),
        }
        for name, (steps, between) in self._distances.items():
            expected = np.einsum("cb,cb->b", truths.astype(np.float64), between.astype(np.float64) @ chosen)
            found[name] = _kappa(steps @ weights, expected, total)
        return found


class ClassCounts:
    """Each class against the rest by the predictions, under weights (n, b)."""

    def __init__(self, truth: IntArray, predictions: IntArray, n_classes: int) -> None:
        """Sort (n,) truth and predictions, class indices below `n_classes`."""
        rows = np.arange(len(truth))
        right = rows[truth == predictions]
        self._hits = _SumByClass(right, truth[right], n_classes)
        self._truths = _SumByClass(rows, truth, n_classes)
        self._chosen = _SumByClass(rows, predictions, n_classes)

    def scores(self, weights: IntArray) -> dict[str, FloatArray]:
        """Return what the predictions say of each class, see `OneClass`: each (C, b)."""
        total = weights.sum(axis=0)
        return _against_the_rest(self._hits(weights), self._truths(weights), self._chosen(weights), total)


class OneClass:
    """One class against the rest under weights (n, b): it is called from a threshold on, and ranked by its scores."""

    metrics = (
        Metric("auroc", "AUROC", first=True),
        Metric("average_precision", "average precision", "AP", first=True),
        Metric("sensitivity", "sensitivity", first=True),
        Metric("specificity", "specificity", first=True),
        Metric("f1", "F1", first=True),
        Metric("accuracy", "accuracy", first=True),
        Metric("precision", "precision"),
    )

    def __init__(self, positive: NDArray[np.bool_], called: NDArray[np.bool_], scores: FloatArray) -> None:
        """Sort (n,) scores; `positive` says which images have the class, `called` which are said to."""
        self._counts = ClassCounts(positive.astype(np.intp), called.astype(np.intp), 2)
        self._ranking = OneRanking(positive, scores)

    def scores(self, weights: IntArray) -> dict[str, FloatArray]:
        """Score each column of `weights` (n, b), each metric (b,), NaN where nothing is divided by."""
        area, precision = self._ranking(weights)
        counted = {name: values[1] for name, values in self._counts.scores(weights).items()}
        return {"auroc": area, "average_precision": precision, **counted}


class Ranks:
    """One-vs-rest AUROC and average precision under weights (n, b), from one sort a class.

    Ties count one half in the AUROC, and as one threshold in the average precision.
    """

    metrics = (Metric("auroc", "AUROC", first=True), Metric("average_precision", "average precision", "AP"))

    def __init__(self, truth: IntArray, probabilities: FloatArray) -> None:
        """Sort (n, C) probabilities by class."""
        self._classes = [OneRanking(truth == k, probabilities[:, k]) for k in np.unique(truth)]

    def scores(self, weights: IntArray) -> dict[str, FloatArray]:
        """Average the classes that have a positive and a negative in the column; (b,), NaN where none has."""
        sums = {"auroc": np.zeros(weights.shape[1]), "average_precision": np.zeros(weights.shape[1])}
        defined = np.zeros(weights.shape[1])
        for ranking in self._classes:
            area, precision = ranking(weights)
            both = ~np.isnan(area)
            sums["auroc"] += np.where(both, area, 0)
            sums["average_precision"] += np.where(both, precision, 0)
            defined += both
        return {
            name: np.divide(total, defined, out=np.full_like(total, np.nan), where=defined > 0)
            for name, total in sums.items()
        }


class OneRanking:
    """AUROC and average precision of one class against the rest under weights (n, b)."""

    def __init__(self, positive: NDArray[np.bool_], scores: FloatArray) -> None:
        """Sort (n,) scores; `positive` says which images are of the class."""
        order = np.argsort(scores, kind="stable")
        up = scores[order]
        self._negatives = order[~positive[order]]
        self._positives = order[positive[order]]
        above, below = up[positive[order]], up[~positive[order]]
        self._lower = np.searchsorted(below, above, side="left")
        self._upper = np.searchsorted(below, above, side="right")
        self._level = np.searchsorted(above, above, side="left")

    def __call__(self, weights: IntArray) -> tuple[FloatArray, FloatArray]:
        """Return AUROC and average precision of each column; NaN without a positive or without a negative."""
        drawn = weights[self._positives]
        below = _running_sum(weights[self._negatives])
        own = _running_sum(drawn)
        n_positive, n_negative = own[-1], below[-1]
        defined = (n_positive > 0) & (n_negative > 0)
        lower = below[self._lower]
        won_twice = np.einsum("ib,ib->b", drawn, lower + below[self._upper])
        pairs = n_positive * n_negative
        area = np.divide(won_twice / 2, pairs, out=np.full(len(pairs), np.nan), where=defined)
        # At the threshold of each positive: the positives from there on, and all images from there on.
        found = n_positive - own[self._level]
        chosen = found + (n_negative - lower)
        share = np.divide(found, chosen, out=np.zeros(found.shape), where=chosen > 0)
        precision = np.einsum("ib,ib->b", drawn, share)
        return area, np.divide(precision, n_positive, out=np.full(len(pairs), np.nan), where=defined)


def _against_the_rest(hits: IntArray, truths: IntArray, chosen: IntArray, total: IntArray) -> dict[str, FloatArray]:
    rest = total - truths
    parts = {
        "sensitivity": (hits, truths),
        "specificity": (rest - chosen + hits, rest),
        "precision": (hits, chosen),
        "f1": (2 * hits, truths + chosen),
        "accuracy": (rest - chosen + 2 * hits, np.broadcast_to(total, truths.shape)),
    }
    return {
        name: np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)
        for name, (above, below) in parts.items()
    }


def _running_sum(weights: IntArray) -> IntArray:
    """Sum the rows before each, (m, b) to (m + 1, b)."""
    sums = np.zeros((len(weights) + 1, weights.shape[1]), dtype=weights.dtype)
    np.cumsum(weights, axis=0, out=sums[1:])
    return sums


def _kappa(disagreement: FloatArray | IntArray, expected: FloatArray, total: IntArray) -> FloatArray:
    """Return 1 - observed / expected disagreement (Cohen 1960, 1968); NaN where chance could not disagree."""
    ratio = np.divide(disagreement * total, expected, out=np.full(len(total), np.nan), where=expected > 0)
    return np.asarray(1 - ratio)


def _mean_of_ratios(above: IntArray, below: IntArray) -> FloatArray:
    """Average above / below over the classes (rows) that occur in a column, that is where `below` is not zero."""
    ratios = np.divide(above, below, out=np.zeros(above.shape), where=below > 0)
    mean: FloatArray = ratios.sum(axis=0) / (below > 0).sum(axis=0)
    return mean
