"""How far two codings of the same pictures go together, and how a column is shuffled to test it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.intp]


def shuffler(codes: Codes, unit: Codes) -> Callable[[np.random.Generator], Codes]:
    """Return what shuffles a column: among patients if each has one value, else within each patient."""
    first = np.zeros(unit.max() + 1, dtype=np.intp)
    first[unit] = codes
    if np.array_equal(first[unit], codes):
        return lambda rng: rng.permutation(first)[unit]
    order = np.argsort(unit, kind="stable")

    def within(rng: np.random.Generator) -> Codes:
        drawn = np.lexsort((rng.random(len(codes)), unit))
        shuffled = np.empty_like(codes)
        shuffled[order] = codes[drawn]
        return shuffled

    return within


def count_pairs(one: Codes, other: Codes, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Count pairs, (rows, columns)."""
    return np.bincount(one * shape[1] + other, minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64)


def phi2(table: NDArray[np.float64]) -> float:
    """Chi squared over n."""
    table = table[table.any(axis=1)][:, table.any(axis=0)]
    n = table.sum()
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / n
    return float(((table - expected) ** 2 / expected).sum() / n)


def cramers_v(table: NDArray[np.float64], *, resampled: bool = False) -> float:
    """Return Cramér's V of a table of counts, corrected for its bias (Bergsma, 2013); 0 where it is not defined.

    Args:
        table: (rows, columns) of counts.
        resampled: of a bootstrap replicate, whose bias is that of the data once more.
    """
    table = table[table.any(axis=1)][:, table.any(axis=0)]
    n, (rows, columns) = table.sum(), table.shape
    if min(rows, columns) < 2:
        return 0.0
    bias = (rows - 1) * (columns - 1) / (n - 1)
    least = min(rows - (rows - 1) ** 2 / (n - 1), columns - (columns - 1) ** 2 / (n - 1)) - 1
    if least <= 0:
        return 0.0
    return float(np.sqrt(min(1.0, max(0.0, phi2(table) - bias * (2 if resampled else 1)) / least)))
