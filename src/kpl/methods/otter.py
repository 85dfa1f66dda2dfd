"""OTTER: exact transport of the zero-shot predictions to a class prior.

Exact optimal transport from n images of mass one to few classes of given masses.

The dual has one price a class. A smoothed dual is solved first, so that giving every image the class that is cheapest
after prices nearly fills the classes; successive shortest paths over the C classes then move what is left. Every step
keeps the assignment optimal for the masses it has, so that the end is exact, not entropic: O(n C) memory.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from kpl.errors import InputError
from kpl.methods.contract import Facts, Method
from kpl.proxies.arrays import Floats, Images, chunks, softmax
from kpl.proxies.priors import checked_prior, estimated_prior
from kpl.proxies.sums import ImageMoments

_MASS_TOLERANCE = 1e-9
_EMPTY_MARGIN = 1e-6


@dataclass(frozen=True)
class ExactPlan:
    """An optimal plan.

    Attributes:
        plan: (n, C); rows sum to one, columns to the masses asked for; at most C - 1 rows are split.
        assignment: (n,) the column with the largest share of each row.
        prices: (C,) such that `assignment` is argmin_c(cost_ic - prices_c), strictly where the costs allow it. They
            extend the plan to rows that were not there.
    """

    plan: Floats
    assignment: NDArray[np.intp]
    prices: Floats


def exact_transport(cost: Floats, column_mass: Floats) -> ExactPlan:
    """Return the plan of least cost that gives every row a mass of one and every column its mass.

    Args:
        cost: (n, C), finite.
        column_mass: (C,) zero or more, total n.

    Raises:
        InputError: shapes, signs or the total are off, or a cost is not finite.

    Example:
        >>> exact_transport(np.array([[0.0, 1.0], [0.0, 3.0]]), np.array([1.0, 1.0])).assignment.tolist()
        [1, 0]
    """
    cost, mass = np.asarray(cost, dtype=np.float64), np.asarray(column_mass, dtype=np.float64)
    if cost.ndim != 2 or 0 in cost.shape or not np.isfinite(cost).all():
        raise InputError(f"transport needs finite costs of shape (n, C), got shape {cost.shape}")
    n, n_classes = cost.shape
    if mass.shape != (n_classes,) or not (np.isfinite(mass).all() and (mass >= 0).all()):
        raise InputError(f"column masses must be {n_classes} numbers of zero or more, got shape {mass.shape}")
    if not np.isclose(mass.sum(), n, rtol=1e-6, atol=0.0):
        raise InputError(f"column masses must sum to the {n} rows, got {mass.sum():g}")
    used = np.flatnonzero(mass > 0)
    part = np.ascontiguousarray(cost[:, used])
    flow = _Flow(part, mass[used] * (n / mass.sum()), _smoothed_prices(part, mass[used] / mass.sum()))
    flow.settle()
    plan = np.zeros(cost.shape)
    plan[:, used] = flow.plan
    inner = flow.plan.argmax(axis=1)
    inside = _interior_prices(part, inner, flow.prices)
    prices = np.full(n_classes, inside.min() - (cost.max() - cost.min()) - 1.0)  # of a class without mass
    prices[used] = inside
    return ExactPlan(plan, used[inner], prices)


def _smoothed_prices(cost: Floats, shares: Floats) -> Floats:
    """Maximise the dual with its maximum softened, more and more sharply: mean_i softmin_c(cost_ic - v_c) + m . v."""
    from scipy.optimize import minimize

    prices = np.zeros(len(shares))
    scale = float(np.std(cost - cost.min(axis=1, keepdims=True)))
    if scale == 0.0:
        return prices
    for softness in (scale, 0.1 * scale, 0.01 * scale):

        def loss(v: Floats, softness: float = softness) -> tuple[float, Floats]:
            logits = (v - cost) / softness
            top = logits.max(axis=1, keepdims=True)
            value = softness * float((np.log(np.exp(logits - top).sum(axis=1)) + top[:, 0]).mean()) - float(shares @ v)
            return value / scale, (softmax(logits).mean(axis=0) - shares) / scale

        prices = np.asarray(minimize(loss, prices, jac=True, method="L-BFGS-B", options={"maxiter": 60}).x)
    return np.asarray(prices - prices.mean())


class _Flow:
    """An assignment that is optimal for the masses it has, moved towards the masses it should have."""

    def __init__(self, cost: Floats, mass: Floats, prices: Floats) -> None:
        self.cost, self.mass, self.prices = cost, mass, prices
        n, n_classes = cost.shape
        cheapest = (cost - prices).argmin(axis=1)
        self.plan = np.zeros(cost.shape)
        self.plan[np.arange(n), cheapest] = 1.0
        self.excess = np.bincount(cheapest, minlength=n_classes) - mass
        self.step = np.stack([self._steps(c) for c in range(n_classes)])

    def settle(self) -> None:
        """Move mass along shortest paths until no class has too much."""
        tolerance = _MASS_TOLERANCE * max(1.0, float(self.mass.max()))
        while (self.excess > tolerance).any() and (self.excess < -tolerance).any():
            path = self._shortest_path(tolerance)
            amount = min(self.excess[path[0]], -self.excess[path[-1]])
            ties = [self._ties(c, d) for c, d in pairwise(path)]
            amount = min([amount, *(float(self.plan[rows, c].sum()) for rows, c in zip(ties, path, strict=False))])
            for rows, (c, d) in zip(ties, pairwise(path), strict=True):
                self._move(rows, c, d, amount)
            self.excess[path[0]] -= amount
            self.excess[path[-1]] += amount
            for c in path:
                self.step[c] = self._steps(c)

    def _steps(self, c: int) -> Floats:
        """What it costs to move the best suited mass of column c to each other column."""
        rows = np.flatnonzero(self.plan[:, c] > 0)
        if not len(rows):
            return np.full(len(self.mass), np.inf)
        found = (self.cost[rows] - self.cost[rows, c][:, None]).min(axis=0)
        found[c] = np.inf
        return np.asarray(found)

    def _ties(self, c: int, d: int) -> NDArray[np.intp]:
        rows = np.flatnonzero(self.plan[:, c] > 0)
        return np.asarray(rows[self.cost[rows, d] - self.cost[rows, c] == self.step[c, d]])

    def _move(self, rows: NDArray[np.intp], c: int, d: int, amount: float) -> None:
        held = self.plan[rows, c]
        before = np.concatenate([[0.0], np.cumsum(held)[:-1]])
        moved = np.clip(amount - before, 0.0, held)
        kept = held - moved
        kept[kept < _MASS_TOLERANCE] = 0.0  # what rounding left must not count as a row of the column
        self.plan[rows, d] += held - kept
        self.plan[rows, c] = kept

    def _shortest_path(self, tolerance: float) -> list[int]:
        """Dijkstra over the classes, on costs that prices have made zero or more; the prices learn the distances."""
        reduced = np.maximum(self.step + self.prices[:, None] - self.prices[None, :], 0.0)
        distance = np.where(self.excess > tolerance, 0.0, np.inf)
        before = np.full(len(distance), -1)
        pending = np.ones(len(distance), dtype=bool)
        while True:
            c = int(np.where(pending, distance, np.inf).argmin())
            if self.excess[c] < -tolerance:
                break
            pending[c] = False
            closer = pending & (distance[c] + reduced[c] < distance)
            distance[closer] = distance[c] + reduced[c][closer]
            before[closer] = c
        self.prices = self.prices + np.minimum(distance, distance[c])
        path = [c]
        while before[path[-1]] >= 0:
            path.append(int(before[path[-1]]))
        return path[::-1]


def _interior_prices(cost: Floats, assignment: NDArray[np.intp], prices: Floats) -> Floats:
    """Prices inside the set of those that support the assignment: at its edge the rows that bind would be ties.

    The distances from any class that has rows support it; so does their mean, and strictly.
    """
    n_classes = len(prices)
    reduced = np.full((n_classes, n_classes), np.inf)
    chosen = cost[np.arange(len(cost)), assignment] - prices[assignment]
    for c in range(n_classes):
        rows = np.flatnonzero(assignment == c)
        if len(rows):
            reduced[c] = np.maximum((cost[rows] - prices - chosen[rows, None]).min(axis=0), 0.0)
    np.fill_diagonal(reduced, 0.0)
    filled = np.bincount(assignment, minlength=n_classes) > 0
    distance = _all_distances(reduced)[filled].mean(axis=0)
    level = (prices + distance)[filled].mean()  # a constant that decides nothing
    return np.asarray(
        prices + distance - level - np.where(filled, 0.0, _EMPTY_MARGIN * max(1.0, float(np.abs(prices).max())))
    )


def _all_distances(weights: Floats) -> Floats:
    """Shortest distances between all pairs (Floyd, Warshall); scipy's would take an edge of weight zero for none."""
    distance = weights.copy()
    for middle in range(len(distance)):
        np.minimum(distance, distance[:, middle, None] + distance[middle], out=distance)
    return distance


