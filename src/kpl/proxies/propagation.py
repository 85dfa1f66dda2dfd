"""Label propagation over one graph of texts and images: ZLaP.

Nodes are the C text proxies and the n images. Every image has an edge to its k nearest other images and one to its k
nearest texts, of weight cosine^gamma; texts have none among each other. With W made symmetric, S = D^-1/2 W D^-1/2 and
Y the one-hot rows of the texts, the scores solve (I - alpha S) F = Y.

A new image x, which is not in the graph, gets the weights w_x of its own edges and the score
sum_j w_xj F_j / sqrt(d_j): one more step of the propagation ("dual" solution: F is found once for all new images).

Source: Stojnić, Kalantidis, Tolias, "Label Propagation for Zero-shot Classification with Vision-Language Models",
CVPR 2024. Taken where the description leaves room: weights are the sum of both directions, and cosines to the texts
that are negative anywhere are all shifted up by the lowest, so that encoders with negative cosines have edges too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from kpl.errors import InputError
from kpl.proxies.arrays import Floats, check_positive
from kpl.proxies.neighbours import nearest

__all__ = ["Propagation", "PropagationSettings", "propagate"]

_TOLERANCE = 1e-12


@dataclass(frozen=True)
class PropagationSettings:
    """Constants; the values are the paper's.

    Attributes:
        neighbours: k.
        gamma: exponent of the cosines.
        alpha: how far scores travel, below one.
    """

    neighbours: int = 5
    gamma: float = 5.0
    alpha: float = 0.3

    def __post_init__(self) -> None:
        """Refuse settings without a meaning, with an `InputError`."""
        check_positive(gamma=self.gamma, alpha=self.alpha)
        if self.alpha >= 1:
            raise InputError(f"alpha must be below one, got {self.alpha}: the propagation would not end")
        if self.neighbours < 1:
            raise InputError(f"neighbours must be at least 1, got {self.neighbours}")


@dataclass(frozen=True)
class Propagation:
    """The solution.

    Attributes:
        scores: (n, C) of the images in the graph.
        images, text_proxies: (n, d) and (C, d), for the edges of new images.
        reach: (C + n, C) F_j / sqrt(d_j) of every node, texts first.
        lift: what is added to cosines with the texts.
    """

    scores: Floats
    images: Floats
    text_proxies: Floats
    reach: Floats
    lift: float
    settings: PropagationSettings

    def extend(self, rows: Floats) -> Floats:
        """Return the scores (m, C) of new images (m, d)."""
        k, gamma = self.settings.neighbours, self.settings.gamma
        to_texts, text_weights = _text_edges(rows, self.text_proxies, k, gamma, self.lift)
        to_images, cosines = nearest(rows, self.images, k)
        n_classes = len(self.text_proxies)
        result = np.einsum("nk,nkc->nc", text_weights, self.reach[to_texts])
        result += np.einsum("nk,nkc->nc", np.maximum(cosines, 0.0) ** gamma, self.reach[n_classes + to_images])
        return np.asarray(result)


def propagate(images: Floats, text_proxies: Floats, settings: PropagationSettings) -> Propagation:
    """Build the graph of unit rows (n, d) and (C, d) and solve for the scores."""
    n, n_classes = len(images), len(text_proxies)
    # As wide as images: a working block must not hold n x C times d.
    lift = max(0.0, -min(float((block @ text_proxies.T).min()) for block in np.array_split(images, 1 + n // 4096)))
    to_texts, text_weights = _text_edges(images, text_proxies, settings.neighbours, settings.gamma, lift)
    to_images, cosines = nearest(images, images, settings.neighbours, same=True)
    columns = np.hstack([to_texts, n_classes + to_images])
    weights = np.hstack([text_weights, np.maximum(cosines, 0.0) ** settings.gamma])
    rows = n_classes + np.repeat(np.arange(n), columns.shape[1])
    size = n_classes + n
    directed = csr_array((weights.ravel(), (rows, columns.ravel())), shape=(size, size))
    graph = csr_array(directed + directed.T)
    root = np.sqrt(np.maximum(np.asarray(graph.sum(axis=1)).ravel(), np.finfo(np.float64).tiny))
    inverse: NDArray[np.float64] = 1.0 / root
    graph = graph.multiply(inverse[:, None]).multiply(inverse[None, :]).tocsr()
    scores = np.zeros((size, n_classes))
    scores[:n_classes] = np.eye(n_classes)
    # The spectrum of S lies within -1 and 1: every step brings the error down by alpha at least.
    for _ in range(int(np.ceil(np.log(_TOLERANCE) / np.log(settings.alpha)))):
        scores = settings.alpha * (graph @ scores)
        scores[:n_classes] += np.eye(n_classes)
    reach = scores * inverse[:, None]
    return Propagation(scores[n_classes:], images, text_proxies, reach, lift, settings)


def _text_edges(
    rows: Floats, text_proxies: Floats, k: int, gamma: float, lift: float
) -> tuple[NDArray[np.intp], Floats]:
    indices, cosines = nearest(rows, text_proxies, k)
    return indices, np.maximum(cosines + lift, 0.0) ** gamma
