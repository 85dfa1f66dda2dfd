"""KPL's own Multimodal Proxy Learning: text-anchored class models, learnt from sums over images in a few passes.

Every class is a Gaussian in the image space; all share one full covariance with a ridge. Its mean is the soft mean of
the images that seem to belong to it, drawn towards an *anchor*: the text proxy moved across the modality gap. A class
that few images call for stays at its anchor, so that listed findings that are not in the folder do no harm. The class
prior comes from the soft counts. What a text cannot know, how the images of one class really scatter, the shared
covariance brings.

Six things keep the rounds from confirming themselves:

* an image is never compared with a class mean that it helped to make: its own share is taken out (leave-one-out,
  in closed form: the squared distance only grows by a factor), which matters most for small folders and rare classes;
* the text speaks in every round, at half its weight;
* a class whose text is close to every image, whatever it shows, is not a common class: the text's cosines are centred
  on the mean of the class means (not on the mean image, which would take a common class for a loud text);
* with a handful of images a class there is little to learn from, and the rounds would learn it by heart: the text's own
  responsibilities keep a share of those of every round, which is gone once images are many;
* an image that no class model describes, much farther from every one than images are from their own, is no evidence of
  any class model: the text decides on it, so that a class of one or two images is not swallowed by a common one;
* a description that the images of its class speak against, or that another class claims by its sentences and its
  images, is left out of the text proxy (`retrieval.confirm`): what is wrong, or right of something else, loses its
  voice as soon as the images can tell.

Notation: n images x_i, C classes, P responsibilities, t_c text proxies, L = X T^T, tau the text temperature,
M = (S_w + lambda I)^-1, |v|_M^2 = v^T M v.

    text share  s = 1 / (1 + (n / (f C))^3),   f = 4 images a class
    far         u_i = 1 / (1 + (2 D / v_i)^8),   D = tr(M S_w), the mean of |x - m|_M^2 over images and their classes
                v_i the least |x_i - m_c|_M^2 of any class, without the image's own share
    anchors     a_c = x_bar + (t_c - t_bar)
    means       m_c = (sum_i P_ic x_i + kappa a_c) / (N_c + kappa),   N_c = sum_i P_ic,   m_bar = mean_c m_c
    covariance  S_w = sum_ic P_ic (x_i - m_c)(x_i - m_c)^T / n
    prior       pi_c = (N_c + 3 s) / (n + 3 s C)
    score       -1/2 |x - m_c|_M^2 + w (x - m_bar) . t_c / tau + log pi_c
    first P     softmax(L / tau)
    next P      1 - (1 - s)(1 - u_i) x the first P + (1 - s)(1 - u_i) x softmax of the scores with |x_i - m_c|_M^2 times
                ((N_c + kappa) / (N_c + kappa - p_ic))^2,   p = min(the first P, (N_c + kappa) / 2)

The factor is exact: with N = N_c + kappa, the mean without a share p of the image is m' = (N m - p x) / (N - p), and
x - m' = (x - m) N / (N - p). The rounds end early once the class sums stand still.

Where images have weights (the k instances of a patient 1/k each, say) every sum is weighted and n is the sum of the
weights; p stays a whole share, since an image must not be judged by a mean that its like made either.

Related: closed form of the published loop (`kpl.proxies.ridge`); text-anchored statistics (StatA, Zanella et al.,
CVPR 2025), there with a diagonal covariance and a neighbour graph of all images at once; label-free debiasing of the
text's logits (Frolic, Zhu et al., NeurIPS 2024), there before and apart from the class models.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kpl.errors import InputError
from kpl.proxies.arrays import Floats, Images, check_positive, chunks, softmax
from kpl.proxies.condensed import Condensed
from kpl.proxies.metric import Metric, class_metric, few_classes, squares
from kpl.proxies.passes import Spread, add_up
from kpl.proxies.retrieval import TextProxies, confirm, description_spreads, reads_like_others, retrieve
from kpl.proxies.ridge import LinearScores
from kpl.proxies.sums import ClassSums, ImageMoments

#: Unit rows whose total variance is below this differ by float16 rounding alone; the ridge never rests on less.
LEAST_VARIANCE = 1e-6
#: The rounds end when the class sums, in sum over classes, moved by less than this share of the number of images.
SETTLED = 1e-3
#: Images that every class is given in the prior, times the text's share: so few counts say little of it.
PRIOR_IMAGES = 3.0
#: An image this many times farther from every class than images are from their own goes half by the text.
FAR = 2.0
FAR_POWER = 8
#: Rows of a working block: few enough that its (rows, C) arrays stay in the processor's cache.
BLOCK_ROWS = 512
#: Chunks of which what all rounds share is kept, a number an image: of 16 million images; of more, worked out again.
HELD_CHUNKS = 4096


@dataclass(frozen=True)
class AnchoredSettings:
    """The constants of the model. None was chosen per data set; docs/method.md says how each was.

    Attributes:
        temperature: tau, of the text's softmax; .01 is CLIP's own scale.
        text_weight: w, how loud the text stays in every round.
        anchor_images: kappa, how many images an anchor weighs.
        ridge: lambda = ridge x (total variance of the images, at least 1e-6) / sqrt(n).
        rounds: passes over the images after that of the moments, at most.
        few_images: f, images a class at which the text's responsibilities weigh as much as those of the class models;
            0 leaves them out after the first round.
    """

    temperature: float = 0.01
    text_weight: float = 0.5
    anchor_images: float = 1.5
    ridge: float = 0.2
    rounds: int = 8
    few_images: float = 4.0

    def __post_init__(self) -> None:
        """Refuse settings without a meaning, with an `InputError`."""
        check_positive(temperature=self.temperature, anchor_images=self.anchor_images, ridge=self.ridge)
        for name, value in (("text weight", self.text_weight), ("few images", self.few_images)):
            if not (np.isfinite(value) and value >= 0):
                raise InputError(f"{name} must be zero or more, got {value}")
        if self.rounds < 1:
            raise InputError(f"rounds must be at least 1, got {self.rounds}")

    def text_share(self, n_images: float, n_classes: int) -> float:
        """Return s, the share of the text's own responsibilities in every round; near zero where images are many."""
        few = self.few_images * n_classes
        return few**3 / (few**3 + n_images**3)


