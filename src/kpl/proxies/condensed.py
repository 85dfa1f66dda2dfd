"""Images in little: weighted means of a few hundred groups of alike images, from which rounds can be run again.

Class sums remember what was made of earlier images, and cannot make something else of them when more come: images in
order of class then teach each class the images of others. Group means can: the rounds run on them as on images that
weigh more. Memory is fixed, whatever the number of images, and no group is of fewer than five, so that no feature of a
single image is kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kpl.proxies.arrays import Floats, Images
from kpl.proxies.passes import Spread, add_up, sampled
from kpl.proxies.sums import ClassSums

GROUPS = 256
LEAST = 5.0
"""What a group weighs at least, in images; all images together make one group if they are fewer."""
_SEEDS_FROM = 1024  # of the sample, on which groups are begun
_SWEEPS = 3
_NOTHING = 1e-12  # of a mean squared distance: rows that rounding alone tells apart


@dataclass(frozen=True)
class Condensed:
    """Groups of images.

    Attributes:
        means: (B, d), not of unit length.
        weights: (B,) how many images each is of.
    """

    means: Floats
    weights: Floats


def condensed(images: Images | Spread, weights: Floats | None, earlier: Condensed | None = None) -> Condensed:
    """Return the groups of images, and of earlier groups: begun on some of the images, then of all in one pass.

    Args:
        images: (n, d) unit rows or a re-iterable of chunks.
        weights: (n,) above zero, or None.
        earlier: groups of images that are not there any more.

    Example:
        >>> groups = condensed(np.repeat(np.eye(2), 10, axis=0), None)
        >>> sorted(groups.means.tolist()), groups.weights.tolist()
        ([[0.0, 1.0], [1.0, 0.0]], [10.0, 10.0])
    """
    rows, own = sampled(images, weights)
    if earlier is not None:
        rows, own = np.concatenate([earlier.means, rows]), np.concatenate([earlier.weights, own])
    means = _begun(rows, own, 0 if earlier is None else len(earlier.means))
    work = _ByGroup(means)
    sums = ClassSums.of(*add_up(images, work, weights, dim=means.shape[1]))
    if earlier is not None:
        sums = sums.merge(work.partial(None, earlier.means, earlier.weights))
    return _joined(sums)


@dataclass(frozen=True)
class _ByGroup:
    means: Floats

    def partial(self, step: None, chunk: Floats, weights: Floats | None, first: int | None = None) -> ClassSums:
        del step, first
        shares = np.zeros((len(chunk), len(self.means)))
        shares[np.arange(len(chunk)), _nearest(chunk, self.means)] = 1.0
        return ClassSums(*self.means.shape).update(chunk, shares, weights)


def _begun(rows: Floats, weights: Floats, held: int) -> Floats:
    """K-means of rows, of which the first `held` are groups already, begun far apart."""
    every = max(1, -(-(len(rows) - held) // _SEEDS_FROM))
    among = np.concatenate([np.arange(held), np.arange(held, len(rows), every)])
    most = int(np.clip(weights.sum() // LEAST, 1, GROUPS))
    means = rows[among[_far_apart(rows[among], weights[among], most)]]
    for _ in range(_SWEEPS):
        means = _summed(rows, weights, _nearest(rows, means))
    return np.asarray(means)


def _far_apart(rows: Floats, weights: Floats, most: int) -> NDArray[np.intp]:
    """Rows to begin with, each drawn in proportion to its weight and squared distance from those before (k-means++)."""
    rng, products = np.random.default_rng(0), rows @ rows.T
    squares = np.diag(products)
    chosen, apart = [int(weights.argmax())], np.full(len(rows), np.inf)
    while len(chosen) < most:
        last = chosen[-1]
        apart = np.minimum(apart, np.maximum(squares - 2 * products[last] + squares[last], 0.0))
        apart[last] = 0.0
        reach = np.cumsum(apart * weights)
        if reach[-1] <= _NOTHING * weights.sum():
            break
        chosen.append(int(min(np.searchsorted(reach, rng.random() * reach[-1], side="right"), len(rows) - 1)))
    return np.array(chosen)


def _nearest(rows: Floats, means: Floats) -> NDArray[np.intp]:
    return np.asarray((np.einsum("bd,bd->b", means, means) - 2 * (rows @ means.T)).argmin(axis=1))


def _joined(sums: ClassSums) -> Condensed:
    """Give the images of groups that are too small to the nearest group, the smallest first."""
    mass, totals, means = sums.mass.copy(), sums.weighted.copy(), sums.finish()
    alive = mass > 0
    while alive.sum() > 1 and mass[alive].min() < LEAST:
        least = int(np.where(alive, mass, np.inf).argmin())
        alive[least] = False
        cost = ((means - means[least]) ** 2).sum(axis=1) * mass / (mass + mass[least])  # to the squares within, as Ward
        into = int(np.where(alive, cost, np.inf).argmin())
        mass[into] += mass[least]
        totals[into] += totals[least]
        means[into] = totals[into] / mass[into]
    return Condensed(means[alive], mass[alive])


def _summed(rows: Floats, weights: Floats, nearest: NDArray[np.intp]) -> Floats:
    order = np.argsort(nearest, kind="stable")
    starts = np.flatnonzero(np.diff(nearest[order], prepend=-1))
    mass = np.add.reduceat(weights[order], starts)
    return np.asarray(np.add.reduceat((rows * weights[:, None])[order], starts, axis=0) / mass[:, None])
