"""What each description does over all pictures, without labels: which are called for, which separate, which are idle.

Notation: e a description of class c, x_i the pictures, m_k the mean of the pictures that went to class k and r_k that
of the others, S the covariance of all pictures.

    relevance    mean_i x_i . e
    spread       sqrt(e^T S e), the standard deviation of x_i . e
    lift         (m_c - r_c) . e, how much nearer it is to the pictures of its class than to the others
    separation   lift over the standard deviation within the two groups (Cohen's d):
                 sqrt(spread^2 - p (1 - p) lift^2), p the share of the pictures that went to c

What a lift is worth is read off a null distribution: the lifts, *for the same class and the same pictures*, of the
sentences that were not written for it. They meet the same pictures, the same errors in the predictions and the same
closeness of that class to any text, so that none of these can make a sentence look better than it is. With F the other
classes' sentences and O those of its own class, itself included,

    rivals       share of F whose lift for the class is at least its own
    weaker       share of O whose lift is at most its own

A sentence does the work if rivals are at most one in twenty. Otherwise it is dead weight if rivals > weaker: it would
be more ordinary among the sentences of other classes than it is among those of its own (at the cut both kinds of error
are equally common, so that no second level has to be chosen). The predictions were made with these very sentences:
what is found is agreement between text and pictures, not truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kpl.errors import FeaturesError, InputError
from kpl.knowledge.lint.encoded import EncoderRules
from kpl.methods.contract import FEW_PICTURES
from kpl.methods.similarity import COLLAPSED, ClassSimilarity, class_similarity
from kpl.proxies.arrays import Descriptions, Floats, Images, checked_descriptions, chunks
from kpl.proxies.retrieval import TextProxies
from kpl.proxies.sums import ClassSums, ImageMoments, ImageSums

RARE = 1 / 20
"""The share of other sentences that chance is granted: one in twenty, the usual level of a test."""
REPEATED = EncoderRules.alike
"""Cosine from which two sentences of a class say the same: that of lint's rule K202."""
_BLOCK = 1024
_COLUMNS = 32
_NO_SPREAD = 1e-7


class Verdict(StrEnum):
    """What a description comes to: the first that holds. The rules are at the head of the module."""

    UNJUDGED = "too few pictures"
    """Its class has fewer than five pictures, or all but fewer than five."""
    OTHER = "speaks for another class"
    """It would be dead weight, and is in the best twentieth of the sentences not written for some other class."""
    DEAD = "dead weight"
    """More than one in twenty sentences of other classes do as well, and fewer of its own class do no better."""
    REDUNDANT = "redundant"
    """Its nearest sentence of the class says the same (cosine of .995 or more) and has the larger lift."""
    WORKS = "does the work"
    """Rivals are at most one in twenty."""
    HELPS = "helps a little"
    """What is left: more like the sentences of its own class than like the others, but not better than nearly all."""

    @property
    def marked(self) -> bool:
        """Whether a person should look at the sentence."""
        return self in (Verdict.OTHER, Verdict.DEAD, Verdict.REDUNDANT)


class Near(NamedTuple):
    """The nearest other sentence, by features: which, and its cosine."""

    class_index: int
    description: int
    cosine: float


@dataclass(frozen=True, slots=True)
class DescriptionInsight:
    """What one description does; the formulas are at the head of the module.

    Attributes:
        class_index, index: which description.
        used: whether it is part of its text proxy: retrieved, and not left out by the images.
        relevance, spread, lift, separation: the last two are zero where no picture, or every one, is its class's.
        rivals: share of the other classes' sentences with at least its lift for its class, 0 to 1.
        weaker: share of its own class's sentences, itself included, with at most its lift.
        loudest: the other class, if any, for which it is in the best twentieth of the sentences not written for it.
        same, elsewhere: the nearest sentence of its own class and of the others; None if there is none or not asked.
        verdict: of the sentence.
    """

    class_index: int
    index: int
    used: bool
    relevance: float
    spread: float
    lift: float
    separation: float
    rivals: float
    weaker: float
    loudest: int | None
    same: Near | None
    elsewhere: Near | None
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class ClassInsight:
    """One class: pictures that went to it, the class with the nearest text proxy, whether the two collapse."""

    pictures: int
    nearest: int
    cosine: float

    @property
    def collapsed(self) -> bool:
        """Whether its text proxy cannot be told from the nearest."""
        return self.cosine > COLLAPSED


@dataclass(frozen=True)
class Insight:
    """What the descriptions of a knowledge base do over pictures.

    Attributes:
        classes: one entry a class.
        descriptions: per class, one entry a description, in their order.
        similarity: of the classes.
    """

    classes: tuple[ClassInsight, ...]
    descriptions: tuple[tuple[DescriptionInsight, ...], ...]
    similarity: ClassSimilarity

    def count(self, class_index: int, verdict: Verdict) -> int:
        """Count the descriptions of a class with that verdict."""
        return sum(item.verdict is verdict for item in self.descriptions[class_index])


