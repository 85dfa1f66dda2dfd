"""The text proxies of Text Proxy Optimization."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from kpl.errors import InputError
from kpl.methods.contract import Facts
from kpl.methods.cupl import CuPL
from kpl.proxies.arrays import Floats, Images
from kpl.proxies.retrieval import image_scores
from kpl.proxies.sums import ImageMoments

__all__ = ["TextProxy"]


@dataclass(kw_only=True, eq=False)
class TextProxy(CuPL):
    """The cosine with the text proxies of Text Proxy Optimization.

    Attributes:
        k: descriptions per class.
        retrieval: "dataset" keeps the descriptions nearest to the mean image (the paper); "image" lets each image
            choose its own k of each class.
    """

    name: ClassVar[str] = "text"
    summary: ClassVar[str] = "text proxies of the retrieved descriptions"

    facts: ClassVar[Facts] = Facts(
        source="Liu et al., AAAI 2025, Text Proxy Optimization",
        assumes="the descriptions near the mean image are the good ones",
        cost="one pass and O(n C d); streams",
        fails="descriptions that suit every class alike are retrieved first",
        configured="k = 40",
    )

    k: int | None = 40
    retrieval: Literal["dataset", "image"] = "dataset"

    def _learn(self, images: Images, moments: ImageMoments) -> None:
        del images, moments
        if self.retrieval not in ("dataset", "image"):
            raise InputError(f"retrieval must be 'dataset' or 'image', got {self.retrieval!r}")

    def _scores(self, chunk: Floats) -> Floats:
        if self.retrieval == "image":
            return image_scores(chunk, self.descriptions_, self.k)
        return super()._scores(chunk)