@dataclass(frozen=True)
class _Round:
    """One round's class models, ready to score a chunk."""

    metric: Metric  # M
    directions: Floats  # (C, d), M m_c with m_c centred on the mean image
    halves: Floats  # (C,), -1/2 m_c^T M m_c
    mass: Floats  # (C,), N_c + kappa
    offsets: Floats  # (C,), log pi_c - w m_bar . t_c / tau
    prior: Floats  # (C,)
    text_share: float  # s
    usual: float  # D


@dataclass(frozen=True)
class Step:
    """One pass over the images: all that another process has to be told of it, if it has the rounds.

    Attributes:
        passes: passes made before this one.
        sums: what the pass before came to; None in the first, in which the text decides alone.
    """

    passes: int = 0
    sums: ClassSums | None = None


class AnchoredRounds:
    """The rounds as steps over sums, for whoever holds the images: memory, shards on disk, or a cluster.

    Each pass adds up `partial` sums of all chunks, anywhere and in any order, and gives them to `after`; `add_up` of
    `kpl.proxies.passes` does so.

    Args:
        descriptions: per class (m_c, d) unit rows.
        text: the text proxies to begin with, with the descriptions that they are made of.
        moments: the moments of all images.
        settings: the constants of the model.

    Example:
        >>> from kpl.proxies.sums import sum_images
        >>> images = np.eye(2).repeat(20, axis=0)
        >>> texts = [np.eye(2)[:1], np.eye(2)[1:]]
        >>> moments = sum_images(images)
        >>> rounds = AnchoredRounds(texts, retrieve(moments.mean, texts), moments, AnchoredSettings(rounds=2))
        >>> step = rounds.start()
        >>> while step is not None:
        ...     sums = rounds.partial(step, images[:25]).merge(rounds.partial(step, images[25:]))
        ...     last, step = step, rounds.after(step, sums)
        >>> sums.mass.round(1).tolist(), last.passes
        ([20.0, 20.0], 1)
    """

    def __init__(
        self, descriptions: list[Floats], text: TextProxies, moments: ImageMoments, settings: AnchoredSettings
    ) -> None:
        self._descriptions, self._text, self.moments, self._settings = descriptions, text, moments, settings
        self._facts: tuple[list[Floats], list[NDArray[np.bool_]]] | None = None
        self._made: tuple[Step, TextProxies, _Round | None] = Step(), text, None
        self._held: dict[int, Floats | None] = {}

    def start(self) -> Step:
        """Return the first step."""
        return Step()

    def text(self, step: Step) -> TextProxies:
        """Return the text proxies of a step: of the descriptions that no image spoke against so far."""
        return self._models(step)[0]

    def partial(self, step: Step, chunk: Floats, weights: Floats | None = None, first: int | None = None) -> ClassSums:
        """Return the class sums of a (n_k, d) chunk of unit rows in this step.

        Args:
            step: of the pass.
            chunk: (n_k, d).
            weights: (n_k,) if there are any.
            first: its first row's place among all images: what rounds share of the chunk is then worked out once.
        """
        text, model = self._models(step)
        sums, same = ClassSums(*text.proxies.shape), None
        if model is not None and first is not None and (first in self._held or len(self._held) < HELD_CHUNKS):
            if first not in self._held:
                self._held[first] = self._shared(chunk)
            same = self._held[first]
        for start in range(0, len(chunk), BLOCK_ROWS):
            rows = slice(start, start + BLOCK_ROWS)
            block = chunk[rows]
            if model is None:
                shares = softmax(block @ text.proxies.T / self._settings.temperature)
            else:
                known = None if same is None else same[rows]
                shares = _responsibilities(block, text.proxies, model, self.moments.mean, self._settings, known)
            sums.update(block, shares, None if weights is None else weights[rows])
        return sums

    def after(self, step: Step, sums: ClassSums) -> Step | None:
        """Return the step after a pass that came to `sums`; None when the rounds are over."""
        if step.passes + 1 >= self._settings.rounds:
            return None
        moved = np.inf if step.sums is None else np.linalg.norm(sums.weighted - step.sums.weighted, axis=1).sum()
        return None if moved < SETTLED * self.moments.count else Step(step.passes + 1, sums)

    def _models(self, step: Step) -> tuple[TextProxies, _Round | None]:
        if self._made[0] is not step:
            text, model = self._text, None
            if step.sums is not None:
                text = self._confirmed(step.sums)
                model = _round(step.sums, text.proxies, self.moments, self._settings)
            self._made = step, text, model
        return self._made[1:]

    def _shared(self, chunk: Floats) -> Floats | None:
        """What all rounds have in common of a (n_k, d) chunk, (n_k,); a round then costs O(n C d), not O(n d^2)."""
        if not few_classes(*self._text.proxies.shape):
            return None
        whole, mean = self.moments.ridged_inverse(_ridge(self.moments, self._settings)), self.moments.mean
        starts = range(0, len(chunk), BLOCK_ROWS)
        return np.concatenate([squares(chunk[first : first + BLOCK_ROWS] - mean, whole) for first in starts])

    def _confirmed(self, sums: ClassSums) -> TextProxies:
        if self._facts is None:
            spreads = description_spreads(self._descriptions, self.moments.covariance)
            self._facts = spreads, reads_like_others(self._descriptions)
        kappa = self._settings.anchor_images
        return confirm(self._text, self._descriptions, *self._facts, sums, self.moments.mean, kappa)