def judge_descriptions(
    images: Images,
    predictions: NDArray[np.integer],
    descriptions: Descriptions,
    text: TextProxies,
    *,
    elsewhere: bool = True,
) -> Insight:
    """Say what each description does, by predictions and without labels.

    One pass over the images, O(d^2 + C d) memory for them; one (m, C) product with the m descriptions of all classes.

    Args:
        images: (n, d) unit rows, or a re-iterable of such chunks.
        predictions: (n,) class indices.
        descriptions: per class (m_c, d) unit rows.
        text: the text proxies, and which descriptions they were made of.
        elsewhere: also look for the nearest sentence of the other classes, O(m^2 d).

    Raises:
        FeaturesError: shapes or values that cannot be used.
        InputError: predictions that are not one class index an image.

    Example:
        >>> from kpl.proxies.retrieval import retrieve
        >>> images = np.repeat(np.eye(2), 8, axis=0)
        >>> texts = [np.array([[1.0, 0.0], [0.8, 0.6]]), np.array([[0.0, 1.0], [0.6, 0.8]])]
        >>> found = judge_descriptions(images, np.repeat([0, 1], 8), texts, retrieve(images.mean(axis=0), texts))
        >>> [(round(item.lift, 2), str(item.verdict)) for item in found.descriptions[0]]
        [(1.0, 'does the work'), (0.2, 'does the work')]
    """
    rows = checked_descriptions(descriptions)
    means, counts, moments = _class_means(images, predictions, len(rows), rows[0].shape[1])
    similarity = class_similarity(text.proxies)
    every = np.concatenate(rows)
    owner = np.repeat(np.arange(len(rows)), [len(own) for own in rows])
    away = _directions(means, counts, moments)
    lift = np.einsum("md,md->m", every, away[owner])
    spread = np.sqrt(np.maximum(np.einsum("md,md->m", every @ moments.covariance, every), 0.0))
    share = (counts / moments.count)[owner]
    within = np.sqrt(np.maximum(spread**2 - share * (1 - share) * lift**2, 0.0))
    judged = np.minimum(counts, moments.count - counts) >= FEW_PICTURES
    rivals, loudest = _standing(every, owner, away, judged)
    columns = _Columns(
        relevance=every @ moments.mean,
        spread=spread,
        lift=lift,
        separation=lift / np.maximum(within, _NO_SPREAD),
        rivals=rivals,
        loudest=loudest,
        judged=judged[owner],
    )
    near = _nearest_elsewhere(rows) if elsewhere else [None] * len(every)
    starts = np.concatenate([[0], np.cumsum([len(own) for own in rows])]).tolist()
    return Insight(
        _classes(counts, similarity),
        tuple(
            _of_class(c, own, set(text.chosen[c].tolist()), columns, starts[c], near[starts[c] : starts[c + 1]])
            for c, own in enumerate(rows)
        ),
        similarity,
    )


def _class_means(
    images: Images, predictions: NDArray[np.integer], n_classes: int, dim: int
) -> tuple[Floats, NDArray[np.intp], ImageMoments]:
    """Return the mean image of each class (zeros without any), the counts, and the moments of all images."""
    winners = np.asarray(predictions)
    if winners.ndim != 1 or winners.dtype.kind not in "iu":
        raise InputError(f"predictions must be (n,) class indices, got {winners.dtype} of shape {winners.shape}")
    if winners.size and not (winners.min() >= 0 and winners.max() < n_classes):
        raise InputError(f"predictions hold {winners.min()}..{winners.max()}: the {n_classes} classes are 0 and up")
    sums, by_class, seen = ImageSums(dim), ClassSums(n_classes, dim), 0
    for chunk in chunks(images, dim):
        own = winners[seen : seen + len(chunk)]
        seen += len(chunk)
        if len(own) == len(chunk):
            sums.update(chunk)
            rows = np.zeros((len(own), n_classes))
            rows[np.arange(len(own)), own] = 1.0
            by_class.update(chunk, rows)
    if seen != len(winners):
        raise FeaturesError(f"{len(winners)} predictions for {seen} images: one is needed for each")
    return by_class.finish(), np.bincount(winners, minlength=n_classes), sums.finish()


def _directions(means: Floats, counts: NDArray[np.intp], moments: ImageMoments) -> Floats:
    """The mean of a class less that of the rest, (C, d): n / (n - n_c) (m_c - mean); zeros without either."""
    rest = moments.count - counts
    scale = np.where((counts > 0) & (rest > 0), moments.count / np.maximum(rest, 1), 0.0)
    return np.asarray(scale[:, None] * (means - moments.mean))


