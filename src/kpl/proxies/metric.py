"""The metric of class models, M = (S_w + lambda I)^-1, and how far images are by it.

Of few classes M is the inverse that all rounds share less a term of rank 2 C (Woodbury), and neither it nor an image's
share of it has to be worked out again in every round.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kpl.proxies.arrays import Floats
from kpl.proxies.sums import ImageMoments, inverse


@dataclass(frozen=True)
class Metric:
    """M (d, d): as it is, or what all rounds share of it less a term of low rank, B^T A B.

    Of few classes most of |x|_M^2 is the same in every round, and is worked out for an image once.
    """

    whole: Floats  # (d, d)
    basis: Floats | None = None  # B
    core: Floats | None = None  # A

    def of(self, rows: Floats) -> Floats:
        """Return rows M, (n, d)."""
        found: Floats = rows @ self.whole
        if self.basis is not None and self.core is not None:
            found -= (rows @ self.basis.T) @ self.core @ self.basis
        return found

    def lengths(self, rows: Floats, shared: Floats | None = None) -> Floats:
        """Return |x|_M^2, (n,); `shared` is `squares` of the rows by the part that all rounds share."""
        found = squares(rows, self.whole) if shared is None else shared
        if self.basis is None or self.core is None:
            return found
        inner = rows @ self.basis.T
        return np.asarray(found - np.einsum("nk,nk->n", inner @ self.core, inner))

    @property
    def trace(self) -> float:
        """Return tr(M)."""
        found = float(np.trace(self.whole))
        if self.basis is None or self.core is None:
            return found
        return found - float(np.einsum("jk,jk->", self.core, self.basis @ self.basis.T))


def squares(rows: Floats, matrix: Floats) -> Floats:
    """Return x^T A x of rows, (n,)."""
    return np.asarray(np.einsum("nd,nd->n", rows @ matrix, rows))


def few_classes(n_classes: int, dim: int) -> bool:
    """Say whether a term of rank 2 C is the cheaper way."""
    return 4 * n_classes <= dim


def class_metric(means: Floats, weighted: Floats, shares: Floats, moments: ImageMoments, ridge: float) -> Metric:
    """Return M = (S_w + lambda I)^-1, S_w = cov - F^T K F of F = [means, weighted], both centred, all over n.

    Of few classes it is the inverse of all images' covariance less a term of rank 2 C (Woodbury); K^-1 is known.
    """
    if not few_classes(*means.shape):
        cross = means.T @ weighted
        within = moments.covariance - cross - cross.T + (means.T * shares) @ means
        within[np.diag_indices_from(within)] += ridge
        return Metric(inverse(within))
    whole, both = moments.ridged_inverse(ridge), np.vstack([means, weighted])
    projected = both @ whole
    core = both @ projected.T
    here = np.arange(len(means))
    there = here + len(means)
    core[here, there] -= 1.0
    core[there, here] -= 1.0
    core[there, there] -= shares
    return Metric(whole, projected, np.asarray(np.linalg.inv(core), dtype=np.float64))
