"""What the methods that read the text alone have in common."""

from __future__ import annotations

from dataclasses import dataclass

from kpl.methods.contract import Method
from kpl.proxies.arrays import Images
from kpl.proxies.retrieval import TextProxies
from kpl.proxies.sums import ImageMoments

__all__ = ["Textual"]


@dataclass(kw_only=True, eq=False)
class Textual(Method):
    """A method that learns nothing from images but which descriptions to take."""

    def _add(self, images: Images, moments: ImageMoments, text: TextProxies) -> bool:
        self.text_ = text
        self._learn(images, moments)
        return True
