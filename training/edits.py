"""Real cells, edited: another size, nucleus, colour, granules or vacuoles than the smear gave them.

On a real smear the attributes of a cell come in fixed company (orange granules with two lobes). Editing breaks the
company up, so that each attribute is learned by its own look and not by the kind of cell that usually has it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi
from skimage import measure

from labels import Truth, real_truth, red_cell_truth
from segment import Floats, Mask, Segmentation, background_of, density_of, measure_cell, segment

__all__ = ["Sample", "canvas_of", "edited", "load_sample", "red_cell"]

Picture = NDArray[np.uint8]

TONES: Final = {
    "clear": (0.06, 0.08, 0.04),
    "pink": (0.19, 0.34, 0.14),
    "orange": (0.34, 0.80, 0.36),
    "blue": (0.48, 0.50, 0.13),
    "grey": (0.36, 0.40, 0.17),
    "red": (0.20, 0.42, 0.32),
    "purple": (0.42, 0.78, 0.20),
}
DOTS: Final = {  # optical density, radius in pixels, number per 1000 pixels of room
    "dark": ((1.05, 1.2, 0.4), (1.2, 2.3), (14, 45)),
    "orange": ((0.34, 0.9, 0.46), (1.2, 1.9), (45, 90)),
    "purple": ((0.6, 0.95, 0.25), (0.7, 1.2), (12, 35)),
}
_OF_NUCLEUS: Final = ("nucleus", "nucleus_form", "nucleus_tone", "chromatin", "nucleoli")


@dataclass(frozen=True)
class Sample:
    """One real picture, taken apart."""

    kind: str
    background: Floats
    found: Segmentation
    raw: Floats
    measures: dict[str, float]

    @property
    def clean(self) -> bool:
        """Whether the cell was cut out well enough to be edited."""
        return self.measures["solidity"] > 0.9


def load_sample(kind: str, picture: Picture) -> Sample:
    """Segment and measure a real picture."""
    found = segment(picture)
    return Sample(kind, background_of(picture), found, density_of(picture), measure_cell(found))


def canvas_of(sample: Sample) -> Floats:
    """The optical density (h, w, 3) of the smear with the middle cell taken away."""
    hole = np.asarray(ndi.gaussian_filter(ndi.binary_dilation(sample.found.cell, iterations=4).astype(np.float32), 1.2))
    return np.asarray(sample.raw * (1 - np.clip(hole * 1.2, 0, 1))[..., None], dtype=np.float32)


def _to_picture(density: Floats, background: Floats) -> Picture:
    return np.clip((background + 1) * np.exp(-density) - 1, 0, 255).round().astype(np.uint8)


def _soft(mask: Mask) -> Floats:
    return np.asarray(ndi.gaussian_filter(mask.astype(np.float32), 0.7), dtype=np.float32)[..., None]


def _recolour(raw: Floats, area: Mask, tone: str, rng: np.random.Generator) -> Floats:
    """Give the cytoplasm another colour and keep its texture."""
    middle = max(float(np.median(raw[area][:, 1])), 0.1)
    texture = np.clip(raw[..., 1] / middle, 0.3, 2.0) ** rng.uniform(0.4, 1.0)
    target = np.array(TONES[tone], dtype=np.float32) * rng.uniform(0.8, 1.25) * rng.normal(1, 0.06, 3)
    return np.asarray(raw + _soft(area) * (texture[..., None] * target - raw), dtype=np.float32)


def _dot(raw: Floats, room: Mask, rng: np.random.Generator, name: str) -> Floats:
    """Sprinkle granules over the room."""
    colour, radii, density = DOTS[name]
    spots = np.argwhere(room)
    count = max(6, int(len(spots) * rng.uniform(*density) / 1000))
    cover = np.zeros(room.shape, dtype=np.float32)
    rows, columns = np.mgrid[: room.shape[0], : room.shape[1]]
    for y, x in spots[rng.integers(0, len(spots), count)] + rng.uniform(-0.5, 0.5, (count, 2)):
        r = rng.uniform(*radii)
        y0, x0 = max(int(y) - 4, 0), max(int(x) - 4, 0)
        box = np.s_[y0 : int(y) + 5, x0 : int(x) + 5]
        away = np.hypot(rows[box] - y, columns[box] - x)
        cover[box] = np.maximum(cover[box], rng.uniform(0.6, 1.0) * np.clip(r + 0.5 - away, 0, 1))
    target = np.array(colour, dtype=np.float32) * rng.uniform(0.85, 1.1)
    return np.asarray(raw + cover[..., None] * (np.maximum(target, raw * 0.9) - raw), dtype=np.float32)


def _bubbles(raw: Floats, room: Mask, rng: np.random.Generator) -> Floats:
    """Empty a few small holes."""
    spots = np.argwhere(ndi.binary_erosion(room, iterations=2))
    if len(spots) < 40:
        return raw
    rows, columns = np.mgrid[: room.shape[0], : room.shape[1]]
    cover = np.zeros(room.shape, dtype=np.float32)
    for y, x in spots[rng.integers(0, len(spots), rng.integers(3, 10))]:
        cover = np.maximum(cover, np.clip(rng.uniform(1.4, 3.4) + 0.5 - np.hypot(rows - y, columns - x), 0, 1))
    return np.asarray(raw * (1 - cover * rng.uniform(0.75, 0.95) * _soft(room)[..., 0])[..., None], dtype=np.float32)


def _swap_nucleus(host: Sample, donor: Sample, raw: Floats, rng: np.random.Generator) -> tuple[Floats, Mask] | None:
    """Put the donor's nucleus in place of the host's; None where it does not fit."""
    cell = host.found.cell
    own = ndi.binary_dilation(host.found.nucleus, iterations=2)
    ring = cell & ~own
    if ring.sum() < 60 or donor.found.nucleus.sum() < 150:
        return None
    fill = np.median(raw[ring], axis=0) * (1 + 0.12 * ndi.gaussian_filter(rng.normal(size=(*cell.shape, 1)), (1, 1, 0)))
    inside = _soft(own & cell)
    erased = raw + inside * (fill.astype(np.float32) - raw)
    centre = np.array(ndi.center_of_mass(cell)) + rng.uniform(-1, 1, 2) * np.sqrt(cell.sum() / np.pi) * rng.uniform(
        0, 0.5
    )
    source = np.array(ndi.center_of_mass(donor.found.nucleus))
    scale = np.sqrt(rng.uniform(0.25, 0.8) * cell.sum() / donor.found.nucleus.sum())
    scale = float(np.clip(scale, 0.6, 1.5))
    for shrink in (1.0, 0.85, 0.7):
        zoom = 1 / (scale * shrink)
        shift = source - centre * zoom
        nucleus = ndi.affine_transform(donor.found.nucleus.astype(np.float32), [zoom, zoom], shift, order=1) > 0.5
        if (nucleus & cell).sum() > 0.97 * nucleus.sum() and nucleus.sum() > 60:
            moved = np.stack(
                [ndi.affine_transform(donor.raw[..., c], [zoom, zoom], shift, order=1) for c in range(3)], -1
            )
            nucleus = nucleus & cell
            return np.asarray(erased + _soft(nucleus) * (moved - erased), dtype=np.float32), np.asarray(nucleus)
    return None


def _dress(sample: Sample, donor: Sample, rng: np.random.Generator) -> tuple[Segmentation, Floats, Truth, list[Sample]]:
    """Nucleus, colour, granules and vacuoles: the edits that leave the cell in its place."""
    cell, nucleus, raw = sample.found.cell, sample.found.nucleus, sample.raw
    extra: Truth = {}
    used = [sample]
    if rng.random() < 0.4 and donor.kind != "basophil" and (swap := _swap_nucleus(sample, donor, raw, rng)):
        raw, nucleus = swap
        used.append(donor)
        theirs = real_truth(donor.kind, donor.measures)
        extra |= {name: theirs[name] for name in _OF_NUCLEUS if name in theirs}
        if "nucleoli" not in theirs:
            extra["nucleoli"] = ("", "present absent")
    if rng.random() < 0.4:
        factor = rng.uniform(0.6, 1.3) / max(float(raw[nucleus][:, 0].mean()), 0.3)
        raw = raw * (1 + _soft(nucleus) * (np.clip(factor, 0.6, 1.4) - 1))
        extra.pop("nucleus_tone", None)
    room = cell & ~ndi.binary_dilation(nucleus, iterations=1)
    if rng.random() < 0.6 and room.sum() > 60:
        tone = str(rng.choice(list(TONES)))
        raw = _recolour(raw, room, tone, rng)
        extra["cytoplasm_tone"] = (tone, "clear" if tone == "pink" else "")
        if sample.kind in ("eosinophil", "ig", "neutrophil", "monocyte"):
            extra["granules"] = ("", "fine purple orange" + (" none" if sample.kind != "eosinophil" else ""))
    if rng.random() < 0.35 and room.sum() > 120:
        name = str(rng.choice(list(DOTS)))
        over = ndi.binary_erosion(cell if name == "dark" else room)
        raw = _dot(raw, over, rng, name)
        extra["granules"] = (name, "")
        colour = {"dark": "purple", "orange": "orange", "purple": "purple"}[name]
        before = extra.get("cytoplasm_tone", ("", "clear pink blue grey"))
        extra["cytoplasm_tone"] = (
            colour if name == "orange" else "",
            " ".join({*before[0].split(), *before[1].split(), colour}),
        )
        if name == "dark":
            extra["nucleus"] = ("", "obscured single bilobed multilobed")
    if rng.random() < 0.25 and room.sum() > 300:
        raw, extra["vacuoles"] = _bubbles(raw, room, rng), ("present", "")
    raw = np.asarray(raw, dtype=np.float32)
    smooth = np.asarray(ndi.gaussian_filter(raw, (0.7, 0.7, 0)), dtype=np.float32)
    return Segmentation(smooth, cell, nucleus), raw, extra, used


def edited(
    sample: Sample, donor: Sample, canvas: Sample, rng: np.random.Generator
) -> tuple[Picture, Truth, list[Sample]]:
    """One edited picture, what is true of it, and the samples that it was made of."""
    found, raw, extra, used = sample.found, sample.raw, Truth(), [sample]
    if sample.kind not in ("basophil", "platelet") and found.nucleus.sum() > 60:
        found, raw, extra, used = _dress(sample, donor, rng)
    measures = measure_cell(found)
    if rng.random() < 0.6:
        scale = float(np.exp(rng.uniform(np.log(0.6), np.log(1.6))))
        scale = float(np.clip(scale, 16 / measures["diameter"], 92 / measures["diameter"]))
        angle = rng.uniform(0, 2 * np.pi)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / scale
        shift = np.array(ndi.center_of_mass(found.cell)) - turn @ (np.array(raw.shape[:2]) / 2 + rng.uniform(-4, 4, 2))
        cell = ndi.affine_transform(found.cell.astype(np.float32), turn, shift, order=1) > 0.5
        moved = np.stack([ndi.affine_transform(raw[..., c], turn, shift, order=1) for c in range(3)], axis=-1)
        ground = canvas_of(canvas)
        used.append(canvas)
        keep = ~ndi.binary_dilation(cell, iterations=1)
        raw = np.asarray(ground * (1 - (1 - keep[..., None]) * 0.98) + _soft(cell) * moved, dtype=np.float32)
        measures = measures | {"diameter": measures["diameter"] * scale}
    truth = real_truth(sample.kind, measures) | extra
    return _to_picture(raw, sample.background), truth, used


def red_cell(sample: Sample, rng: np.random.Generator) -> tuple[Picture, Truth] | None:
    """A red cell of the smear moved to the middle, sometimes with something drawn inside; None where none is free."""
    stained = ndi.binary_fill_holes((sample.raw[..., 1] > 0.11) & ~ndi.binary_dilation(sample.found.cell, iterations=3))
    parts = [
        p
        for p in measure.regionprops(measure.label(ndi.binary_opening(stained, iterations=2)))
        if 450 < p.area < 1300
        and p.solidity > 0.94
        and p.axis_minor_length > 0.75 * p.axis_major_length
        and min(p.bbox[:2]) > 1
        and max(p.bbox[2:]) < 143
    ]
    if not parts:
        return None
    part = parts[int(rng.integers(len(parts)))]
    y, x = (round(v) for v in part.centroid)
    wide = np.pad(sample.raw, ((72, 72), (72, 72), (0, 0)), mode="reflect")
    raw = wide[y : y + 144, x : x + 144]
    if float(raw[60:84, 60:84, 0].mean()) > 0.45:
        return None
    rows, columns = np.mgrid[:144, :144]
    away = np.hypot(rows - 72, columns - 72)
    contrast = float(raw[(away > 9) & (away < 12)][:, 1].mean() - raw[away < 4][:, 1].mean())
    truth = red_cell_truth(contrast > 0.06)
    if 0.02 < contrast <= 0.06:
        truth["pallor"] = ("", "present absent")
    if rng.random() < 0.5:
        raw, truth["inclusion"] = _infect(raw, rng)
        truth["pallor"] = ("", "present absent")
    background = sample.background
    return _to_picture(raw, background), truth


def _infect(raw: Floats, rng: np.random.Generator) -> tuple[Floats, tuple[str, str]]:
    """Draw a ring with a dot, or an irregular body with pigment, inside the red cell in the middle."""
    rows, columns = np.mgrid[:144, :144]
    cy, cx = 72 + rng.uniform(-6, 6, 2)
    angle = np.arctan2(rows - cy, columns - cx)
    away = np.hypot(rows - cy, columns - cx)
    purple = np.array((0.7, 0.85, 0.25), dtype=np.float32) * rng.uniform(0.8, 1.2)
    if rng.random() < 0.5:
        radius = rng.uniform(2.8, 5.0)
        cover = np.clip(rng.uniform(0.7, 1.1) + 0.5 - np.abs(away - radius), 0, 1) * rng.uniform(0.6, 0.9)
        turn = rng.uniform(0, 2 * np.pi)
        dot = np.hypot(rows - cy - radius * np.sin(turn), columns - cx - radius * np.cos(turn))
        cover = np.maximum(cover, np.clip(rng.uniform(1.2, 2.0) + 0.5 - dot, 0, 1) * 1.2)
        kind = "ring"
    else:
        wave = sum(rng.normal(0, 0.18) * np.cos(k * angle + rng.uniform(0, 6.3)) for k in (1, 2, 3, 5))
        cover = np.clip((rng.uniform(5.0, 8.5) * (1 + wave) - away) / 1.5, 0, 1) * rng.uniform(0.55, 0.95)
        for _ in range(int(rng.integers(2, 8))):
            py, px = np.array((cy, cx)) + rng.uniform(-4, 4, 2)
            cover = np.maximum(
                cover, 1.4 * np.clip(rng.uniform(0.6, 1.3) + 0.5 - np.hypot(rows - py, columns - px), 0, 1)
            )
        kind = "parasite"
    return np.asarray(raw + cover[..., None].astype(np.float32) * (purple - raw * 0.5), dtype=np.float32), (kind, "")
