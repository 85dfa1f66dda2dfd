"""Textures: smooth noise and scattered dots."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from rendered.colours import Array

__all__ = ["dots", "smooth_noise", "step"]


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], grain: float) -> Array:
    """Noise (h, w) with mean 0 and deviation 1 whose blots are `grain` pixels wide (a Gaussian's deviation)."""
    noise: Array = gaussian_filter(rng.standard_normal(shape, np.float32), grain, mode="wrap", truncate=2.5)
    noise -= noise.mean()
    noise /= noise.std() + np.float32(1e-6)
    return noise


def step(values: Array, low: float, high: float) -> Array:
    """0 below `low`, 1 above `high`, a smooth ramp between."""
    t: Array = np.clip((values - np.float32(low)) / np.float32(high - low), 0, 1)
    return t * t * (3 - 2 * t)


def dots(rng: np.random.Generator, where: Array, count: int, radius: float, uneven: float = 0.3) -> Array:
    """Coverage (h, w), 0..1, of `count` round dots of about `radius` pixels, centred where `where` is above one half.

    Dots nearer to each other than a radius melt together.
    """
    rows, columns = np.nonzero(where > 0.5)
    field = np.zeros(where.shape, np.float32)
    if count < 1 or not len(rows):
        return field
    pick = rng.integers(len(rows), size=count)
    row = rows[pick] + rng.random(count) - 0.5
    column = columns[pick] + rng.random(count) - 0.5
    height = np.clip(rng.normal(1.0, uneven, count), 0.35, 2.0)
    row0, column0 = np.floor(row).astype(int), np.floor(column).astype(int)
    for dr in (0, 1):
        for dc in (0, 1):
            share = np.abs(1 - dr - (row - row0)) * np.abs(1 - dc - (column - column0))
            inside = (
                (row0 + dr >= 0) & (row0 + dr < where.shape[0]) & (column0 + dc >= 0) & (column0 + dc < where.shape[1])
            )
            np.add.at(field, ((row0 + dr)[inside], (column0 + dc)[inside]), (height * share)[inside])
    spread = max(radius * 0.62, 0.42)
    peak = 2 * np.pi * spread * spread
    # Half the peak of a Gaussian lies 1.18 deviations out, which makes the dot's half width 0.73 radii before the gain.
    return step(gaussian_filter(field, spread, mode="constant", truncate=3.0) * np.float32(peak), 0.12, 0.62)
