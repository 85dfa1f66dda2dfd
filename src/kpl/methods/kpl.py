"""KPL's own methods: the default, and the closed form of the published one."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from kpl.errors import InputError
from kpl.methods.contract import FEW_PICTURES, Contradicted, Facts, Method
from kpl.proxies.anchored import (
    AnchoredRounds,
    AnchoredSettings,
    anchored_sums,
    class_distances,
    solve_anchored,
)
from kpl.proxies.arrays import Descriptions, Floats, Images, checked_descriptions
from kpl.proxies.condensed import Condensed, condensed
from kpl.proxies.doubt import Doubt, believed, halves
from kpl.proxies.priors import checked_prior, prior_shift
from kpl.proxies.retrieval import Misplaced, TextProxies, best_k, misplaced, retrieve
from kpl.proxies.ridge import LinearScores, loop_ridge, ridge_discriminant, text_class_means
from kpl.proxies.sums import ClassSums, ImageMoments


@dataclass(kw_only=True, eq=False)
class KPL(Method):
    """Knowledge Proxy Learning as KPL recommends it: descriptions that the images confirm, text-anchored class models.

    `text_.chosen` holds, after `fit`, the descriptions that the images of their class do not speak against.
    A few passes over the images and O(d^2 + C d) memory; the class prior is estimated, never assumed equal; a class
    that is listed but absent stays at its text. `kpl.proxies.anchored` has the formulas.

    Attributes:
        k: descriptions retrieved per class before any is left out; None takes all.
        text_weight, anchor_images, ridge, rounds, few_images: see `AnchoredSettings`.
        prior: the share of each class where it is known, summing to one; "estimated" from the images where it is not.
            It is a term of the scores of its own: what is learnt does not depend on it.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> centres = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
        >>> images = np.repeat(centres, 20, axis=0) + 0.1 * rng.normal(size=(40, 3)) + [0.0, 0.0, 1.0]
        >>> texts = [np.array([[1.0, 0.3, -1.0]]), np.array([[0.3, 1.0, -1.0]])]
        >>> model = KPL().fit(images, texts)
        >>> model.predict(images).tolist() == [0] * 20 + [1] * 20
        True
        >>> model.prior_.round(2).tolist()
        [0.5, 0.5]
    """

    name: ClassVar[str] = "kpl"
    summary: ClassVar[str] = "Knowledge Proxy Learning, our default"

    facts: ClassVar[Facts] = Facts(
        source="this project; docs/method.md",
        assumes="the text is right more often than not; classes that share one covariance",
        cost="a few passes, O(n d^2) each; memory O(d^2 + C d); streams",
        fails="text that is wrong for most images",
        configured="its defaults, chosen on three of the six encoders and the other grounds of the research log",
    )

    k: int | None = None
    text_weight: float = AnchoredSettings.text_weight
    anchor_images: float = AnchoredSettings.anchor_images
    ridge: float = AnchoredSettings.ridge
    rounds: int = AnchoredSettings.rounds
    few_images: float = AnchoredSettings.few_images
    prior: tuple[float, ...] | str = "estimated"
    model_: LinearScores = field(init=False, repr=False)
    prior_: Floats = field(init=False, repr=False)
    sums_: ClassSums = field(init=False, repr=False)
    groups_: Condensed | None = field(init=False, repr=False)
    doubt_: Doubt | None = field(init=False, repr=False)

    @property
    def estimated_prior(self) -> Floats | None:
        """How common each class is, (C,)."""
        return self.prior_

    def _learn(self, images: Images, moments: ImageMoments, weights: Floats | None) -> None:
        self._run(images, moments, weights)
        self.groups_ = condensed(images, weights)

    def _add(self, images: Images, moments: ImageMoments, text: TextProxies, weights: Floats | None) -> bool:
        # A model of an earlier version has no groups: what it has is its classes.
        groups = self.groups_ or Condensed(self.sums_.finish(), np.maximum(self.sums_.mass, np.finfo(np.float64).tiny))
        self.text_ = text
        self._run(images, moments, weights, groups)
        self.groups_ = condensed(images, weights, groups)
        return False

    def _run(
        self, images: Images, moments: ImageMoments, weights: Floats | None, groups: Condensed | None = None
    ) -> None:
        settings, known = self._settings(), self._known()
        found = halves(images, weights, self.descriptions_, moments, settings, k=self.k, known=known, groups=groups)
        self._anchor(images, moments, found.rounds, weights, groups)
        self.doubt_ = found.doubt(solve_anchored(self.sums_, self.text_.proxies, moments, settings)[0])
        self._solve(moments)

    def _anchor(
        self, images: Images, moments: ImageMoments, most: int, weights: Floats | None, groups: Condensed | None = None
    ) -> None:
        settings = replace(self._settings(), rounds=min(most, self.rounds))
        rounds = AnchoredRounds(self.descriptions_, self.text_, moments, settings)
        self.sums_, self.text_ = anchored_sums(images, rounds, weights, self._known(), groups)

    def _known(self) -> ClassSums | None:
        """Return the sums of images whose class a person said: none, but for learning on from corrections."""
        return None

    def learnt_again(
        self, images: Images, moments: ImageMoments, descriptions: Descriptions, *, weights: Floats | None = None
    ) -> KPL:
        """Return this method learnt from other descriptions, believed as far as this one, so that scores compare."""
        again = copy(self)
        again.descriptions_ = again._read(checked_descriptions(descriptions, len(moments.mean)))
        again.text_, again.moments_ = retrieve(moments.mean, again.descriptions_, self.k), moments
        again._anchor(images, moments, self.doubt_.rounds if self.doubt_ else self.rounds, weights)
        again._solve(moments)
        return again

    def _solve(self, moments: ImageMoments) -> None:
        model, prior = solve_anchored(self.sums_, self.text_.proxies, moments, self._settings())
        if self.doubt_ is not None:
            averaged = retrieve(moments.mean, self.descriptions_, self.k).proxies
            model = believed(model, averaged, self.doubt_, self.temperature)
        if not isinstance(self.prior, str):
            given = checked_prior(self.prior, len(prior))
            model, prior = LinearScores(model.proxies, model.offsets + prior_shift(given, prior)), given
        elif self.prior != "estimated":
            raise InputError(f"prior must be 'estimated' or one share a class, got {self.prior!r}")
        self.model_, self.prior_ = model, prior

    def distances(self, images: Images) -> Floats:
        """Return how far each image is from the nearest class model, (n,), whatever the model says of it.

        One is as far as the images learnt from are, on average, from their own classes. New images of the same kind
        stay below about 3, pictures of something else lie beyond (docs/method.md).

        Args:
            images: (n, d) unit rows, or chunks.

        Raises:
            NotFittedError: before `fit`.
        """
        self._check_fitted()
        return class_distances(images, self.sums_, self.text_.proxies, self.moments_, self._settings())

    def misplaced(self) -> Misplaced:
        """Say how much more each description looks like one of another class: `kpl.proxies.retrieval.misplaced`.

        Sentences of other classes that slipped in are found by it.

        Raises:
            NotFittedError: before `fit`.
        """
        self._check_fitted()
        return misplaced(self.descriptions_, self.sums_, self.moments_, self.anchor_images)

    def contradicted(self) -> tuple[Contradicted, ...]:
        """Return the retrieved descriptions that the images spoke against in `fit`, the most misplaced first.

        Empty where the images cannot tell: too few of them to learn from (then of that class), or two halves of the
        knowledge part as they learn.

        Raises:
            NotFittedError: before `fit`.
        """
        self._check_fitted()
        few = self.moments_.count < FEW_PICTURES * len(self.descriptions_)
        if few or len(self.descriptions_) < 2 or (self.doubt_ is not None and self.doubt_.apart):
            return ()
        pairs = zip(self.text_.relevance, self.text_.chosen, strict=True)
        left = [np.setdiff1d(best_k(relevance, self.k), chosen) for relevance, chosen in pairs]
        if not any(map(len, left)):
            return ()
        found = self.misplaced()
        listed = [
            Contradicted(c, j, int(found.instead[c][j]), float(found.scores[c][j]))
            for c, own in enumerate(left)
            for j in own.tolist()
            if self.sums_.mass[c] >= FEW_PICTURES
        ]
        return tuple(sorted(listed, key=lambda each: -each.score))

    def with_prior(self, prior: Sequence[float] | Floats) -> KPL:
        """Return this fitted method with a class prior that is known, in the place of the one it has.

        The same as a fit with that `prior`, without learning again.

        Args:
            prior: (C,) shares that sum to one. A share of zero: the class never wins.

        Raises:
            NotFittedError: before `fit`.
            InputError: it is no prior of these classes.
        """
        self._check_fitted()
        moved = copy(self)
        moved.prior = tuple(checked_prior(prior, len(self.prior_)).tolist())
        moved._solve(self.moments_)
        return moved

    def _settings(self) -> AnchoredSettings:
        return AnchoredSettings(
            self.temperature, self.text_weight, self.anchor_images, self.ridge, self.rounds, self.few_images
        )

    def _scores(self, chunk: Floats) -> Floats:
        return self.model_(chunk)

    def _logits(self, scores: Floats) -> Floats:
        return scores  # the discriminant's scores are log odds already


@dataclass(kw_only=True, eq=False)
class ClosedKPL(Method):
    """The ridge form that the published loop approaches, in one solve and for any number of classes.

    Attributes:
        ridge: lambda; None takes the loop's own, .04 x ||mean image||.
        intercept: give the discriminant the intercept that the published loop lacks.
    """

    name: ClassVar[str] = "kpl-closed"
    summary: ClassVar[str] = "the published KPL routine in closed form"

    facts: ClassVar[Facts] = Facts(
        source="this project, from Liu et al., AAAI 2025",
        assumes="classes of about equal size",
        cost="two passes and one d x d solve; streams",
        fails="strong imbalance and absent classes, as the published routine does",
        configured="k = all, the loop's own ridge, no intercept",
    )

    ridge: float | None = None
    intercept: bool = False
    model_: LinearScores = field(init=False, repr=False)
    sums_: ClassSums = field(init=False, repr=False)

    def _learn(self, images: Images, moments: ImageMoments, weights: Floats | None) -> None:
        self.sums_ = text_class_means(images, self.text_.proxies, self.temperature, weights)
        self._solve(moments)

    def _add(self, images: Images, moments: ImageMoments, text: TextProxies, weights: Floats | None) -> bool:
        self.sums_ = self.sums_.merge(text_class_means(images, self.text_.proxies, self.temperature, weights))
        self._solve(moments)
        return text.same_choice(self.text_)

    def _solve(self, moments: ImageMoments) -> None:
        ridge = loop_ridge(moments) if self.ridge is None else self.ridge
        self.model_ = ridge_discriminant(moments.gram, self.sums_.finish(), ridge, intercept=self.intercept)

    def _scores(self, chunk: Floats) -> Floats:
        return np.asarray(self.model_(chunk))

    def _logits(self, scores: Floats) -> Floats:
        return scores
