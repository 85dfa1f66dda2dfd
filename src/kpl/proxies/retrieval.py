"""Text Proxy Optimization: the descriptions that the images call for become one text proxy per class.

Source: Liu et al., "KPL: Training-Free Medical Knowledge Mining of Vision-Language Models", AAAI 2025, section
"Text Proxy Optimization". The mean over images of x_i . e is mean(x) . e, so that retrieval per data set costs one
matrix-vector product.

Near the mean image lie descriptions that fit everything. Whether a description fits *its own class* shows once images
seem to belong to the class: `confirm` leaves out those that they speak against.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kpl.errors import InputError
from kpl.proxies.arrays import Floats, unit_rows
from kpl.proxies.sums import ClassSums, ImageMoments

ELSEWHERE = 0.25
"""Of a description's scatter over the images: by how much more another class has to support it to have it."""
_TINY = 1e-12


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


@dataclass(frozen=True)
class Misplaced:
    """How much each description looks like one of another class.

    Attributes:
        scores: per class (m_c,), the larger the more; zero is the average.
        instead: per class (m_c,), the other class whose images support it most, standardised within each class.
    """

    scores: list[Floats]
    instead: list[NDArray[np.intp]]


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
    means = [_mean_of(rows, index) for rows, index in zip(descriptions, chosen, strict=True)]
    return TextProxies(unit_rows(np.stack(means)), chosen, relevance)


def _mean_of(rows: Floats, index: NDArray[np.intp]) -> Floats:
    shares = np.zeros(len(rows))
    shares[index] = 1 / len(index)
    return np.asarray(shares @ rows)  # without a copy of the rows


def description_spreads(descriptions: list[Floats], covariance: Floats) -> list[Floats]:
    """Return per class (m_c,) sqrt(e^T cov e): how the cosines of a description scatter over the images."""
    return [np.sqrt(np.maximum(((rows @ covariance) * rows).sum(axis=1), 0.0)) for rows in descriptions]


def confirm(
    text: TextProxies,
    descriptions: list[Floats],
    spreads: list[Floats],
    alike: list[NDArray[np.bool_]],
    sums: ClassSums,
    mean_image: Floats,
    kappa: float,
) -> TextProxies:
    """Leave out of each text proxy the descriptions that the images of its class speak against.

    A description e of class c should be nearer to the images of c than to images in general. With N_c the soft count
    of the class and m_c its soft mean,

        support = e . (m_c - x_bar) / sqrt(e^T cov e) x N_c / (N_c + kappa)

    and e is left out where support < -1 / sqrt(N_c + 1): by more than the standard error of such a mean, so that a
    class that few images call for keeps what was written for it. So it is where another class claims it twice: it reads
    like that class's descriptions rather than like its own, and the images of that class support it more, by over
    1/4 + 1 / sqrt(N_c + 1). A class that would lose every description keeps all.

    Args:
        text: with the descriptions to choose among; it stays as it is.
        descriptions: per class (m_c, d) unit rows.
        spreads: per class (m_c,), as `description_spreads` returns them.
        alike: per class (m_c, C), as `reads_like_others` returns them.
        sums: soft class sums of the images.
        mean_image: (d,) their mean.
        kappa: images that doubt weighs, > 0.

    Example:
        >>> rows = [np.eye(2), np.eye(2)[1:]]
        >>> sums = ClassSums(2, 2).update(np.eye(2).repeat(50, axis=0), np.eye(2).repeat(50, axis=0))
        >>> mean, spreads = np.full(2, 0.5), [np.ones(2), np.ones(1)]
        >>> found = confirm(retrieve(mean, rows), rows, spreads, reads_like_others(rows), sums, mean, 1.0)
        >>> found.chosen[0].tolist(), found.proxies[0].tolist()
        ([0], [1.0, 0.0])
    """
    mass = sums.mass[:, None]
    means = (sums.weighted - mass * mean_image) / (mass + kappa)
    chosen = []
    for c, index in enumerate(text.chosen):
        own, spread, error = descriptions[c] @ means[c], spreads[c], 1 / np.sqrt(sums.mass[c] + 1)
        fits = own >= -spread * error
        claimed = np.flatnonzero(alike[c].any(axis=1))
        if len(claimed):
            others = np.where(alike[c][claimed], descriptions[c][claimed] @ means.T, -np.inf).max(axis=1)
            fits[claimed] &= others - own[claimed] <= spread[claimed] * (ELSEWHERE + error)
        kept = index[fits[index]]
        chosen.append(kept if len(kept) else index)
    proxies = [_mean_of(rows, index) for rows, index in zip(descriptions, chosen, strict=True)]
    return TextProxies(unit_rows(np.stack(proxies)), tuple(chosen), text.relevance)


