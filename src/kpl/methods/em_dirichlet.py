"""A mixture of Dirichlet distributions over zero-shot probability vectors: EM-Dirichlet.

Image i becomes a point of the simplex, q_i = softmax(30 cosines). Class c is Dirichlet(a_c); responsibilities u and
class shares pi alternate with the parameters:

    u_i   <-  softmax_c( log Dir(q_i; a_c) + log pi_c ),      pi = mean_i u_i
    a_c   <-  argmax_a sum_i u_ic log Dir(q_i; a):      psi(a_cj) - psi(sum_l a_cl) = sum_i u_ic log q_ij / N_c

Source: Martin, Huang, Shakeri, Pesquet, Ben Ayed, "Transductive Zero-Shot and Few-Shot CLIP", CVPR 2024: the
likelihood, the entropy of u and the partition complexity, weighted here so that they are expectation-maximisation of
the mixture. The second line is solved by Minka's fixed point ("Estimating a Dirichlet distribution", 2000) in
the place of the paper's majorisation: the maximiser is the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from kpl.errors import InputError
from kpl.methods.contract import Facts, Method
from kpl.proxies.arrays import Floats, Images, check_positive, softmax, weighted_chunks
from kpl.proxies.sums import ImageMoments

#: Concentrations stay below it: images that are all alike would drive them to infinity.
LARGEST = 1e6
SMALLEST = 1e-6


@dataclass(frozen=True)
class DirichletSettings:
    """Constants; the temperature is the paper's.

    Attributes:
        temperature: of the simplex points; 1/30.
        rounds: alternations of responsibilities and parameters.
        inner_rounds: fixed-point steps for the parameters in each.
    """

    temperature: float = 1.0 / 30.0
    rounds: int = 10
    inner_rounds: int = 5

    def __post_init__(self) -> None:
        """Refuse settings without a meaning, with an `InputError`."""
        check_positive(simplex_temperature=self.temperature)
        for name in ("rounds", "inner_rounds"):
            if getattr(self, name) < 1:
                raise InputError(f"{name.replace('_', ' ')} must be at least 1, got {getattr(self, name)}")


@dataclass(frozen=True)
class DirichletClasses:
    """The mixture.

    Attributes:
        concentrations: (C, C), one Dirichlet a class.
        log_shares: (C,) log pi.
        temperature: of the simplex points.
    """

    concentrations: Floats
    log_shares: Floats
    temperature: float

    def __call__(self, cosines: Floats) -> Floats:
        """Return log pi_c + log Dir(q_i; a_c) of images with cosines (n, C) to the texts; (n, C)."""
        from scipy.special import gammaln, log_softmax

        points = log_softmax(cosines / self.temperature, axis=1)
        a = self.concentrations
        constant = gammaln(a.sum(axis=1)) - gammaln(a).sum(axis=1)
        return np.asarray(points @ (a - 1.0).T + constant + self.log_shares)


def learn_dirichlet(cosines: Floats, settings: DirichletSettings, weights: Floats | None = None) -> DirichletClasses:
    """Learn the mixture from cosines (n, C), starting from u = q. A class without mass keeps its parameters.

    Images may have weights (n,).
    """
    from scipy.special import log_softmax

    points = log_softmax(cosines / settings.temperature, axis=1)
    counted = 1.0 if weights is None else weights[:, None]
    u = counted * np.exp(points)
    total = len(u) if weights is None else float(weights.sum())
    n_classes = cosines.shape[1]
    classes = DirichletClasses(np.ones((n_classes, n_classes)), np.zeros(n_classes), settings.temperature)
    for _ in range(settings.rounds):
        mass = u.sum(axis=0)
        a, held = classes.concentrations.copy(), mass > 1e-8 * total
        a[held] = _most_likely(a[held], (u.T @ points)[held] / mass[held, None], settings.inner_rounds)
        shares = np.log(np.maximum(mass / mass.sum(), np.finfo(np.float64).tiny))
        classes = DirichletClasses(a, shares, settings.temperature)
        u = counted * softmax(classes(cosines))
    return classes


def _most_likely(a: Floats, mean_log: Floats, steps: int) -> Floats:
    """Minka's fixed point a <- psi^-1(psi(sum a) + mean log q), for every class (row) at once."""
    from scipy.special import digamma

    for _ in range(steps):
        a = np.clip(_inverse_digamma(digamma(a.sum(axis=1, keepdims=True)) + mean_log), SMALLEST, LARGEST)
    return a


def _inverse_digamma(y: Floats) -> Floats:
    """Return x with digamma(x) = y, by Newton's method from Minka's start."""
    from scipy.special import digamma, polygamma

    x = np.where(y >= -2.22, np.exp(np.minimum(y, 30.0)) + 0.5, -1.0 / (y - digamma(1.0)))
    for _ in range(4):
        x = np.maximum(x - (digamma(x) - y) / polygamma(1, x), SMALLEST * SMALLEST)
    return np.asarray(x)


@dataclass(kw_only=True, eq=False)
class EMDirichlet(Method):
    """Every class a Dirichlet distribution of softmax(30 cosines), learnt by expectation-maximisation.

    Source: Martin, Huang, Shakeri, Pesquet, Ben Ayed, "Transductive Zero-Shot and Few-Shot CLIP", CVPR 2024.
    The head of this module has the updates. Cluster c is class c, because the responsibilities start from the text;
    the paper's matching of clusters to classes is left out. It needs the cosines (n, C) in memory.

    Attributes:
        simplex_temperature: of the simplex points; the paper's 1/30.
        rounds, inner_rounds: alternations, and fixed-point steps for the parameters in each.
    """

    name: ClassVar[str] = "em-dirichlet"
    summary: ClassVar[str] = "EM-Dirichlet: a mixture over the simplex"
    facts: ClassVar[Facts] = Facts(
        source="Martin et al., CVPR 2024",
        assumes="a batch of few classes, each with images enough for C parameters",
        cost="the cosines in memory, O(n C^2) a round; with 1000 classes about a minute",
        fails="many classes with few images each",
        configured="T = 30, mixture weights estimated, 10 rounds of 5 steps; no matching of clusters",
    )

    simplex_temperature: float = 1.0 / 30.0
    rounds: int = 10
    inner_rounds: int = 5
    mixture_: DirichletClasses = field(init=False, repr=False)

    def _learn(self, images: Images, moments: ImageMoments, weights: Floats | None) -> None:
        del moments
        settings = DirichletSettings(self.simplex_temperature, self.rounds, self.inner_rounds)
        cosines = np.concatenate([chunk @ self.text_.proxies.T for chunk, _ in weighted_chunks(images, weights)])
        self.mixture_ = learn_dirichlet(cosines, settings, weights)

    def _scores(self, chunk: Floats) -> Floats:
        return self.mixture_(chunk @ self.text_.proxies.T)

    def _logits(self, scores: Floats) -> Floats:
        return scores
