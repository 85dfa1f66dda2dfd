"""The cell itself, layer by layer: cytoplasm, granules, nucleus, what lies over it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rendered.colours import Array, pick_colour
from rendered.nuclei import nucleus_distance
from rendered.shapes import blob, coverage, drawn_out, fray, polar_profile, rotate
from rendered.smear import pallor_profile
from rendered.spec import CellSpec
from rendered.textures import dots, smooth_noise, step
from rendered.world import WorldSettings

__all__ = ["SIZES", "draw_body"]

SIZES = {"tiny": (0.38, 0.6), "small": (0.98, 1.2), "medium": (1.34, 1.58), "large": (1.8, 2.15)}
"""Diameter of the cell in diameters of a red cell, by size."""

_EMPTY = np.float32(0.98)


@dataclass
class _Patch:
    """The window of the picture that the cell is drawn in, and what its layers share."""

    spec: CellSpec
    rng: np.random.Generator
    world: WorldSettings
    light: Array
    """Transmitted light (h, w, 3), a view into the picture."""
    x: Array
    """Columns (h, w) from the cell's centre, in 1/144 of the picture's side."""
    y: Array
    radius: float
    unit: float
    """1/28 of a red cell's width: what granules and vacuoles are measured in."""
    pixel: float
    cell: Array
    """Distance (h, w) to the cell's outline."""
    level: Array
    """Distance from the centre (h, w), 1 at the outline without its fringe."""

    def colour(self, name: str) -> Array:
        return pick_colour(name, self.rng, self.world.tone_spread)

    def noise(self, grain: float) -> Array:
        """Noise (h, w) with blots of `grain` units."""
        return smooth_noise(self.rng, self.cell.shape, max(grain * self.unit / self.pixel, 0.35))

    def dots(self, where: Array, per_area: float, radius: float) -> Array:
        """Dots of `radius` units, `per_area` of them in 100 square units."""
        area = float(where.sum()) * (self.pixel / self.unit) ** 2
        return dots(self.rng, where, max(round(per_area * area / 100), 2), radius * self.unit / self.pixel)

    def paint(self, amount: Array, colour: Array) -> None:
        """Blend a colour (3,) or colours (h, w, 3) over the picture by coverage (h, w)."""
        self.light += amount[..., None] * (colour - self.light)


def draw_body(
    light: Array,
    spec: CellSpec,
    rng: np.random.Generator,
    world: WorldSettings,
    place: tuple[float, float, float, float],
    red: Array,
) -> None:
    """Draw the cell into the transmitted light (size, size, 3).

    Args:
        light: the light that passes, 0..1, changed in place.
        spec: what to draw.
        rng: source of the variation.
        world: ranges of the variation.
        place: the cell's centre x, y, its radius and a red cell's width, in 1/144 of the picture's side.
        red: transmittance (3,) of the picture's red cells.
    """
    patch = _open_patch(light, spec, rng, world, place)
    inside = coverage(patch.cell, patch.pixel)
    _paint_cytoplasm(patch, inside, red)
    nucleus = np.zeros_like(inside)
    if spec.nucleus != "absent":
        distance = nucleus_distance(spec, rng, patch.x, patch.y, patch.cell, patch.level, patch.radius)
        nucleus = coverage(distance, patch.pixel)
    room = np.where(patch.cell < -0.8 * patch.unit, inside - nucleus, 0)
    if spec.granules != "dark" and spec.nucleus != "obscured":
        _paint_granules(patch, room)
    if spec.nucleus != "absent":
        _paint_nucleus(patch, nucleus, distance)
    if spec.granules == "dark" or spec.nucleus == "obscured":
        _paint_granules(patch, np.where(patch.cell < 0.3 * patch.unit, 1.0, 0.0).astype(np.float32))
    if spec.vacuoles == "present":
        _paint_vacuoles(patch, room)
    if spec.inclusion != "none":
        _paint_inclusion(patch, room)


def _open_patch(
    light: Array,
    spec: CellSpec,
    rng: np.random.Generator,
    world: WorldSettings,
    place: tuple[float, float, float, float],
) -> _Patch:
    cx, cy, radius, width = place
    size = light.shape[0]
    pixel, unit = 144.0 / size, width / 28
    reach = radius * 1.5 + 4
    left, right = (int(np.clip((cx + s * reach) / pixel, 0, size)) for s in (-1, 1))
    top, bottom = (int(np.clip((cy + s * reach) / pixel, 0, size)) for s in (-1, 1))
    columns = ((np.arange(left, right, dtype=np.float32) + np.float32(0.5)) * np.float32(pixel)) - np.float32(cx)
    rows = ((np.arange(top, bottom, dtype=np.float32) + np.float32(0.5)) * np.float32(pixel)) - np.float32(cy)
    x, y = np.meshgrid(columns, rows)
    patch = _Patch(spec, rng, world, light[top:bottom, left:right], x, y, radius, unit, pixel, x, x)
    patch.cell = _outline(patch)
    return patch


