"""What came out of a session, kept so that another class prior or number of descriptions shows at once."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kpl.embeddings import FeatureFolder, encoder_identity
from kpl.encoders import Encoder
from kpl.knowledge import KnowledgeBase
from kpl.methods import KPL
from kpl.proxies.arrays import Floats, chunks, softmax
from kpl.proxies.priors import checked_prior, prior_shift
from kpl.proxies.sums import ImageMoments, sum_images
from kpl.runs import Learnt, Model
from kpl.runs.predictions import write_predictions
from kpl.runs.warnings import result_warnings, text_warnings
from kpl.server.refusals import Refused

__all__ = ["Outcome", "learn"]


@dataclass(frozen=True)
class _Fit:
    """A fitted method with the scores of all pictures."""

    method: KPL
    scores: Floats  # (n, C), log odds with the estimated prior
    text: Floats  # (n, C), cosines over the temperature


@dataclass
class Outcome:
    """What KPL and the text proxies say of the pictures of a session.

    Attributes:
        knowledge, encoder: of which it came.
        images: (n, d) unit rows; `ids` of the pictures, and the hash of their contents.
        descriptions: per class (m_c, d).
        moments: of the images.
        k: descriptions per class in use.
        prior: (C,) in use in the place of the estimated one; None for the estimated.
    """

    knowledge: KnowledgeBase
    encoder: Encoder
    images: NDArray[np.float32]
    ids: tuple[str, ...]
    pictures_sha256: str
    descriptions: list[NDArray[np.float32]]
    moments: ImageMoments
    k: int
    prior: Floats | None = None
    _fits: dict[int, _Fit] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def keys(self) -> list[str]:
        """Of the classes, in order."""
        return [entry.key for entry in self.knowledge.classes]

    @property
    def most(self) -> int:
        """Descriptions of the class that has most of them."""
        return max(len(rows) for rows in self.descriptions)

    @property
    def method(self) -> KPL:
        """Fitted, with the prior in use."""
        fitted = self._fit().method
        return fitted if self.prior is None else fitted.with_prior(self.prior)

    @property
    def text_proxies(self) -> Floats:
        """Of the classes, (C, d) unit rows, for the k in use."""
        return self._fit().method.text_.proxies

    @property
    def estimated(self) -> Floats:
        """The class prior (C,) that was estimated from the pictures."""
        return self._fit().method.prior_

    def move(self, k: int | None, prior: Mapping[str, float] | None) -> None:
        """Use another number of descriptions or another class prior.

        Args:
            k: None leaves it.
            prior: class key to share, made to sum to one; None takes the estimated one.

        Raises:
            Refused: a key that is no class, a class without a share, or shares that all are zero.
        """
        with self._lock:
            if prior is not None:
                if unknown := sorted(set(prior) ^ set(self.keys)):
                    raise Refused(f"the prior must have one share for each class: look at {unknown[0]!r}")
                shares = np.array([prior[key] for key in self.keys], dtype=np.float64)
                if not (np.isfinite(shares).all() and (shares >= 0).all() and 0 < shares.sum() < np.inf):
                    raise Refused("the shares of the prior must be numbers of zero or more, not all of them zero")
                self.prior = checked_prior(shares / shares.sum(), len(self.keys))
            else:
                self.prior = None
            self.k = min(k or self.k, self.most)

    def probabilities(self) -> Floats:
        """Of KPL, (n, C): a shift of the scores by the log of the prior, nothing is learnt again."""
        fitted = self._fit()
        if self.prior is None:
            return softmax(fitted.scores)
        return softmax(fitted.scores + prior_shift(self.prior, fitted.method.prior_))

    def text_probabilities(self) -> Floats:
        """Of the text proxies alone, (n, C); a prior that was set by hand holds for them too."""
        text = self._fit().text
        if self.prior is None:
            return softmax(text)
        return softmax(text + prior_shift(self.prior, np.full_like(self.prior, 1.0 / len(self.prior))))

    def nearest(self, place: int, class_index: int, count: int = 4) -> list[tuple[int, float]]:
        """Return the other pictures of a class that are nearest to a picture, with their cosines, the nearest first."""
        rows = np.flatnonzero(self.probabilities().argmax(axis=1) == class_index)
        rows = rows[rows != place]
        cosines = self.images[rows] @ self.images[place]
        order = np.argsort(-cosines, kind="stable")[:count]
        return [(int(rows[i]), float(cosines[i])) for i in order]

    def warnings(self) -> list[str]:
        """What to know before believing it."""
        found = []
        if self.prior is not None:
            found.append("the class prior was set by hand")
        found += text_warnings(self.knowledge, self.encoder)
        winners, text = self.probabilities().argmax(axis=1), self.text_probabilities().argmax(axis=1)
        return found + result_warnings(self.method, winners, text, self.keys)

    def model(self) -> Model:
        """Return what was learnt as a model that can be saved."""
        lot = Learnt(pictures=self.pictures_sha256, rows=len(self.images))
        return Model(self.method, self.knowledge, encoder_identity(self.encoder), self.encoder.card.name, (lot,))

    def write_csv(self, path: Path) -> None:
        """Write the predictions as `kpl classify` does."""
        write_predictions(path, [_harmless(name) for name in self.ids], self.keys, [self.probabilities()])

    def _fit(self) -> _Fit:
        """Learn for the k in use, once."""
        k = self.k
        found = self._fits.get(k)
        if found is None:
            method = KPL(k=k, temperature=1.0 / self.encoder.logit_scale)
            method.fit_moments(self.images, self.moments, self.descriptions)
            text = np.concatenate([c @ method.text_.proxies.T for c in chunks(self.images)])
            found = _Fit(method, method.scores(self.images), text / method.temperature)
            while len(self._fits) > 8:  # the slider was moved to and fro
                self._fits.pop(next(iter(self._fits)), None)
            self._fits[k] = found
        return found


def learn(
    knowledge: KnowledgeBase,
    encoder: Encoder,
    features: FeatureFolder,
    descriptions: Sequence[NDArray[np.float32]],
    k: int | None,
    before: Outcome | None = None,
) -> Outcome:
    """Learn from the features of the pictures and the descriptions.

    Args:
        knowledge, encoder: what the user chose.
        features: of the pictures.
        descriptions: per class (m_c, d).
        k: descriptions per class; None keeps what was in use, else KPL's own.
        before: the last outcome of the session: features that are the same are not read again, and a prior that was
            set by hand stays while the classes are the same.
    """
    rows = list(descriptions)
    most = max(len(own) for own in rows)
    same = before is not None and before.pictures_sha256 == features.index.pictures_sha256
    images = before.images if before and same else features.load()
    outcome = Outcome(
        knowledge=knowledge,
        encoder=encoder,
        images=images,
        ids=features.ids,
        pictures_sha256=features.index.pictures_sha256,
        descriptions=rows,
        moments=before.moments if before and same else sum_images(images),
        k=min(k or (before.k if before else KPL().k) or most, most),
    )
    if before and before.prior is not None and before.keys == outcome.keys:
        outcome.prior = before.prior
    outcome.probabilities()
    return outcome


def _harmless(name: str) -> str:
    """Keep a spreadsheet from taking a file name for a formula."""
    return f"'{name}" if name[:1] in "=+-@\t\r" else name
