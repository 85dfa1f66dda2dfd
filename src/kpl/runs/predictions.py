"""What a run says of each image: `predictions.csv` for people, rounded, and `scores.npy` for scoring and ranking."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from kpl.errors import FeaturesError
from kpl.evaluation import NONE_OF_THESE
from kpl.proxies.arrays import Floats, log_odds, softmax
from kpl.runs.scores import check_exact, read_scores
from kpl.runs.tables import named_column, read_columns, titles, write_csv

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
        winners, runners = _first_two(probabilities)
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
        return _label(key, None if self.unlike is None else float(self.unlike[row]))

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
        told = _told(self.classes, self.probabilities, *said, leading=leading, unlike=self.unlike, sets=self.sets)
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
    units: Mapping[str, Sequence[str]] | None = None,
    unlike: Floats | None = None,
    sets: Iterable[str] | None = None,
) -> NDArray[np.intp]:
    """Write predictions and return the winning class of each image, (n,).

    Args:
        path: the CSV to write.
        ids: n image names.
        classes: C keys, the order of the columns.
        blocks: (n_k, C) probabilities, in the order of the ids.
        answered: (n,) which images get a label; the others' cell stays empty, and a column `leading` has the likeliest
            class of all. None gives a label to all.
        units: columns (n,) that tell of units; None where every image stands for itself.
        unlike: (n,) as in `Predictions`; a column of its own.
        sets: (n,) class keys that are likely enough, joined; a column of its own.
    """
    winners: list[NDArray[np.intp]] = []
    given = np.ones(len(ids), dtype=np.bool_) if answered is None else answered
    how: dict[str, Any] = {"leading": not given.all() or unlike is not None}
    likely = None if sets is None else iter(sets)

    def rows() -> Iterator[list[str]]:
        names, start = _names(ids, units), 0
        for block in blocks:
            firsts, seconds = _first_two(block)
            winners.append(firsts)
            part = slice(start, start := start + len(block))
            far = None if unlike is None else unlike[part]
            keys = [classes[c] if labelled else None for c, labelled in zip(firsts, given[part], strict=True)]
            labels = list(map(_label, keys, [None] * len(keys) if far is None else far))
            own = None if likely is None else list(islice(likely, len(block)))
            told = _told(classes, block, firsts, seconds, labels, unlike=far, sets=own, **how)
            for row in zip(*told.values(), strict=True):
                yield [*next(names), *map(_cell, row)]

    none: tuple[Any, ...] = (np.empty((0, len(classes))), np.empty(0, dtype=np.intp), np.empty(0, dtype=np.intp), [])
    heads = _told(classes, *none, unlike=unlike, sets=None if sets is None else (), **how)
    write_csv(path, [*_heads(units), *heads], rows())
    return np.concatenate(winners)


def _told(
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


def _label(key: str | None, unlike: float | None) -> str | None:
    return key if unlike is None or unlike < 1 else NONE_OF_THESE


def _cell(value: str | float | None) -> str:
    return value or "" if isinstance(value, str | None) else f"{value:.6f}"


def _heads(units: Mapping[str, Sequence[str]] | None) -> list[str]:
    return ["image"] if units is None else ["unit", *units]


def _names(ids: Sequence[str], units: Mapping[str, Sequence[str]] | None) -> Iterator[tuple[str, ...]]:
    return zip(ids, *(units or {}).values(), strict=True)


def _check_pictures(path: Path, names: Sequence[str], ids: Sequence[str] | None) -> None:
    """Refuse a table of predictions of other images than those that were classified; None takes any.

    Raises:
        FeaturesError: it is of others, or in another order.
    """
    if ids is not None and tuple(names) != tuple(ids):
        raise FeaturesError(f"{str(path.parent)!r}: predictions and features are of different pictures: classify again")


def read_predictions(
    path: Path, classes: Sequence[str], ids: Sequence[str] | None = None, *, unlike: bool = False
) -> Predictions:
    """Read what `write_predictions` and, beside it, `write_scores` wrote.

    Args:
        path: of `predictions.csv`.
        classes: C keys.
        ids: the images that it must be of, in their order; None takes any.
        unlike: whether it has a column of this name.

    Raises:
        FeaturesError: a file is missing or damaged, not of these classes, or of other images.
    """
    position = {key: c for c, key in enumerate(classes)}
    try:
        names, labels, runner_keys, *chances = read_columns(
            path, (named_column(path), "label", "runner_up", *(f"p_{key}" for key in classes))
        )
        strange = np.array(read_columns(path, ("unlike",))[0], dtype=np.float64) if unlike else None
        sets = read_columns(path, ("set",))[0] if "set" in titles(path) else None
        if strange is not None:  # the label is of no class
            labels = tuple("" if far >= 1 else key for key, far in zip(labels, strange, strict=True))
        rounded = np.array(chances, dtype=np.float64).T.reshape(len(names), len(classes))
        runners = np.array([position[key] for key in runner_keys], dtype=np.intp)
        best = rounded.copy()
        best[np.arange(len(names)), runners] = -1.0  # six decimals may tie with the runner-up
        winners = np.array(
            [position[key] if key else guess for key, guess in zip(labels, best.argmax(axis=1), strict=True)],
            dtype=np.intp,
        )
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise FeaturesError(f"{str(path)!r} is not the predictions file of this run: classify again") from error
    _check_pictures(path, names, ids)
    answered = np.array([bool(key) for key in labels])
    scores, keys = read_scores(path.parent), tuple(classes)
    if scores is None:
        return Predictions(names, keys, winners, runners, answered, rounded, None, strange, sets)
    probabilities = softmax(scores)
    check_exact(path, probabilities, rounded)
    return Predictions(names, keys, winners, runners, answered, probabilities, log_odds(scores), strange, sets)


def write_multi_label_predictions(
    path: Path,
    ids: Sequence[str],
    classes: Sequence[str],
    chances: Floats,
    present: NDArray[np.bool_],
    units: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Write the predictions of a multi-label run; arrays as in `MultiLabelPredictions`."""

    def rows() -> Iterator[list[str]]:
        for name, own, there in zip(_names(ids, units), chances, present, strict=True):
            yield [*name, JOINT.join(classes[c] for c in np.flatnonzero(there).tolist()), *(f"{p:.6f}" for p in own)]

    write_csv(path, [*_heads(units), "labels", *(f"p_{key}" for key in classes)], rows())


def read_multi_label_predictions(
    path: Path, classes: Sequence[str], ids: Sequence[str] | None = None
) -> MultiLabelPredictions:
    """Read the predictions of a multi-label run, with the exact probabilities beside them.

    Arguments and errors as in `read_predictions`.
    """
    position = {key: c for c, key in enumerate(classes)}
    try:
        names, labels, *chances = read_columns(path, (named_column(path), "labels", *(f"p_{key}" for key in classes)))
        probabilities = np.array(chances, dtype=np.float64).T.reshape(len(names), len(classes))
        present = np.zeros(probabilities.shape, dtype=np.bool_)
        for number, joined in enumerate(labels):
            present[number, [position[key] for key in joined.split(JOINT) if key]] = True
    except (OSError, ValueError, KeyError) as error:
        raise FeaturesError(f"{str(path)!r} is not the predictions file of this run: classify again") from error
    _check_pictures(path, names, ids)
    scores, keys = read_scores(path.parent), tuple(classes)
    if scores is None:
        return MultiLabelPredictions(names, keys, present, probabilities, exact=False)
    from scipy.special import expit

    exact = expit(scores)
    check_exact(path, exact, probabilities)
    return MultiLabelPredictions(names, keys, present, exact)
