"""`scores.npy`: the exact scores of a run, which its tables round."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kpl.embeddings.rows import read_npy
from kpl.errors import FeaturesError
from kpl.proxies.arrays import Floats

SCORES_FILE = "scores.npy"
_ROUNDING = 1e-6


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


def has_scores(path: Path) -> bool:
    """Say whether a run folder keeps its scores, as those of earlier versions do not."""
    return os.path.lexists(path / SCORES_FILE)  # a link that leads nowhere is damage


def read_scores(path: Path, rows: NDArray[np.intp] | None = None) -> Floats:
    """Read the scores (n, C) of a run folder, or some rows of them.

    They are log odds: the softmax of a row is the image's probabilities; in a multi-label run the logistic function of
    each is the probability of its class.

    Raises:
        FeaturesError: the file is damaged, or there is none, as in a run of an earlier version.
    """
    try:
        scores = read_npy(path / SCORES_FILE)
        if rows is not None and scores.ndim == 2 and len(rows) and rows[-1] < len(scores):
            scores = scores[rows]
    except FeaturesError as error:
        raise FeaturesError(f"{str(path / SCORES_FILE)!r} is damaged: classify again") from error
    if scores.ndim != 2 or scores.dtype.kind != "f" or not np.isfinite(scores).all():
        raise FeaturesError(
            f"{str(path / SCORES_FILE)!r} holds {scores.dtype} of the shape {scores.shape}, or what is not finite; "
            "(images, classes) finite numbers are read: classify again"
        )
    return np.asarray(scores, dtype=np.float64)


def check_exact(path: Path, exact: Floats, rounded: Floats) -> None:
    """Refuse scores that are not those of the table: one of the two was changed.

    Raises:
        FeaturesError: they differ by more than the rounding.
    """
    if exact.shape != rounded.shape or not (np.abs(exact - rounded) <= _ROUNDING).all():
        raise FeaturesError(f"{str(path)!r} does not agree with {SCORES_FILE} beside it: classify again")
