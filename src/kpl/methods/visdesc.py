"""The mean cosine with the descriptions of a class."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from kpl.methods.contract import Facts
from kpl.methods.textual import Textual
from kpl.proxies.arrays import Floats, Images
from kpl.proxies.sums import ImageMoments

__all__ = ["VisDesc"]


@dataclass(kw_only=True, eq=False)
class VisDesc(Textual):
    """The mean over a class's descriptions of the cosine with each: s(c, x) = mean_j cos(x, e_cj).

    Source: Menon, Vondrick, "Visual Classification via Description from Large Language Models", ICLR 2023, equation 1.
    Unlike `cupl`, the mean embedding is not brought to unit length: a class whose descriptions disagree scores lower.
    """

    name: ClassVar[str] = "visdesc"
    summary: ClassVar[str] = "mean cosine with the descriptions"
    facts: ClassVar[Facts] = Facts(
        source="Menon, Vondrick, ICLR 2023, equation 1",
        assumes="every description of a class holds for its images",
        cost="O(n C d); streams",
        fails="classes whose sentences are diverse score lower whatever the image",
    )
    means_: Floats = field(init=False, repr=False)

    def _learn(self, images: Images, moments: ImageMoments) -> None:
        del images, moments
        kept = zip(self.descriptions_, self.text_.chosen, strict=True)
        self.means_ = np.stack([rows[chosen].mean(axis=0) for rows, chosen in kept])

    def _scores(self, chunk: Floats) -> Floats:
        return np.asarray(chunk @ self.means_.T)