def learn_anchored(
    images: Images, text_proxies: Floats, moments: ImageMoments, settings: AnchoredSettings
) -> tuple[LinearScores, Floats]:
    """Learn the class models of text proxies as they are, and return their linear scores and the estimated class prior.

    Args:
        images: (n, d) unit rows or a re-iterable of chunks; `settings.rounds` passes, memory O(d^2 + C d).
        text_proxies: (C, d) unit rows.
        moments: the moments of `images`.

    Returns:
        Scores of unit image features: natural-log odds up to a constant per image; and the class prior (C,).
    """
    descriptions = list(text_proxies[:, None])  # one a class, so that none can be dropped
    rounds = AnchoredRounds(descriptions, retrieve(moments.mean, descriptions), moments, settings)
    return solve_anchored(anchored_sums(images, rounds)[0], text_proxies, moments, settings)


def anchored_sums(
    images: Images | Spread,
    rounds: AnchoredRounds,
    weights: Floats | None = None,
    known: ClassSums | None = None,
    groups: Condensed | None = None,
) -> tuple[ClassSums, TextProxies]:
    """Return the soft class sums of the last round, with the text proxies that it was made with.

    Args:
        images: (n, d) unit rows or a re-iterable of chunks: those whose moments the rounds know.
        rounds: before their first step.
        weights: (n,) of the images, those of the moments.
        known: sums of images whose classes are known, which every round begins with.
        groups: of images that are not there any more.
    """
    for last in anchored_passes(images, rounds, weights, known, groups):
        found = last
    return found


