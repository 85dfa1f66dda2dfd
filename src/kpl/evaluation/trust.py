"""Whether probabilities can be believed, under weights: Brier score, negative log-likelihood, calibration errors.

Sources: Brier 1950 (the sum over classes, 0 to 2); Naeini, Cooper, Hauskrecht, AAAI 2015 (ECE); Kull et al., NeurIPS
2019 (class-wise ECE). Bins have equal width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kpl.evaluation.weighted import FloatArray, IntArray, Metric

if TYPE_CHECKING:
    from scipy import sparse

BINS = 15
"""Bins of confidence, of equal width."""
SMALLEST = 5e-7
"""A probability below this counts as this much in the log-likelihood: six decimals cannot tell it from zero."""
_ROW_SUM = 1e-3  # what six decimals a class may take from a row's sum, for up to two thousand classes


def is_distribution(probabilities: FloatArray) -> bool:
    """Say whether each row is a distribution over the classes, up to the rounding of predictions.csv.

    Example:
        >>> is_distribution(np.array([[0.25, 0.75]])), is_distribution(np.array([[0.5, 0.75]]))
        (True, False)
    """
    return bool((probabilities >= 0).all() and (np.abs(probabilities.sum(axis=1) - 1) <= _ROW_SUM).all())


class Trust:
    """Brier score, NLL, ECE and class-wise ECE under weights (n, b); probabilities are distributions (n, C)."""

    metrics = (
        Metric("brier", "Brier score", "Brier", less_is_better=True),
        Metric("nll", "log loss", "NLL", less_is_better=True),
        Metric("ece", "calibration error", "ECE", less_is_better=True),
        Metric("classwise_ece", "calibration error by class", "class ECE", less_is_better=True),
    )

    def __init__(self, truth: IntArray, predictions: IntArray, probabilities: FloatArray) -> None:
        """Reduce to one number an image and metric, and to one gap an image and bin."""
        n, n_classes = probabilities.shape
        rows = np.arange(n)
        probabilities = np.asarray(probabilities, dtype=np.float64)
        of_truth = probabilities[rows, truth]
        brier = np.square(probabilities).sum(axis=1) - 2 * of_truth + 1
        nll = -np.log(np.clip(of_truth, SMALLEST, 1))
        self._means = np.stack([brier, nll])
        confidence = probabilities[rows, predictions]
        self._gaps = _binned((predictions == truth) - confidence, _bin(confidence), rows, BINS)
        self._class_gaps = [
            _binned((truth == k) - probabilities[:, k], _bin(probabilities[:, k]), rows, BINS) for k in range(n_classes)
        ]

    def scores(self, weights: IntArray) -> dict[str, FloatArray]:
        """Score each column of `weights` (n, b), each metric (b,)."""
        counts = weights.astype(np.float64)
        total = counts.sum(axis=0)
        brier, nll = self._means @ counts / total
        by_class = sum(np.abs(gaps @ counts).sum(axis=0) for gaps in self._class_gaps)
        return {
            "brier": brier,
            "nll": nll,
            "ece": np.abs(self._gaps @ counts).sum(axis=0) / total,
            "classwise_ece": np.asarray(by_class / total / len(self._class_gaps)),
        }


class ReliabilityBin(NamedTuple):
    """Images whose confidence lies in one bin: their share, mean confidence, and accuracy."""

    share: float
    confidence: float
    accuracy: float


def reliability(truth: IntArray, predictions: IntArray, probabilities: FloatArray) -> list[ReliabilityBin]:
    """Compare confidence and accuracy in `BINS` bins of equal width, the empty ones left out.

    Example:
        >>> reliability(np.array([0, 1]), np.array([0, 0]), np.array([[0.8, 0.2], [0.8, 0.2]]))
        [ReliabilityBin(share=1.0, confidence=0.8, accuracy=0.5)]
    """
    confidence = probabilities[np.arange(len(truth)), predictions]
    bins, right = _bin(confidence), predictions == truth
    return [
        ReliabilityBin(float(inside.mean()), float(confidence[inside].mean()), float(right[inside].mean()))
        for inside in (bins == number for number in np.unique(bins))
    ]


def coverage_risk(
    truth: IntArray, predictions: IntArray, confidence: FloatArray, sureness: FloatArray | None = None
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the error rate among the images answered, when only the most confident are: coverage, risk, threshold.

    One point for each distinct confidence, from the fewest images to all; the last risk is one minus the accuracy
    (El-Yaniv and Wiener, JMLR 2010). Images of equal confidence are answered together. `sureness` (n,) orders as the
    confidence does where that rounds to one: then it tells equal images from others.

    Example:
        >>> coverage, risk, threshold = coverage_risk(np.array([0, 1]), np.array([0, 0]), np.array([0.9, 0.6]))
        >>> coverage.tolist(), risk.tolist(), threshold.tolist()
        ([0.5, 1.0], [0.0, 0.5], [0.9, 0.6])
    """
    by = confidence if sureness is None else sureness
    order = np.argsort(-by, kind="stable")
    wrong = np.cumsum((predictions != truth)[order])
    falling = by[order]
    last = np.flatnonzero(np.append(falling[1:] != falling[:-1], True))
    return (last + 1) / len(truth), wrong[last] / (last + 1), confidence[order[last]]


def _bin(values: FloatArray) -> IntArray:
    """Number the bin of each probability, (low, high], zero in the first."""
    return np.clip(np.ceil(values * BINS).astype(np.int64) - 1, 0, BINS - 1)


def _binned(gaps: FloatArray, bins: IntArray, rows: NDArray[np.intp], n_bins: int) -> sparse.csr_array:
    """Hold each image's gap at its bin, (n_bins, n), so that one product sums them under any weights."""
    from scipy import sparse

    return sparse.csr_array((gaps, (bins, rows)), shape=(n_bins, len(rows)))
