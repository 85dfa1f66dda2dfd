"""From scores to answers: a calibration is applied, and pictures too uncertain are left to a person."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kpl.errors import InputError
from kpl.evaluation import NONE_OF_THESE, Calibration
from kpl.knowledge import KnowledgeBase
from kpl.methods import Method
from kpl.proxies.arrays import Floats, Images
from kpl.proxies.outside import text_fits, unlike_fits
from kpl.runs.models import Model
from kpl.runs.units import Pooling
from kpl.runs.warnings import UNLIKE


def looks_for_others(base: KnowledgeBase, asked: bool) -> bool | None:
    """Return for a plan whether pictures of no listed class are to be found; None if not.

    Raises:
        InputError: a class has the name that these get.
    """
    if not asked:
        return None
    if (taken := base.resolve(NONE_OF_THESE)) is not None:
        raise InputError(
            f"class {base.classes[taken].key!r} is read as {NONE_OF_THESE!r}: rename it, or leave --other out"
        )
    return True


def unlike_classes(method: Method, pooling: Pooling, model: Model | None = None) -> Floats:
    """Return how unlike all classes units are, (n,), to the six decimals that are written: from 1 on, none of these.

    Where the method is a model's that learnt from other pictures, all of listed classes, the distance from its class
    models says it. Pictures that it learnt from draw a model to themselves, and some methods know no distance: then the
    texts say it, by what the pictures at hand have in common. Of a unit the pictures that fit best count, as its pool
    says.

    Args:
        method: fitted.
        pooling: of the features.
        model: that the method is of; None where it learnt from these very pictures.
    """
    images = pooling.features
    learnt = model is None or images.index.pictures_sha256 in {lot.pictures for lot in model.learnt_from}
    if not learnt and (distances := method.distances(images)) is not None:
        return np.round(pooling.pooled_column(-distances) / -UNLIKE, 6)
    return unlike_texts(method, pooling, images)


def unlike_texts(method: Method, pooling: Pooling, images: Images) -> Floats:
    """Return what `unlike_classes` does by the texts alone, from the features (rows, d) of the pooling."""
    fits = text_fits(images, method.text_.proxies, method.temperature, pooling.features.weights)
    return np.round(unlike_fits(pooling.pooled_column(fits), len(method.text_.proxies)), 6)


@dataclass(frozen=True)
class Deciding:
    """How scores become answers.

    Attributes:
        calibration: applied to the method's log probabilities; None leaves them.
        abstain_below: no label for a picture whose confidence is lower, 0 to 1.
        coverage: no label but for this share of the pictures, the most confident; above 0 and at most 1.
        thresholds: class key to the confidence from which its label is given, 0 to 1; the others' is always given.

    Raises:
        InputError: two of the last three, or a value out of range.
    """

    calibration: Calibration | None = None
    abstain_below: float | None = None
    coverage: float | None = None
    thresholds: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        if sum(each is not None for each in (self.abstain_below, self.coverage, self.thresholds)) > 1:
            raise InputError(
                "abstain below a confidence, below thresholds of classes, or answer a share of the pictures: give one"
            )
        for key, share in (self.thresholds or {}).items():
            if not 0 <= share <= 1:
                raise InputError(f"a threshold is a confidence from 0 to 1, got {share} for {key!r}")
        if self.abstain_below is not None and not 0 <= self.abstain_below <= 1:
            raise InputError(f"a confidence to abstain below is a share from 0 to 1, got {self.abstain_below}")
        if self.coverage is not None and not 0 < self.coverage <= 1:
            raise InputError(f"the coverage is the share of pictures to answer, above 0 to 1, got {self.coverage}")

    @property
    def asked(self) -> dict[str, float] | None:
        """What was asked of abstention, for the plan; None if nothing."""
        stated = {"below": self.abstain_below, "coverage": self.coverage}
        stated |= {f"below {key}": share for key, share in (self.thresholds or {}).items()}
        return {name: value for name, value in stated.items() if value is not None} or None

    def calibrated(self, blocks: Iterable[Floats]) -> Iterator[Floats]:
        """Yield the blocks of log probabilities (n_k, C), calibrated; their rows may be off by a constant."""
        for block in blocks:
            yield block if self.calibration is None else self.calibration.logits(block)

    def answered(self, sureness: Floats, keys: Sequence[str] = ()) -> NDArray[np.bool_] | None:
        """Say which pictures get a label, (n,), from the calibrated log odds (n,) of their classes; None if all do.

        `keys` are those of their classes, (n,), which thresholds of classes need.

        Example:
            >>> Deciding(coverage=0.5).answered(np.array([90.0, 80.0])).tolist()
            [True, False]
            >>> Deciding(abstain_below=0.5).answered(np.array([0.1, -0.1])).tolist()
            [True, False]
        """
        if self.coverage is not None:
            kept = max(1, int(self.coverage * len(sureness) + 1e-9))
            return np.asarray(sureness >= np.sort(sureness)[-kept])  # those that are equally sure are answered together
        if self.abstain_below is None and self.thresholds is None:
            return None
        from scipy.special import expit

        least = [(self.thresholds or {}).get(key, 0.0) for key in keys] if self.thresholds else self.abstain_below
        return np.asarray(expit(sureness) >= np.asarray(least))
