"""What a run says of each image: `predictions.csv` for people, rounded, and `scores.npy` for scoring and ranking."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from kpl.embeddings.rows import read_npy
from kpl.errors import FeaturesError
from kpl.proxies.arrays import Floats, log_odds, softmax
from kpl.runs.tables import read_columns, write_csv

__all__ = [
    "JOINT",
    "ROUNDED",
    "SCORES_FILE",
    "Findings",
    "Prediction",
    "Predictions",
    "PresencePredictions",
    "read_predictions",
    "read_presence_predictions",
    "read_scores",
    "write_predictions",
    "write_presence_predictions",
    "write_scores",
]

SCORES_FILE = "scores.npy"
ROUNDED = (
    "this run is of an earlier version, which kept its probabilities rounded to six decimals only: pictures that round "
    "to the same rank as equal; classify again to tell them apart"
)
JOINT = "|"
"""Between the labels of a picture that has several."""
_FIXED = ("image", "label", "confidence", "margin", "runner_up")
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Prediction:
    """What is said of one picture.

    Attributes:
        id: of the picture.
        label: key of its class; None where the run abstained.
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
        answered: (n,) whether the image has a label.
        probabilities: (n, C).
        ranking: (n, C) log odds of each class against the others, which tell images apart whose probabilities round to
            one; None in a run of an earlier version, which kept six decimals only.
    """

    ids: tuple[str, ...]
    classes: tuple[str, ...]
    winners: NDArray[np.intp]
    runners: NDArray[np.intp]
    answered: NDArray[np.bool_]
    probabilities: Floats = field(repr=False)
    ranking: Floats | None = field(default=None, repr=False)

    @classmethod
    def of_logits(cls, ids: Sequence[str], classes: Sequence[str], logits: Floats) -> Predictions:
        """Return what log probabilities (n, C) say, each row up to a constant; every image is answered."""
        probabilities = softmax(logits)
        winners, runners = _first_two(probabilities)
        return cls(
            tuple(ids),
            tuple(classes),
            winners,
            runners,
            np.ones(len(winners), dtype=np.bool_),
            probabilities,
            log_odds(logits),
        )

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
            label=self.classes[first] if self.answered[row] else None,
            confidence=float(own[first]),
            margin=float(own[first] - own[second]),
            runner_up=self.classes[second],
            probabilities=dict(zip(self.classes, own.tolist(), strict=True)),
        )

    def __len__(self) -> int:
        """Pictures."""
        return len(self.ids)

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
        runners = self.probabilities[np.arange(len(self)), self.runners]
        return {
            "image": list(self.ids),
            "label": [self.classes[c] if said else None for c, said in zip(self.winners, self.answered, strict=True)],
            "confidence": self.confidence,
            "margin": self.confidence - runners,
            "runner_up": [self.classes[c] for c in self.runners],
            **{f"p_{key}": self.probabilities[:, c] for c, key in enumerate(self.classes)},
        }


@dataclass(frozen=True)
class PresencePredictions(Sequence[Findings]):
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


def _first_two(probabilities: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the likeliest class of each image and the next, (n,) each."""
    order = np.argsort(-probabilities, axis=1, kind="stable")
    return order[:, 0], order[:, 1]


def write_predictions(
    path: Path,
    ids: Sequence[str],
    classes: Sequence[str],
    blocks: Iterable[Floats],
    answered: NDArray[np.bool_] | None = None,
) -> NDArray[np.intp]:
    """Write predictions and return the winning class of each image, (n,).

    Args:
        path: the CSV to write.
        ids: n image names.
        classes: C keys, the order of the columns.
        blocks: (n_k, C) probabilities, in the order of the ids.
        answered: (n,) which images get a label; the others' cell stays empty. None gives one to all.
    """
    winners: list[NDArray[np.intp]] = []

    def rows() -> Iterator[list[str]]:
        names = iter(ids)
        labelled = iter([True] * len(ids) if answered is None else answered.tolist())
        for block in blocks:
            firsts, seconds = _first_two(block)
            winners.append(firsts)
            for chances, first, second in zip(block, firsts.tolist(), seconds.tolist(), strict=True):
                lead = chances[first] - chances[second]
                yield [
                    next(names),
                    classes[first] if next(labelled) else "",
                    f"{chances[first]:.6f}",
                    f"{lead:.6f}",
                    classes[second],
                    *(f"{p:.6f}" for p in chances),
                ]

    write_csv(path, [*_FIXED, *(f"p_{key}" for key in classes)], rows())
    return np.concatenate(winners)


def write_scores(path: Path, blocks: Iterable[NDArray[np.floating]], n: int, n_classes: int) -> None:
    """Write scores (n, C) as they come, in blocks (n_k, C), in float32; memory holds one.

    Raises:
        OSError: the disk refuses; whoever owns the folder says so to the user.
    """
    with path.open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (n, n_classes)}
        np.lib.format.write_array_header_1_0(file, header)
        for block in blocks:
            file.write(np.ascontiguousarray(block, dtype="<f4").data)


