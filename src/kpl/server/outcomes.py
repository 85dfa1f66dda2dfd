"""What came out of a session, kept so that another class prior or number of descriptions shows at once."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from kpl.embeddings import FeatureFolder, encoder_identity
from kpl.encoders import Encoder
from kpl.evaluation import Calibration
from kpl.knowledge import KnowledgeBase
from kpl.methods import KPL
from kpl.proxies.arrays import Floats, log_odds
from kpl.proxies.neighbours import nearest_others
from kpl.proxies.pooling import DEFAULT_POOL, key_rows
from kpl.proxies.priors import checked_prior, prior_shift, text_logits
from kpl.proxies.sums import ImageMoments, sum_images
from kpl.runs import Contradiction, Learnt, Model, Predictions, contradictions
from kpl.runs.calibrating import CalibrationFile
from kpl.runs.deciding import Deciding, looks_for_others, unlike_texts
from kpl.runs.prediction_files import write_predictions
from kpl.runs.source import Source
from kpl.runs.units import Pooling, Told
from kpl.runs.warnings import result_warnings, text_warnings
from kpl.server.refusals import Refused


@dataclass(frozen=True)
class _Fit:
    """A fitted method with the scores of all pictures."""

    method: KPL
    scores: Floats  # (rows, C), log odds with the estimated prior
    _unlike: list[Floats] = field(default_factory=list, repr=False)

    def unlike(self, pooling: Pooling, images: NDArray[np.float32]) -> Floats:
        """Return how unlike all classes the units are, (n,), worked out once."""
        if not self._unlike:
            self._unlike.append(unlike_texts(self.method, pooling, images))
        return self._unlike[0]


@dataclass(frozen=True)
class Outcome:
    """What KPL and the text proxies say of the pictures of a session, with the settings in use; it never changes.

    Attributes:
        knowledge, encoder: of which it came.
        features: of the pictures, on disk, with their ids and the hash of their contents.
        images: the same in memory, (rows, d) unit rows; of a unit of several pictures each has one.
        descriptions: per class (m_c, d).
        moments: of the images.
        asked: descriptions per class that the user asked for; None for KPL's own number.
        prior: (C,) in use in the place of the estimated one; None for the estimated.
        calibrated: what a few labels made of the confidences, with these settings; None where they were not asked.
        least: confidence below which a picture gets no label.
        thresholds: the same of single classes, by their keys, in its place.
        other: whether pictures of no listed class are called so.
    """

    knowledge: KnowledgeBase
    encoder: Encoder
    features: FeatureFolder
    images: NDArray[np.float32]
    descriptions: list[NDArray[np.float32]]
    moments: ImageMoments
    asked: int | None = None
    prior: Floats | None = None
    calibrated: CalibrationFile | None = None
    least: float = 0.0
    thresholds: Mapping[str, float] = field(default_factory=dict)
    other: bool = False
    _fits: dict[int, _Fit] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def keys(self) -> list[str]:
        """Of the classes, in order."""
        return [entry.key for entry in self.knowledge.classes]

    @property
    def ids(self) -> tuple[str, ...]:
        """Of the pictures, or units of several, in order: n of them are decided on."""
        return self.features.of_units.ids

    @property
    def pooling(self) -> Pooling:
        """How the scores of a unit's pictures are pooled: as `kpl classify` does."""
        return Pooling(self.features, Source(folder=self.features).pool(None, self.knowledge.task) or DEFAULT_POOL)

    @property
    def weights(self) -> Floats | None:
        """How much each picture counts in what is learnt, (rows,)."""
        return self.features.weights

    @cached_property
    def key_rows(self) -> NDArray[np.intp]:
        """Of each unit the row of the picture that speaks loudest for its class, (n,)."""
        return key_rows(log_odds(self._moved_scores()), self.pooling.sizes, self.predictions.winners)

    def key(self, place: int) -> int:
        """Return which of its pictures speaks loudest for a unit's class, from 0."""
        return int(self.key_rows[place]) - sum(self.pooling.sizes[:place])

    def curve(self, place: int, class_index: int) -> Floats:
        """Return what each picture of a unit says of a class by itself: probabilities (size,)."""
        first = sum(self.pooling.sizes[:place])
        own = self._moved_scores()[first : first + self.pooling.sizes[place]]
        return np.asarray(expit(log_odds(own))[:, class_index])

    @cached_property
    def shown(self) -> tuple[tuple[int, ...], ...]:
        """Of each unit the instances that are shown, see `Pooling.shown`."""
        own = enumerate(self.predictions.winners.tolist())
        return tuple(self.pooling.shown(place, self.key(place), self.curve(place, winner)) for place, winner in own)

    @cached_property
    def units(self) -> dict[str, Sequence[str]] | None:
        """Columns of predictions.csv that tell of units; None where every picture stands for itself."""
        if self.pooling.plain:
            return None
        told, other = Told(self.features, tuple(self.key_rows.tolist())), self.pooling.other
        by_other = self._pooled(self._moved_scores(), other).argmax(axis=1)
        own = self.predictions.winners
        differs = [self.keys[c] if c != w else "" for c, w in zip(by_other.tolist(), own.tolist(), strict=True)]
        return told.columns(**{f"by_{other}": differs})

    def _pooled(self, logits: Floats, by: str | None = None) -> Floats:
        return np.concatenate(list(self.pooling.pooled([logits], by=by)))

    @property
    def k(self) -> int:
        """Descriptions per class in use."""
        return min(self.asked or KPL().k or self.most, self.most)

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

    def moved(
        self,
        k: int | None,
        prior: Mapping[str, float] | None,
        least: float | None = None,
        thresholds: Mapping[str, float] | None = None,
        other: bool | None = None,
    ) -> Outcome:
        """Return the same with another number of descriptions or another class prior; what was learnt is shared.

        A calibration holds for the settings that it was made with: with others it goes.

        Args:
            k: None leaves it.
            prior: class key to share, made to sum to one; None takes the estimated one.
            least: confidence below which a picture gets no label; None leaves it.
            thresholds: the same of single classes, by their keys; None leaves them.
            other: whether pictures of no listed class are called so; None leaves it.

        Raises:
            InputError: a class has the name that these get.
            Refused: a key that is no class, a class without a share, or shares that all are zero.
        """
        if strange := sorted(set(thresholds or ()) - set(self.keys)):
            raise Refused(f"a threshold is of a class, by its key: {strange[0]!r} is none")
        chosen = None
        if prior is not None:
            if unknown := sorted(set(prior) ^ set(self.keys)):
                raise Refused(f"the prior must have one share for each class: look at {unknown[0]!r}")
            shares = np.array([prior[key] for key in self.keys], dtype=np.float64)
            if not (np.isfinite(shares).all() and (shares >= 0).all() and 0 < shares.sum() < np.inf):
                raise Refused("the shares of the prior must be numbers of zero or more, not all of them zero")
            chosen = checked_prior(shares / shares.sum(), len(self.keys))
        moved = replace(self, asked=self.asked if k is None else k, prior=chosen)
        same = moved.k == self.k and np.array_equal(moved.in_use, self.in_use)
        return replace(
            moved,
            calibrated=self.calibrated if same else None,
            least=self.least if least is None else least,
            thresholds=self.thresholds if thresholds is None else thresholds,
            other=self.other if other is None else bool(looks_for_others(self.knowledge, other)),
        )

    @property
    def in_use(self) -> Floats:
        """The class prior (C,)."""
        return self.estimated if self.prior is None else self.prior

    @property
    def deciding(self) -> Deciding:
        """How scores become answers."""
        told = self.calibrated
        bias = np.array([told.bias[key] for key in self.keys]) if told else None
        calibration = None if told is None or bias is None else Calibration(told.temperature, bias)
        own = {key: self.thresholds.get(key, self.least) for key in self.keys} if self.thresholds else None
        return Deciding(calibration, abstain_below=None if own else self.least or None, thresholds=own)

    @cached_property
    def predictions(self) -> Predictions:
        """Of KPL: a shift of the scores by the log of the prior, nothing is learnt again."""
        deciding, logits = self.deciding, self._pooled(self._moved_scores())
        said = Predictions.of_logits(self.ids, self.keys, next(deciding.calibrated([logits])))
        if (answered := deciding.answered(said.sureness, [self.keys[c] for c in said.winners])) is not None:
            said = replace(said, answered=answered)
        if not self.other:
            return said
        unlike = self._fit().unlike(self.pooling, self.images)
        return replace(said, unlike=unlike, answered=(unlike < 1) & said.answered)

    def _moved_scores(self) -> Floats:
        """Of every picture, (rows, C), with the prior in use."""
        fitted = self._fit()
        return fitted.scores + (0.0 if self.prior is None else prior_shift(self.prior, fitted.method.prior_))

    @cached_property
    def text(self) -> Predictions:
        """Of the text proxies alone; a prior that was set by hand holds for them too."""
        method = self._fit().method
        logits = text_logits(self.images, method.text_.proxies, method.temperature, self.prior)
        return Predictions.of_logits(self.ids, self.keys, self._pooled(logits))

    @cached_property
    def standing(self) -> NDArray[np.float32]:
        """Features of the picture that stands for each unit, (n, d)."""
        return self.images[self.key_rows]

    def nearest(self, place: int, class_index: int, count: int = 4) -> list[tuple[int, float]]:
        """Return the other pictures of a class that are nearest to a picture, with their cosines, the nearest first."""
        return nearest_others(self.standing, place, self.predictions.winners == class_index, count)

    @property
    def contradicted(self) -> tuple[Contradiction, ...]:
        """Descriptions that the pictures contradict, the worst first."""
        return contradictions(self.method, self.knowledge)

    def warnings(self) -> list[str]:
        """What to know before believing it."""
        found = []
        if self.prior is not None:
            found.append("the class prior was set by hand")
        if self.calibrated is not None:
            found.append(f"the confidences are calibrated on {self.calibrated.labelled} labelled pictures")
        found += text_warnings(self.knowledge, self.encoder)
        found += result_warnings(self.method, self.predictions.winners, self.text.winners, self.keys)
        return found + self.pooling.warnings()

    def model(self) -> Model:
        """Return what was learnt as a model that can be saved."""
        lot = Learnt(pictures=self.features.index.pictures_sha256, rows=len(self.ids))
        return Model(self.method, self.knowledge, encoder_identity(self.encoder), self.encoder.card.name, (lot,))

    def write_csv(self, path: Path) -> None:
        """Write the predictions as `kpl classify` does."""
        said = self.predictions
        write_predictions(path, self.ids, self.keys, [said.probabilities], said.answered, self.units, said.unlike)

    def _fit(self) -> _Fit:
        """Learn for the k in use, once for all that share it."""
        k = self.k
        with self._lock:
            found = self._fits.get(k)
            if found is None:
                method = KPL(k=k, temperature=1.0 / self.encoder.logit_scale)
                method.fit_moments(self.images, self.moments, self.descriptions, weights=self.weights)
                found = _Fit(method, method.scores(self.images))
                while len(self._fits) > 8:  # the slider was moved to and fro
                    self._fits.pop(next(iter(self._fits)))
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
        k: descriptions per class; None keeps what was asked for, else KPL's own.
        before: the last outcome of the session: features that are the same are not read again, and what was asked for
            (k, a prior, thresholds) stays while the classes are the same, the least confidence always.
    """
    same = before is not None and before.features.index.pictures_sha256 == features.index.pictures_sha256
    images = before.images if before and same else features.load()
    outcome = Outcome(
        knowledge=knowledge,
        encoder=encoder,
        features=features,
        images=images,
        descriptions=list(descriptions),
        moments=before.moments if before and same else sum_images(images, features.weights),
        asked=k,
    )
    if before:
        outcome = replace(outcome, least=before.least)
    if before and before.keys == outcome.keys:
        asked, prior, thresholds = k or before.asked, before.prior, before.thresholds
        outcome = replace(outcome, asked=asked, prior=prior, thresholds=thresholds, other=before.other)
    outcome.estimated  # noqa: B018 - learns, before anybody waits for an answer
    return outcome
