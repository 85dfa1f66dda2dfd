"""TransCLIP: a Gaussian mixture over a neighbour graph, held near the zero-shot softmax."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from kpl.errors import InputError
from kpl.methods.contract import Facts
from kpl.methods.transductive import Transductive
from kpl.proxies.arrays import Floats
from kpl.proxies.mixtures import DiagonalGaussians, GraphSettings, transclip

__all__ = ["TransCLIP"]


@dataclass(kw_only=True, eq=False)
class TransCLIP(Transductive):
    """A mixture with one shared diagonal covariance, a Laplacian over the 3 nearest images, and the text as its prior.

    Source: Zanella, Gérin, Ben Ayed, "Boosting Vision-Language Models with Transduction", NeurIPS 2024,
    zero-shot form. `kpl.proxies.mixtures.transclip` has the updates and the start that was taken. The number of classes
    is the number of classes listed. An image from outside the batch is scored by the class models and the
    text, without neighbours.

    Attributes:
        neighbours: k of the graph.
        rounds, inner_rounds: updates of the classes, and of the responsibilities before each.
        confident: images with the surest text that the mean of a class starts from.
    """

    name: ClassVar[str] = "transclip"
    summary: ClassVar[str] = "TransCLIP: Gaussian mixture over a neighbour graph"
    facts: ClassVar[Facts] = Facts(
        source="Zanella, Gérin, Ben Ayed, NeurIPS 2024",
        assumes="images that lie near each other are of one class; every listed class is there",
        cost="all images in memory, O(n^2 d) for the graph in blocks, then O(n C d) a round",
        fails="listed classes that are absent draw images to themselves; small batches",
        configured="logit scale 100, k = 3, 10 x 5 rounds; starts from the 8 surest images of a class",
    )

    neighbours: int = 3
    rounds: int = 10
    inner_rounds: int = 5
    confident: int = 8
    classes_: DiagonalGaussians = field(init=False, repr=False)

    def _settings(self) -> GraphSettings:
        return GraphSettings(self.temperature, self.neighbours, rounds=self.rounds, inner_rounds=self.inner_rounds)

    def _judge(self, images: Floats) -> Floats:
        if self.confident < 1:
            raise InputError(f"confident must be at least 1, got {self.confident}")
        scores, self.classes_ = transclip(images, self.text_.proxies, self._settings(), confident=self.confident)
        return scores

    def _extend(self, rows: Floats) -> Floats:
        density = self.classes_.log_density(rows) / self._settings().density_scale
        return rows @ self.text_.proxies.T / self.temperature + density