def _standing(
    every: Floats, owner: NDArray[np.intp], away: Floats, judged: NDArray[np.bool_]
) -> tuple[Floats, NDArray[np.intp]]:
    """Return (m,) the rivals of each sentence, and (m,) the other class it is loudest for, or -1."""
    m = len(every)
    rivals, best, loudest = np.ones(m), np.full(m, RARE), np.full(m, -1)
    reach = np.full(m, -np.inf)
    classes = np.flatnonzero(judged)
    for first in range(0, len(classes), _COLUMNS):
        block = classes[first : first + _COLUMNS]
        for k, lifts in zip(block.tolist(), np.ascontiguousarray((every @ away[block].T).T), strict=True):
            own = owner == k
            foreign = np.sort(lifts[~own])
            count = len(foreign)
            rivals[own] = (count - np.searchsorted(foreign, lifts[own], side="left")) / count
            if not (rare := int(count * RARE)):
                continue
            high = np.flatnonzero((lifts >= foreign[count - rare]) & ~own)
            as_good = (count - np.searchsorted(foreign, lifts[high], side="left")) / count
            won = (as_good < best[high]) | ((as_good == best[high]) & (lifts[high] > reach[high]))
            at = high[won]
            best[at], reach[at], loudest[at] = as_good[won], lifts[at], k
    return rivals, loudest


class _Columns(NamedTuple):
    """What is known of every sentence of all classes, (m,) each."""

    relevance: Floats
    spread: Floats
    lift: Floats
    separation: Floats
    rivals: Floats
    loudest: NDArray[np.intp]
    judged: NDArray[np.bool_]


def _of_class(
    c: int, own: Floats, used: set[int], columns: _Columns, start: int, near: Sequence[Near | None]
) -> tuple[DescriptionInsight, ...]:
    cosines = np.clip(own @ own.T, -1.0, 1.0)
    np.fill_diagonal(cosines, -2.0)
    lift = columns.lift[start : start + len(own)]
    weaker = np.searchsorted(np.sort(lift), lift, side="right") / len(own)
    made = []
    for j, other in enumerate(cosines.argmax(axis=1).tolist()):
        at = start + j
        same = Near(c, other, float(cosines[j, other])) if len(own) > 1 else None
        better = (lift[other], -other) > (lift[j], -j)
        made.append(
            DescriptionInsight(
                class_index=c,
                index=j,
                used=j in used,
                relevance=float(columns.relevance[at]),
                spread=float(columns.spread[at]),
                lift=float(lift[j]),
                separation=float(columns.separation[at]),
                rivals=float(columns.rivals[at]),
                weaker=float(weaker[j]),
                loudest=int(columns.loudest[at]) if columns.loudest[at] >= 0 else None,
                same=same,
                elsewhere=near[j],
                verdict=Verdict.UNJUDGED,
            )
        )
        if columns.judged[at]:
            repeated = same is not None and same.cosine >= REPEATED and bool(better)
            made[j] = replace(made[j], verdict=_verdict(made[j], repeated=repeated))
    return tuple(made)


def _verdict(item: DescriptionInsight, *, repeated: bool) -> Verdict:
    if item.rivals > RARE and item.rivals > item.weaker:
        return Verdict.DEAD if item.loudest is None else Verdict.OTHER
    if repeated:
        return Verdict.REDUNDANT
    return Verdict.WORKS if item.rivals <= RARE else Verdict.HELPS


def _classes(counts: NDArray[np.intp], similarity: ClassSimilarity) -> tuple[ClassInsight, ...]:
    others = similarity.cosines.copy()
    np.fill_diagonal(others, -2.0)
    nearest = others.argmax(axis=1).tolist()
    return tuple(
        ClassInsight(int(count), k, float(others[c, k]))
        for c, (count, k) in enumerate(zip(counts, nearest, strict=True))
    )


def _nearest_elsewhere(rows: list[Floats]) -> list[Near]:
    """The nearest sentence of the other classes of every sentence, block by block."""
    every = np.concatenate(rows).astype(np.float32)
    bounds = np.concatenate([[0], np.cumsum([len(own) for own in rows])])
    found: list[Near] = []
    for start in range(0, len(every), _BLOCK):
        block = every[start : start + _BLOCK] @ every.T
        ends = start + len(block)
        for low, high in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
            if low < ends and high > start:
                block[max(low, start) - start : min(high, ends) - start, low:high] = -2.0
        best = block.argmax(axis=1)
        owners = np.searchsorted(bounds, best, side="right") - 1
        cosines = np.clip(block[np.arange(len(block)), best], -1.0, 1.0)
        found += [
            Near(int(k), int(at - bounds[k]), float(value)) for k, at, value in zip(owners, best, cosines, strict=True)
        ]
    return found
