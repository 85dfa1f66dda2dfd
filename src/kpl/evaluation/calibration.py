"""Probabilities brought to what a few labelled images say: one temperature, and a shift of the class prior.

q = softmax(log p / T + b): temperature scaling (Guo et al., ICML 2017), and with b bias-corrected temperature scaling,
which absorbs a shift of the class prior (Alexandari, Kundaje, Shrikumar, ICML 2020). With few labels the maximum of
the likelihood runs away, so both are held by a normal prior of width one, on log T and on each b.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from kpl.errors import LabelsError
from kpl.evaluation.bootstrap import Groups, units_of
from kpl.evaluation.metrics import Measure, check_probabilities
from kpl.evaluation.trust import is_distribution
from kpl.evaluation.units import count_units
from kpl.evaluation.weighted import FloatArray, IntArray
from kpl.proxies.arrays import Floats, softmax

Kind = Literal["none", "temperature", "temperature+prior"]
_SMALLEST = np.finfo(np.float64).tiny  # keeps a probability of zero from being certain whatever the temperature
_FOLDS = 5
_FEWEST = 10
_SHOWN = ("nll", "ece", "brier", "accuracy")


@dataclass(frozen=True, eq=False)
class Calibration:
    """What is done to probabilities: softmax(log p / temperature + bias).

    Attributes:
        temperature: above one takes confidence away.
        bias: (C,) added to the log odds of each class, mean zero; a shift of the class prior.

    Example:
        >>> Calibration(2.0, np.zeros(2))(np.array([[0.9, 0.1]])).round(3)
        array([[0.75, 0.25]])
    """

    temperature: float
    bias: Floats

    def __call__(self, probabilities: FloatArray) -> Floats:
        """Return calibrated probabilities of the same shape (n, C)."""
        return softmax(self.logits(_logs(probabilities)))

    def logits(self, logits: Floats) -> Floats:
        """Return calibrated log probabilities (n, C) of such, each row up to a constant: no rounding to one between."""
        return logits / self.temperature + self.bias


@dataclass(frozen=True, eq=False)
class CalibrationReport:
    """A calibration, and what it does to labelled images that it was not fitted on.

    Attributes:
        calibration: fitted on all labelled images.
        kind: which of the candidates had the lowest cross-validated NLL.
        n, folds: labelled images, and folds of the cross-validation.
        units: groups of images that were held out whole; None where it was image by image.
        before, after: NLL, ECE, Brier score and accuracy, as it was and cross-validated.
    """

    calibration: Calibration
    kind: Kind
    n: int
    folds: int
    before: dict[str, float]
    after: dict[str, float]
    units: int | None = None


def fit_calibration(truth: IntArray, probabilities: FloatArray, *, prior: bool = True) -> Calibration:
    """Fit a temperature, and unless `prior` is off a bias, to truth (n,) and probabilities (n, C).

    Example:
        >>> sure = np.repeat([[0.99, 0.01]], 50, axis=0)
        >>> bool(fit_calibration(np.arange(50) % 5 == 0, sure, prior=False).temperature > 2)
        True
    """
    from scipy.optimize import minimize

    logs, n_classes = _logs(probabilities), probabilities.shape[1]
    hot = np.eye(n_classes)[np.asarray(truth, dtype=np.int64)]

    def loss(point: Floats) -> tuple[float, Floats]:
        log_t, bias = point[0], point[1:] if prior else np.zeros(n_classes)
        scaled = logs * np.exp(-log_t) + bias
        q = softmax(scaled)
        nll = -np.log(np.maximum((q * hot).sum(axis=1), 1e-300)).sum()
        slope_t = np.exp(-log_t) * ((hot - q) * logs).sum()
        slope = np.concatenate([[slope_t], (q - hot).sum(axis=0)]) if prior else np.array([slope_t])
        return nll + 0.5 * point @ point, slope + point

    found = minimize(loss, np.zeros(1 + n_classes * prior), jac=True, method="L-BFGS-B").x
    bias = found[1:] - found[1:].mean() if prior else np.zeros(n_classes)
    return Calibration(float(np.exp(found[0])), bias)


def calibrate_by_labels(
    truth: IntArray, probabilities: FloatArray, *, groups: Groups | None = None, seed: int = 0
) -> CalibrationReport:
    """Choose and fit a calibration on labelled images; -1 in the truth (n,) leaves an image out.

    None at all, a temperature, and a temperature with a prior shift compete by cross-validated NLL over images, or
    over whole `groups`. A prior shift needs two classes in the labels.

    Raises:
        LabelsError: fewer than ten labelled images, a single group, or probabilities that do not sum to one.
    """
    rows = np.flatnonzero(np.asarray(truth) >= 0)
    if len(rows) < _FEWEST:
        raise LabelsError(f"{len(rows)} labelled images are too few to calibrate on: label at least {_FEWEST}")
    truth, probabilities = np.asarray(truth)[rows], check_probabilities(np.asarray(truth)[rows], probabilities[rows])
    if not is_distribution(probabilities):
        raise LabelsError("the probabilities of an image must sum to 1 to be calibrated: this method's do not")
    folds = folds_of(units_of(len(rows), groups and [groups[row] for row in rows.tolist()]), seed)
    kinds: tuple[Kind, ...] = ("none", "temperature", "temperature+prior")
    after = {}
    for kind in kinds[: 3 if len(np.unique(truth)) > 1 else 2]:
        held_out = np.empty(probabilities.shape)
        for fold in range(folds.max() + 1):
            inside = folds == fold
            fitted = _fit(kind, truth[~inside], probabilities[~inside])
            held_out[inside] = fitted(probabilities[inside])
        after[kind] = _figures(truth, held_out)
    best = min(after, key=lambda kind: after[kind]["nll"])
    return CalibrationReport(
        calibration=_fit(best, truth, probabilities),
        kind=best,
        n=len(rows),
        folds=int(folds.max()) + 1,
        before=_figures(truth, probabilities),
        after=after[best],
        units=count_units(groups, rows),
    )


def _fit(kind: Kind, truth: IntArray, probabilities: FloatArray) -> Calibration:
    if kind == "none":
        return Calibration(1.0, np.zeros(probabilities.shape[1]))
    return fit_calibration(truth, probabilities, prior=kind == "temperature+prior")


def folds_of(units: NDArray[Any], seed: int) -> NDArray[np.int64]:
    """Give each image the fold of its unit, (n,) of the numbers of `units_of`.

    Raises:
        LabelsError: there is a single unit.
    """
    n_units = int(units.max()) + 1
    if n_units < 2:
        raise LabelsError("all labelled images are of one group: calibration needs at least two to hold one out")
    of_unit: NDArray[np.int64] = np.random.default_rng(seed).permutation(n_units) % min(_FOLDS, n_units)
    return np.asarray(of_unit[units])


def _figures(truth: IntArray, probabilities: FloatArray) -> dict[str, float]:
    scores = Measure(truth, probabilities.argmax(axis=1), probabilities).scores(np.ones((len(truth), 1), np.int64))
    return {name: float(scores[name][0]) for name in _SHOWN}


def _logs(probabilities: FloatArray) -> Floats:
    return np.log(np.clip(np.asarray(probabilities, dtype=np.float64), _SMALLEST, 1.0))
