"""What a run says of each image: `predictions.csv` for people, rounded, and `scores.npy` for scoring and ranking."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kpl.errors import FeaturesError
from kpl.proxies.arrays import Floats, log_odds, softmax
from kpl.runs.tables import read_csv, write_csv

__all__ = [
    "ROUNDED",
    "SCORES_FILE",
    "Predictions",
    "check_exact",
    "check_pictures",
    "read_predictions",
    "read_scores",
    "write_predictions",
    "write_scores",
]

SCORES_FILE = "scores.npy"
ROUNDED = (
    "this run is of an earlier version, which kept its probabilities rounded to six decimals only: pictures that round "
    "to the same rank as equal; classify again to tell them apart"
)
_FIXED = ("image", "label", "confidence", "margin", "runner_up")
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Predictions:
    """What a run of one label a picture says.

    Attributes:
        ids: (n,) of the images.
        winners, runners: (n,) class indices; the winner is the likeliest class also where the run abstained.
        answered: (n,) whether the image has a label.
        probabilities: (n, C).
        ranking: (n, C) log odds of each class against the others, which tell images apart whose probabilities round to
            one; None in a run of an earlier version, which kept six decimals only.
    """

    ids: tuple[str, ...]
    winners: NDArray[np.intp]
    runners: NDArray[np.intp]
    answered: NDArray[np.bool_]
    probabilities: Floats = field(repr=False)
    ranking: Floats | None = field(default=None, repr=False)

    @cached_property
    def sureness(self) -> Floats:
        """How sure each image's class is, (n,): what the surest images are found by, wherever any are shown."""
        by = self.probabilities if self.ranking is None else self.ranking
        return np.asarray(by[np.arange(len(self.ids)), self.winners])


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
            order = np.argsort(-block, axis=1, kind="stable")[:, :2]
            winners.append(order[:, 0])
            for chances, (first, second) in zip(block, order.tolist(), strict=True):
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
    if not (path / SCORES_FILE).exists():
        return None
    try:
        return np.asarray(np.load(path / SCORES_FILE, allow_pickle=False), dtype=np.float64)
    except (OSError, ValueError) as error:
        raise FeaturesError(f"{str(path / SCORES_FILE)!r} is damaged: classify again") from error


def check_pictures(path: Path, names: Sequence[str], ids: Sequence[str] | None) -> None:
    """Refuse a table of predictions of other images than those that were classified; None takes any.

    Raises:
        FeaturesError: it is of others, or in another order.
    """
    if ids is not None and tuple(names) != tuple(ids):
        raise FeaturesError(f"{str(path.parent)!r}: predictions and features are of different pictures: classify again")


def check_exact(path: Path, exact: Floats, rounded: Floats) -> None:
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
        header, *rows = read_csv(path)
        if header != [*_FIXED, *(f"p_{key}" for key in classes)]:
            raise ValueError("other columns")
        rounded = np.array([row[len(_FIXED) :] for row in rows], dtype=np.float64)
        if rounded.shape != (len(rows), len(classes)):
            raise ValueError("ragged rows")
        runners = np.array([position[row[4]] for row in rows], dtype=np.intp)
        best = rounded.copy()
        best[np.arange(len(rows)), runners] = -1.0  # six decimals may tie with the runner-up
        winners = np.array(
            [position[row[1]] if row[1] else guess for row, guess in zip(rows, best.argmax(axis=1), strict=True)],
            dtype=np.intp,
        )
    except (OSError, ValueError, KeyError, IndexError, csv.Error) as error:
        raise FeaturesError(f"{str(path)!r} is not the predictions file of this run: classify again") from error
    names = tuple(row[0] for row in rows)
    check_pictures(path, names, ids)
    answered = np.array([bool(row[1]) for row in rows])
    scores = read_scores(path.parent)
    if scores is None:
        return Predictions(names, winners, runners, answered, rounded)
    probabilities = softmax(scores)
    check_exact(path, probabilities, rounded)
    return Predictions(names, winners, runners, answered, probabilities, log_odds(scores))
