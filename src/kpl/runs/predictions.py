"""What a run says of each image: `predictions.csv` for people, rounded, and `scores.npy` for scoring and ranking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from kpl.evaluation import NONE_OF_THESE
from kpl.proxies.arrays import Floats, log_odds, softmax

ROUNDED = (
    "this run is of an earlier version, which kept its probabilities rounded to six decimals only: pictures that round "
    "to the same rank as equal; classify again to tell them apart"
)
JOINT = "|"
"""Between the labels of a picture that has several."""


@dataclass(frozen=True)
class Prediction:
    """What is said of one picture.

    Attributes:
        id: of the picture.
        label: key of its class; None where the run abstained; `NONE_OF_THESE` if asked for.
        confidence: probability of the likeliest class.
        margin: confidence less the probability of the runner-up.
        runner_up: key of the second likeliest class.
        probabilities: class key to probability.
    """

    id: str
    label: str | None
    confidence: float
    margin: float
    runner_up: str
    probabilities: Mapping[str, float] = field(repr=False)


@dataclass(frozen=True)
class Findings:
    """What is said of one picture that may show several classes.

    Attributes:
        id: of the picture.
        labels: keys of the classes that it has.
        probabilities: class key to probability of being there.
    """

    id: str
    labels: tuple[str, ...]
    probabilities: Mapping[str, float] = field(repr=False)


@dataclass(frozen=True)
class Predictions(Sequence[Prediction]):
    """What a run of one label a picture says: a sequence of `Prediction`, and the same as arrays.

    Attributes:
        ids: (n,) of the images.
        classes: C keys.
        winners, runners: (n,) class indices; the winner is the likeliest class also where the run abstained.
        answered: (n,) whether the image has the label of a class.
        probabilities: (n, C).
        ranking: (n, C) log odds of each class against the others, which tell images apart whose probabilities round to
            one; None in a run of an earlier version, which kept six decimals only.
        unlike: (n,) how unlike all classes, from 1 on none of these; None where this was not asked for.
        sets: (n,) keys of the classes that are likely enough, joined; None where these were not asked for.
    """

    ids: tuple[str, ...]
    classes: tuple[str, ...]
    winners: NDArray[np.intp]
    runners: NDArray[np.intp]
    answered: NDArray[np.bool_]
    probabilities: Floats = field(repr=False)
    ranking: Floats | None = field(default=None, repr=False)
    unlike: Floats | None = field(default=None, repr=False)
    sets: tuple[str, ...] | None = field(default=None, repr=False)

    @classmethod
    def of_logits(cls, ids: Sequence[str], classes: Sequence[str], logits: Floats) -> Predictions:
        """Return what log probabilities (n, C) say, each row up to a constant; every image is answered."""
        probabilities = softmax(logits)
        winners, runners = first_two(probabilities)
        answered = np.ones(len(winners), dtype=np.bool_)
        return cls(tuple(ids), tuple(classes), winners, runners, answered, probabilities, log_odds(logits))

    @overload
    def __getitem__(self, row: int) -> Prediction: ...
    @overload
    def __getitem__(self, row: slice) -> list[Prediction]: ...
    def __getitem__(self, row: int | slice) -> Prediction | list[Prediction]:
        """Return what is said of a picture, or of several."""
        if isinstance(row, slice):
            return [self[place] for place in range(*row.indices(len(self)))]
        own = self.probabilities[row]
        first, second = int(self.winners[row]), int(self.runners[row])
        return Prediction(
            id=self.ids[row],
            label=self._label(row),
            confidence=float(own[first]),
            margin=float(own[first] - own[second]),
            runner_up=self.classes[second],
            probabilities=dict(zip(self.classes, own.tolist(), strict=True)),
        )

    def __len__(self) -> int:
        """Pictures."""
        return len(self.ids)

    def _label(self, row: int) -> str | None:
        key = self.classes[self.winners[row]] if self.answered[row] else None
        return label_of(key, None if self.unlike is None else float(self.unlike[row]))

    def unlabelled(self, row: int) -> str:
        """Say why an image has not the label of its class, in words; empty where it has."""
        return "" if self.answered[row] else self._label(row) or "no label given"

    @cached_property
    def confidence(self) -> Floats:
        """Probability of each image's class, (n,)."""
        return np.asarray(self.probabilities[np.arange(len(self)), self.winners])

    @cached_property
    def sureness(self) -> Floats:
        """How sure each image's class is, (n,): what the surest images are found by, wherever any are shown."""
        by = self.probabilities if self.ranking is None else self.ranking
        return np.asarray(by[np.arange(len(self)), self.winners])

    def columns(self) -> dict[str, Any]:
        """Return the columns of predictions.csv by name, not rounded."""
        leading = not self.answered.all() or self.unlike is not None
        labels = [self._label(row) for row in range(len(self))]
        said = (self.winners, self.runners, labels)
        told = told_columns(
            self.classes, self.probabilities, *said, leading=leading, unlike=self.unlike, sets=self.sets
        )
        return {"image": list(self.ids), **told}