def reads_like_others(descriptions: list[Floats]) -> list[NDArray[np.bool_]]:
    """Say of each description, and each other class, whether it is nearer to that class's than to the rest of its own.

    Args:
        descriptions: per class (m_c, d) unit rows.

    Returns:
        Per class (m_c, C), by the mean cosine with the descriptions of each; an only one is nearest to itself.

    Example:
        >>> rows = [np.eye(2)[[0, 0, 1]], np.eye(2)[[1]]]
        >>> [own.tolist() for own in reads_like_others(rows)]
        [[[False, False], [False, False], [False, True]], [[False, False]]]
    """
    typical = np.stack([rows.mean(axis=0) for rows in descriptions])
    found = []
    for c, rows in enumerate(descriptions):
        cosines, own = rows @ typical.T, len(rows)
        rest = (cosines[:, c] * own - 1) / (own - 1) if own > 1 else np.ones(1)
        nearer = cosines > rest[:, None]
        nearer[:, c] = False
        found.append(nearer)
    return found


def misplaced(descriptions: list[Floats], sums: ClassSums, moments: ImageMoments, kappa: float) -> Misplaced:
    """Say how much more each description looks like one of another class than like one of its own.

    Two margins, each brought to a standard deviation of one over all descriptions, are added: that of its support by
    the images of the best other class, standardised within each class, over that by its own; and that of its cosine
    with the mean description of the nearest other class over that with the rest of its own. Zero is the average.

    Args:
        descriptions: per class (m_c, d) unit rows, of two classes or more.
        sums, moments: of the images.
        kappa: as in `confirm`.

    Example:
        >>> rows = [np.eye(3)[[0, 0, 1]], np.eye(3)[[1, 1]], np.eye(3)[[2, 2]]]
        >>> images = np.eye(3).repeat(20, axis=0)
        >>> sums = ClassSums(3, 3).update(images, images)
        >>> found = misplaced(rows, sums, ImageMoments(60, np.full(3, 1 / 3), np.eye(3) / 3), 1.5)
        >>> int(found.scores[0].argmax()), bool(found.scores[0][2] > 1), int(found.instead[0][2])
        (2, True, 1)
    """
    mass = sums.mass[:, None]
    means = ((sums.weighted - mass * moments.mean) / (mass + kappa)).T
    scatter = [np.maximum(own, _TINY)[:, None] for own in description_spreads(descriptions, moments.covariance)]
    typical = np.stack([rows.mean(axis=0) for rows in descriptions]).T
    total = squares = np.zeros(len(descriptions))
    for rows, spread in zip(descriptions, scatter, strict=True):  # class by class, so that no (m, C) table is held
        support = rows @ means / spread
        total, squares = total + support.sum(axis=0), squares + (support**2).sum(axis=0)
    count = sum(map(len, descriptions))
    centre = total / count
    scale = np.maximum(np.sqrt(np.maximum(squares / count - centre**2, 0.0)), _TINY)
    margins, instead = [], []
    for c, (rows, spread) in enumerate(zip(descriptions, scatter, strict=True)):
        by_images, by_text, others = (rows @ means / spread - centre) / scale, rows @ typical, len(rows) - 1
        own = by_images[:, c].copy(), (by_text[:, c] * len(rows) - 1) / others if others else by_text[:, c].copy()
        by_images[:, c] = by_text[:, c] = -np.inf
        margins.append(np.stack([by_images.max(axis=1) - own[0], by_text.max(axis=1) - own[1]], axis=1))
        instead.append(by_images.argmax(axis=1))
    every = np.concatenate(margins)
    centre, scale = every.mean(axis=0), np.maximum(every.std(axis=0), _TINY)
    return Misplaced([((own - centre) / scale).sum(axis=1) for own in margins], instead)


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
