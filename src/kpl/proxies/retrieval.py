"""Text Proxy Optimization: the descriptions that the images call for become one text proxy per class.

Source: Liu et al., "KPL: Training-Free Medical Knowledge Mining of Vision-Language Models", AAAI 2025, section
"Text Proxy Optimization". The mean over images of x_i . e is mean(x) . e, so that retrieval per data set costs one
matrix-vector product.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kpl.errors import InputError
from kpl.proxies.arrays import Floats, unit_rows

__all__ = ["TextProxies", "best_k", "image_scores", "retrieve"]


@dataclass(frozen=True)
class TextProxies:
    """Text proxies with the descriptions they were made of.

    Attributes:
        proxies: (C, d) unit rows.
        chosen: per class the indices of its retrieved descriptions, best first; never from another class.
        relevance: per class the mean similarity of *every* description to the images.
    """

    proxies: Floats
    chosen: tuple[NDArray[np.intp], ...]
    relevance: tuple[Floats, ...]

    def same_choice(self, other: TextProxies) -> bool:
        """Say whether the same descriptions were retrieved, in whatever order: then the text proxies are the same."""
        return all(set(a.tolist()) == set(b.tolist()) for a, b in zip(self.chosen, other.chosen, strict=True))


def best_k(scores: Floats, k: int | None) -> NDArray[np.intp]:
    """Return the indices of the k largest scores, best first, ties in order; all of them if k is None or too large.

    Args:
        scores: (m,), or (n, m) to choose in each row.
        k: at least one.

    Raises:
        InputError: k is smaller than one.

    Example:
        >>> best_k(np.array([0.1, 0.9, 0.5]), 2).tolist()
        [1, 2]
    """
    if k is not None and (not isinstance(k, int | np.integer) or k < 1):
        raise InputError(f"k, the number of descriptions per class, must be a whole number from 1, or None, got {k!r}")
    return np.argsort(-scores, axis=-1, kind="stable")[..., :k]


def retrieve(mean_image: Floats, descriptions: list[Floats], k: int | None = None) -> TextProxies:
    """Keep, for each class, the k descriptions nearest to the mean image, and average them to the text proxy.

    Args:
        mean_image: (d,) mean of the unit image features, not normalised.
        descriptions: per class (m_c, d) unit rows.
        k: descriptions kept per class; None keeps all. A class with fewer keeps what it has.

    Example:
        >>> found = retrieve(np.array([1.0, 0.0]), [np.eye(2), np.array([[0.0, 1.0]])], k=1)
        >>> found.chosen[0].tolist(), found.proxies.tolist()
        ([0], [[1.0, 0.0], [0.0, 1.0]])
    """
    relevance = tuple(np.asarray(rows @ mean_image) for rows in descriptions)
    chosen = tuple(best_k(scores, k) for scores in relevance)
    means = [rows[index].mean(axis=0) for rows, index in zip(descriptions, chosen, strict=True)]
    return TextProxies(unit_rows(np.stack(means)), chosen, relevance)


def image_scores(chunk: Floats, descriptions: list[Floats], k: int | None = None) -> Floats:
    """Score each class of each image by that image's own k best descriptions of the class.

    Per-image retrieval: the proxy of class c for image i is the normalised mean of the k descriptions of c with the
    largest x_i . e, and the score is its cosine with x_i.

    Args:
        chunk: (n, d) unit rows.
        descriptions: per class (m_c, d) unit rows.
        k: descriptions kept per image and class; None keeps all.

    Returns:
        (n, C) cosines.
    """
    return np.stack([_own_best(chunk, rows, k) for rows in descriptions], axis=1)


def _own_best(chunk: Floats, rows: Floats, k: int | None) -> Floats:
    similarity = chunk @ rows.T
    top = best_k(similarity, k)
    kept = np.zeros(similarity.shape)
    np.put_along_axis(kept, top, 1.0 / top.shape[1], axis=1)
    # The length of the mean of the kept descriptions comes from their Gram matrix: no (n, d) block is built.
    squares = np.einsum("nm,nm->n", kept @ (rows @ rows.T), kept)
    lengths = np.sqrt(np.maximum(squares, 0.0))  # opposite descriptions: rounding may leave less than nothing
    return np.asarray((kept * similarity).sum(axis=1) / np.maximum(lengths, 1e-12))
