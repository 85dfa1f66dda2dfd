"""EM-Dirichlet: a mixture over the simplex of zero-shot probabilities."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from kpl.methods.contract import Facts, Method
from kpl.proxies.arrays import Floats, Images, chunks
from kpl.proxies.dirichlet import DirichletClasses, DirichletSettings, learn_dirichlet
from kpl.proxies.sums import ImageMoments

__all__ = ["EMDirichlet"]


@dataclass(kw_only=True, eq=False)
class EMDirichlet(Method):
    """Every class a Dirichlet distribution of softmax(30 cosines), learnt by expectation-maximisation.

    Source: Martin, Huang, Shakeri, Pesquet, Ben Ayed, "Transductive Zero-Shot and Few-Shot CLIP", CVPR 2024.
    `kpl.proxies.dirichlet` has the updates. Cluster c is class c, because the responsibilities start from the text;
    the paper's matching of clusters to classes is left out. It needs the cosines (n, C) in memory.

    Attributes:
        simplex_temperature: of the simplex points; the paper's 1/30.
        rounds, inner_rounds: alternations, and fixed-point steps for the parameters in each.
    """

    name: ClassVar[str] = "em-dirichlet"
    summary: ClassVar[str] = "EM-Dirichlet: a mixture over the simplex"
    facts: ClassVar[Facts] = Facts(
        source="Martin et al., CVPR 2024",
        assumes="a batch of few classes, each with images enough for C parameters",
        cost="the cosines in memory, O(n C^2) a round; with 1000 classes about a minute",
        fails="many classes with few images each",
        configured="T = 30, mixture weights estimated, 10 rounds of 5 steps; no matching of clusters",
    )

    simplex_temperature: float = 1.0 / 30.0
    rounds: int = 10
    inner_rounds: int = 5
    mixture_: DirichletClasses = field(init=False, repr=False)

    def _learn(self, images: Images, moments: ImageMoments) -> None:
        del moments
        settings = DirichletSettings(self.simplex_temperature, self.rounds, self.inner_rounds)
        cosines = np.concatenate([chunk @ self.text_.proxies.T for chunk in chunks(images)])
        self.mixture_ = learn_dirichlet(cosines, settings)

    def _scores(self, chunk: Floats) -> Floats:
        return self.mixture_(chunk @ self.text_.proxies.T)

    def _logits(self, scores: Floats) -> Floats:
        return scores
