"""How sure a figure is: percentile intervals by bootstrap over images, or over groups such as patients.

A replicate draws as many units (images or groups) as there are, with replacement (Efron 1979); it is held as a weight
an image, the number of times its unit was drawn. The draws follow from the seed and the number of units
alone, so that two methods scored on the same images are scored on the same resamples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kpl.errors import LabelsError
from kpl.evaluation.metrics import METRICS, Measure, check_predictions
from kpl.evaluation.weighted import FloatArray, IntArray

Interval = tuple[float, float]
Groups = Sequence[str | None]
"""One group an image; None for an image that stands alone."""

# Weights of this many (image, replicate) pairs at a time stay in the processor's cache.
_BLOCK = 1 << 18


@dataclass(frozen=True)
class Resampling:
    """How intervals are made: number of replicates (0: no intervals), level of the interval, seed of the draws.

    Raises:
        LabelsError: negative replicates, or a level outside 0 to 1.
    """

    replicates: int = 2000
    level: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse settings that name no interval."""
        if self.replicates < 0:
            raise LabelsError(
                f"{self.replicates} bootstrap replicates asked for: give 0 for no intervals, 2000 is usual"
            )
        if not 0 < self.level < 1:
            raise LabelsError(f"the level of an interval is {self.level}: give a share between 0 and 1, such as 0.95")


_USUAL = Resampling()


@dataclass(frozen=True)
class Difference:
    """Accuracy of one method minus that of another on the same images."""

    accuracy: float
    interval: Interval | None
    """(low, high); None where there is nothing to resample."""
    p_value: float | None = None
    """Two-sided, of no difference; None where there is nothing to resample."""
    p_holm: float | None = None
    """Adjusted for the number of methods compared; None outside `compare`."""


