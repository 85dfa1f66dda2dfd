"""How far the rounds are to be believed, without a label: do two halves of the knowledge come to the same?

The descriptions of each class are split in two. The class models are learnt from either half alone, over the same
images. Where the images settle what a picture is, both come to the same answer, whatever each half said at first; where
the answer hangs on the choice of sentences, they do not.

    agreement        share of images on which the class models of both halves agree, after each round
    text agreement   share of images on which the text proxies of both halves agree: with all descriptions of each, or
                     with those alone that the images did not contradict by that round, whichever is less

Rounds go on while they bring the halves together. The last round is the last that is not clearly worse than the best
one both by the agreement and by the agreement less text agreement: by more than two standard errors of the difference,
which the images themselves give.

The agreement is how sure the answers may be on the whole: the scores are divided by the temperature at which the mean
largest probability is no more than that. And where learning drives the halves apart that by themselves agree, the
rounds amplify what is particular to a sentence: the averaged descriptions then get a share of the score,

    text share = (text agreement - agreement) / .2, from 0 to 1.

A class with a single description gives it to both halves: of such knowledge nothing can be learnt this way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kpl.proxies.anchored import AnchoredRounds, AnchoredSettings, anchored_passes, solve_anchored
from kpl.proxies.arrays import Floats, Images, softmax
from kpl.proxies.condensed import Condensed
from kpl.proxies.passes import Spread, sampled
from kpl.proxies.retrieval import retrieve
from kpl.proxies.ridge import LinearScores
from kpl.proxies.sums import ClassSums, ImageMoments

APART = 0.2  # by which learning has driven the halves apart where the text alone is left
CLEAR = 2.0  # standard errors by which a round is to be worse than the best one before the rounds end there
_LESS = 0.01  # by which two halves agree less once they have learnt: rounding is below it
_STEPS = 16  # of halving the interval of the log temperature
_HIGHEST = 6.0


@dataclass(frozen=True)
class Doubt:
    """What two halves of the knowledge came to.

    Attributes:
        agreement, text_agreement: shares of images, learnt and by the text alone.
        temperature: what the scores of the class models are divided by, at least one.
        rounds: after which learning ends, at most.
    """

    agreement: float
    text_agreement: float
    temperature: float
    rounds: int = AnchoredSettings.rounds

    @property
    def apart(self) -> bool:
        """Whether learning drove the halves apart: the images do not settle what the descriptions ask."""
        return self.text_agreement - self.agreement > _LESS

    @property
    def text_share(self) -> float:
        """The share of the averaged descriptions in the score."""
        return float(np.clip((self.text_agreement - self.agreement) / APART, 0.0, 1.0))


@dataclass(frozen=True)
class Halves:
    """What two halves of the knowledge say of some of the images, before all of it has been learnt from.

    Attributes:
        rows, shares: (n, d) images and how much each counts, summing to one.
        rounds: the last on which the halves came closer together, as far as that can be told.
        agreement, text_agreement: of that round.
    """

    rows: Floats
    shares: Floats
    rounds: int
    agreement: float
    text_agreement: float

    def doubt(self, model: LinearScores) -> Doubt:
        """Return the doubt of the scores that all descriptions come to in as many rounds."""
        temperature = _temperature(model(self.rows), self.shares, self.agreement)
        return Doubt(self.agreement, self.text_agreement, temperature, self.rounds)


def halves(
    images: Images | Spread,
    weights: Floats | None,
    descriptions: list[Floats],
    moments: ImageMoments,
    settings: AnchoredSettings,
    *,
    k: int | None = None,
    known: ClassSums | None = None,
    groups: Condensed | None = None,
) -> Halves:
    """Learn from both halves of the descriptions, on at most 4096 of the images, and compare them after every round.

    Args:
        images, weights, moments, known, groups: what is to be learnt from.
        descriptions: per class (m_c, d) unit rows.
        k: descriptions that are retrieved of a class.
    """
    if all(len(each) == 1 for each in descriptions):  # both halves are the whole
        return Halves(np.empty((0, len(moments.mean))), np.empty(0), settings.rounds, 1.0, 1.0)
    images, weights = sampled(images, weights)
    rows, own = images, weights
    if groups is not None:
        rows, own = np.concatenate([groups.means, rows]), np.concatenate([groups.weights, own])
    learnt: list[list[NDArray[np.intp]]] = [[], []]
    told: list[list[NDArray[np.intp]]] = [[], []]
    for half in (0, 1):
        texts = [each[half::2] if len(each) > 1 else each for each in descriptions]
        rounds = AnchoredRounds(texts, retrieve(moments.mean, texts, k), moments, settings)
        for sums, text in anchored_passes(images, rounds, weights, known, groups):
            told[half].append((rows @ text.proxies.T).argmax(axis=1))
            learnt[half].append(solve_anchored(sums, text.proxies, moments, settings)[0](rows).argmax(axis=1))
    shares = own / own.sum()
    agree, before = _same(learnt), _same(told)
    by_text = before @ shares
    before[by_text > by_text[0]] = before[0]
    independent = min(float(own.sum()), 1 / float(shares @ shares))  # many slices of a unit count as one
    last = max(_last(agree, shares, independent), _last(agree - before, shares, independent))
    ends = last + 1 if last + 1 < len(agree) else settings.rounds
    return Halves(rows, shares, ends, float(agree[last] @ shares), float(before[last] @ shares))


def _same(said: list[list[NDArray[np.intp]]]) -> Floats:
    """Say of each round and image (r, n) whether two said the same; who is done stands by what it said last."""
    most = max(map(len, said))
    one, other = (np.stack(own + own[-1:] * (most - len(own))) for own in said)
    return np.asarray(one == other, dtype=np.float64)


def _last(found: Floats, shares: Floats, independent: float) -> int:
    """Return the last round (r, n) whose mean is not clearly below the best one's, of so many independent images."""
    best = int((found @ shares).argmax())
    for later in range(len(found) - 1, best, -1):
        less = found[best] - found[later]
        mean = float(less @ shares)
        error = np.sqrt(float((less - mean) ** 2 @ shares) / independent)
        if mean <= CLEAR * error:
            return later
    return best


def believed(model: LinearScores, averaged: Floats, found: Doubt, temperature: float) -> LinearScores:
    """Return the scores as far as they are to be believed.

    Args:
        model: of the class models.
        averaged: (C, d) text proxies of all descriptions.
        found: the doubt.
        temperature: of the text.
    """
    own = (1 - found.text_share) / found.temperature
    return LinearScores(own * model.proxies + found.text_share / temperature * averaged, own * model.offsets)


def _temperature(scores: Floats, shares: Floats, sure: float) -> float:
    """The least temperature from one on at which the mean largest probability is no more than `sure`."""
    scores = scores - scores.max(axis=1, keepdims=True)

    def too_sure(log: float) -> bool:
        return float(softmax(scores / np.exp(log)).max(axis=1) @ shares) > sure

    if not too_sure(0.0):
        return 1.0
    low, high = 0.0, _HIGHEST
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if too_sure(middle) else (low, middle)
    return float(np.exp(high))
