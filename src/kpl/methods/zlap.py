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

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from kpl.errors import InputError
from kpl.methods.contract import Facts
from kpl.methods.transductive import Transductive
from kpl.proxies.arrays import Floats, check_positive
from kpl.proxies.neighbours import nearest

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
    from scipy.sparse import csr_array

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


@dataclass(kw_only=True, eq=False)
class ZLaP(Transductive):
    """Class scores that spread from the texts along a graph of nearest neighbours.

    Source: Stojnić, Kalantidis, Tolias, "Label Propagation for Zero-shot Classification with Vision-Language Models",
    CVPR 2024. The head of this module has the equations and what was taken where they leave room.

    Attributes:
        neighbours, gamma, alpha: see `PropagationSettings`.
        transductive: images of the batch get the scores of their own nodes; False scores them as if they were new, by
            the inductive form, which is also what images from outside the batch get.
    """

    name: ClassVar[str] = "zlap"
    summary: ClassVar[str] = "ZLaP: label propagation from the texts"
    facts: ClassVar[Facts] = Facts(
        source="Stojnić, Kalantidis, Tolias, CVPR 2024",
        assumes="images that lie near each other are of one class",
        cost="all images in memory, O(n^2 d) for the graph in blocks, then O(n k C) a step",
        fails="a class with many images in its favour floods its neighbours",
        configured="k = 5, gamma 5, alpha .3, transductive; also inductive",
    )

    neighbours: int = 5
    gamma: float = 5.0
    alpha: float = 0.3
    transductive: bool = True
    graph_: Propagation = field(init=False, repr=False)

    def _judge(self, images: Floats) -> Floats:
        settings = PropagationSettings(self.neighbours, self.gamma, self.alpha)
        self.graph_ = propagate(images, self.text_.proxies, settings)
        return self._relative(self.graph_.scores if self.transductive else self.graph_.extend(images))

    def _extend(self, rows: Floats) -> Floats:
        return self._relative(self.graph_.extend(rows))

    def _relative(self, scores: Floats) -> Floats:
        """Logarithms of the shares: scores differ in scale from image to image. A row of zeros is undecided."""
        total = scores.sum(axis=1, keepdims=True)
        shares = np.where(total > 0, scores / np.where(total > 0, total, 1.0), 1.0 / scores.shape[1])
        return np.asarray(np.log(np.maximum(shares, np.finfo(np.float64).tiny)))
