"""Present or absent, description by description: independent probabilities for findings that may occur together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from kpl.errors import FeaturesError
from kpl.methods.contract import Facts, Reading
from kpl.methods.textual import Textual
from kpl.proxies.arrays import Floats, Images, check_positive
from kpl.proxies.presence import log_presence
from kpl.proxies.sums import ImageMoments

__all__ = ["Xplainer"]


@dataclass(kw_only=True, eq=False)
class Xplainer(Textual):
    """Each description against its own negation; a class is as probable as the geometric mean of its descriptions.

    p_cj = softmax([cos(x, "there is D_cj"), cos(x, "there is no D_cj")] / tau)_1,    P_c = exp(mean_j log p_cj)

    Source: Pellegrini, Keicher, Özsoy, Jiraskova, Braren, Navab, "Xplainer: From X-Ray Observations to Explainable
    Zero-Shot Diagnosis", MICCAI 2023.

    `presence` gives these probabilities, which are independent of each other. `predict` takes the largest, and
    `predict_proba` scales them to sum to one, for tasks where exactly one class holds.

    Attributes:
        contrast_temperature: tau; the paper's .5.

    Example:
        >>> there, absent = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])
        >>> texts = [np.vstack([there, absent]), np.vstack([absent, there])]
        >>> Xplainer().fit(np.eye(2), texts).presence(np.eye(2)).round(2).tolist()
        [[0.88, 0.12], [0.12, 0.88]]
    """

    name: ClassVar[str] = "xplainer"
    reads: ClassVar[Reading] = "pairs"
    summary: ClassVar[str] = "present against absent, description by description"
    facts: ClassVar[Facts] = Facts(
        source="Pellegrini et al., MICCAI 2023",
        assumes="the encoder can tell a statement from its negation",
        cost="O(n M d) with M descriptions in all; streams",
        fails="most encoders read past a 'no': probabilities stay near one half",
        configured="temperature .5; on bundles 'absent' is the same prompt about the other classes, averaged",
    )

    contrast_temperature: float = 0.5
    absent_: list[Floats] = field(init=False, repr=False)
    contrasts_: list[Floats] = field(init=False, repr=False)

    def _read(self, texts: list[Floats]) -> list[Floats]:
        check_positive(contrast_temperature=self.contrast_temperature)
        for c, rows in enumerate(texts):
            if len(rows) % 2:
                raise FeaturesError(
                    f"xplainer reads pairs: class {c} has {len(rows)} rows, an odd number; "
                    "give the prompts that say a finding is there, then as many that say it is not"
                )
        self.absent_ = [rows[len(rows) // 2 :] for rows in texts]
        return [rows[: len(rows) // 2] for rows in texts]

    def texts(self) -> list[Floats]:
        """Return the pairs that `fit` got."""
        return [np.concatenate(pair) for pair in zip(self.descriptions_, self.absent_, strict=True)]

    def texts_without(self, class_index: int, indices: Sequence[int]) -> list[Floats]:
        """Return the pairs of a fit that leaves some descriptions and their negations out."""
        present = len(self.descriptions_[class_index])
        return super().texts_without(class_index, [*indices, *(present + index for index in indices)])

    def _learn(self, images: Images, moments: ImageMoments) -> None:
        del images, moments
        pairs = zip(self.descriptions_, self.absent_, self.text_.chosen, strict=True)
        self.contrasts_ = [(rows[kept] - absent[kept]) / self.contrast_temperature for rows, absent, kept in pairs]

    def presence(self, images: Images) -> Floats:
        """Return the probability that each class is present, each by itself, (n, C)."""
        return np.asarray(np.exp(self.scores(images)))

    def _scores(self, chunk: Floats) -> Floats:
        return log_presence(chunk, self.contrasts_)

    def _logits(self, scores: Floats) -> Floats:
        return scores
