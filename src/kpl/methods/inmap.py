"""Intra-modal proxies: InMaP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from kpl.errors import InputError
from kpl.methods.contract import Facts
from kpl.methods.official import Descent
from kpl.proxies.arrays import Floats, Images, chunks, softmax
from kpl.proxies.official import harden, proxy_descent
from kpl.proxies.sums import ImageMoments
from kpl.proxies.transport import sinkhorn


@dataclass(kw_only=True, eq=False)
class InMaP(Descent):
    """Intra-modal proxies from pseudo-labels, with Sinkhorn's class masses or without.

    Source: Qian, Xu, Hu, "Intra-Modal Proxy Learning for Zero-Shot Visual Categorization with CLIP", NeurIPS 2023.

    Attributes:
        rounds: Sinkhorn sweeps; 0 leaves the softmax as it is.
        gamma: the mass of class c is proportional to (sum_i p_ic)^gamma: 0 makes all equal, 1 keeps what the text says.
    """

    name: ClassVar[str] = "inmap"
    summary: ClassVar[str] = "InMaP: image proxies from Sinkhorn pseudo-labels"

    facts: ClassVar[Facts] = Facts(
        source="Qian, Xu, Hu, NeurIPS 2023",
        assumes="classes of equal size (gamma = 0)",
        cost="2000 passes over all images in memory, O(2000 n C d)",
        fails="imbalance and absent classes: forced masses tear large classes apart",
        configured="20 sweeps, gamma 0; also without Sinkhorn",
    )

    rounds: int = 20
    gamma: float = 0.0

    def _learn(self, images: Images, moments: ImageMoments, weights: Floats | None) -> None:
        del moments, weights
        if self.rounds < 0 or not np.isfinite(self.gamma):
            raise InputError(f"rounds must be zero or more and gamma finite, got {self.rounds} and {self.gamma}")
        features = np.concatenate(list(chunks(images)))
        logits = features @ self.text_.proxies.T
        masses = np.maximum(softmax(logits / self.temperature).sum(axis=0), np.finfo(np.float64).tiny) ** self.gamma
        plan = sinkhorn(
            logits,
            self.temperature,
            row_mass=np.ones(len(features)),
            column_mass=len(features) * masses / masses.sum(),
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
