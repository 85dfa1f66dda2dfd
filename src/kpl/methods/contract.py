"""What every method is: a constructor that only stores, `fit` without labels, `predict`, `predict_proba`, `explain`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Literal, NamedTuple, Self, TypeVar, get_type_hints

import numpy as np
from numpy.typing import NDArray

from kpl.errors import FeaturesError, InputError, LabelsError, ModelError, NotFittedError, UnknownNameError
from kpl.methods.saving import Arrays, flatten, restore
from kpl.proxies.arrays import (
    Descriptions,
    Floats,
    Images,
    as_array,
    check_positive,
    checked_descriptions,
    checked_weights,
    chunks,
    softmax,
)
from kpl.proxies.priors import given_prior, text_logits
from kpl.proxies.retrieval import TextProxies, retrieve
from kpl.proxies.sums import ImageMoments, sum_images

Reading = Literal["names", "templates", "descriptions", "random", "subclasses", "pairs"]
"""The texts that a method wants of each class, as the (m_c, d) rows that `fit` gets in the place of descriptions:

names           one row: the class name in the plain template
templates       the class name in many templates
descriptions    the class's descriptions in the knowledge's template
random          random words and characters in the place of descriptions
subclasses      the class name first, then its subclasses
pairs           2 m rows: m prompts that say a finding is there, then the m that say it is not
"""
_Scalar = TypeVar("_Scalar", bound=np.generic)


FEW_PICTURES = 5
"""A class with fewer has too few to judge its descriptions by."""


class Contradicted(NamedTuple):
    """A description that the images of its class speak against, so that it was left out.

    Attributes:
        class_index, description: which.
        instead: the other class whose images support it most.
        score: how much more it looks like one of another class, `kpl.proxies.retrieval.misplaced`; zero is the average.
    """

    class_index: int
    description: int
    instead: int
    score: float


@dataclass(frozen=True)
class Facts:
    """What a user should know of a method: its source, what it takes for granted, what it costs, when it fails."""

    source: str
    assumes: str
    cost: str
    fails: str
    configured: str = "as published"
    """Its settings in the comparison."""


@dataclass(kw_only=True, eq=False)
class Method(ABC):
    """A classifier of images by descriptions. No parameter exists through which a label could come.

    A subclass is a dataclass of its settings that implements `_learn` and `_scores`. Learnt state ends in an
    underscore: `text_` holds the text proxies and what was retrieved for them, `descriptions_` what they were made of.

    Attributes:
        k: descriptions retrieved per class; None takes all.
        temperature: of the softmax over cosines; .01 is the scale CLIP models are trained to.
    """

    name: ClassVar[str]
    reads: ClassVar[Reading] = "descriptions"
    summary: ClassVar[str]
    facts: ClassVar[Facts | None] = None
    batch_only: ClassVar[str] = ""
    """Why it can only judge the images it was fitted on; empty for a method that new images can be judged by."""
    unweighted: ClassVar[str] = ""
    """Why it cannot count an image as more or less than one; empty for a method that takes `weights`."""

    k: int | None = None
    temperature: float = 0.01
    text_: TextProxies = field(init=False, repr=False)
    descriptions_: list[Floats] = field(init=False, repr=False)
    moments_: ImageMoments = field(init=False, repr=False)
    fitted_: bool = field(default=False, init=False, repr=False)

    def fit(self, images: Images, descriptions: Descriptions, *, weights: Floats | None = None) -> Self:
        """Learn from unlabelled images and the descriptions of each class.

        Args:
            images: (n, d) unit rows, or a re-iterable of such chunks; several passes are made.
            descriptions: C arrays (m_c, d) of unit rows.
            weights: (n,) above zero, how much each image counts; None counts each once. With 1/k for the k images of a
                patient every patient counts once.

        Raises:
            FeaturesError: shapes or values that cannot be used, or a one-shot iterator.
            InputError: a setting without a meaning, or weights other than one for a method that is `unweighted`.
        """
        weights = checked_weights(weights)
        self.fitted_ = False
        return self.fit_moments(images, sum_images(images, weights), descriptions, weights=weights)

    def fit_moments(
        self, images: Images, moments: ImageMoments, descriptions: Descriptions, *, weights: Floats | None = None
    ) -> Self:
        """Do as `fit` does, with the moments of the images known already: it saves a pass when fitting again."""
        self.fitted_ = False  # until all is learnt: what a refused fit leaves behind must not predict
        weights = self._weights(weights)
        check_positive(temperature=self.temperature)
        self.descriptions_ = self._read(checked_descriptions(descriptions, len(moments.mean)))
        self.text_ = retrieve(moments.mean, self.descriptions_, self.k)
        self._learn(images, moments, weights)
        self.moments_ = moments
        self.fitted_ = True
        return self

    def learnt_again(
        self, images: Images, moments: ImageMoments, descriptions: Descriptions, *, weights: Floats | None = None
    ) -> Self:
        """Return this method learnt from other descriptions over the same images, to compare its scores with these."""
        return replace(self).fit_moments(images, moments, descriptions, weights=weights)

    def update(self, images: Images, *, weights: Floats | None = None) -> bool:
        """Learn from more images without those that were learnt from before.

        Returns:
            Whether the result is that of a fit on all images at once, up to rounding. If not, it is approximate: the
            text proxies of all images would be others, or what was made of the earlier images would be.

        Raises:
            NotFittedError: before `fit`.
            FeaturesError: as in `fit`, or images of another dimension.
            InputError: the method cannot learn from images one after the other.
        """
        self._check_fitted()
        weights = self._weights(weights)
        more = sum_images(images, weights)
        if len(more.mean) != len(self.moments_.mean):
            raise FeaturesError(f"images must be (n, {len(self.moments_.mean)}), got d = {len(more.mean)}")
        moments = self.moments_.merged(more)
        exact = self._add(images, moments, retrieve(moments.mean, self.descriptions_, self.k), weights)
        self.moments_ = moments
        return exact

    def state(self) -> dict[str, NDArray[Any]]:
        """Return all that was learnt as named arrays: with the settings they make the fitted method again.

        Raises:
            NotFittedError: before `fit`.
            ModelError: the method can only judge the batch at hand.
        """
        self._check_fitted()
        if self.batch_only:
            raise ModelError(f"method {self.name!r} cannot be saved: {self.batch_only}")
        learnt = (f.name for f in fields(self) if not f.init and f.name != "fitted_")
        return dict(pair for name in learnt for pair in flatten(name, getattr(self, name)))

    @classmethod
    def from_state(cls, state: Arrays, **settings: Any) -> Self:  # noqa: ANN401 - each method has its own settings
        """Return the fitted method that had this state and these settings; it predicts the same, bit for bit.

        Raises:
            KeyError: an array of the state is missing.
        """
        made, hints = cls(**settings), get_type_hints(cls)
        for f in fields(cls):
            if not f.init and f.name != "fitted_":
                setattr(made, f.name, restore(f.name, hints[f.name], state))
        made.fitted_ = True
        return made

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the settings by name, as scikit-learn asks for them; `deep` changes nothing."""
        del deep
        return {f.name: getattr(self, f.name) for f in fields(self) if f.init}

    def set_params(self, **settings: Any) -> Self:  # noqa: ANN401 - each method has its own settings
        """Change settings and return the method, not fitted any more.

        Raises:
            UnknownNameError: the method has no such setting.
        """
        known = self.get_params()
        if unknown := sorted(set(settings) - set(known)):
            raise UnknownNameError(f"setting of {self.name}", unknown[0], known)
        for name, value in settings.items():
            setattr(self, name, value)
        self.fitted_ = self.fitted_ and not settings
        return self

    @property
    def classes_(self) -> NDArray[np.intp]:
        """Class indices, (C,), the columns of `predict_proba`.

        Raises:
            NotFittedError: before `fit`.
        """
        self._check_fitted()
        return np.arange(len(self.descriptions_))

    def fit_predict(
        self, images: Images, descriptions: Descriptions, *, weights: Floats | None = None
    ) -> NDArray[np.intp]:
        """Learn from unlabelled images and return the class index of each, (n,); as `fit`, then `predict`."""
        return self.fit(images, descriptions, weights=weights).predict(images)

    def score(self, images: Images, truth: Sequence[int] | NDArray[np.integer]) -> float:
        """Return the accuracy on labelled images; nothing is learnt from them.

        Args:
            images: n of them.
            truth: (n,) class indices.

        Raises:
            NotFittedError: before `fit`.
            LabelsError: not one class index an image.
        """
        said, right = self.predict(images), as_array(truth, "true classes")
        if right.shape != said.shape or right.dtype.kind not in "iu":
            raise LabelsError(
                f"one class index for each of {len(said)} images is needed, got {right.shape} {right.dtype}"
            )
        return float((said == right).mean())

    def predict(self, images: Images) -> NDArray[np.intp]:
        """Return the class index of each image, (n,).

        Raises:
            NotFittedError: before `fit`.
            FeaturesError: as in `fit`, or images of another dimension.
        """
        return self._each(images, lambda chunk: self._scores(chunk).argmax(axis=1))

    def predict_proba(self, images: Images) -> Floats:
        """Return the probability of each class for each image, (n, C), rows summing to one."""
        return softmax(self.logits(images))

    def logits(self, images: Images) -> Floats:
        """Return what `predict_proba` is the softmax of, (n, C): it ranks images where probabilities round to one."""
        return self._each(images, lambda chunk: self._logits(self._scores(chunk)))

    @property
    def estimated_prior(self) -> Floats | None:
        """How common each class is, (C,), if the method believes something of it."""
        return None

    def distances(self, images: Images) -> Floats | None:
        """Return how far each image is from the nearest class model, (n,), where it knows; 1 is as far as is usual."""
        del images
        return None

    def text_logits(self, images: Images) -> Floats:
        """Return log probabilities (n, C) by the text proxies alone; a prior that was set by hand holds here too."""
        self._check_fitted()
        return text_logits(images, self.text_.proxies, self.temperature, given_prior(self.get_params().get("prior")))

    def scores(self, images: Images) -> Floats:
        """Return the scores of which `predict` takes the largest, (n, C)."""
        return self._each(images, self._scores)

    def _each(self, images: Images, work: Callable[[Floats], NDArray[_Scalar]]) -> NDArray[_Scalar]:
        self._check_fitted()
        dim = self.text_.proxies.shape[1]
        return np.concatenate([work(chunk) for chunk in chunks(images, dim)])

    def _read(self, texts: list[Floats]) -> list[Floats]:
        """Keep what of the texts is no description, and return the descriptions."""
        return texts

    def texts(self) -> list[Floats]:
        """Return the texts that `fit` got, to fit again."""
        return list(self.descriptions_)

    def texts_without(self, class_index: int, indices: Sequence[int]) -> list[Floats]:
        """Return the texts of a fit that leaves some descriptions of a class out, for `explain`."""
        texts = self.texts()
        texts[class_index] = np.delete(texts[class_index], indices, axis=0)
        return texts

    def contradicted(self) -> tuple[Contradicted, ...]:
        """Return the descriptions that the images spoke against in `fit`, the worst first; none of most methods."""
        self._check_fitted()
        return ()

    def _weights(self, weights: Floats | None) -> Floats | None:
        weights = checked_weights(weights)
        if weights is not None and self.unweighted:
            raise InputError(f"method {self.name!r} cannot weigh images: {self.unweighted}; leave weights out")
        return weights

    def _learn(  # noqa: B027 - optional on purpose
        self, images: Images, moments: ImageMoments, weights: Floats | None
    ) -> None:
        """Learn what goes beyond the text proxies; a purely textual method needs nothing more.

        Args:
            weights: (n,) of the images, or None where all count once; see `weighted_chunks`.
        """

    def _add(self, images: Images, moments: ImageMoments, text: TextProxies, weights: Floats | None) -> bool:
        """Learn from more images, and say whether that is exact; see `update`.

        Args:
            moments: of all images, the earlier ones and these.
            text: the text proxies that a fit on all images would have.
        """
        del images, moments, text, weights
        raise InputError(f"method {self.name!r} cannot learn from images one after the other: fit anew on all of them")

    def _check_fitted(self) -> None:
        if not self.fitted_:
            raise NotFittedError(
                f"{type(self).__name__} has not learnt anything yet: call fit(images, descriptions) first"
            )

    @abstractmethod
    def _scores(self, chunk: Floats) -> Floats:
        """Return the (n, C) scores of a chunk of unit rows."""

    def _logits(self, scores: Floats) -> Floats:
        """Return log probabilities (n, C), each row up to a constant, of scores."""
        return scores / self.temperature
