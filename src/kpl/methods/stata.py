"""StatA: TransCLIP's mixture with class statistics anchored to the text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from kpl.methods.contract import Facts
from kpl.methods.transductive import Transductive
from kpl.proxies.arrays import Floats
from kpl.proxies.mixtures import DiagonalGaussians, GraphSettings, stata

__all__ = ["StatA"]


@dataclass(kw_only=True, eq=False)
class StatA(Transductive):
    """A mixture over the neighbour graph whose means and variances stay near the text where images are few.

    Source: Zanella, Fuchs, De Vleeschouwer, Ben Ayed, "Realistic Test-Time Adaptation of Vision-Language Models",
    CVPR 2025. `kpl.proxies.mixtures.stata` has the updates and what was taken where they leave room. An image from
    outside the batch is scored by the class models and the text, without neighbours.

    Attributes:
        anchor_images: alpha, how many images the anchor of a class weighs.
        neighbours: k of the graph.
        rounds, inner_rounds: updates of the classes, and of the responsibilities before each.
    """

    name: ClassVar[str] = "stata"
    summary: ClassVar[str] = "StatA: the mixture, anchored to the text"
    facts: ClassVar[Facts] = Facts(
        source="Zanella et al., CVPR 2025",
        assumes="images that lie near each other are of one class; the text is near the class means",
        cost="all images in memory, O(n^2 d) for the graph in blocks, then O(n C d) a round",
        fails="a wide gap between texts and images makes its anchors wrong for rare classes",
        configured="alpha 1, logit scale 100, k = 3, 10 x 5 rounds",
    )

    anchor_images: float = 1.0
    neighbours: int = 3
    rounds: int = 10
    inner_rounds: int = 5
    classes_: DiagonalGaussians = field(init=False, repr=False)

    def _settings(self) -> GraphSettings:
        return GraphSettings(self.temperature, self.neighbours, rounds=self.rounds, inner_rounds=self.inner_rounds)

    def _judge(self, images: Floats) -> Floats:
        scores, self.classes_ = stata(images, self.text_.proxies, self._settings(), anchor_images=self.anchor_images)
        return scores

    def _extend(self, rows: Floats) -> Floats:
        density = self.classes_.log_density(rows) / self._settings().density_scale
        return rows @ self.text_.proxies.T / self.temperature + density
