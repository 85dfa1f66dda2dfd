"""`predictions.csv`: one row an image, written block by block and read back for scoring."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kpl.errors import FeaturesError
from kpl.proxies.arrays import Floats
from kpl.runs.tables import read_csv, write_csv

__all__ = ["read_answered", "read_predictions", "read_runners", "write_predictions"]

_FIXED = ("image", "label", "confidence", "margin", "runner_up")


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


def read_predictions(path: Path, classes: Sequence[str]) -> tuple[list[str], NDArray[np.intp], Floats]:
    """Read `predictions.csv` back: image names, class indices (n,) and probabilities (n, C).

    Where a run abstained, the class index is that of the most probable class.

    Raises:
        FeaturesError: the file is missing, or is not what `write_predictions` writes for these classes.
    """
    position = {key: c for c, key in enumerate(classes)}
    try:
        header, *rows = read_csv(path)
        if header != [*_FIXED, *(f"p_{key}" for key in classes)]:
            raise ValueError("other columns")
        probabilities = np.array([row[len(_FIXED) :] for row in rows], dtype=np.float64)
        if probabilities.shape != (len(rows), len(classes)):
            raise ValueError("ragged rows")
        best = probabilities.copy()
        best[np.arange(len(rows)), [position[row[4]] for row in rows]] = -1.0  # six decimals may tie with the runner-up
        guesses = best.argmax(axis=1).tolist()
        winners = np.array(
            [position[row[1]] if row[1] else guess for row, guess in zip(rows, guesses, strict=True)], dtype=np.intp
        )
    except (OSError, ValueError, KeyError, IndexError, csv.Error) as error:
        raise FeaturesError(f"{str(path)!r} is not the predictions file of this run: classify again") from error
    return [row[0] for row in rows], winners, probabilities


def read_answered(path: Path) -> NDArray[np.bool_]:
    """Say which images of a `predictions.csv` that was read before have a label, (n,)."""
    return np.array([bool(row[1]) for row in read_csv(path)[1:]])


def read_runners(path: Path, classes: Sequence[str]) -> NDArray[np.intp]:
    """Return the runner-up of each image of a `predictions.csv` that was read before, (n,) class indices."""
    position = {key: c for c, key in enumerate(classes)}
    return np.array([position[row[4]] for row in read_csv(path)[1:]], dtype=np.intp)
