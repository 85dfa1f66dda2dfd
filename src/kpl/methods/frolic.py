"""Gaussian prompts and label-free debiasing: Frolic.

1. Class c is a Gaussian around its text proxy t_c; all share the covariance left when the texts are taken out of the
   second moment of the images, S = X^T X / n - sum_c t_c t_c^T / C (the prior counted as uniform). Its inverse is
   M = d ((n - 1) S + tr(S) I)^-1, and the score g_c = x^T M t_c - 1/2 t_c^T M t_c.
2. g is brought to the confidence of the zero-shot logits f = L / tau: a temperature is found by bisection at which
   the mean largest probability of both is the same; then h = f + g / that temperature.
3. The bias beta of h is the solution of beta_c' = sum_c S_c'c beta_c, S_c'c the mean probability of c' over the images
   that h gives to c; the result is h - log beta. Repeated with the corrected scores until nothing moves.

Source: Zhu, Zhu, Tan, Wang, Hao, Zhang, "Enhancing Zero-Shot Vision Models by Label-Free Prompt Distribution Learning
and Bias Correcting", NeurIPS 2024. Taken where the description leaves room: S is brought to the nearest positive
semi-definite matrix; a class that no image goes to has its column from all images, weighted by their probability of
it; corrections add up, for ten rounds at most.
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
from kpl.proxies.sums import ImageMoments

_BISECTIONS = 60
_LEAST_SHARE = 1e-6


@dataclass(frozen=True)
class _Confidence:
    """The mean largest probability of scores (n, C) at a temperature."""

    scores: Floats
    weights: Floats | None

    def __call__(self, temperature: float) -> float:
        return float(np.average(softmax(self.scores / temperature).max(axis=1), weights=self.weights))

    def matching(self, wanted: float) -> float:
        """Return the temperature at which the confidence is `wanted`, between 1e-6 and 1e6 of the scores' spread."""
        spread = float(np.ptp(self.scores, axis=1).mean())
        if spread <= 1e-12 * float(np.abs(self.scores).max()):  # classes alike: only rounding tells them apart
            spread = 1.0
        low, high = np.log(1e-6 * spread), np.log(1e6 * spread)  # confidence falls as temperature rises
        for _ in range(_BISECTIONS):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if self(float(np.exp(middle))) > wanted else (low, middle)
        return float(np.exp(0.5 * (low + high)))


def prompt_gaussians(text_proxies: Floats, moments: ImageMoments) -> LinearScores:
    """Return the discriminant of the Gaussians around the texts (step 1) as linear scores."""
    values, vectors = np.linalg.eigh(moments.gram - text_proxies.T @ text_proxies / len(text_proxies))
    return shared_gaussians(text_proxies, (vectors * np.maximum(values, 0.0)) @ vectors.T, moments.count)


def learn_frolic(
    images: Images,
    text_proxies: Floats,
    moments: ImageMoments,
    temperature: float,
    *,
    rounds: int = 10,
    weights: Floats | None = None,
) -> LinearScores:
    """Return Frolic's scores as a linear classifier; memory O(d^2 + n C).

    Args:
        images: (n, d) unit rows or a re-iterable of chunks.
        text_proxies: (C, d) unit rows.
        moments: those of `images`.
        temperature: tau of the zero-shot logits.
        rounds: of the correction at the most; zero leaves it out.
        weights: (n,) of the images, those of the moments.

    Raises:
        InputError: a setting without a meaning.
    """
    check_positive(temperature=temperature)
    if rounds < 0:
        raise InputError(f"rounds must be zero or more, got {rounds}")
    gaussians = prompt_gaussians(text_proxies, moments)
    logits, scores = (
        np.concatenate(parts)
        for parts in zip(
            *((c @ text_proxies.T / temperature, gaussians(c)) for c, _ in weighted_chunks(images, weights)),
            strict=True,
        )
    )
    scale = 1.0 / _Confidence(scores, weights).matching(_Confidence(logits, weights)(1.0))
    fused = logits + scale * scores
    correction = np.zeros(len(text_proxies))
    for _ in range(rounds):
        step = np.log(_bias(softmax(fused + correction), weights))
        correction -= step
        if np.abs(step - step.mean()).max() < 0.01:
            break
    return LinearScores(text_proxies / temperature + scale * gaussians.proxies, scale * gaussians.offsets + correction)


def _bias(probabilities: Floats, weights: Floats | None) -> Floats:
    """The stationary distribution of the confusion that probabilities and their own predictions make, (C,)."""
    n_classes = probabilities.shape[1]
    counted = np.ones(len(probabilities)) if weights is None else weights
    weighted = counted[:, None] * probabilities
    mass = np.maximum(weighted.sum(axis=0), np.finfo(np.float64).tiny)
    confusion = weighted.T @ (probabilities / mass)
    winners = probabilities.argmax(axis=1)
    for c in np.unique(winners):
        confusion[:, c] = np.average(probabilities[winners == c], axis=0, weights=counted[winners == c])
    bias = np.full(n_classes, 1.0 / n_classes)
    for _ in range(1000):
        fresh = confusion @ bias
        moved = float(np.abs(fresh - bias).sum())
        bias = fresh
        if moved < 1e-10:
            break
    bias = np.maximum(bias, _LEAST_SHARE)
    return np.asarray(bias / bias.sum())


@dataclass(kw_only=True, eq=False)
class Frolic(Method):
    """Zero-shot logits plus the scores of Gaussian prompts at the same confidence, corrected for label bias.

    Source: Zhu, Zhu, Tan, Wang, Hao, Zhang, "Enhancing Zero-Shot Vision Models by Label-Free Prompt Distribution
    Learning and Bias Correcting", NeurIPS 2024. The head of this module has the steps and what was taken where they
    leave room. The result is a linear classifier, for new images as well.

    Attributes:
        rounds: of the bias correction at the most; 0 leaves it out.
    """

    name: ClassVar[str] = "frolic"
    summary: ClassVar[str] = "Frolic: Gaussian prompts, debiased"
    facts: ClassVar[Facts] = Facts(
        source="Zhu et al., NeurIPS 2024",
        assumes="classes of equal size; class means of images at their texts",
        cost="two passes, O(n d^2) for the second moment, the logits (n, C) in memory",
        fails="imbalance and absent classes, which it takes for bias; a wide gap between texts and images",
        configured="logit scale 100, bias correction until it stands still, ten rounds at most",
    )

    rounds: int = 10
    model_: LinearScores = field(init=False, repr=False)

    def _learn(self, images: Images, moments: ImageMoments, weights: Floats | None) -> None:
        self.model_ = learn_frolic(
            images, self.text_.proxies, moments, self.temperature, rounds=self.rounds, weights=weights
        )

    def _scores(self, chunk: Floats) -> Floats:
        return self.model_(chunk)

    def _logits(self, scores: Floats) -> Floats:
        return scores