@dataclass(kw_only=True, eq=False)
class OTTER(Method):
    """The optimal assignment at cost -log p that gives every class exactly its share of the images.

    Source: Shin, Zhao, Cromp, Vishwakarma, Sala, "OTTER: Effortless Label Distribution Adaptation of Zero-shot
    Models", NeurIPS 2024: source 1/n, target the class prior, argmax of the plan. The plan is exact
    (`exact_transport`), and its dual prices score images from outside as well: score = log p + price. Identical
    images cannot be told apart by prices and all go to one class. A class with a prior of zero never wins.

    Attributes:
        prior: the share of each class, summing to one; "uniform"; or "estimated" from the unlabelled images by
            expectation-maximisation (Saerens et al., 2002).
    """

    name: ClassVar[str] = "otter"
    summary: ClassVar[str] = "OTTER: exact transport to a class prior"
    facts: ClassVar[Facts] = Facts(
        source="Shin et al., NeurIPS 2024",
        assumes="the class prior is known, or the text is good enough to estimate it",
        cost="the cosines in memory, O(n C) a step of the dual",
        fails="a wrong prior: it is forced upon the images",
        configured="prior estimated without labels; also uniform",
    )

    unweighted: ClassVar[str] = "its plan gives every image a mass of one"

    prior: tuple[float, ...] | str = "estimated"
    prior_: Floats = field(init=False, repr=False)
    prices_: Floats = field(init=False, repr=False)

    @property
    def estimated_prior(self) -> Floats | None:
        """How common each class is, (C,): known, or from the text."""
        return self.prior_

    def _learn(self, images: Images, moments: ImageMoments, weights: Floats | None) -> None:
        del weights
        n_classes = len(self.text_.proxies)
        logits = np.concatenate([self._text_logits(chunk) for chunk in chunks(images)])
        if not isinstance(self.prior, str):
            self.prior_ = checked_prior(self.prior, n_classes)
        elif self.prior == "estimated":
            self.prior_ = estimated_prior(logits)
        elif self.prior == "uniform":
            self.prior_ = np.full(n_classes, 1.0 / n_classes)
        else:
            raise InputError(f"prior must be 'estimated', 'uniform' or one share a class, got {self.prior!r}")
        self.prices_ = exact_transport(-logits, self.prior_ * moments.count).prices

    def _text_logits(self, chunk: Floats) -> Floats:
        return np.asarray(chunk @ self.text_.proxies.T / self.temperature)

    def _scores(self, chunk: Floats) -> Floats:
        return self._text_logits(chunk) + self.prices_

    def _logits(self, scores: Floats) -> Floats:
        return scores
