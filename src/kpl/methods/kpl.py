"""KPL's own methods: the default, and the closed form of the published one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from kpl.methods.contract import Method
from kpl.proxies.anchored import AnchoredSettings, learn_anchored
from kpl.proxies.arrays import Floats, Images, softmax
from kpl.proxies.ridge import LinearScores, closed_proxies
from kpl.proxies.sums import ImageMoments

__all__ = ["KPL", "ClosedKPL"]


@dataclass(kw_only=True, eq=False)
class KPL(Method):
    """Knowledge Proxy Learning as KPL recommends it: retrieved descriptions, then text-anchored class models.

    A few passes over the images and O(d^2 + C d) memory; the class prior is estimated, never assumed equal; a class
    that is listed but absent stays at its text. `kpl.proxies.anchored` has the formulas.

    Attributes:
        k: descriptions retrieved per class.
        text_weight, anchor_images, ridge, rounds: see `AnchoredSettings`.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> centres = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
        >>> images = np.repeat(centres, 20, axis=0) + 0.1 * rng.normal(size=(40, 3)) + [0.0, 0.0, 1.0]
        >>> texts = [np.array([[1.0, 0.3, -1.0]]), np.array([[0.3, 1.0, -1.0]])]
        >>> model = KPL().fit(images, texts)
        >>> model.predict(images).tolist() == [0] * 20 + [1] * 20
        True
        >>> model.prior_.round(2).tolist()
        [0.5, 0.5]
    """

    name: ClassVar[str] = "kpl"
    summary: ClassVar[str] = "Knowledge Proxy Learning, our default"

    k: int | None = 40
    text_weight: float = AnchoredSettings.text_weight
    anchor_images: float = AnchoredSettings.anchor_images
    ridge: float = AnchoredSettings.ridge
    rounds: int = AnchoredSettings.rounds
    model_: LinearScores = field(init=False, repr=False)
    prior_: Floats = field(init=False, repr=False)

    def _learn(self, images: Images, moments: ImageMoments) -> None:
        settings = AnchoredSettings(self.temperature, self.text_weight, self.anchor_images, self.ridge, self.rounds)
        self.model_, self.prior_ = learn_anchored(images, self.text_.proxies, moments, settings)

    def _scores(self, chunk: Floats) -> Floats:
        return self.model_(chunk)

    def _probabilities(self, scores: Floats) -> Floats:
        return softmax(scores)  # the discriminant's scores are log odds already


@dataclass(kw_only=True, eq=False)
class ClosedKPL(Method):
    """The ridge form that the published loop approaches, in one solve and for any number of classes.

    Attributes:
        ridge: lambda; None takes the loop's own, .04 x ||mean image||.
        intercept: give the discriminant the intercept that the published loop lacks.
    """

    name: ClassVar[str] = "kpl-closed"
    summary: ClassVar[str] = "the published KPL routine in closed form"

    ridge: float | None = None
    intercept: bool = False
    model_: LinearScores = field(init=False, repr=False)

    def _learn(self, images: Images, moments: ImageMoments) -> None:
        self.model_ = closed_proxies(
            images,
            self.text_.proxies,
            text_temperature=self.temperature,
            ridge=self.ridge,
            intercept=self.intercept,
            moments=moments,
        )

    def _scores(self, chunk: Floats) -> Floats:
        return np.asarray(self.model_(chunk))

    def _probabilities(self, scores: Floats) -> Floats:
        return softmax(scores)