def resamples(n: int, groups: Groups | None = None, resampling: Resampling = _USUAL) -> Iterator[IntArray]:
    """Yield the weights of all replicates in blocks of shape (n, b); the b add up to the number of replicates.

    Raises:
        LabelsError: not one group an image.

    Example:
        >>> sum(block.shape[1] for block in resamples(50, resampling=Resampling(replicates=30)))
        30
        >>> first = next(resamples(4, groups=["a", "a", "b", None]))
        >>> bool((first[0] == first[1]).all())
        True
    """
    units = units_of(n, groups)
    n_units = int(units.max()) + 1
    rng = np.random.default_rng(resampling.seed)
    width = max(1, _BLOCK // n)
    for start in range(0, resampling.replicates, width):
        b = min(width, resampling.replicates - start)
        # Replicate by replicate, so that the width of a block does not change what is drawn.
        draws = rng.integers(n_units, size=(b, n_units))
        cells = draws * b + np.arange(b)[:, None]
        counts = np.bincount(cells.ravel(), minlength=n_units * b).reshape(n_units, b)
        yield counts if groups is None else counts[units]


def bootstrap_intervals(
    truth: IntArray,
    predictions: IntArray,
    probabilities: FloatArray | None = None,
    ranking: FloatArray | None = None,
    *,
    groups: Groups | None = None,
    resampling: Resampling = _USUAL,
    ordered: bool = False,
) -> dict[str, Interval | None]:
    """Percentile intervals {metric: (low, high)} of all `METRICS`, truth (n,), predictions (n,), probabilities (n, C).

    With a `ranking` (n, C) AUROC and average precision are by it, see `Predicted`.

    A replicate without some class leaves that class out, as the metrics do. None stands for an interval that does not
    exist: AUROC without probabilities or with a single class, the weighted kappas unless the classes are `ordered`,
    and any metric with a single unit to resample.

    Raises:
        LabelsError: arrays that do not fit each other.

    Example:
        >>> intervals = bootstrap_intervals(np.array([0, 0, 1, 1]), np.array([0, 0, 1, 0]))
        >>> intervals["accuracy"], intervals["auroc"]
        ((0.25, 1.0), None)
    """
    measure = Measure(truth, predictions, probabilities, ranking, ordered=ordered)
    return {**dict.fromkeys(METRICS), **intervals_of(measure.scores, len(truth), groups, resampling)}


def intervals_of(
    scores: Callable[[IntArray], Mapping[str, FloatArray]],
    n: int,
    groups: Groups | None = None,
    resampling: Resampling = _USUAL,
) -> dict[str, Interval | None]:
    """Percentile intervals of whatever `scores` says under weights (n, b): name to (b,), NaN where undefined.

    None stands for an interval that does not exist: a single unit to resample, or no replicate that defines it.
    """
    found: dict[str, list[FloatArray]] = {}
    for weights in resamples(n, groups, resampling):
        for name, values in scores(weights).items():
            found.setdefault(name, []).append(values)
    if _is_single_unit(n, groups):
        return dict.fromkeys(found)
    return {name: _percentiles(values, resampling.level) for name, values in found.items()}


def paired_difference(
    truth: IntArray,
    predictions: IntArray,
    reference: IntArray,
    *,
    groups: Groups | None = None,
    resampling: Resampling = _USUAL,
) -> Difference:
    """Accuracy of `predictions` minus that of `reference`, both (n,), with a percentile interval over common resamples.

    The p-value is that of swapping the two methods on each unit with probability one half. With images as units that
    is McNemar's exact test, the binomial of the images on which just one of the two is right (McNemar 1947); with
    groups, whole groups are swapped, in `resampling.replicates` draws.

    Raises:
        LabelsError: arrays that do not fit each other.

    Example:
        >>> truth = np.array([0, 1, 0, 1])
        >>> paired_difference(truth, truth, 1 - truth)
        Difference(accuracy=1.0, interval=(1.0, 1.0), p_value=0.125, p_holm=None)
    """
    truth, predictions = check_predictions(truth, predictions)
    _, reference = check_predictions(truth, reference)
    gain = (predictions == truth).astype(np.int64) - (reference == truth)
    values = [gain @ weights / weights.sum(axis=0) for weights in resamples(len(truth), groups, resampling)]
    single = _is_single_unit(len(truth), groups)
    if single:
        return Difference(float(gain.mean()), None)
    by_unit = np.bincount(units_of(len(truth), groups), weights=gain)
    return Difference(float(gain.mean()), _percentiles(values, resampling.level), _p_of_swaps(by_unit, resampling))


def _p_of_swaps(by_unit: NDArray[Any], resampling: Resampling) -> float | None:
    """Two-sided p-value of the sum when the sign of each unit is a coin's; (units,) gains."""
    from scipy.special import bdtr

    moving = by_unit[by_unit != 0]
    if np.all(np.abs(moving) <= 1):
        if not moving.size:
            return 1.0
        # 2 P(X <= fewer), X binomial
        return float(min(1.0, 2 * bdtr(min((moving > 0).sum(), (moving < 0).sum()), len(moving), 0.5)))
    if not resampling.replicates:
        return None
    rng = np.random.default_rng([resampling.seed, 1])  # not the stream of the resamples
    as_far, observed = 1, abs(moving.sum())  # what was observed is one of the swaps
    for start in range(0, resampling.replicates, 256):
        signs = rng.integers(2, size=(min(256, resampling.replicates - start), len(moving))) * 2 - 1
        as_far += int((np.abs(signs @ moving) >= observed - 1e-9).sum())
    return as_far / (resampling.replicates + 1)


def units_of(n: int, groups: Groups | None) -> IntArray:
    """Number the units that are drawn: (n,), equal for images of one group."""
    if groups is None:
        return np.arange(n)
    if len(groups) != n:
        raise LabelsError(f"{len(groups)} groups for {n} images: give one an image, None where an image stands alone")
    numbers: dict[object, int] = {}
    keys = ((number,) if group is None else group for number, group in enumerate(groups))
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys])


def _is_single_unit(n: int, groups: Groups | None) -> bool:
    """Whether every resample is the sample itself, which would pass for certainty."""
    return int(units_of(n, groups).max()) == 0


def _percentiles(values: list[FloatArray], level: float) -> Interval | None:
    drawn = np.concatenate(values) if values else np.empty(0)
    drawn = drawn[~np.isnan(drawn)]
    if not drawn.size:
        return None
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number, in their order (Holm, 1979).

    Example:
        >>> holm([0.04, 0.01, 0.03])
        [0.06, 0.03, 0.06]
    """
    largest, found = 0.0, [1.0] * len(p_values)
    for place, at in enumerate(sorted(range(len(p_values)), key=lambda each: p_values[each])):
        largest = found[at] = max(largest, min(1.0, p_values[at] * (len(p_values) - place)))
    return found
