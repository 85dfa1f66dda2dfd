"""A folder of pictures of ten kinds of blood cell in unequal proportions, and the truth kept beside it."""

from __future__ import annotations

import contextlib
import csv
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from kpl.errors import InputError, OutputError, UnknownNameError
from kpl.rendered.classes import CELL_CLASSES, cell_of_class
from kpl.rendered.draw import draw_cell
from kpl.rendered.world import DEMO_WORLD, WorldSettings

__all__ = ["DEMO_PROPORTIONS", "draw_demo"]

DEMO_PROPORTIONS: Final[dict[str, float]] = {
    "normal_red_cell": 0.25,
    "neutrophil": 0.22,
    "lymphocyte": 0.14,
    "platelet": 0.10,
    "monocyte": 0.07,
    "eosinophil": 0.06,
    "ig": 0.05,
    "erythroblast": 0.04,
    "parasitised_red_cell": 0.04,
    "basophil": 0.03,
}
"""Shares of the kinds of cell in the demo."""


def draw_demo(
    folder: Path,
    count: int = 400,
    seed: int = 0,
    proportions: Mapping[str, float] = DEMO_PROPORTIONS,
    world: WorldSettings = DEMO_WORLD,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Draw `folder/pictures/cell-0001.png` and so on, in random order, and `folder/truth.csv` (image,label).

    Args:
        folder: made if need be; must not hold a demo already.
        count: number of pictures, at least 1.
        seed: the same seed draws the same pictures.
        proportions: weight of each kind of cell; the counts follow them to the nearest picture.
        world: ranges of stain and camera.
        progress: called with (pictures drawn, count) after each picture.

    Returns:
        The folder of the pictures, which alone tells nothing of the truth.

    Raises:
        InputError: the count is not positive, or a proportion is negative, or all are zero.
        UnknownNameError: a kind of cell is not one of CELL_CLASSES.
        OutputError: the demo exists already or cannot be written.
    """
    labels = _labels(count, seed, proportions)
    pictures, truth = folder / "pictures", folder / "truth.csv"
    if pictures.exists() or truth.exists():
        raise OutputError(f"cannot draw the demo into {folder}: it holds one already; name another folder or remove it")
    digits = max(4, len(str(count)))
    names = [f"cell-{k:0{digits}}.png" for k in range(1, count + 1)]
    try:
        pictures.mkdir(parents=True)
        for k, (name, label) in enumerate(zip(names, labels, strict=True)):
            rng = np.random.default_rng([seed, k])
            Image.fromarray(draw_cell(cell_of_class(label, rng), rng, world=world)).save(pictures / name)
            if progress:
                progress(k + 1, count)
        with truth.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([("image", "label"), *zip(names, labels, strict=True)])
    except BaseException as error:
        shutil.rmtree(pictures, ignore_errors=True)  # half a demo would stand in the way of the next attempt
        with contextlib.suppress(OSError):
            truth.unlink()
        if not isinstance(error, OSError):
            raise
        raise OutputError(f"cannot write the demo into {folder}: {error.strerror}; choose another folder") from error
    return pictures


def _labels(count: int, seed: int, proportions: Mapping[str, float]) -> list[str]:
    """One label a picture in random order: whole shares first, the rest to the largest remainders."""
    if count < 1 or seed < 0:
        raise InputError(f"a demo needs a count of 1 or more and a seed of 0 or more: seen {count} and {seed}")
    for key in proportions:
        if key not in CELL_CLASSES:
            raise UnknownNameError("kind of cell", key, CELL_CLASSES)
    weights = np.array([*proportions.values()], float)
    if not np.isfinite(weights).all() or (weights < 0).any() or weights.sum() <= 0:
        raise InputError(f"proportions are numbers of 0 or more, not all 0: seen {dict(proportions)}")
    exact = weights / weights.sum() * count
    counts = np.floor(exact).astype(int)
    counts[np.argsort(counts - exact, kind="stable")[: count - counts.sum()]] += 1
    labels = np.repeat([*proportions], counts)
    return [str(label) for label in np.random.default_rng(seed).permutation(labels)]
