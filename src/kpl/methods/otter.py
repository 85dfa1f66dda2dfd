"""OTTER: exact transport of the zero-shot predictions to a class prior."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from kpl.errors import InputError
from kpl.methods.contract import Facts, Method
from kpl.proxies.arrays import Floats, Images, chunks
from kpl.proxies.exact import exact_transport
from kpl.proxies.priors import checked_prior, estimated_prior
from kpl.proxies.sums import ImageMoments

__all__ = ["OTTER"]


@dataclass(kw_only=True, eq=False)
class OTTER(Method):
    """The optimal assignment at cost -log p that gives every class exactly its share of the images.

    Source: Shin, Zhao, Cromp, Vishwakarma, Sala, "OTTER: Effortless Label Distribution Adaptation of Zero-shot
    Models", NeurIPS 2024: source 1/n, target the class prior, argmax of the plan. The plan is exact
    (`kpl.proxies.exact`), and its dual prices score images from outside as well: score = log p + price. Identical
    images cannot be told apart by prices and all go to one class. A class with a prior of zero never wins.

    Attributes:
        prior: the share of each class, summing to one; "uniform"; or "estimated" from the unlabelled images by
            expectation-maximisation (Saerens et al., 2002).
    """

    name: ClassVar[str] = "otter"
    summary: ClassVar[str] = "OTTER: exact transport to a class prior"
    facts: ClassVar[Facts] = Facts(
        source="Shin et al., NeurIPS 2024",
        assumes="the class prior is known, or the text is good enough to estimate it",
        cost="the cosines in memory, O(n C) a step of the dual",
        fails="a wrong prior: it is forced upon the images",
        configured="prior estimated without labels; also uniform",
    )

    prior: tuple[float, ...] | str = "estimated"
    prior_: Floats = field(init=False, repr=False)
    prices_: Floats = field(init=False, repr=False)

    def _learn(self, images: Images, moments: ImageMoments) -> None:
        n_classes = len(self.text_.proxies)
        logits = np.concatenate([self._text_logits(chunk) for chunk in chunks(images)])
        if not isinstance(self.prior, str):
            self.prior_ = checked_prior(self.prior, n_classes)
        elif self.prior == "estimated":
            self.prior_ = estimated_prior(logits)
        elif self.prior == "uniform":
            self.prior_ = np.full(n_classes, 1.0 / n_classes)
        else:
            raise InputError(f"prior must be 'estimated', 'uniform' or one share a class, got {self.prior!r}")
        self.prices_ = exact_transport(-logits, self.prior_ * moments.count).prices

    def _text_logits(self, chunk: Floats) -> Floats:
        return np.asarray(chunk @ self.text_.proxies.T / self.temperature)

    def _scores(self, chunk: Floats) -> Floats:
        return self._text_logits(chunk) + self.prices_

    def _logits(self, scores: Floats) -> Floats:
        return scores
