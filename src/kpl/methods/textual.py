"""The methods that read the text alone: they learn nothing from images but which descriptions to take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np

from kpl.errors import FeaturesError, InputError
from kpl.methods.contract import Facts, Method, Reading
from kpl.proxies.arrays import Floats, Images, check_positive
from kpl.proxies.multi_label import log_multi_label
from kpl.proxies.retrieval import TextProxies, image_scores
from kpl.proxies.sums import ImageMoments


@dataclass(kw_only=True, eq=False)
class Textual(Method):
    """A method that learns nothing from images but which descriptions to take."""

    def _add(self, images: Images, moments: ImageMoments, text: TextProxies, weights: Floats | None) -> bool:
        self.text_ = text
        self._learn(images, moments, weights)
        return True


@dataclass(kw_only=True, eq=False)
class CuPL(Textual):
    """The cosine with the average of all descriptions of a class.

    Source: Pratt et al., "What does a platypus look like?", ICCV 2023; KPL's text proxy with k = all.

    Example:
        >>> images = np.eye(2)
        >>> CuPL().fit(images, [np.array([[1.0, 0.1]]), np.array([[0.1, 1.0]])]).predict(images).tolist()
        [0, 1]
    """

    name: ClassVar[str] = "cupl"
    summary: ClassVar[str] = "all descriptions averaged"
    facts: ClassVar[Facts] = Facts(
        source="Pratt et al., ICCV 2023",
        assumes="descriptions that say how a class looks",
        cost="O(n C d); streams",
        fails="generic or wrong sentences weigh as much as good ones",
    )

    def _scores(self, chunk: Floats) -> Floats:
        return np.asarray(chunk @ self.text_.proxies.T)


@dataclass(kw_only=True, eq=False)
class ClassNames(CuPL):
    """The cosine with the class name in one template.

    Source: Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", ICML 2021.
    """

    name: ClassVar[str] = "names"
    reads: ClassVar[Reading] = "names"
    summary: ClassVar[str] = "CLIP zero-shot: class names in one template"
    facts: ClassVar[Facts] = Facts(
        source="Radford et al., ICML 2021",
        assumes="the encoder knows the class names",
        cost="O(n C d); streams",
        fails="names that the encoder has not met; one template's whims",
        configured="the plainest template",
    )


@dataclass(kw_only=True, eq=False)
class PromptEnsemble(CuPL):
    """The cosine with the normalised mean of the class name's embeddings in many templates.

    Source: Radford et al., ICML 2021, section 3.1.4 (80 templates for ImageNet; 7 of them do as well).

    Attributes:
        templates: how many of the templates given are averaged, spread evenly over their list; all if there are fewer.
    """

    name: ClassVar[str] = "ensemble"
    reads: ClassVar[Reading] = "templates"
    summary: ClassVar[str] = "class names in many templates, averaged"
    facts: ClassVar[Facts] = Facts(
        source="Radford et al., ICML 2021, section 3.1.4",
        assumes="the encoder knows the class names",
        cost="O(n C d); streams",
        fails="names that the encoder has not met",
        configured="80 templates; also 7",
    )

    templates: int = 80

    def _read(self, texts: list[Floats]) -> list[Floats]:
        if self.templates < 1:
            raise InputError(f"templates must be at least 1, got {self.templates}")
        return [rows[_spread(len(rows), self.templates)] for rows in texts]


def _spread(available: int, wanted: int) -> list[int]:
    """Return `wanted` places spread evenly over `available`, all of them if there are fewer.

    Example:
        >>> _spread(10, 4), _spread(2, 4)
        ([0, 2, 5, 7], [0, 1])
    """
    wanted = min(available, wanted)
    return [place * available // wanted for place in range(wanted)]


@dataclass(kw_only=True, eq=False)
class TextProxy(CuPL):
    """The cosine with the text proxies of Text Proxy Optimization.

    Attributes:
        k: descriptions per class.
        retrieval: "dataset" keeps the descriptions nearest to the mean image (the paper); "image" lets each image
            choose its own k of each class.
    """

    name: ClassVar[str] = "text"
    summary: ClassVar[str] = "text proxies of the retrieved descriptions"

    facts: ClassVar[Facts] = Facts(
        source="Liu et al., AAAI 2025, Text Proxy Optimization",
        assumes="the descriptions near the mean image are the good ones",
        cost="one pass and O(n C d); streams",
        fails="descriptions that suit every class alike are retrieved first",
        configured="k = 40",
    )

    k: int | None = 40
    retrieval: Literal["dataset", "image"] = "dataset"

    def _learn(self, images: Images, moments: ImageMoments, weights: Floats | None) -> None:
        del images, moments, weights
        if self.retrieval not in ("dataset", "image"):
            raise InputError(f"retrieval must be 'dataset' or 'image', got {self.retrieval!r}")

    def _scores(self, chunk: Floats) -> Floats:
        if self.retrieval == "image":
            return image_scores(chunk, self.descriptions_, self.k)
        return super()._scores(chunk)


@dataclass(kw_only=True, eq=False)
class VisDesc(Textual):
    """The mean over a class's descriptions of the cosine with each: s(c, x) = mean_j cos(x, e_cj).

    Source: Menon, Vondrick, "Visual Classification via Description from Large Language Models", ICLR 2023, equation 1.
    Unlike `cupl`, the mean embedding is not brought to unit length: a class whose descriptions disagree scores lower.
    """

    name: ClassVar[str] = "visdesc"
    summary: ClassVar[str] = "mean cosine with the descriptions"
    facts: ClassVar[Facts] = Facts(
        source="Menon, Vondrick, ICLR 2023, equation 1",
        assumes="every description of a class holds for its images",
        cost="O(n C d); streams",
        fails="classes whose sentences are diverse score lower whatever the image",
    )
    means_: Floats = field(init=False, repr=False)

    def _learn(self, images: Images, moments: ImageMoments, weights: Floats | None) -> None:
        del images, moments, weights
        kept = zip(self.descriptions_, self.text_.chosen, strict=True)
        self.means_ = np.stack([rows[chosen].mean(axis=0) for rows, chosen in kept])

    def _scores(self, chunk: Floats) -> Floats:
        return np.asarray(chunk @ self.means_.T)


@dataclass(kw_only=True, eq=False)
class Waffle(VisDesc):
    """The mean cosine with prompts of random words and random characters, the same for every class.

    Source: Roth et al., "Waffling around for Performance: Visual Classification with Random Words and Broad Concepts",
    ICCV 2023 (15 pairs of a prompt of words and one of characters).

    Attributes:
        pairs: of random prompts for each class; drawn where the texts are made.
        seed: of the draw. The paper averages accuracies over seven.
    """

    name: ClassVar[str] = "waffle"
    reads: ClassVar[Reading] = "random"
    summary: ClassVar[str] = "random words: the control without knowledge"
    facts: ClassVar[Facts] = Facts(
        source="Roth et al., ICCV 2023",
        assumes="nothing of the classes beyond their names",
        cost="O(n C d); streams",
        fails="as class names do; a method with descriptions should beat it",
        configured="15 pairs, seed 0; on bundles the offsets that descriptions of random classes add to their name",
    )

    pairs: int = 15
    seed: int = 0


@dataclass(kw_only=True, eq=False)
class CHiLS(Textual):
    """The class of the subclass with the largest softmax(subclasses)_s x softmax(classes)_parent(s).

    Source: Novack, McAuley, Lipton, Garg, "CHiLS: Zero-Shot Image Classification with Hierarchical Label Sets",
    ICML 2023, algorithm 1. Each class is also a subclass of itself, so that a class without subclasses can win.
    The score of a class is the logarithm of that largest product.
    """

    name: ClassVar[str] = "chils"
    reads: ClassVar[Reading] = "subclasses"
    summary: ClassVar[str] = "the parent of the best subclass"
    facts: ClassVar[Facts] = Facts(
        source="Novack et al., ICML 2023, algorithm 1",
        assumes="subclasses that are easier to name than their class",
        cost="O(n M d) with M subclasses in all; streams",
        fails="classes with many subclasses win by chance; one stray subclass suffices",
        configured="every description counts as a subclass",
    )
    parents_: Floats = field(init=False, repr=False)

    def _learn(self, images: Images, moments: ImageMoments, weights: Floats | None) -> None:
        del images, moments, weights
        self.parents_ = np.stack([rows[0] for rows in self.descriptions_])

    def _scores(self, chunk: Floats) -> Floats:
        from scipy.special import log_softmax

        children = chunk @ np.concatenate(self.descriptions_).T / self.temperature
        starts = np.cumsum([0, *(len(rows) for rows in self.descriptions_[:-1])])
        best = np.maximum.reduceat(log_softmax(children, axis=1), starts, axis=1)
        return np.asarray(best + log_softmax(chunk @ self.parents_.T / self.temperature, axis=1))

    def _logits(self, scores: Floats) -> Floats:
        return scores


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

    def _learn(self, images: Images, moments: ImageMoments, weights: Floats | None) -> None:
        del images, moments, weights
        pairs = zip(self.descriptions_, self.absent_, self.text_.chosen, strict=True)
        self.contrasts_ = [(rows[kept] - absent[kept]) / self.contrast_temperature for rows, absent, kept in pairs]

    def presence(self, images: Images) -> Floats:
        """Return the probability that each class is present, each by itself, (n, C)."""
        return np.asarray(np.exp(self.scores(images)))

    def _scores(self, chunk: Floats) -> Floats:
        return log_multi_label(chunk, self.contrasts_)

    def _logits(self, scores: Floats) -> Floats:
        return scores
