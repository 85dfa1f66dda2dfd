"""Sets of classes that hold the true one with a stated probability, by a few labels: split conformal prediction.

The score of a labelled picture is one less the probability of its true class, before any calibration, since that one
has seen the labels. Pictures of one patient are no independent draws: with K patients, each of whom has the weight
1 / (K + 1) spread over their pictures and the next one all of the rest, the weighted quantile of the scores covers a
picture of a new patient with the stated probability (Lee, Barber and Willett 2023, hierarchical conformal prediction).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from kpl.errors import InputError, LabelsError
from kpl.proxies.arrays import Floats
from kpl.runs.predictions import JOINT


class ConformalSets(BaseModel):
    """Which classes are likely enough.

    Attributes:
        coverage: the share of new pictures whose set holds the true class, at least, over draws of the labels.
        least: a class is in the set from this probability on; the likeliest always is.
        labelled, units: pictures with labels, and patients (else pictures) that they are of.
        mean_size: of the sets of the labelled pictures.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    coverage: float = Field(gt=0, lt=1)
    least: float = Field(ge=0, le=1, allow_inf_nan=False)
    labelled: int
    units: int
    mean_size: float

    def holds(self, probabilities: Floats) -> NDArray[np.bool_]:
        """Say which classes are in the set of each picture, (n, C), from probabilities of the same shape.

        Example:
            >>> sets = ConformalSets(coverage=0.9, least=0.3, labelled=20, units=20, mean_size=1.5)
            >>> sets.holds(np.array([[0.4, 0.35, 0.25], [0.2, 0.2, 0.6]])).tolist()
            [[True, True, False], [False, False, True]]
        """
        likely = probabilities >= self.least
        likely[np.arange(len(probabilities)), probabilities.argmax(axis=1)] = True
        return likely

    def joined(self, blocks: Iterable[Floats], keys: Sequence[str]) -> Iterator[str]:
        """Yield the set of each picture in words, the likeliest class first, from blocks (n_k, C)."""
        for block in blocks:
            for own, inside in zip(block, self.holds(block), strict=True):
                order = np.argsort(-own, kind="stable")
                yield JOINT.join(keys[c] for c in order.tolist() if inside[c])


def find_sets(
    truth: NDArray[np.integer],
    probabilities: Floats,
    coverage: float,
    groups: Sequence[str | None] | None = None,
) -> ConformalSets:
    """Find the sets for a coverage.

    Args:
        truth: (n,) class indices, -1 where there is no label.
        probabilities: (n, C) before any calibration.
        coverage: above 0 and below 1.
        groups: (n,) patients; None, or a picture without one, is one by itself.

    Raises:
        InputError: no coverage.
        LabelsError: too few patients for it.

    Example:
        >>> chances = np.tile([0.7, 0.3], (19, 1))
        >>> find_sets(np.array([0] * 17 + [1] * 2), chances, 0.9).least.__round__(2)
        0.3
    """
    if not 0 < coverage < 1:
        raise InputError(f"the coverage of sets is a share above 0 and below 1, got {coverage:g}")
    rows = np.flatnonzero(truth >= 0)
    names = [(groups[row] if groups else None) or f"\0{row}" for row in rows.tolist()]
    _, unit = np.unique(names, return_inverse=True)
    units = int(unit.max()) + 1 if len(rows) else 0
    if units < (needed := int(np.ceil(coverage / (1 - coverage) - 1e-9))):
        what = "patients" if groups and any(groups) else "pictures"
        raise LabelsError(
            f"sets of coverage {coverage:g} need labels of {needed} {what} at least, and there are {units}"
        )
    true = probabilities[rows, truth[rows]]
    weights = 1.0 / (np.bincount(unit)[unit] * (units + 1))
    order = np.argsort(-true, kind="stable")
    reached = np.flatnonzero(np.cumsum(weights[order]) >= coverage - 1e-9)
    least = float(true[order[reached[0]]]) if len(reached) else 0.0
    found = ConformalSets(coverage=coverage, least=least, labelled=len(rows), units=units, mean_size=1.0)
    return found.model_copy(update={"mean_size": float(found.holds(probabilities[rows]).sum(axis=1).mean())})
