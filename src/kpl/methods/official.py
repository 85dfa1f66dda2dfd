"""KPL as its released code computes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from kpl.methods.contract import Facts, Method
from kpl.proxies.arrays import Floats, Images, chunks
from kpl.proxies.official import official_proxies
from kpl.proxies.sums import ImageMoments


@dataclass(kw_only=True, eq=False)
class Descent(Method):
    """Proxies from the published gradient loop: all images in memory in float64, and every step passes over them."""

    unweighted: ClassVar[str] = "the published loop counts every image once"

    image_temperature: float = 0.04
    alpha: float = 0.6
    learning_rate: float = 10.0
    steps: int = 2000
    proxies_: Floats = field(init=False, repr=False)

    def _scores(self, chunk: Floats) -> Floats:
        return np.asarray(chunk @ self.proxies_.T)


@dataclass(kw_only=True, eq=False)
class OfficialKPL(Descent):
    """KPL as its released code computes it (Liu et al., AAAI 2025), kept faithful.

    Its softmax is nearly flat: the probabilities are margins, not confidences.

    Attributes:
        updates: greedy transport updates; the released 20 touch at most 20 columns, so that more than 20 classes
            need more.
    """

    name: ClassVar[str] = "kpl-official"
    summary: ClassVar[str] = "the published KPL routine, step by step"

    facts: ClassVar[Facts] = Facts(
        source="Liu et al., AAAI 2025, and its released code",
        assumes="classes of equal size, no more than 20 of them",
        cost="2000 passes over all images in memory, O(2000 n C d)",
        fails="imbalance, absent classes, more than 20 classes; it has no intercept",
        configured="the released settings; 20 updates, which suffice for 19 classes; k = all",
    )

    updates: int = 20

    def _learn(self, images: Images, moments: ImageMoments, weights: Floats | None) -> None:
        del moments, weights
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