def _outline(patch: _Patch) -> Array:
    """Distance to the cell's outline, by shape and border."""
    rng, spec = patch.rng, patch.spec
    stretch = {"round": (1.0, 1.08), "oval": (1.38, 1.65), "irregular": (1.0, 1.25)}[spec.shape]
    waves = [(3, rng.uniform(0, 0.02)), (4, rng.uniform(0, 0.012))]
    if spec.shape == "irregular":
        waves = [(k, rng.uniform(0.5, 1.0) * h) for k, h in ((2, 0.1), (3, 0.13), (4, 0.08), (5, 0.06))]
    profile = polar_profile(rng, patch.radius, rng.uniform(*stretch), waves)
    if spec.shape == "irregular" and rng.random() < 0.5:
        profile = drawn_out(rng, profile)
    distance = blob(patch.x, patch.y, profile)
    away = np.hypot(patch.x, patch.y)
    patch.level = np.asarray(away / (away - distance), np.float32)
    if spec.border == "smooth":
        return distance
    height = max(0.9 * patch.unit, 0.035 * patch.radius) * rng.uniform(0.8, 1.3)
    distance = blob(patch.x, patch.y, fray(rng, profile, height, max(1.3 * patch.unit, 1.2 * patch.pixel)))
    for angle in rng.uniform(0, 2 * np.pi, int(rng.integers(2, 7))):
        at = float(profile[int(angle / (2 * np.pi) * len(profile))]) + rng.uniform(-0.2, 1.2) * patch.unit
        bleb = np.hypot(patch.x - np.float32(at * np.cos(angle)), patch.y - np.float32(at * np.sin(angle)))
        distance = np.minimum(distance, bleb - np.float32(rng.uniform(0.8, 1.7) * patch.unit))
    # A frayed edge has no even density.
    return distance + np.float32(0.45 * patch.unit) * patch.noise(0.6)


def _paint_cytoplasm(patch: _Patch, inside: Array, red: Array) -> None:
    spec, rng = patch.spec, patch.rng
    tone = (
        red ** np.float32(rng.uniform(0.95, 1.3))
        if spec.cytoplasm_tone == "red"
        else patch.colour(f"cytoplasm {spec.cytoplasm_tone}")
    )
    level = np.clip(patch.level, 0, 1.2)
    if spec.pallor == "present":
        thickness = pallor_profile(level, rng.uniform(0.75, 0.97), rng.uniform(0.65, 0.9))
    else:
        thickness = np.float32(0.96) + np.float32(0.14) * step(level, 0.72, 1.0)
    rough = 0.02 if spec.cytoplasm_tone in ("red", "clear") else {"grey": 0.14}.get(spec.cytoplasm_tone, 0.08)
    thickness = thickness * (1 + np.float32(rough) * patch.noise(0.8) + np.float32(rough * 0.6) * patch.noise(3.5))
    if spec.cytoplasm_tone == "clear":
        # A colourless cell is seen by its edge alone.
        thickness = thickness + np.float32(3.2) * step(patch.cell, -2.2 * patch.unit, -0.4 * patch.unit)
    patch.paint(inside, np.exp(np.clip(thickness, 0.02, 5)[..., None] * np.log(tone)))


def _paint_granules(patch: _Patch, room: Array) -> None:
    kind, rng = patch.spec.granules, patch.rng
    if kind == "none":
        return
    over = patch.spec.nucleus == "obscured"
    density, radius = {
        "fine": (rng.uniform(9, 15), 0.55),
        "purple": (rng.uniform(2.5, 5), rng.uniform(0.95, 1.2)),
        "orange": (rng.uniform(17, 24), rng.uniform(1.25, 1.5)),
        "dark": (rng.uniform(7, 13), rng.uniform(1.05, 1.5)),
    }[kind]
    if over:
        density = {"purple": rng.uniform(20, 28), "orange": rng.uniform(24, 30), "dark": rng.uniform(14, 24)}[kind]
    amount = patch.dots(room, density, radius)
    colour = patch.colour(f"granules {kind}")
    if kind == "orange":
        # Crowded granules are told apart by the light between them.
        patch.paint(amount * np.float32(0.9), colour ** (1 + np.float32(0.16) * patch.noise(0.7))[..., None])
    else:
        # On a cytoplasm of their own colour granules are still darker than it.
        strength, depth = {"fine": (0.55, 0.62), "purple": (0.9, 0.6), "dark": (0.93, 1.0)}[kind]
        patch.paint(amount * np.float32(strength), np.minimum(colour, np.float32(depth) * patch.light))


