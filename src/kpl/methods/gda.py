"""Gaussian discriminant analysis on pseudo-labels, beside the zero-shot classifier: GDA.

With P the responsibilities, at first the text's softmax, and L the cosines, repeat

    m_c = sum_i P_ic x_i / N_c,      S = sum_ic P_ic (x_i - m_c)(x_i - m_c)^T / n,      M = d ((n - 1) S + tr(S) I)^-1
    score  L / tau + x^T M m_c - 1/2 m_c^T M m_c,      P = its softmax

Source: Wang, Liang, Sheng, He, Wang, Tan, "A Hard-to-Beat Baseline for Training-free CLIP-based Adaptation", ICLR 2024:
class means, shared covariance, this precision, the sum with the zero-shot logits, and expectation-maximisation of the
mixture where nothing is labelled. Read were the paper's abstract and project page alone. Taken where they leave room:
classes of equal weight, the sum of both scores at par in every round (the paper finds its share on validation labels),
ten rounds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from kpl.errors import InputError
from kpl.methods.contract import Facts, Method
from kpl.proxies.arrays import Floats, Images, check_positive, softmax, weighted_chunks
from kpl.proxies.gaussians import shared_gaussians
from kpl.proxies.ridge import LinearScores
from kpl.proxies.sums import ClassSums, ImageMoments


def learn_gda(
    images: Images,
    text_proxies: Floats,
    moments: ImageMoments,
    temperature: float,
    *,
    rounds: int = 10,
    weights: Floats | None = None,
) -> LinearScores:
    """Return the linear scores of the last round; one pass over the images a round, memory O(d^2 + C d).

    Args:
        images: (n, d) unit rows or a re-iterable of chunks.
        text_proxies: (C, d) unit rows.
        moments: those of `images`.
        temperature: tau of the zero-shot logits.
        rounds: of means and responsibilities.
        weights: (n,) of the images, those of the moments.

    Raises:
        InputError: a setting without a meaning.
    """
    check_positive(temperature=temperature)
    if rounds < 1:
        raise InputError(f"rounds must be at least 1, got {rounds}")
    model = LinearScores(text_proxies / temperature, np.zeros(len(text_proxies)))
    for _ in range(rounds):
        sums = ClassSums(*text_proxies.shape)
        for chunk, own in weighted_chunks(images, weights):
            sums.update(chunk, softmax(model(chunk)), own)
        means = sums.finish()
        within = moments.gram - (means.T * (sums.mass / moments.count)) @ means
        gaussians = shared_gaussians(means, within, moments.count)
        model = LinearScores(text_proxies / temperature + gaussians.proxies, gaussians.offsets)
    return model


@dataclass(kw_only=True, eq=False)
class GDA(Method):
    """Gaussian classes of one covariance, learnt from pseudo-labels, summed with the zero-shot logits.

    Source: Wang, Liang, Sheng, He, Wang, Tan, "A Hard-to-Beat Baseline for Training-free CLIP-based Adaptation", ICLR
    2024, in its form without labels. The head of this module has the updates and what was taken where they leave room.

    Attributes:
        rounds: of means and responsibilities.
    """

    name: ClassVar[str] = "gda"
    summary: ClassVar[str] = "GDA: Gaussian discriminant analysis on pseudo-labels"
    facts: ClassVar[Facts] = Facts(
        source="Wang et al., ICLR 2024",
        assumes="classes of equal size that share one covariance; clusters that are the classes",
        cost="one pass a round, O(n d^2) in all; memory O(d^2 + C d); streams",
        fails="imbalance, absent classes and classes that are not the clusters: it confirms itself",
        configured="logit scale 100, ten rounds, both scores at par; from abstract and project page",
    )

    rounds: int = 10
    model_: LinearScores = field(init=False, repr=False)

    def _learn(self, images: Images, moments: ImageMoments, weights: Floats | None) -> None:
        proxies = self.text_.proxies
        self.model_ = learn_gda(images, proxies, moments, self.temperature, rounds=self.rounds, weights=weights)

    def _scores(self, chunk: Floats) -> Floats:
        return self.model_(chunk)

    def _logits(self, scores: Floats) -> Floats:
        return scores
