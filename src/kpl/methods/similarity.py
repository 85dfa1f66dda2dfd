"""How alike classes are to the text, so that collapsed ones show."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kpl.proxies.arrays import Floats, unit_rows

COLLAPSED = 0.999
"""Cosine above which two text proxies cannot be told apart."""
_AS_GIVEN = 20  # classes up to which the order is left alone
_NO_LENGTH = 1e-7


@dataclass(frozen=True)
class ClassSimilarity:
    """How alike the classes are to the text.

    Attributes:
        cosines: (C, C) of the text proxies.
        centred: (C, C) cosines of the text proxies less their mean: what all classes share hides the differences, and
            cancels when classes are compared. With two classes it is 1 and -1 by construction.
        order: (C,) class indices as they should be drawn: as given up to 20 classes, beyond that similar ones together.
    """

    cosines: Floats
    centred: Floats
    order: NDArray[np.intp]


def class_similarity(text_proxies: Floats) -> ClassSimilarity:
    """Say how alike classes are to the text.

    Args:
        text_proxies: (C, d) unit rows, at least two.

    Example:
        >>> found = class_similarity(np.array([[0.8, 0.6], [0.8, -0.6]]))
        >>> found.cosines.round(2).tolist(), found.centred.round(2).tolist()
        ([[1.0, 0.28], [0.28, 1.0]], [[1.0, -1.0], [-1.0, 1.0]])
    """
    cosines = np.asarray(text_proxies @ text_proxies.T)
    moved = text_proxies - text_proxies.mean(axis=0)
    moved[np.linalg.norm(moved, axis=1) < _NO_LENGTH] = 0.0  # all alike: what is left is rounding
    centred = unit_rows(moved)
    return ClassSimilarity(cosines, np.clip(centred @ centred.T, -1.0, 1.0), _order(centred))


def _order(centred: Floats) -> NDArray[np.intp]:
    if len(centred) <= _AS_GIVEN:
        return np.arange(len(centred))
    from scipy.cluster.hierarchy import leaves_list, linkage

    return np.asarray(leaves_list(linkage(centred, method="average")), dtype=np.intp)
