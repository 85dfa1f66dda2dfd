"""From a cell's attributes to a picture: smear, cell, stain, camera."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from kpl.errors import InputError
from rendered.cell import SIZES, draw_body
from rendered.colours import Array, pick_colour
from rendered.smear import SIDE, draw_debris, draw_red_cells
from rendered.spec import CellSpec
from rendered.world import TRAINING_WORLD, WorldSettings

__all__ = ["draw_cell"]


def draw_cell(
    spec: CellSpec, rng: np.random.Generator, size: int = 144, world: WorldSettings = TRAINING_WORLD
) -> NDArray[np.uint8]:
    """Draw one cell amid red cells, as a microscope's camera would see it.

    Args:
        spec: what the cell looks like.
        rng: source of everything else; the same generator state gives the same picture.
        size: side of the picture in pixels, at least 32; the view is the same at every size.
        world: ranges of sizes, stain and camera.

    Returns:
        The picture (size, size, 3), red, green, blue.

    Raises:
        InputError: the size is too small.

    Example:
        >>> from rendered.spec import random_spec
        >>> rng = np.random.default_rng(0)
        >>> draw_cell(random_spec(rng), rng, size=96).shape
        (96, 96, 3)
    """
    if size < 32:
        raise InputError(f"a cell cannot be drawn in {size} pixels: ask for a size of 32 or more")
    light = np.ones((size, size, 3), np.float32)
    width = float(rng.uniform(*world.red_cell_width))
    radius = width / 2 * float(rng.uniform(*SIZES[spec.size]))
    cx, cy = SIDE / 2 + rng.uniform(-world.offset, world.offset, 2)
    keep_out = (cx, cy, radius * {"round": 1.0, "oval": 1.12, "irregular": 1.12}[spec.shape])
    red = pick_colour("cytoplasm red", rng, world.tone_spread) ** np.float32(rng.uniform(0.7, 1.25))
    draw_red_cells(light, rng, world, red, width, keep_out)
    draw_debris(light, rng, world, width, keep_out)
    draw_body(light, spec, rng, world, (cx, cy, radius, width), red)
    return _photograph(light, rng, world)


def _photograph(light: Array, rng: np.random.Generator, world: WorldSettings) -> NDArray[np.uint8]:
    """Stain strength, background, lamp, lens, sensor and file: transmitted light (h, w, 3) to a picture."""
    size = light.shape[0]
    density = np.array([rng.uniform(*pair) for pair in world.stain], np.float32)
    weights = np.array([weight for _, weight in world.backgrounds])
    chosen = int(rng.choice(len(weights), p=weights / weights.sum()))
    background = np.array(world.backgrounds[chosen][0]) + rng.normal(0, world.background_spread, 3)
    picture = light**density * background.astype(np.float32)
    across = np.linspace(-1, 1, size, dtype=np.float32)
    tilt = rng.normal(0, 0.012, 2).astype(np.float32)
    picture *= (1 + tilt[0] * across[:, None] + tilt[1] * across[None, :])[..., None]
    blur = float(rng.uniform(*world.blur)) * size / SIDE
    soft = gaussian_filter(picture, (blur, blur, 0), mode="nearest", truncate=3.0)
    sharpen = np.float32(rng.uniform(*world.sharpen))
    if sharpen > 0:
        wide = max(1.0 * size / SIDE, 0.5)
        soft += sharpen * (soft - gaussian_filter(soft, (wide, wide, 0), mode="nearest", truncate=3.0))
    level = np.float32(rng.uniform(*world.gain))
    contrast = np.float32(rng.uniform(*world.contrast))
    middle = soft.mean()
    soft = ((soft - middle) * contrast + middle) * level
    soft += np.float32(rng.uniform(*world.noise)) * rng.standard_normal(soft.shape, np.float32)
    sensed = np.clip(soft + np.float32(0.5), 0, 255).astype(np.uint8)
    return _through_jpeg(sensed, int(rng.uniform(*world.jpeg_quality)))


def _through_jpeg(picture: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """The picture after a camera's lossy file."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))