def _paint_nucleus(patch: _Patch, nucleus: Array, distance: Array) -> None:
    spec, unit = patch.spec, patch.unit
    tone = patch.colour(f"nucleus {spec.nucleus_tone or 'violet'}")
    chromatin = spec.chromatin or "clumped"
    if chromatin == "dense":
        density = 1.06 + np.float32(0.015) * patch.noise(2.0)
    elif chromatin == "open":
        density = 0.95 + np.float32(0.13) * np.clip(patch.noise(0.55), -1.8, 1.8)
    else:
        density = 0.68 + np.float32(0.44) * step(patch.noise(1.25), -0.7, 0.1) + np.float32(0.04) * patch.noise(0.5)
    density = density + np.float32(0.12) * step(distance, -1.6 * unit, -0.3 * unit)
    if spec.nucleus_form == "folded":
        density = density - np.float32(0.3) * _creases(patch)
    if spec.nucleoli == "present":
        well = (distance < -2.2 * unit).astype(np.float32)
        spots = dots(
            patch.rng, well, int(patch.rng.integers(1, 4)), patch.rng.uniform(1.9, 2.5) * unit / patch.pixel, 0.1
        )
        density = density * (1 - np.float32(0.7) * spots)
    patch.paint(nucleus, np.exp(density[..., None] * np.log(tone)))


def _creases(patch: _Patch) -> Array:
    """Coverage (h, w) of the pale lines along which a folded nucleus doubles over."""
    rng, amount = patch.rng, np.zeros_like(patch.cell)
    turn = rng.uniform(0, np.pi)
    for k in range(2):
        u, v = rotate(patch.x, patch.y, turn + k * rng.uniform(0.7, 1.6))
        bend = rng.uniform(-0.5, 0.5) / patch.radius
        line = np.abs(v - np.float32(rng.uniform(-0.3, 0.3) * patch.radius) + np.float32(bend) * u * u)
        np.maximum(amount, coverage(line - np.float32(0.5 * patch.unit), patch.pixel), out=amount)
    return amount


def _paint_vacuoles(patch: _Patch, room: Array) -> None:
    rng, unit = patch.rng, patch.unit
    rows, columns = np.nonzero((room > 0.9) & (patch.cell < -1.8 * unit))
    if not len(rows):
        rows, columns = np.nonzero(room > 0.5)
    for at in rng.integers(len(rows), size=int(rng.integers(3, 9))) if len(rows) else ():
        radius = np.float32(rng.uniform(1.3, 2.6) * unit)
        x, y = patch.x[rows[at], columns[at]], patch.y[rows[at], columns[at]]
        away = np.hypot(patch.x - x, patch.y - y) - radius
        hole = coverage(away, patch.pixel) * (patch.cell < 0)
        patch.paint(
            np.float32(0.25) * coverage(away - np.float32(0.7 * unit), patch.pixel) * (1 - hole),
            patch.light * np.float32(0.6),
        )
        patch.paint(hole * np.float32(0.92), np.full(3, _EMPTY, np.float32))


def _paint_inclusion(patch: _Patch, room: Array) -> None:
    rng, unit = patch.rng, patch.unit
    ring = patch.spec.inclusion == "ring"
    reach = (rng.uniform(2.8, 4.0) if ring else rng.uniform(4.0, 6.0)) * unit
    deep = room * np.clip(-patch.cell / np.float32(reach), 0, 1)
    rows, columns = np.nonzero(deep >= min(0.95, float(deep.max()) * 0.95))
    at = int(rng.integers(len(rows)))
    u, v = patch.x - patch.x[rows[at], columns[at]], patch.y - patch.y[rows[at], columns[at]]
    within = (patch.cell < 0).astype(np.float32)
    body, dot = patch.colour("parasite"), patch.colour("parasite dot")
    if ring:
        away = np.hypot(u, v * np.float32(rng.uniform(1.0, 1.2))) - np.float32(reach * 0.8)
        patch.paint(np.float32(0.5) * coverage(away, patch.pixel) * within, np.full(3, np.float32(0.93), np.float32))
        patch.paint(coverage(np.abs(away) - np.float32(0.75 * unit), patch.pixel) * within, body)
        turn = rng.uniform(0, 2 * np.pi)
        spot = np.hypot(u - np.float32(reach * 0.85 * np.cos(turn)), v - np.float32(reach * 0.85 * np.sin(turn)))
        patch.paint(coverage(spot - np.float32(1.5 * unit), patch.pixel) * within, dot)
        return
    profile = polar_profile(rng, reach, rng.uniform(1.0, 1.5), [(2, 0.15), (3, 0.2), (5, 0.12)])
    away = blob(u, v, profile)
    inside = coverage(away, patch.pixel) * within
    patch.paint(inside * np.float32(0.95), np.exp((1 + np.float32(0.25) * patch.noise(1.2))[..., None] * np.log(body)))
    patch.paint(dots(rng, inside * (away < -unit), 2, 1.7 * unit / patch.pixel), dot)
    patch.paint(dots(rng, inside, int(rng.integers(3, 7)), 0.9 * unit / patch.pixel), patch.colour("pigment"))