@dataclass(frozen=True)
class MultiLabelPredictions(Sequence[Findings]):
    """What a multi-label run says: a sequence of `Findings`, and the same as arrays.

    Attributes:
        ids: (n,) of the images.
        classes: C keys.
        present: (n, C), which classes an image has.
        probabilities: (n, C).
        exact: the probabilities are not rounded to six decimals, as those of earlier versions are.
    """

    ids: tuple[str, ...]
    classes: tuple[str, ...]
    present: NDArray[np.bool_] = field(repr=False)
    probabilities: Floats = field(repr=False)
    exact: bool = True

    @overload
    def __getitem__(self, row: int) -> Findings: ...
    @overload
    def __getitem__(self, row: slice) -> list[Findings]: ...
    def __getitem__(self, row: int | slice) -> Findings | list[Findings]:
        """Return what is said of a picture, or of several."""
        if isinstance(row, slice):
            return [self[place] for place in range(*row.indices(len(self)))]
        own = dict(zip(self.classes, self.probabilities[row].tolist(), strict=True))
        return Findings(self.ids[row], self._labels(row), own)

    def __len__(self) -> int:
        """Pictures."""
        return len(self.ids)

    def _labels(self, row: int) -> tuple[str, ...]:
        return tuple(self.classes[c] for c in np.flatnonzero(self.present[row]).tolist())

    def columns(self) -> dict[str, Any]:
        """Return the columns of predictions.csv by name, not rounded."""
        return {
            "image": list(self.ids),
            "labels": [JOINT.join(self._labels(row)) for row in range(len(self))],
            **{f"p_{key}": self.probabilities[:, c] for c, key in enumerate(self.classes)},
        }


def first_two(probabilities: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the likeliest class of each image and the next, (n,) each."""
    order = np.argsort(-probabilities, axis=1, kind="stable")
    return order[:, 0], order[:, 1]


def told_columns(
    classes: Sequence[str],
    chances: Floats,
    firsts: NDArray[np.intp],
    seconds: NDArray[np.intp],
    labels: Sequence[str | None],
    *,
    leading: bool,
    unlike: Floats | None,
    sets: Sequence[str] | None,
) -> dict[str, Any]:
    """Return what is said of images, a column each: for the table, for pandas and polars. Others are written here."""
    rows = np.arange(len(chances))
    confidence = chances[rows, firsts]
    asked = {"leading": [classes[c] for c in firsts] if leading else None, "set": sets, "unlike": unlike}
    return {
        "label": labels,
        "confidence": confidence,
        "margin": confidence - chances[rows, seconds],
        "runner_up": [classes[c] for c in seconds],
        **{name: values for name, values in asked.items() if values is not None},
        **{f"p_{key}": chances[:, c] for c, key in enumerate(classes)},
    }


def label_of(key: str | None, unlike: float | None) -> str | None:
    """Return the label of an image by the key of its class, None for none, and how unlike all classes it is."""
    return key if unlike is None or unlike < 1 else NONE_OF_THESE
