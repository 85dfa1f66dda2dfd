"""Frolic: Gaussians around the texts, and logits without their label bias."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from kpl.methods.contract import Facts, Method
from kpl.proxies.arrays import Floats, Images
from kpl.proxies.debiasing import learn_frolic
from kpl.proxies.ridge import LinearScores
from kpl.proxies.sums import ImageMoments

__all__ = ["Frolic"]


@dataclass(kw_only=True, eq=False)
class Frolic(Method):
    """Zero-shot logits plus the scores of Gaussian prompts at the same confidence, corrected for label bias.

    Source: Zhu, Zhu, Tan, Wang, Hao, Zhang, "Enhancing Zero-Shot Vision Models by Label-Free Prompt Distribution
    Learning and Bias Correcting", NeurIPS 2024. `kpl.proxies.debiasing` has the steps and what was taken where they
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

    def _learn(self, images: Images, moments: ImageMoments) -> None:
        self.model_ = learn_frolic(images, self.text_.proxies, moments, self.temperature, rounds=self.rounds)

    def _scores(self, chunk: Floats) -> Floats:
        return self.model_(chunk)

    def _logits(self, scores: Floats) -> Floats:
        return scores
