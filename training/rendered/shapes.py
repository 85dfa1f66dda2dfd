"""Shapes as distance fields: the distance to an outline, negative inside, exact near the outline."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import gaussian_filter1d

from rendered.colours import Array

__all__ = [
    "Profile",
    "blob",
    "coverage",
    "drawn_out",
    "ellipse",
    "fray",
    "polar_profile",
    "rotate",
    "smooth_max",
    "stroke",
]

_STEPS = 512
Profile = Array
"""Radii (512,) of an outline by angle."""


def coverage(distance: Array, pixel: float) -> Array:
    """The share of each pixel inside a shape, 0..1, for pixels of the given side."""
    share: Array = np.clip(np.float32(0.5) - distance / np.float32(pixel), 0, 1)
    return share


def rotate(x: Array, y: Array, angle: float) -> tuple[Array, Array]:
    """Coordinates in a frame turned by an angle in radians."""
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return c * x + s * y, c * y - s * x


def polar_profile(
    rng: np.random.Generator, radius: float, stretch: float = 1.0, waves: Sequence[tuple[int, float]] = ()
) -> Profile:
    """An ellipse of a circle's area by angle, axis ratio `stretch`, with waves of (count, relative height)."""
    angle = np.linspace(0, 2 * np.pi, _STEPS, endpoint=False) - rng.uniform(0, np.pi)
    root = np.sqrt(stretch)
    profile = 1 / np.sqrt((np.cos(angle) / root) ** 2 + (np.sin(angle) * root) ** 2)
    for count, height in waves:
        profile = profile + height * np.cos(count * angle + rng.uniform(0, 2 * np.pi))
    return np.asarray(radius * profile, np.float32)


def drawn_out(rng: np.random.Generator, profile: Profile) -> Profile:
    """An outline with an arm to one side."""
    aside = np.abs((np.arange(_STEPS) / _STEPS - rng.random() + 0.5) % 1 - 0.5)
    arm = rng.uniform(0.15, 0.35) * np.exp(-((aside / rng.uniform(0.05, 0.09)) ** 2))
    return np.asarray(profile * (1 + arm), np.float32)


def fray(rng: np.random.Generator, profile: Profile, height: float, finest: float) -> Profile:
    """An outline made jagged: teeth and hollows of about `height`, none narrower than `finest` (units of the radii)."""
    per_length = _STEPS / (2 * np.pi * float(profile.mean()))
    teeth = gaussian_filter1d(rng.standard_normal(_STEPS), finest * per_length * 0.6, mode="wrap")
    bulges = gaussian_filter1d(rng.standard_normal(_STEPS), finest * per_length * 2.2, mode="wrap")
    teeth, bulges = teeth / teeth.std(), bulges / bulges.std()
    # Teeth are steeper than hollows and come in patches.
    jagged = np.where(teeth > 0, teeth, 0.5 * teeth) * (0.75 + 0.5 * np.tanh(bulges)) + 0.6 * bulges
    return np.asarray(profile + height * np.clip(jagged, -1.5, 2.5), np.float32)


def blob(x: Array, y: Array, profile: Profile) -> Array:
    """Distance to an outline given by angle around the origin."""
    turn = np.arctan2(y, x) * np.float32(_STEPS / (2 * np.pi))
    distance: Array = np.hypot(x, y) - profile[turn.astype(np.int32) % _STEPS]
    return distance


def ellipse(x: Array, y: Array, a: float, b: float) -> Array:
    """Distance, to first order, to an ellipse with half axes a and b around the origin."""
    u, v = x / np.float32(a), y / np.float32(b)
    level: Array = np.hypot(u, v)
    slope = np.hypot(u / np.float32(a), v / np.float32(b)) + np.float32(1e-6)
    distance: Array = level * (level - 1) / slope
    return distance


def stroke(x: Array, y: Array, points: Array, widths: Array) -> Array:
    """Distance to a line through points (n, 2) with half widths (n,), changing evenly in between."""
    distance = np.full(x.shape, np.float32(1e6))
    for (x0, y0), (x1, y1), w0, w1 in zip(points, points[1:], widths, widths[1:], strict=False):
        dx, dy = x1 - x0, y1 - y0
        along = np.clip(((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy + np.float32(1e-6)), 0, 1)
        np.minimum(
            distance, np.hypot(x - x0 - along * dx, y - y0 - along * dy) - (w0 + along * (w1 - w0)), out=distance
        )
    return distance


def smooth_max(a: Array, b: Array, softness: float) -> Array:
    """The intersection of two shapes with a rounded corner."""
    k = np.float32(softness)
    bump = np.clip(k - np.abs(a - b), 0, None) / k
    cut: Array = np.maximum(a, b) + bump * bump * k * np.float32(0.25)
    return cut
