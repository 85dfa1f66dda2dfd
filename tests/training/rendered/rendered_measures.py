"""Pictures without disturbance, and what can be measured in them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from rendered import TRAINING_WORLD, CellSpec, draw_cell

BACKGROUND = (250, 230, 210)
CALM = replace(
    TRAINING_WORLD,
    backgrounds=((BACKGROUND, 1.0),),
    background_spread=0.0,
    stain=((1.0, 1.0),) * 3,
    tone_spread=0.0,
    red_cell_width=(28.0, 28.0),
    red_cell_count=(0, 0),
    debris_count=(0, 0),
    offset=0.0,
    blur=(0.3, 0.3),
    sharpen=(0.0, 0.0),
    noise=(0.0, 0.0),
    gain=(1.0, 1.0),
    contrast=(1.0, 1.0),
    jpeg_quality=(95, 95),
)
Picture = NDArray[np.float64]
Mask = NDArray[np.bool_]

PLAIN = {
    "size": "medium",
    "shape": "round",
    "border": "smooth",
    "nucleus": "single",
    "nucleus_form": "round",
    "nucleus_share": "half",
    "nucleus_place": "central",
    "nucleus_tone": "dark",
    "chromatin": "dense",
    "nucleoli": "absent",
    "cytoplasm_tone": "pink",
    "cytoplasm_amount": "moderate",
    "granules": "none",
    "vacuoles": "absent",
    "inclusion": "none",
    "pallor": "absent",
}
NO_NUCLEUS = dict.fromkeys(
    ("nucleus_form", "nucleus_share", "nucleus_place", "nucleus_tone", "chromatin", "nucleoli", "cytoplasm_amount")
)
RED_CELL = PLAIN | NO_NUCLEUS | {"size": "small", "nucleus": "absent", "cytoplasm_tone": "red"}


def calm(seed: int, pixels: int = 144, base: dict[str, str | None] = PLAIN, **changes: str | None) -> Picture:
    """A picture (size, size, 3) of the changed base cell alone, without noise, relative to the background."""
    spec = CellSpec(**(base | changes))
    return draw_cell(spec, np.random.default_rng(seed), pixels, CALM) / np.array(BACKGROUND, float)


def cell_mask(picture: Picture) -> Mask:
    """Where the picture differs from the background, holes filled."""
    return ndimage.binary_fill_holes(np.abs(picture - 1).max(2) > 0.05)


def nucleus_mask(picture: Picture, below: float = 0.45) -> Mask:
    """Where hardly any green light passes."""
    return picture[..., 1] < below
