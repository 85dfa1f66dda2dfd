"""ZLaP: label propagation over a graph of texts and images."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from kpl.methods.contract import Facts
from kpl.methods.transductive import Transductive
from kpl.proxies.arrays import Floats
from kpl.proxies.propagation import Propagation, PropagationSettings, propagate

__all__ = ["ZLaP"]


@dataclass(kw_only=True, eq=False)
class ZLaP(Transductive):
    """Class scores that spread from the texts along a graph of nearest neighbours.

    Source: Stojnić, Kalantidis, Tolias, "Label Propagation for Zero-shot Classification with Vision-Language Models",
    CVPR 2024. `kpl.proxies.propagation` has the equations and what was taken where they leave room.

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