def anchored_passes(
    images: Images | Spread,
    rounds: AnchoredRounds,
    weights: Floats | None = None,
    known: ClassSums | None = None,
    groups: Condensed | None = None,
) -> Iterator[tuple[ClassSums, TextProxies]]:
    """Yield what `anchored_sums` returns, of every round."""
    step: Step | None = rounds.start()
    while step is not None:
        text = rounds.text(step)
        sums = ClassSums.of(
            *add_up(images, rounds, weights, step, dim=text.proxies.shape[1], most=rounds.moments.count)
        )
        for further in (known, groups and rounds.partial(step, groups.means, groups.weights)):
            sums = sums.merge(further) if further else sums
        yield sums, text
        step = rounds.after(step, sums)


def solve_anchored(
    sums: ClassSums, text_proxies: Floats, moments: ImageMoments, settings: AnchoredSettings
) -> tuple[LinearScores, Floats]:
    """Return what the sums of the last round come to: the linear scores and the class prior (C,)."""
    current = _round(sums, text_proxies, moments, settings)
    offsets = current.offsets + current.halves - current.directions @ moments.mean
    proxies = current.directions + (settings.text_weight / settings.temperature) * text_proxies
    return LinearScores(proxies, offsets), current.prior


def class_distances(
    images: Images, sums: ClassSums, text_proxies: Floats, moments: ImageMoments, settings: AnchoredSettings
) -> Floats:
    """Return min_c |x_i - m_c|_M^2 / D, (n,): how far each image is from the nearest class model of the last round.

    One is as far as the images learnt from are, on average, from their own classes.
    """
    current = _round(sums, text_proxies, moments, settings)
    fits = (_fits(chunk - moments.mean, current).max(axis=1) for chunk in chunks(images, len(moments.mean)))
    return np.maximum(-2.0 * np.concatenate(list(fits)), 0.0) / current.usual


def _round(sums: ClassSums, text_proxies: Floats, moments: ImageMoments, settings: AnchoredSettings) -> _Round:
    anchors = text_proxies - text_proxies.mean(axis=0)
    n, kappa = moments.count, settings.anchor_images
    weighted = sums.weighted - sums.mass[:, None] * moments.mean  # centred on the mean image
    mass = sums.mass + kappa
    means = (weighted + kappa * anchors) / mass[:, None]
    ridge = _ridge(moments, settings)
    metric = class_metric(means, weighted / n, sums.mass / n, moments, ridge)
    usual = max(len(moments.mean) - ridge * metric.trace, LEAST_VARIANCE)
    directions = metric.of(means)
    halves = -0.5 * np.einsum("cd,cd->c", means, directions)
    text_share = settings.text_share(n, len(text_proxies))
    given = PRIOR_IMAGES * text_share
    prior = np.maximum((sums.mass + given) / (n + given * len(text_proxies)), np.finfo(np.float64).tiny)
    centre = text_proxies @ (moments.mean + means.mean(axis=0))
    offsets = np.log(prior) - (settings.text_weight / settings.temperature) * centre
    return _Round(metric, directions, halves, mass, offsets, prior, text_share, usual)


def _ridge(moments: ImageMoments, settings: AnchoredSettings) -> float:
    return float(settings.ridge * max(float(np.trace(moments.covariance)), LEAST_VARIANCE) / np.sqrt(moments.count))


def _responsibilities(
    block: Floats,
    text_proxies: Floats,
    current: _Round,
    mean: Floats,
    settings: AnchoredSettings,
    shared: Floats | None,
) -> Floats:
    """The next P of a block, each image scored against class means without its own share; in place where it can be."""
    scores = _fits(block - mean, current, shared)
    text = block @ text_proxies.T
    text /= settings.temperature
    first = softmax(text)
    share = np.minimum(first, current.mass / 2)  # never more than half of what made the mean
    np.subtract(current.mass, share, out=share)
    np.divide(current.mass, share, out=share)
    scores *= share
    scores *= share
    far = (np.maximum(-2.0 * scores.max(axis=1), 0.0) / (FAR * current.usual)) ** FAR_POWER
    text_share = 1 - (1 - current.text_share) / (1 + far[:, None])
    text *= settings.text_weight
    scores += text
    scores += current.offsets
    return _blended(softmax(scores), first, text_share)


def _fits(centred: Floats, current: _Round, shared: Floats | None = None) -> Floats:
    """-1/2 |x - m_c|_M^2 (n, C) of images less the mean image."""
    scores: Floats = centred @ current.directions.T
    scores += current.halves
    scores -= 0.5 * current.metric.lengths(centred, shared)[:, None]
    return scores


def _blended(learnt: Floats, first: Floats, text_share: float | Floats) -> Floats:
    """Give the text its share of responsibilities (n, C), both of which are used up; (n, 1) a share of each image."""
    learnt *= 1 - text_share
    first *= text_share
    learnt += first
    return learnt
