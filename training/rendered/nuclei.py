"""The nucleus's shape: one distance field per form, scaled until it takes up the stated share of the cell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from rendered.colours import Array
from rendered.shapes import blob, ellipse, polar_profile, rotate, smooth_max, stroke
from rendered.spec import CellSpec

__all__ = ["nucleus_distance"]

Field = Callable[[Array, Array], Array]
"""Distance to a shape around the origin, in a frame where the cell's radius is 1."""

# The share of the cell's area that the nucleus takes up, by (nucleus_share, cytoplasm_amount).
_SHARES: Final = {
    ("small", "abundant"): (0.17, 0.29),
    ("half", "abundant"): (0.36, 0.42),
    ("half", "moderate"): (0.44, 0.54),
    ("most", "moderate"): (0.58, 0.65),
    ("most", "scant"): (0.69, 0.77),
    ("nearly_all", "scant"): (0.83, 0.90),
}
# Lobes and bands need room between their arms to be told apart.
_SLENDER_HALF: Final = (0.34, 0.44)


def nucleus_distance(
    spec: CellSpec, rng: np.random.Generator, x: Array, y: Array, cell: Array, level: Array, radius: float
) -> Array:
    """Distance field (h, w) of the nucleus inside a cell.

    Args:
        spec: the cell; an obscured nucleus is drawn like one of two broad lobes.
        rng: source of the variation.
        x: columns (h, w) from the cell's centre, in 1/144 of the picture's side.
        y: rows (h, w), likewise.
        cell: distance field (h, w) of the cell's outline.
        level: distance (h, w) from the cell's centre, 1 at its outline without fringe.
        radius: the cell's mean radius.
    """
    share = _share(spec, rng)
    field = _field(spec, rng, share)
    angle = rng.uniform(0, 2 * np.pi)
    shift = radius * _shift(spec, rng, share)
    cx, cy = np.float32(shift * np.cos(angle)), np.float32(shift * np.sin(angle))
    if spec.shape != "round" and (spec.nucleus in ("bilobed", "multilobed") or spec.nucleus_form == "band"):
        # Lobes and bands follow the cell's shape: cut off at its edge they would fall to pieces.
        away = np.hypot(x, y) + np.float32(1e-3)
        follow = np.float32(radius) * (level + np.float32(1e-5)) / away
        x, y = x * follow, y * follow
    rim = np.float32(radius * 0.03 + 0.3)

    def at(scale: float, every: int = 1) -> Array:
        u = (x[::every, ::every] - cx) / np.float32(scale)
        v = (y[::every, ::every] - cy) / np.float32(scale)
        distance: Array = np.maximum(field(u, v) * np.float32(scale), cell[::every, ::every] + rim)
        return distance

    scale = radius
    whole = max(int((cell[::2, ::2] < 0).sum()), 1)
    for _ in range(2):
        seen = max(int((at(scale, 2) < 0).sum()), 1) / whole
        scale *= float(np.clip(np.sqrt(share / seen), 0.6, 1.6))
    return at(scale)


def _share(spec: CellSpec, rng: np.random.Generator) -> float:
    slender = spec.nucleus in ("bilobed", "multilobed") or spec.nucleus_form == "band"
    if spec.nucleus == "obscured":
        return float(rng.uniform(0.45, 0.6))
    if slender and spec.nucleus_share == "half":
        return float(rng.uniform(*_SLENDER_HALF))
    return float(rng.uniform(*_SHARES[str(spec.nucleus_share), str(spec.cytoplasm_amount)]))


def _shift(spec: CellSpec, rng: np.random.Generator, share: float) -> float:
    """How far the nucleus lies from the cell's centre, as a share of the cell's radius."""
    if spec.nucleus_place != "eccentric":
        return float(rng.uniform(0, 0.05))
    slender = spec.nucleus in ("bilobed", "multilobed") or spec.nucleus_form == "band"
    return float((1 - np.sqrt(share)) * (rng.uniform(0.4, 0.6) if slender else rng.uniform(0.8, 1.05)))


def _field(spec: CellSpec, rng: np.random.Generator, share: float) -> Field:
    """The undisturbed shape, and a gentle bending of space so that no two are alike."""
    field = _straight_field(spec, rng, share)
    straight = spec.nucleus_form in ("round", "oval")
    bend = 0.015 if straight else 0.05
    waves, phases = rng.uniform(4, 8, 2).astype(np.float32), rng.uniform(0, 6.28, 2).astype(np.float32)

    def bent(u: Array, v: Array) -> Array:
        return field(
            u + np.float32(bend) * np.sin(waves[0] * v + phases[0]),
            v + np.float32(bend) * np.sin(waves[1] * u + phases[1]),
        )

    return bent


def _straight_field(spec: CellSpec, rng: np.random.Generator, share: float) -> Field:
    size = float(np.sqrt(share))
    match spec.nucleus_form or spec.nucleus:
        case "bilobed" | "obscured":
            return _lobes(rng, 2, share)
        case "multilobed":
            return _lobes(rng, _lobe_count(spec, rng), share)
        case "indented":
            return _indented(rng, size)
        case "folded":
            return _folded(rng, size)
        case "band":
            return _band(rng, share)
        case form:
            return _plain(rng, size, rng.uniform(1.35, 1.6) if form == "oval" else rng.uniform(1.0, 1.07))


def _plain(rng: np.random.Generator, size: float, stretch: float) -> Field:
    profile = polar_profile(rng, size, stretch, [(3, rng.uniform(0, 0.02)), (5, rng.uniform(0, 0.012))])
    return lambda u, v: blob(u, v, profile)


