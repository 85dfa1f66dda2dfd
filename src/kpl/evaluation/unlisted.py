"""How well images of no listed class are told, by labels that say which these are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kpl.evaluation.bootstrap import Groups, Interval, Resampling, intervals_of
from kpl.evaluation.weighted import FloatArray, IntArray, OneClass


@dataclass(frozen=True)
class Unlisted:
    """Images of no listed class against those of listed ones; a figure that does not exist is None.

    Attributes:
        unlisted, listed: how many images the labels name so.
        found: share of the unlisted that were called none of these.
        lost: the same of the listed.
        auroc: of ranking the unlisted before the listed by how unlike all classes they are.
        intervals: of `found`, `lost` and `auroc`.
    """

    unlisted: int
    listed: int
    found: float | None
    lost: float | None
    auroc: float | None
    intervals: dict[str, Interval | None]

    def __str__(self) -> str:
        """Say it in a sentence."""

        def told(name: str) -> str:
            value, pair = getattr(self, name), self.intervals.get(name)
            if value is None:
                return "not defined"
            return f"{value:.3f}" + (f" ({pair[0]:.3f} to {pair[1]:.3f})" if pair else "")

        return (
            f"none of these: found {told('found')} of {self.unlisted} images of no listed class, lost "
            f"{told('lost')} of {self.listed} listed; AUROC {told('auroc')}"
        )

    def to_json(self) -> dict[str, Any]:
        """Return all of it as plain values."""
        intervals = {name: None if pair is None else list(pair) for name, pair in self.intervals.items()}
        return {**vars(self), "intervals": intervals}


def told_unlisted(
    unlisted: NDArray[np.bool_] | None,
    unlike: FloatArray | None,
    listed: NDArray[np.bool_],
    groups: Groups | None = None,
    replicates: int = 2000,
) -> tuple[Unlisted | None, list[str]]:
    """Score how unlike all classes images were said to be, and say it in sentences; nothing where none is unlisted.

    Args:
        unlisted: (n,) which images are of no listed class by their labels; None where nothing says so.
        unlike: (n,), from 1 on none of these; None where a run did not look for such.
        listed: (n,) which are of a listed class.
        groups: (n,) what is resampled as a whole.
        replicates: of the bootstrap.

    Example:
        >>> strange = np.array([True, False])
        >>> found, (said,) = told_unlisted(strange, np.array([2.0, 0.5]), ~strange, None, 0)
        >>> said
        'none of these: found 1.000 of 1 images of no listed class, lost 0.000 of 1 listed; AUROC 1.000'
    """
    if unlisted is None or not unlisted.any():
        return None, []
    if unlike is None:
        count = int(unlisted.sum())
        return None, [f"the labels name {count} images as of no listed class: --other of kpl classify looks for such"]
    rows = np.flatnonzero(unlisted | listed)
    positive, kept = unlisted[rows], groups and [groups[row] for row in rows.tolist()]
    measure = OneClass(positive, unlike[rows] >= 1, unlike[rows])

    def scores(weights: IntArray) -> dict[str, FloatArray]:
        found = measure.scores(weights)
        return {"found": found["sensitivity"], "lost": 1 - found["specificity"], "auroc": found["auroc"]}

    plain = {name: float(value[0]) for name, value in scores(np.ones((len(rows), 1), dtype=np.int64)).items()}
    figures = {name: None if np.isnan(value) else value for name, value in plain.items()}
    intervals = intervals_of(scores, len(rows), kept, Resampling(replicates))
    found = Unlisted(int(positive.sum()), int((~positive).sum()), **figures, intervals=intervals)
    return found, [str(found)]
