"""Gaussian classes that share one covariance, for few images: the precision that Frolic, GDA and ADAPT take."""

from __future__ import annotations

import numpy as np

from kpl.proxies.arrays import Floats
from kpl.proxies.ridge import LinearScores


def shared_gaussians(means: Floats, covariance: Floats, count: float) -> LinearScores:
    """Return log N(x; m_c, S) up to what is the same for all classes, as linear scores.

    The precision is M = d ((n - 1) S + tr(S) I)^-1, the empirical Bayes ridge of Kubokawa and Srivastava (2008); the
    score x^T M m_c - 1/2 m_c^T M m_c.

    Args:
        means: (C, d).
        covariance: (d, d), S, positive semi-definite up to rounding.
        count: n, of the images that S is of.

    Example:
        >>> shared_gaussians(np.eye(2), np.eye(2), 2)(np.array([[1.0, 0.0]])).round(3).tolist()
        [[0.333, -0.333]]
    """
    trace = max(float(np.trace(covariance)), np.finfo(np.float64).eps)
    precision = means.shape[1] * np.linalg.inv(max(count - 1, 0.0) * covariance + trace * np.eye(means.shape[1]))
    directions = means @ precision
    return LinearScores(directions, -0.5 * np.einsum("cd,cd->c", means, directions))
