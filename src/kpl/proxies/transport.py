"""Optimal transport between images and classes, from similarities: Sinkhorn, and what the released code does.

It works on K = exp(L / temperature) scaled by rows and columns. Each row is first shifted by its own maximum, which
every row scaling absorbs, so that no row can underflow; classes that no row reaches are handled in logarithms.
Sources: Cuturi 2013 (Sinkhorn); Altschuler et al. 2017 (Greenkhorn, of which the released code is a variant).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kpl.errors import InputError
from kpl.proxies.arrays import Floats, check_positive


@dataclass(frozen=True)
class TransportPlan:
    """A transport plan with its own account of how far it came.

    Attributes:
        plan: (n, C), non-negative, never NaN.
        iterations: sweeps taken.
        marginal_error: sum of `|row sums - target| + |column sums - target|`, as a share of the total mass.
        converged: whether the error fell below the tolerance.
    """

    plan: Floats
    iterations: int
    marginal_error: float
    converged: bool


def sinkhorn(
    logits: NDArray[np.floating],
    temperature: float,
    *,
    row_mass: Floats | None = None,
    column_mass: Floats | None = None,
    tolerance: float = 1e-9,
    max_iterations: int = 1000,
) -> TransportPlan:
    """Scale softmax-like similarities until rows and columns carry the masses asked for.

    Args:
        logits: (n, C) similarities; plan = diag(u) exp(logits / temperature) diag(v).
        temperature: above zero.
        row_mass: (n,) positive targets; default 1/n each.
        column_mass: (C,) targets, zeros allowed; default 1/C each. Same total as the rows.
        tolerance: stop when the marginal error is below it.
        max_iterations: sweeps at the most.

    Raises:
        InputError: shapes, signs, totals or the temperature are off, or a logit is not finite.

    Example:
        >>> plan = sinkhorn(np.array([[1.0, 0.0], [0.9, 0.0]]), 0.1)
        >>> plan.plan.sum(axis=0).round(6).tolist(), plan.converged
        ([0.5, 0.5], True)
    """
    scaled, rows, columns = _checked(logits, temperature, row_mass, column_mass)
    with np.errstate(divide="ignore"):
        log_columns = np.log(columns)
    kernel = np.exp(scaled)
    log_v = np.where(columns > 0, 0.0, -np.inf)
    step, converged = 0, False
    for step in range(1, max_iterations + 1):  # noqa: B007 - the count is reported
        log_reach = _log_reach(scaled, kernel, rows, log_v)
        with np.errstate(invalid="ignore"):
            fresh = np.where(columns > 0, log_columns - log_reach, -np.inf)
        gap = np.abs(np.exp(log_reach + log_v) - columns).sum() / rows.sum()
        log_v = fresh
        converged = bool(gap < tolerance)
        if converged:
            break
    log_u = np.log(rows) - _log_kernel_sum(scaled, kernel, log_v, axis=1)
    plan = np.exp(scaled + log_u[:, None] + log_v[None, :])
    marginal = np.abs(plan.sum(axis=1) - rows).sum() + np.abs(plan.sum(axis=0) - columns).sum()
    return TransportPlan(plan, step, float(marginal / rows.sum()), converged)


def official_greenkhorn(probabilities: Floats, updates: int = 20) -> Floats:
    """Return what the released KPL code makes of its pseudo-labels: a few greedy scalings towards 1/n and 1/C.

    The rows start with sum 1 while their target is 1/n, and nothing is multiplied by n at the end: kept as released
    (the scale of the result matters to what follows). Each update rescales the single row or column whose sum is
    furthest off in absolute terms, ties to rows.

    Args:
        probabilities: (n, C) rows that sum to one.
        updates: greedy updates; the released value is 20, too few for more than 20 classes.

    Returns:
        (n, C).
    """
    plan = probabilities.copy()
    n, n_classes = plan.shape
    for _ in range(updates):
        row_sums, column_sums = plan.sum(axis=1), plan.sum(axis=0)
        row_gap, column_gap = np.abs(row_sums - 1.0 / n), np.abs(column_sums - 1.0 / n_classes)
        i, j = int(row_gap.argmax()), int(column_gap.argmax())
        if row_gap[i] >= column_gap[j]:
            plan[i] *= (1.0 / n) / row_sums[i]
        else:
            plan[:, j] *= (1.0 / n_classes) / max(column_sums[j], np.finfo(np.float64).tiny)
    return plan


def _checked(
    logits: NDArray[np.floating], temperature: float, row_mass: Floats | None, column_mass: Floats | None
) -> tuple[Floats, Floats, Floats]:
    logits = np.asarray(logits, dtype=np.float64)
    if logits.ndim != 2 or 0 in logits.shape or not np.isfinite(logits).all():
        raise InputError(f"transport needs finite logits of shape (n, C), got shape {logits.shape}")
    check_positive(temperature=temperature)
    with np.errstate(over="ignore"):
        scaled = (logits - logits.max(axis=1, keepdims=True)) / temperature
    if not np.isfinite(scaled).all():
        raise InputError(f"the logits spread too far for a temperature of {temperature}; raise it")
    n, n_classes = logits.shape
    rows = np.full(n, 1.0 / n) if row_mass is None else np.asarray(row_mass, dtype=np.float64)
    columns = np.full(n_classes, rows.sum() / n_classes) if column_mass is None else np.asarray(column_mass, np.float64)
    if rows.shape != (n,) or columns.shape != (n_classes,):
        raise InputError(f"masses must be ({n},) and ({n_classes},), got {rows.shape} and {columns.shape}")
    if not (np.isfinite(rows).all() and (rows > 0).all() and np.isfinite(columns).all() and (columns >= 0).all()):
        raise InputError("row masses must be positive and column masses zero or more, all finite")
    if not np.isclose(rows.sum(), columns.sum(), rtol=1e-6, atol=0.0):
        raise InputError(f"row and column masses must have the same total, got {rows.sum():g} and {columns.sum():g}")
    # What is left of a difference (masses kept in float32) would keep any plan from converging.
    return scaled, rows, columns * (rows.sum() / columns.sum())


def _log_reach(scaled: Floats, kernel: Floats, rows: Floats, log_v: Floats) -> Floats:
    """Log of the column sums, less log_v, once every row is scaled to its mass."""
    top = log_v.max()
    sums = kernel @ np.exp(log_v - top)
    if sums.min() > 1e-200:  # a million rows need no logarithm then
        reach = (rows / sums) @ kernel
        if reach.min() > 1e-200:
            return np.asarray(np.log(reach) - top)
    log_u = np.log(rows) - _log_kernel_sum(scaled, kernel, log_v, axis=1)
    return _log_kernel_sum(scaled, kernel, log_u, axis=0)


def _log_kernel_sum(scaled: Floats, kernel: Floats, log_scaling: Floats, axis: int) -> Floats:
    """log of sum exp(scaled + log_scaling) along `axis`: by the fast product where it is safe, else in logarithms."""
    from scipy.special import logsumexp

    top = log_scaling.max()
    weights = np.exp(log_scaling - top)
    sums = kernel @ weights if axis == 1 else weights @ kernel
    safe = sums > 1e-200
    with np.errstate(divide="ignore"):
        result = np.log(sums) + top
    if not safe.all():
        part = scaled[~safe] if axis == 1 else scaled[:, ~safe]
        spread = log_scaling[None, :] if axis == 1 else log_scaling[:, None]
        result[~safe] = logsumexp(part + spread, axis=axis)
    return np.asarray(result)
