"""The methods that learn proxies by the published gradient loop: KPL as released, and InMaP."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from kpl.methods.contract import Method
from kpl.proxies.arrays import Floats, Images, chunks
from kpl.proxies.official import harden, official_proxies, proxy_descent
from kpl.proxies.sums import ImageMoments
from kpl.proxies.transport import sinkhorn

__all__ = ["InMaP", "OfficialKPL"]


@dataclass(kw_only=True, eq=False)
class _Descent(Method):
    """Proxies from the loop. All images are held in memory in float64, and every step passes over them."""

    image_temperature: float = 0.04
    alpha: float = 0.6
    learning_rate: float = 10.0
    steps: int = 2000
    proxies_: Floats = field(init=False, repr=False)

    def _scores(self, chunk: Floats) -> Floats:
        return np.asarray(chunk @ self.proxies_.T)


@dataclass(kw_only=True, eq=False)
class OfficialKPL(_Descent):
    """KPL as its released code computes it (Liu et al., AAAI 2025), kept faithful.

    Its softmax is nearly flat: the probabilities are margins, not confidences.

    Attributes:
        updates: greedy transport updates; the released 20 touch at most 20 columns, so that more than 20 classes
            need more.
    """

    name: ClassVar[str] = "kpl-official"
    summary: ClassVar[str] = "the published KPL routine, step by step"

    updates: int = 20

    def _learn(self, images: Images, moments: ImageMoments) -> None:
        del moments
        self.proxies_ = np.asarray(
            official_proxies(
                np.concatenate(list(chunks(images))),
                self.text_.proxies,
                text_temperature=self.temperature,
                image_temperature=self.image_temperature,
                alpha=self.alpha,
                learning_rate=self.learning_rate,
                steps=self.steps,
                updates=self.updates,
            )
        )


@dataclass(kw_only=True, eq=False)
class InMaP(_Descent):
    """Intra-modal proxies with Sinkhorn pseudo-labels of equal class masses.

    Source: Qian, Xu, Hu, "Intra-Modal Proxy Learning for Zero-Shot Visual Categorization with CLIP", NeurIPS 2023.

    Attributes:
        rounds: Sinkhorn sweeps.
    """

    name: ClassVar[str] = "inmap"
    summary: ClassVar[str] = "InMaP: image proxies from Sinkhorn pseudo-labels"

    rounds: int = 20

    def _learn(self, images: Images, moments: ImageMoments) -> None:
        del moments
        features = np.concatenate(list(chunks(images)))
        plan = sinkhorn(
            features @ self.text_.proxies.T,
            self.temperature,
            row_mass=np.ones(len(features)),
            max_iterations=self.rounds,
        ).plan
        self.proxies_ = np.asarray(
            proxy_descent(
                features,
                self.text_.proxies,
                harden(plan, self.alpha),
                temperature=self.image_temperature,
                learning_rate=self.learning_rate,
                steps=self.steps,
            )
        )
