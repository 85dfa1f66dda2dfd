"""Gaussian mixtures with diagonal covariances, tied to the text and to a neighbour graph: TransCLIP and StatA.

Both hold all images at once. With y_i the text's softmax, z_i the responsibilities, W the cosines of every image to its
k nearest others, and l_ic the log density of image i under class c, both repeat

    z_i  <-  softmax(log y_i + l_i / 50 + ((W + W^T) z)_i / (2 k)),        all images at once, five times
    mu, s <-  the classes' means and variances by z

ten times, and differ in the last line. The scale of 50 keeps the density of d dimensions from outweighing the text.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from kpl.errors import InputError
from kpl.methods.contract import Facts
from kpl.methods.transductive import Transductive
from kpl.proxies.arrays import Floats, check_positive, log_odds, softmax, unit_rows
from kpl.proxies.neighbours import neighbour_graph

#: No variance falls below it: images that are all alike have none.
LEAST_VARIANCE = 1e-10


@dataclass(frozen=True)
class GraphSettings:
    """What TransCLIP and StatA share; the values are the papers'.

    Attributes:
        temperature: of the text's softmax; .01 is the papers' logit scale of 100.
        neighbours: k of the graph.
        density_scale: what log densities are divided by.
        rounds, inner_rounds: updates of the classes, and updates of z before each.
    """

    temperature: float = 0.01
    neighbours: int = 3
    density_scale: float = 50.0
    rounds: int = 10
    inner_rounds: int = 5

    def __post_init__(self) -> None:
        """Refuse settings without a meaning, with an `InputError`."""
        check_positive(temperature=self.temperature, density_scale=self.density_scale)
        for name in ("neighbours", "rounds", "inner_rounds"):
            if getattr(self, name) < 1:
                raise InputError(f"{name.replace('_', ' ')} must be at least 1, got {getattr(self, name)}")


@dataclass(frozen=True)
class DiagonalGaussians:
    """Class models.

    Attributes:
        means: (C, d).
        variances: (C, d), or (1, d) shared by all classes.
    """

    means: Floats
    variances: Floats

    def log_density(self, rows: Floats) -> Floats:
        """Return log N(x_i; mu_c, diag s_c) up to the constant of d, (n, C)."""
        inverse = 1.0 / self.variances
        squares = (rows * rows) @ inverse.T - 2.0 * rows @ (self.means * inverse).T
        squares += (self.means * self.means * inverse).sum(axis=1)
        return np.asarray(-0.5 * (squares + np.log(self.variances).sum(axis=1)))


def transclip(
    images: Floats, text_proxies: Floats, settings: GraphSettings, *, confident: int = 8
) -> tuple[Floats, DiagonalGaussians]:
    """Return the log responsibilities (n, C, up to a constant per row) and the class models of TransCLIP.

    mu_c = unit z-weighted mean; one s for all classes, the z-weighted squared deviations over n. At the start mu_c is
    the y-weighted mean of the `confident` images with the largest y_ic, not brought to unit length, and s = 1/d.
    The number of classes is the number of texts, never counted from labels.

    Source: Zanella, Gérin, Ben Ayed, "Boosting Vision-Language Models with Transduction", NeurIPS 2024: the objective
    with its updates of z, mu and the shared diagonal covariance, zero-shot form.

    Args:
        images: (n, d) unit rows.
        text_proxies: (C, d) unit rows.
    """
    logits = images @ text_proxies.T / settings.temperature
    text = softmax(logits)
    order = log_odds(logits)
    means = np.empty(text_proxies.shape)
    for c in range(len(text_proxies)):
        best = np.argsort(-order[:, c], kind="stable")[:confident]
        weights = np.maximum(text[best, c], np.finfo(np.float64).tiny)
        means[c] = weights @ images[best] / weights.sum()
    start = DiagonalGaussians(means, np.full((1, images.shape[1]), 1.0 / images.shape[1]))

    def update(z: Floats) -> DiagonalGaussians:
        mass, weighted = z.sum(axis=0)[:, None], z.T @ images
        mu = unit_rows(weighted)
        deviations = z.T @ (images * images) - 2.0 * mu * weighted + mu * mu * mass
        return DiagonalGaussians(mu, np.maximum(deviations.sum(axis=0, keepdims=True) / len(images), LEAST_VARIANCE))

    return _alternate(images, logits, start, update, settings)


def stata(
    images: Floats, text_proxies: Floats, settings: GraphSettings, *, anchor_images: float = 1.0
) -> tuple[Floats, DiagonalGaussians]:
    """Return the log responsibilities (n, C, up to a constant per row) and the class models of StatA.

    With beta_c = N_c / (alpha + N_c), v_c and T_c the z-weighted mean and squared deviations of class c,
    mu'_c = t_c and s' = sum_ic y_ic (x_i - t_c)^2 / n the anchors from text and zero-shot predictions:

        mu_c = unit(beta_c v_c + (1 - beta_c) mu'_c),     s_c = beta_c T_c + (1 - beta_c) (s' + (mu'_c - mu_c)^2)

    the minimiser of the mixture's loss plus alpha sum_c KL(N(mu'_c, s') || N(mu_c, s_c)).

    Source: Zanella, Fuchs, De Vleeschouwer, Ben Ayed, "Realistic Test-Time Adaptation of Vision-Language Models",
    CVPR 2025. Taken where the description leaves room: one s' for all classes, unit means, the anchors
    as the first classes.

    Args:
        images: (n, d) unit rows.
        text_proxies: (C, d) unit rows.
        anchor_images: alpha, how many images an anchor weighs.
    """
    check_positive(anchor_images=anchor_images)
    logits = images @ text_proxies.T / settings.temperature
    squares = images * images
    text = softmax(logits)
    around = text.T @ squares - 2.0 * text_proxies * (text.T @ images)
    around += text_proxies * text_proxies * text.sum(axis=0)[:, None]
    spread = np.maximum(around.sum(axis=0, keepdims=True) / len(images), LEAST_VARIANCE)
    start = DiagonalGaussians(text_proxies, np.broadcast_to(spread, text_proxies.shape))

    def update(z: Floats) -> DiagonalGaussians:
        mass, weighted = z.sum(axis=0)[:, None], z.T @ images
        total = mass + anchor_images
        mu = unit_rows((weighted + anchor_images * text_proxies) / total)
        deviations = z.T @ squares - 2.0 * mu * weighted + mu * mu * mass
        variances = (deviations + anchor_images * (spread + (text_proxies - mu) ** 2)) / total
        return DiagonalGaussians(mu, np.maximum(variances, LEAST_VARIANCE))

    return _alternate(images, logits, start, update, settings)


def _alternate(
    images: Floats,
    text_logits: Floats,
    classes: DiagonalGaussians,
    update: Callable[[Floats], DiagonalGaussians],
    settings: GraphSettings,
) -> tuple[Floats, DiagonalGaussians]:
    from scipy.sparse import csr_array

    graph: csr_array = neighbour_graph(images, settings.neighbours) / (2.0 * settings.neighbours)
    scores, z = text_logits, softmax(text_logits)
    for _ in range(settings.rounds):
        base = text_logits + classes.log_density(images) / settings.density_scale
        for _ in range(settings.inner_rounds):
            scores = base + graph @ z
            z = softmax(scores)
        classes = update(z)
    return scores, classes


@dataclass(kw_only=True, eq=False)
class _Mixture(Transductive):
    """A mixture over the neighbour graph.

    Attributes:
        neighbours: k of the graph.
        rounds, inner_rounds: updates of the classes, and of the responsibilities before each.
    """

    neighbours: int = 3
    rounds: int = 10
    inner_rounds: int = 5
    gaussians_: DiagonalGaussians = field(init=False, repr=False)

    def _settings(self) -> GraphSettings:
        return GraphSettings(self.temperature, self.neighbours, rounds=self.rounds, inner_rounds=self.inner_rounds)

    def _extend(self, rows: Floats) -> Floats:
        density = self.gaussians_.log_density(rows) / self._settings().density_scale
        return rows @ self.text_.proxies.T / self.temperature + density


@dataclass(kw_only=True, eq=False)
class TransCLIP(_Mixture):
    """A mixture with one shared diagonal covariance, a Laplacian over the 3 nearest images, and the text as its prior.

    Source: Zanella, Gérin, Ben Ayed, "Boosting Vision-Language Models with Transduction", NeurIPS 2024,
    zero-shot form. `transclip` has the updates and the start that was taken. The number of classes
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

    confident: int = 8

    def _judge(self, images: Floats) -> Floats:
        if self.confident < 1:
            raise InputError(f"confident must be at least 1, got {self.confident}")
        scores, self.gaussians_ = transclip(images, self.text_.proxies, self._settings(), confident=self.confident)
        return scores


@dataclass(kw_only=True, eq=False)
class StatA(_Mixture):
    """A mixture over the neighbour graph whose means and variances stay near the text where images are few.

    Source: Zanella, Fuchs, De Vleeschouwer, Ben Ayed, "Realistic Test-Time Adaptation of Vision-Language Models",
    CVPR 2025. `stata` has the updates and what was taken where they leave room. An image from
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

    def _judge(self, images: Floats) -> Floats:
        scores, self.gaussians_ = stata(images, self.text_.proxies, self._settings(), anchor_images=self.anchor_images)
        return scores
