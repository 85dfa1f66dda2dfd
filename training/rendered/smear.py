"""What surrounds the cell: red cells with a pale centre, platelets, specks of stain."""

from __future__ import annotations

import numpy as np

from rendered.colours import Array, pick_colour
from rendered.textures import step
from rendered.world import WorldSettings

__all__ = ["SIDE", "draw_debris", "draw_red_cells", "pallor_profile"]

SIDE = 144.0
"""The picture's side in the units of every length of this package."""


def pallor_profile(level: Array, pallor: Array | float, edge: Array | float) -> Array:
    """Relative thickness of a red cell at `level`, 0 in the centre and 1 at the rim; the dish ends at `edge`."""
    t = np.clip((level - (edge - np.float32(0.42))) / np.float32(0.42), 0, 1)
    dish = 1 - t * t * (3 - 2 * t)
    return np.asarray(1 - pallor * dish + np.float32(0.18) * level**4, np.float32)


def draw_red_cells(
    light: Array,
    rng: np.random.Generator,
    world: WorldSettings,
    colour: Array,
    width: float,
    keep_out: tuple[float, float, float],
) -> None:
    """Darken the transmitted light (size, size, 3) by red cells of about `width`, none in the circle (x, y, radius)."""
    spots = _spots(rng, world, width, keep_out)
    count = len(spots)
    if not count:
        return
    pixel = SIDE / light.shape[0]
    span = int(np.ceil(width * 1.5 / pixel))
    first = np.floor((spots[:, :2] - width * 0.75) / pixel).astype(int)
    grid = np.arange(span, dtype=np.float32)
    u = ((first[:, :1] + grid + 0.5) * pixel - spots[:, :1]).astype(np.float32)[:, None, :]
    v = ((first[:, 1:2] + grid + 0.5) * pixel - spots[:, 1:2]).astype(np.float32)[:, :, None]

    def draw(low: float, high: float) -> Array:
        return rng.uniform(low, high, (count, 1, 1)).astype(np.float32)

    radius = spots[:, 2].astype(np.float32)[:, None, None]
    turn, stretch = draw(0, 2 * np.pi), np.sqrt(draw(1.0, 1.22 if rng.random() < 0.7 else 1.5))
    p = (np.cos(turn) * u + np.sin(turn) * v) / (radius * stretch)
    q = (np.cos(turn) * v - np.sin(turn) * u) / radius * stretch
    level = np.hypot(p + draw(-0.14, 0.14) * q * q, q + draw(-0.14, 0.14) * p * p)
    pallor = np.clip(rng.uniform(*world.red_cell_pallor) + draw(-0.25, 0.2), 0, 0.97)
    thickness = pallor_profile(level, pallor, draw(0.5, 0.8)) * draw(0.85, 1.15)
    thickness *= np.clip((1 - level) * radius / np.float32(pixel) + np.float32(0.5), 0, 1)
    passed = np.exp(thickness[..., None] * np.log(colour))
    for (left, top), cell in zip(first, passed, strict=True):
        rows, columns = slice(max(top, 0), max(top + span, 0)), slice(max(left, 0), max(left + span, 0))
        patch = light[rows, columns]
        patch *= cell[max(-top, 0) :, max(-left, 0) :][: patch.shape[0], : patch.shape[1]]


def _spots(rng: np.random.Generator, world: WorldSettings, width: float, keep_out: tuple[float, float, float]) -> Array:
    """Centres and radii (n, 3) of the red cells; a few overlap where the smear is thick."""
    tries = int(rng.uniform(*world.red_cell_count))
    closeness = 1.05 if rng.random() < 0.6 else rng.uniform(0.45, 0.9)
    margin = width * 0.45
    candidates = rng.uniform(-margin, SIDE + margin, (tries * 2, 2))
    radii = width / 2 * rng.uniform(0.88, 1.12, tries * 2)
    kept: list[tuple[float, float, float]] = []
    for (x, y), r in zip(candidates.tolist(), radii.tolist(), strict=True):
        if len(kept) == tries:
            break
        if np.hypot(x - keep_out[0], y - keep_out[1]) < keep_out[2] + r * 1.02:
            continue
        if all((x - a) ** 2 + (y - b) ** 2 > ((r + s) * closeness) ** 2 for a, b, s in kept):
            kept.append((x, y, r))
    return np.asarray(kept, np.float32).reshape(-1, 3)


def draw_debris(
    light: Array, rng: np.random.Generator, world: WorldSettings, width: float, keep_out: tuple[float, float, float]
) -> None:
    """Darken the transmitted light (size, size, 3) by a few platelets outside the circle (x, y, radius)."""
    size = light.shape[0]
    pixel = SIDE / size
    for _ in range(int(rng.uniform(world.debris_count[0], world.debris_count[1] + 1))):
        x, y = rng.uniform(4, SIDE - 4, 2)
        radius = width * rng.uniform(0.07, 0.2)
        colour = pick_colour("debris", rng, world.tone_spread)
        # On a red cell it would look like a parasite.
        on_red_cell = light[int(y / pixel), int(x / pixel)].min() < 0.97
        if on_red_cell or np.hypot(x - keep_out[0], y - keep_out[1]) < keep_out[2] + radius + 3:
            continue
        span = int(np.ceil((radius + 3) / pixel))
        left, top = int(x / pixel), int(y / pixel)
        rows, columns = slice(max(top - span, 0), top + span + 1), slice(max(left - span, 0), left + span + 1)
        v, u = np.ogrid[rows.start : min(rows.stop, size), columns.start : min(columns.stop, size)]
        away = np.hypot((u + 0.5) * pixel - x, (v + 0.5) * pixel - y).astype(np.float32)
        rough = rng.standard_normal(away.shape, np.float32)
        amount = np.clip((radius - away) / np.float32(pixel) + np.float32(0.5) + rough * np.float32(0.25), 0, 1)
        amount *= 1 - np.float32(0.35) * step(rough, 0, 1.5)
        light[rows, columns] *= 1 - amount[..., None] * (1 - colour)
