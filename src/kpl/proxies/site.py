"""How far pictures are from those that a model learnt from: another stain, scanner, preparation or patient group.

Classes may be more or less common at another place without harm, so a picture is held against the mean of its own
class, by the class that the model gives it. Of the pictures learnt from, the residuals x_i - m_c(i) have the mean 0 and
the covariance S = gram - sum_c pi_c m_c m_c^T. Of k new ones with mean residual r and M = (S + (tr S / d) I)^-1,

    shift^2 = [(k r^T M r - mean_i r_i^T M r_i) / (k - 1) - tr(M S) sum_c q_c^2 / n_c] / tr(M S)

is free of bias: it is 0 on average where nothing has moved, however few they are. q_c are the new shares, n_c pictures
learnt. It is far where shift^2 > FLOOR^2 + TIMES * sd, with sd = sqrt(2 tr((M S)^2)) / tr(M S) (1/k + sum_c q_c^2/n_c);
`benchmarks/new_site.py` says how often that is a false alarm and what it finds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kpl.proxies.arrays import Floats, Images
from kpl.proxies.passes import Parts, Spread, add_up
from kpl.proxies.sums import ClassSums, ImageMoments, inverse

FLOOR = 0.1
TIMES = 4.0
LEAST = 5.0
"""Pictures that a mean is of, at least; classes with fewer make one group together."""
_LEAST_VARIANCE = 1e-12


@dataclass(frozen=True)
class Moved:
    """How far pictures are from those that a model learnt from.

    Attributes:
        pictures: how many, or units of several.
        shift: how far they lie from their classes' means, all to one side; 1 is as far as a picture is on average.
        far_from: the shift from which on it is beyond chance.
        spread: how far they scatter around the means, squared; 1 is as the pictures learnt from do.
        prior: half the summed differences of the class shares, 0 to 1.
    """

    pictures: int
    shift: float
    far_from: float
    spread: float
    prior: float

    @property
    def far(self) -> bool:
        """Whether they are of another place, as far as their number can tell."""
        return self.shift > self.far_from


@dataclass(frozen=True)
class _ByClass:
    classes: Callable[[Floats], NDArray[np.intp]]
    n_classes: int

    def partial(self, step: None, chunk: Floats, weights: Floats | None, first: int | None = None) -> ClassSums:
        del step, first
        shares = np.eye(self.n_classes)[self.classes(chunk)]
        return ClassSums(self.n_classes, chunk.shape[1]).update(chunk, shares, weights)


def sums_by_class(
    images: Images | Spread,
    classes: Callable[[Floats], NDArray[np.intp]],
    n_classes: int,
    weights: Floats | None = None,
) -> ClassSums:
    """Return the sums of images by the class that they are given, in one pass.

    Args:
        images: (n, d) unit rows, or chunks.
        classes: gives the class index of each row.
        n_classes: C.
        weights: (n,) above zero, those of the moments; None counts each once.
    """
    return ClassSums.of(*add_up(images, _ByClass(classes, n_classes), weights))


def nobodys(sums: ClassSums) -> ClassSums:
    """Return the sums without small classes, so that neither they nor what the moments have beyond them is of few.

    Example:
        >>> sums = ClassSums(3, 1).update(np.ones((15, 1)), np.eye(3)[[0] * 8 + [1] * 6 + [2]])
        >>> nobodys(sums).mass.tolist()
        [8.0, 0.0, 0.0]
    """
    order = np.argsort(sums.mass, kind="stable")
    beyond = np.cumsum(sums.mass[order])
    small = sums.mass[order] < LEAST
    before = np.concatenate([[0.0], beyond[:-1]])
    dropped = order[small | ((before > 0) & (before < LEAST))]
    kept = ClassSums.of(sums.mass.copy(), sums.weighted.copy())
    kept.mass[dropped], kept.weighted[dropped] = 0.0, 0.0
    return kept


@dataclass(frozen=True)
class _Arriving:
    known: Arrivals
    classes: Callable[[Floats], NDArray[np.intp]]

    def partial(self, step: None, chunk: Floats, weights: Floats | None, first: int | None = None) -> Arrivals:
        del step, weights, first
        found = copy(self.known)
        found._begin()
        found.add(chunk, self.classes(chunk))
        return found


class Arrivals:
    """Pictures as they come, held against those that a model learnt from; memory does not grow with them.

    A copy goes on by itself.

    Args:
        moments: of the images learnt from.
        sums: of the same by class, as `sums_by_class` gives them; `nobodys` of them do.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> rows = rng.normal(size=(400, 4)) * 0.1 + np.repeat(np.eye(4)[:2], 200, axis=0)
        >>> classes = np.repeat([0, 1], 200)
        >>> from kpl.proxies.sums import sum_images
        >>> known = Arrivals(sum_images(rows), ClassSums(2, 4).update(rows, np.eye(2)[classes]))
        >>> known.add(rows[150:250], classes[150:250])
        >>> known.moved().far
        False
        >>> known.add(rows[150:250] + 0.1, classes[150:250])
        >>> known.moved().far
        True
    """

    def __init__(self, moments: ImageMoments, sums: ClassSums) -> None:
        sums = nobodys(sums)
        self._mass, self._means, self._known = sums.mass, sums.finish(), sums.mass > 0
        self._rest = max(moments.count - float(sums.mass.sum()), 0.0)
        dim = len(moments.mean)
        within = moments.gram - (self._means.T * (sums.mass / moments.count)) @ self._means
        if self._rest >= LEAST / 2:  # less is rounding
            rest = (moments.count * moments.mean - sums.weighted.sum(axis=0)) / self._rest
            within = within - self._rest / moments.count * np.outer(rest, rest)
        groups = float(self._known.sum() + (self._rest > 0))
        trace = max(float(np.trace(within)), _LEAST_VARIANCE)
        self._usual = trace * moments.count / max(moments.count - groups, 1.0)
        self._precision = inverse(within + trace / dim * np.eye(dim))
        both = self._precision @ within
        self._trace = max(float(np.trace(both)), _LEAST_VARIANCE)
        self._square = float(np.einsum("ij,ji->", both, both))
        self._scale = trace / dim  # a residual's fit is no more than its square over this
        self._begin()

    def _begin(self) -> None:
        self._count, self._squares, self._fits = 0, 0.0, 0.0
        self._residual, self._shares = np.zeros(len(self._precision)), np.zeros(len(self._mass))

    @property
    def parts(self) -> Parts:
        """What was added up, of numbers of a like size."""
        numbers = np.array([self._count, self._squares, self._fits * self._scale])
        return numbers, self._residual, self._shares

    def add_all(self, images: Images | Spread, classes: Callable[[Floats], NDArray[np.intp]]) -> None:
        """Add rows (n, d) or chunks of them, each a unit of its own; `classes` gives the class index of each."""
        numbers, residual, shares = add_up(images, _Arriving(self, classes))
        self._count += round(float(numbers[0]))
        self._squares += float(numbers[1])
        self._fits += float(numbers[2]) / self._scale
        self._residual, self._shares = self._residual + residual, self._shares + shares

    def add(self, rows: Floats, classes: NDArray[np.intp], sizes: Sequence[int] | None = None) -> None:
        """Add rows (n, d) with the class index of each, of units of so many rows one behind the other."""
        sizes = [1] * len(rows) if sizes is None else sizes
        counted = np.repeat(1.0 / np.asarray(sizes, np.float64), sizes)
        self._shares = self._shares + np.bincount(classes, counted, len(self._shares))
        there = self._known[classes]
        units = np.repeat(np.arange(len(sizes)), sizes)[there]
        if not len(units):
            return
        residuals = np.asarray(rows, np.float64)[there] - self._means[classes[there]]
        starts = np.flatnonzero(np.diff(units, prepend=-1))
        lengths = np.diff([*starts, len(units)])
        own = np.add.reduceat(residuals, starts, axis=0) / lengths[:, None]
        squares = np.add.reduceat(np.einsum("nd,nd->n", residuals, residuals), starts) / lengths
        self._count += len(own)
        self._squares += float(squares.sum())
        self._fits += float(np.einsum("nd,nd->", own @ self._precision, own))
        self._residual = self._residual + own.sum(axis=0)

    def moved(self) -> Moved | None:
        """Return how far all that were added are; None where there are too few, or the model keeps too little."""
        count = self._count
        if count < 2:
            return None
        precision, trace, square = self._precision, self._trace, self._square
        shares = self._shares / self._shares.sum()
        learnt_shares = self._mass[self._known] / (self._mass.sum() + self._rest)
        others = float(shares[~self._known].sum()) - self._rest / (self._mass.sum() + self._rest)
        own = shares[self._known] / max(float(shares[self._known].sum()), _LEAST_VARIANCE)
        learnt = float((own**2 / self._mass[self._known]).sum())
        mean = self._residual / count
        fit = (count * float(mean @ precision @ mean) - self._fits / count) / (count - 1)
        shift = fit / trace - learnt
        chance = np.sqrt(2 * square) / trace * (1 / count + learnt)
        return Moved(
            pictures=count,
            shift=float(np.sqrt(max(shift, 0.0))),
            far_from=float(np.sqrt(FLOOR**2 + TIMES * chance)),
            spread=self._squares / count / self._usual,
            prior=float(np.abs(shares[self._known] - learnt_shares).sum() + abs(others)) / 2,
        )