def _indented(rng: np.random.Generator, size: float) -> Field:
    """A kidney: an ellipse with a round notch in its long side."""
    a, b = size * rng.uniform(1.08, 1.2), size * rng.uniform(0.9, 1.0)
    notch, depth, aside = size * rng.uniform(0.4, 0.55), size * rng.uniform(0.5, 0.75), size * rng.uniform(-0.2, 0.2)
    turn = rng.uniform(0, 2 * np.pi)

    def field(u: Array, v: Array) -> Array:
        p, q = rotate(u, v, turn)
        hole = np.hypot((p - np.float32(aside)) * np.float32(1.15), q - np.float32(b + notch - depth)) - np.float32(
            notch
        )
        return smooth_max(ellipse(p, q, a, b), -hole, size * 0.25)

    return field


def _folded(rng: np.random.Generator, size: float) -> Field:
    """A convoluted outline with two or three narrow clefts from the edge inwards."""
    waves = [(k, rng.uniform(0.5, 1.0) * h) for k, h in ((2, 0.12), (3, 0.11), (4, 0.07), (5, 0.06), (7, 0.03))]
    profile = polar_profile(rng, size, rng.uniform(1.0, 1.2), waves)
    first = rng.uniform(0, 2 * np.pi)
    clefts = []
    for k in range(int(rng.integers(2, 4))):
        angle = first + 2.2 * k + rng.uniform(-0.3, 0.3) + rng.uniform(0.1, 0.3) * rng.choice([-1, 1]) * np.arange(4)
        reach = size * np.array([1.35, 0.95, 0.72, rng.uniform(0.42, 0.6)])
        points = np.stack([np.cos(angle) * reach, np.sin(angle) * reach], 1).astype(np.float32)
        clefts.append((points, np.array([0.26, 0.10, 0.06, 0.04], np.float32) * np.float32(size)))

    def field(u: Array, v: Array) -> Array:
        distance = blob(u, v, profile)
        for points, widths in clefts:
            distance = smooth_max(distance, -stroke(u, v, points, widths), size * 0.12)
        return distance

    return field


def _lobe_count(spec: CellSpec, rng: np.random.Generator) -> int:
    """Three to five lobes; in a small cell only three are large enough to be counted."""
    return 3 if spec.size == "small" else int(rng.choice([3, 4, 5], p=[0.5, 0.35, 0.15]))


def _lobes(rng: np.random.Generator, count: int, share: float) -> Field:
    """Lobes along an open ring, each joined to the next by a strand."""
    lobe = float(np.sqrt(share * 0.95 / count))
    ring = 0.93 - lobe * 1.1
    gap = 2 * lobe * rng.uniform(1.12, 1.3)
    if count == 2:
        half = gap * 0.43
        centres = np.array([[-half, rng.uniform(0, 0.15)], [half, rng.uniform(0, 0.15)]])
        turns, thin = [0.0, 0.0], rng.uniform(0.8, 0.9)
    else:
        step = min(2 * np.arcsin(min(gap / (2 * ring), 1.0)), 2 * np.pi / count)
        angles = step * (np.arange(count) - (count - 1) / 2)
        reach = np.where(np.arange(count) % 2, ring, ring * rng.uniform(0.88, 1.0))
        centres = np.stack([np.cos(angles) * reach, np.sin(angles) * reach], 1)
        centres[:, 0] -= centres[:, 0].mean() * rng.uniform(0.6, 1.0)
        turns, thin = [float(t) for t in angles + np.pi / 2], rng.uniform(0.85, 1.0)
    sizes = lobe * rng.uniform(0.9, 1.1, count)
    points, strand = centres.astype(np.float32), np.full(count, rng.uniform(0.05, 0.09), np.float32)
    spin = rng.uniform(0, 2 * np.pi)

    def field(u: Array, v: Array) -> Array:
        p, q = rotate(u, v, spin)
        distance = stroke(p, q, points, strand)
        for (cx, cy), size, turn in zip(points, sizes, turns, strict=True):
            s, t = rotate(p - cx, q - cy, turn)
            distance = np.minimum(distance, ellipse(s, t, size * thin, size / thin))
        return distance

    return field


def _band(rng: np.random.Generator, share: float) -> Field:
    """A curved band of even width: C, U, or, where the nucleus is slender enough, S."""
    kind = rng.choice(["C", "U", "S"] if share < 0.3 else ["C", "U"])
    t = np.linspace(-1, 1, 9)
    if kind == "S":
        x, y = 0.55 * t, 0.34 * np.sin(t * 2.9)
    elif kind == "U":
        angle = np.clip(t * 2.3, -1.57, 1.57)
        legs = np.clip(np.abs(t) * 2.3 - 1.57, 0, None) * 0.85
        x, y = 0.5 * np.cos(angle) - legs, 0.5 * np.sin(angle)
    else:
        angle = t * rng.uniform(1.75, 2.2)
        x, y = 0.56 * np.cos(angle), 0.56 * np.sin(angle)
    x = x - (x.min() + x.max()) / 2
    length = float(np.hypot(np.diff(x), np.diff(y)).sum())
    # The area pi * share of a band with round ends: 2 w length + pi w^2.
    width = (np.sqrt(length**2 + np.pi**2 * share) - length) / np.pi
    widths = (width * rng.uniform(0.88, 1.12, 9)).astype(np.float32)
    points = np.stack([x, y], 1).astype(np.float32)
    spin = rng.uniform(0, 2 * np.pi)

    def field(u: Array, v: Array) -> Array:
        p, q = rotate(u, v, spin)
        return stroke(p, q, points, widths)

    return field
