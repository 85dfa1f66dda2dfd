"""The nearest images by cosine, in blocks: a neighbour graph of n images in O(n k) memory and O(n^2 d) time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kpl.proxies.arrays import Floats

if TYPE_CHECKING:
    from scipy.sparse import csr_array

BLOCK_CELLS = 1 << 22  # cosines held at a time: 33 MB


def nearest(
    rows: NDArray[np.floating], among: NDArray[np.floating], k: int, *, same: bool = False
) -> tuple[NDArray[np.intp], Floats]:
    """Return the k rows of `among` with the largest cosine, best first, and these cosines.

    Args:
        rows: (n, d) unit rows.
        among: (m, d) unit rows.
        k: neighbours; as many as there are if there are fewer.
        same: `rows` are `among` themselves, and no row is its own neighbour.

    Returns:
        Indices and cosines, both (n, min(k, m)), or one column less with `same` and too few rows.

    Example:
        >>> nearest(np.eye(2), np.array([[0.6, 0.8], [0.8, 0.6]]), 1)[0].tolist()
        [[1], [0]]
    """
    k = min(k, len(among) - int(same))
    indices = np.empty((len(rows), k), dtype=np.intp)
    cosines = np.empty((len(rows), k))
    step = max(1, BLOCK_CELLS // len(among))
    for start in range(0, len(rows) if k else 0, step):
        block = rows[start : start + step] @ among.T
        if same:
            inside = np.arange(len(block))
            block[inside, start + inside] = -np.inf
        top = np.argpartition(-block, k - 1, axis=1)[:, :k]
        found = np.take_along_axis(block, top, axis=1)
        order = np.lexsort((top, -found), axis=1)
        indices[start : start + step] = np.take_along_axis(top, order, axis=1)
        cosines[start : start + step] = np.take_along_axis(found, order, axis=1)
    return indices, cosines


def nearest_others(
    images: NDArray[np.floating], row: int, among: NDArray[np.bool_], count: int
) -> list[tuple[int, float]]:
    """Return the nearest other images of those that are `among`, with their cosines, the nearest first.

    Args:
        images: (n, d) unit rows.
        row: the image whose neighbours are asked for.
        among: (n,) which images may be neighbours.
        count: how many.

    Example:
        >>> nearest_others(np.array([[1.0, 0.0], [0.6, 0.8], [0.8, 0.6]]), 0, np.array([True, True, True]), 1)
        [(2, 0.8)]
    """
    rows = np.flatnonzero(among)
    rows = rows[rows != row]
    if not len(rows):
        return []
    found, cosines = nearest(images[row : row + 1], images[rows], count)
    return [(int(rows[place]), float(cosine)) for place, cosine in zip(found[0], cosines[0], strict=True)]


def neighbour_graph(images: Floats, k: int) -> csr_array:
    """Return W + W^T (n, n), where W_ij is the cosine of image i and j, if j is among the k nearest others of i.

    Args:
        images: (n, d) unit rows.
    """
    from scipy.sparse import csr_array

    indices, cosines = nearest(images, images, k, same=True)
    n, found = indices.shape
    pointers = np.arange(0, n * found + 1, found) if found else np.zeros(n + 1, dtype=np.intp)
    directed = csr_array((cosines.ravel(), indices.ravel(), pointers), shape=(n, n))
    return csr_array(directed + directed.T)