def read_scores(path: Path) -> Floats | None:
    """Read the scores (n, C) of a run folder; None if it has none, as those of earlier versions.

    They are log odds: the softmax of a row is the image's probabilities; in a multi-label run the logistic function of
    each is the probability of its class.

    Raises:
        FeaturesError: the file is damaged.
    """
    if not os.path.lexists(path / SCORES_FILE):  # a link that leads nowhere is damage
        return None
    try:
        scores = read_npy(path / SCORES_FILE)
    except FeaturesError as error:
        raise FeaturesError(f"{str(path / SCORES_FILE)!r} is damaged: classify again") from error
    if scores.ndim != 2 or scores.dtype.kind != "f" or not np.isfinite(scores).all():
        raise FeaturesError(
            f"{str(path / SCORES_FILE)!r} holds {scores.dtype} of the shape {scores.shape}, or what is not finite; "
            "(images, classes) finite numbers are read: classify again"
        )
    return np.asarray(scores, dtype=np.float64)


def _check_pictures(path: Path, names: Sequence[str], ids: Sequence[str] | None) -> None:
    """Refuse a table of predictions of other images than those that were classified; None takes any.

    Raises:
        FeaturesError: it is of others, or in another order.
    """
    if ids is not None and tuple(names) != tuple(ids):
        raise FeaturesError(f"{str(path.parent)!r}: predictions and features are of different pictures: classify again")


def _check_exact(path: Path, exact: Floats, rounded: Floats) -> None:
    """Refuse scores that are not those of the table: one of the two was changed.

    Raises:
        FeaturesError: they differ by more than the rounding.
    """
    if exact.shape != rounded.shape or not (np.abs(exact - rounded) <= _ROUNDING).all():
        raise FeaturesError(f"{str(path)!r} does not agree with {SCORES_FILE} beside it: classify again")


def read_predictions(path: Path, classes: Sequence[str], ids: Sequence[str] | None = None) -> Predictions:
    """Read what `write_predictions` and, beside it, `write_scores` wrote.

    Args:
        path: of `predictions.csv`.
        classes: C keys.
        ids: the images that it must be of, in their order; None takes any.

    Raises:
        FeaturesError: a file is missing or damaged, not of these classes, or of other images.
    """
    position = {key: c for c, key in enumerate(classes)}
    try:
        names, labels, runner_keys, *chances = read_columns(
            path, ("image", "label", "runner_up", *(f"p_{key}" for key in classes))
        )
        rounded = np.array(chances, dtype=np.float64).T.reshape(len(names), len(classes))
        runners = np.array([position[key] for key in runner_keys], dtype=np.intp)
        best = rounded.copy()
        best[np.arange(len(names)), runners] = -1.0  # six decimals may tie with the runner-up
        winners = np.array(
            [position[key] if key else guess for key, guess in zip(labels, best.argmax(axis=1), strict=True)],
            dtype=np.intp,
        )
    except (OSError, ValueError, KeyError, IndexError, csv.Error) as error:
        raise FeaturesError(f"{str(path)!r} is not the predictions file of this run: classify again") from error
    _check_pictures(path, names, ids)
    answered = np.array([bool(key) for key in labels])
    scores, keys = read_scores(path.parent), tuple(classes)
    if scores is None:
        return Predictions(names, keys, winners, runners, answered, rounded)
    probabilities = softmax(scores)
    _check_exact(path, probabilities, rounded)
    return Predictions(names, keys, winners, runners, answered, probabilities, log_odds(scores))


def write_presence_predictions(
    path: Path, ids: Sequence[str], classes: Sequence[str], chances: Floats, present: NDArray[np.bool_]
) -> None:
    """Write the predictions of a multi-label run; arrays as in `PresencePredictions`."""

    def rows() -> Iterator[list[str]]:
        for name, own, there in zip(ids, chances, present, strict=True):
            yield [name, JOINT.join(classes[c] for c in np.flatnonzero(there).tolist()), *(f"{p:.6f}" for p in own)]

    write_csv(path, ["image", "labels", *(f"p_{key}" for key in classes)], rows())


def read_presence_predictions(
    path: Path, classes: Sequence[str], ids: Sequence[str] | None = None
) -> PresencePredictions:
    """Read the predictions of a multi-label run, with the exact probabilities beside them.

    Arguments and errors as in `read_predictions`.
    """
    position = {key: c for c, key in enumerate(classes)}
    try:
        names, labels, *chances = read_columns(path, ("image", "labels", *(f"p_{key}" for key in classes)))
        probabilities = np.array(chances, dtype=np.float64).T.reshape(len(names), len(classes))
        present = np.zeros(probabilities.shape, dtype=np.bool_)
        for number, joined in enumerate(labels):
            present[number, [position[key] for key in joined.split(JOINT) if key]] = True
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise FeaturesError(f"{str(path)!r} is not the predictions file of this run: classify again") from error
    _check_pictures(path, names, ids)
    scores, keys = read_scores(path.parent), tuple(classes)
    if scores is None:
        return PresencePredictions(names, keys, present, probabilities, exact=False)
    from scipy.special import expit

    exact = expit(scores)
    _check_exact(path, exact, probabilities)
    return PresencePredictions(names, keys, present, exact)
