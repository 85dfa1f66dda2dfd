"""Subclasses: classify among the children, weigh by the parents, answer with the parent."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from scipy.special import log_softmax

from kpl.methods.contract import Facts, Reading
from kpl.methods.textual import Textual
from kpl.proxies.arrays import Floats, Images
from kpl.proxies.sums import ImageMoments

__all__ = ["CHiLS"]


@dataclass(kw_only=True, eq=False)
class CHiLS(Textual):
    """The class of the subclass with the largest softmax(subclasses)_s x softmax(classes)_parent(s).

    Source: Novack, McAuley, Lipton, Garg, "CHiLS: Zero-Shot Image Classification with Hierarchical Label Sets",
    ICML 2023, algorithm 1. Each class is also a subclass of itself, so that a class without subclasses can win.
    The score of a class is the logarithm of that largest product.
    """

    name: ClassVar[str] = "chils"
    reads: ClassVar[Reading] = "subclasses"
    summary: ClassVar[str] = "the parent of the best subclass"
    facts: ClassVar[Facts] = Facts(
        source="Novack et al., ICML 2023, algorithm 1",
        assumes="subclasses that are easier to name than their class",
        cost="O(n M d) with M subclasses in all; streams",
        fails="classes with many subclasses win by chance; one stray subclass suffices",
        configured="every description counts as a subclass",
    )
    parents_: Floats = field(init=False, repr=False)

    def _learn(self, images: Images, moments: ImageMoments) -> None:
        del images, moments
        self.parents_ = np.stack([rows[0] for rows in self.descriptions_])

    def _scores(self, chunk: Floats) -> Floats:
        children = chunk @ np.concatenate(self.descriptions_).T / self.temperature
        starts = np.cumsum([0, *(len(rows) for rows in self.descriptions_[:-1])])
        best = np.maximum.reduceat(log_softmax(children, axis=1), starts, axis=1)
        return np.asarray(best + log_softmax(chunk @ self.parents_.T / self.temperature, axis=1))

    def _logits(self, scores: Floats) -> Floats:
        return scores
