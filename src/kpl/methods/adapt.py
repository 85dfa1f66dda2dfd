"""Gaussian classes from banks of sure images, with the text as prior: ADAPT.

With y_i the text's softmax, B_c the bank of class c (the L images that the text gives to c and is surest of), N their
number and t_c the text proxy:

    m_c = a mean_{i in B_c} x_i + (1 - a) t_c,      a = 0 where the bank is empty
    S = sum_c sum_{i in B_c} (x_i - m_c)(x_i - m_c)^T / N,      M = d ((N - 1) S + tr(S) I)^-1
    score  log y_ic + x_i^T M m_c - 1/2 m_c^T M m_c + sum_{j in B_c} x_i . x_j

in one pass: nothing is repeated. The four terms of the score are the CLIP prior, the Gaussian likelihood (two) and the
agreement with the bank.

Source: Zhang, Kim, Choi, Kim, Liu, Hong, "Backpropagation-Free Test-Time Adaptation via Probabilistic Gaussian
Alignment", NeurIPS 2025 (arXiv 2508.15568), transductive form. Read were its abstract and summaries by others, not its
equations: class means from banks of L = 16 and the text with a = .9, the precision, the three parts of the score and
the single pass are told there. Taken where they leave room: every image of a bank counts alike, covariance from the
banks, agreement by cosines.

How it differs from `kpl`: few sure images in place of all by their responsibilities; the text at a fixed share of the
mean in place of an anchor that fades as images come, and without a way across the modality gap; classes as common as
each other; one pass, no leaving out of an image's own share, no description dropped.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from kpl.errors import InputError
from kpl.methods.contract import Facts, Method
from kpl.proxies.arrays import Floats, Images, check_positive, chunks, log_odds
from kpl.proxies.gaussians import shared_gaussians
from kpl.proxies.ridge import LinearScores
from kpl.proxies.sums import ImageMoments

_TIED = 1e-9  # logits that differ by rounding alone: an image goes to the banks of all such classes


def learn_adapt(
    images: Images, text_proxies: Floats, temperature: float, *, bank: int = 16, image_share: float = 0.9
) -> LinearScores:
    """Return the scores as a linear classifier; one pass over the images, memory O(d^2 + C L d).

    Args:
        images: (n, d) unit rows or a re-iterable of chunks.
        text_proxies: (C, d) unit rows.
        temperature: tau of the zero-shot logits.
        bank: L, images a class.
        image_share: a, of the bank in the mean of a class.

    Raises:
        InputError: a setting without a meaning.
    """
    check_positive(temperature=temperature)
    if bank < 1:
        raise InputError(f"a bank must hold at least 1 image, got {bank}")
    if not 0 <= image_share <= 1:
        raise InputError(f"image_share must be from 0 to 1, got {image_share}")
    banks = _fill(images, text_proxies, temperature, bank)
    means, sums = text_proxies.copy(), np.zeros_like(text_proxies)
    scatter, count = np.zeros((text_proxies.shape[1],) * 2), 0
    for c, rows in enumerate(banks):
        if len(rows):
            means[c] = image_share * rows.mean(axis=0) + (1 - image_share) * text_proxies[c]
            sums[c] = rows.sum(axis=0)
            scatter += (rows - means[c]).T @ (rows - means[c])
            count += len(rows)
    gaussians = shared_gaussians(means, scatter / count, count)
    return LinearScores(text_proxies / temperature + gaussians.proxies + sums, gaussians.offsets)


def _fill(images: Images, text_proxies: Floats, temperature: float, bank: int) -> list[Floats]:
    """The surest images of each class, (at most `bank`, d), from those that the text gives to it."""
    held = [(np.empty(0), np.empty((0, text_proxies.shape[1]))) for _ in text_proxies]
    for chunk in chunks(images):
        logits = chunk @ text_proxies.T / temperature
        sure = log_odds(logits).max(axis=1)
        given = logits >= logits.max(axis=1, keepdims=True) - _TIED
        for c in np.flatnonzero(given.any(axis=0)):
            odds = np.concatenate([held[c][0], sure[given[:, c]]])
            rows = np.concatenate([held[c][1], chunk[given[:, c]]])
            best = np.argsort(-odds, kind="stable")[:bank]
            held[c] = odds[best], rows[best]
    return [rows for _, rows in held]


@dataclass(kw_only=True, eq=False)
class ADAPT(Method):
    """Gaussian classes from the surest images of each and the text, one covariance, in closed form.

    Source: Zhang, Kim, Choi, Kim, Liu, Hong, "Backpropagation-Free Test-Time Adaptation via Probabilistic Gaussian
    Alignment", NeurIPS 2025 (arXiv 2508.15568), transductive form. The head of this module has the formulas, what was
    read and what was taken where that leaves room, and how it differs from `kpl`.

    Attributes:
        bank: images a class that its mean and the covariance are made of.
        image_share: of the bank in the mean of a class; the rest is the text.
    """

    name: ClassVar[str] = "adapt"
    summary: ClassVar[str] = "ADAPT: Gaussian classes from banks of sure images"
    facts: ClassVar[Facts] = Facts(
        source="Zhang et al., NeurIPS 2025",
        assumes="the images that the text is surest of are right; classes of equal size and one covariance",
        cost="one pass, O(n C d), and one d x d solve; memory O(d^2 + 16 C d); streams",
        fails="a text that is sure where it is wrong; a wide gap between texts and images",
        configured="banks of 16, images at .9 of a mean; written from its abstract and summaries",
    )
    unweighted: ClassVar[str] = "its banks hold whole images"

    bank: int = 16
    image_share: float = 0.9
    model_: LinearScores = field(init=False, repr=False)

    def _learn(self, images: Images, moments: ImageMoments, weights: Floats | None) -> None:
        del moments, weights
        self.model_ = learn_adapt(
            images, self.text_.proxies, self.temperature, bank=self.bank, image_share=self.image_share
        )

    def _scores(self, chunk: Floats) -> Floats:
        return self.model_(chunk)

    def _logits(self, scores: Floats) -> Floats:
        return scores
