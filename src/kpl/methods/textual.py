"""The methods that read the text alone: class names, averaged descriptions, retrieved descriptions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from kpl.errors import InputError
from kpl.methods.contract import Method, Reading
from kpl.proxies.arrays import Floats, Images
from kpl.proxies.retrieval import TextProxies, image_scores
from kpl.proxies.sums import ImageMoments

__all__ = ["ClassNames", "CuPL", "TextProxy"]


@dataclass(kw_only=True, eq=False)
class CuPL(Method):
    """The cosine with the average of all descriptions of a class.

    Source: Pratt et al., "What does a platypus look like?", ICCV 2023; KPL's text proxy with k = all.

    Example:
        >>> images = np.eye(2)
        >>> CuPL().fit(images, [np.array([[1.0, 0.1]]), np.array([[0.1, 1.0]])]).predict(images).tolist()
        [0, 1]
    """

    name: ClassVar[str] = "cupl"
    summary: ClassVar[str] = "all descriptions averaged"

    def _add(self, images: Images, moments: ImageMoments, text: TextProxies) -> bool:
        del images, moments
        self.text_ = text  # all that it learns from images is which descriptions to take
        return True

    def _scores(self, chunk: Floats) -> Floats:
        return np.asarray(chunk @ self.text_.proxies.T)


@dataclass(kw_only=True, eq=False)
class ClassNames(CuPL):
    """The cosine with the class name in the template: CLIP's own zero-shot classifier (Radford et al., ICML 2021)."""

    name: ClassVar[str] = "names"
    reads: ClassVar[Reading] = "names"
    summary: ClassVar[str] = "class names only"


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
