"""Where the tissue of a slide lies: found by its colour, or as somebody outlined it (GeoJSON).

A mask has one value a pixel of a small picture of the slide, each of which stands for `scale` pixels of the finest
level. Outlines are in pixels of that level, as QuPath writes them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from kpl.bounded import read_bounded
from kpl.errors import PictureError

Polygon = tuple[tuple[tuple[float, float], ...], ...]
"""Rings of (x, y), the outer one first, then the holes in it."""

_PALEST: Final = 15  # of 255: glass under a lamp is no greyer than this
_DEEPEST: Final = 64  # where no glass is seen, Otsu's threshold would fall between pale and dark tissue
_DARK: Final = 32  # the colour of what is nearly black is noise
_BEYOND: Final = 0.01  # of a side: outlines may be drawn a little over the edge
_LARGEST: Final = 64 << 20  # bytes of outlines
_KINDS: Final = {"Polygon": 1, "MultiPolygon": 2}


@dataclass(frozen=True)
class Mask:
    """Tissue of a slide.

    Attributes:
        there: (rows, columns), whether each small pixel is tissue.
        scale: pixels of the finest level that a side of one stands for.
    """

    there: NDArray[np.bool_]
    scale: float


def otsu(values: NDArray[np.uint8]) -> int:
    """Return the threshold that divides values best in two (Otsu 1979): those above it are the upper part.

    Example:
        >>> otsu(np.array([3, 4, 5, 200, 201], np.uint8))
        5
    """
    counts = np.bincount(values.ravel(), minlength=256).astype(np.float64)
    below, total = counts.cumsum(), counts.sum()
    first = (counts * np.arange(256)).cumsum()
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (first[-1] * below - first * total) ** 2 / (below * (total - below))
    return int(np.nan_to_num(between, nan=0.0, posinf=0.0).argmax())


def find_tissue(picture: NDArray[np.uint8], scale: float, speck: float) -> Mask:
    """Find tissue by its colour: Otsu's threshold on the saturation, and pieces of it that are too small left out.

    Args:
        picture: (rows, columns, 3), a small picture of the whole slide.
        scale: see `Mask`.
        speck: pixels of the picture; smaller pieces are dust, and smaller holes are tissue.
    """
    from scipy import ndimage

    _, colour, light = Image.fromarray(picture).convert("HSV").split()
    colour.paste(0, mask=light.point(lambda value: 255 * (value < _DARK)))
    threshold = min(max(otsu(np.asarray(colour)), _PALEST), _DEEPEST)
    there = np.asarray(colour.filter(ImageFilter.MedianFilter(3))) > threshold
    for value in (True, False):  # holes are filled after specks are gone
        named, count = ndimage.label(there == value)
        if count:
            small = np.bincount(named.ravel()) < speck
            small[0] = False
            there[small[named]] = not value
    return Mask(there, scale)


def outlines(mask: Mask) -> tuple[Polygon, ...]:
    """Return the outlines of a mask, between its pixels; drawn again by `drawn`, they give the same mask."""
    from contourpy import FillType, contour_generator

    if not mask.there.any():
        return ()
    values = np.pad(mask.there, 1).astype(np.float64)
    lines: Any = contour_generator(z=values, fill_type=FillType.OuterOffset).filled(0.5, 2.0)
    found = []
    for points, starts in zip(*lines, strict=True):
        placed = (points - 0.5) * mask.scale  # the first pixel's middle is at 1 in the padded mask, at .5 in the mask
        rings = [placed[start:stop] for start, stop in pairwise(starts)]
        found.append(tuple(tuple((round(x, 2), round(y, 2)) for x, y in _without_needless(r).tolist()) for r in rings))
    return tuple(found)


def drawn(polygons: Iterable[Polygon], shape: tuple[int, int], scale: float) -> Mask:
    """Draw outlines as a mask: a pixel is tissue if its middle lies within one of them."""
    there = np.zeros(shape, np.bool_)
    for polygon in polygons:
        flips = np.zeros((shape[0], shape[1] + 1), np.bool_)
        for ring in polygon:
            _cross(np.asarray(ring, np.float64) / scale - 0.5, flips)
        there |= np.logical_xor.accumulate(flips[:, :-1], axis=1)
    return Mask(there, scale)


def as_geojson(polygons: Sequence[Polygon]) -> str:
    """Write outlines as GeoJSON, one feature a piece of tissue, as QuPath and others read it."""
    features = [
        {
            "type": "Feature",
            "properties": {"objectType": "annotation", "name": "tissue"},
            "geometry": {"type": "Polygon", "coordinates": polygon},
        }
        for polygon in polygons
    ]
    return json.dumps({"type": "FeatureCollection", "features": features}) + "\n"


def read_geojson(path: Path, size: tuple[int, int]) -> tuple[Polygon, ...]:
    """Read the outlines of tissue on a slide of so many pixels (width, height).

    Raises:
        PictureError: it is no GeoJSON of polygons, or they do not lie on this slide.
    """
    what = "its GeoJSON of tissue"
    try:
        polygons = tuple(_polygons(json.loads(read_bounded(path, _LARGEST)), 0))
    except OSError as error:
        raise PictureError(f"{what} cannot be read ({error.strerror})") from None
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        raise PictureError(f"{what} is none: export polygons in pixels, as QuPath does") from None
    if not polygons:
        raise PictureError(f"{what} has no polygon: outline the tissue, or leave the file out to have it found")
    points = np.array([point for polygon in polygons for ring in polygon for point in ring])
    margin = np.array(size) * _BEYOND
    if not np.isfinite(points).all() or (points < -margin).any() or (points > size + margin).any():
        raise PictureError(
            f"{what} reaches beyond its {size[0]} x {size[1]} pixels: of another slide, or not in pixels of its finest "
            "level"
        )
    return polygons


def _polygons(held: Any, depth: int) -> Iterable[Polygon]:  # noqa: ANN401 - JSON
    if depth > 8:
        raise ValueError("collections in collections")
    if isinstance(held, list):  # QuPath writes a bare list too
        for each in held:
            yield from _polygons(each, depth + 1)
        return
    kind = held["type"]
    if kind == "FeatureCollection":
        yield from _polygons(held["features"], depth + 1)
    elif kind == "GeometryCollection":
        yield from _polygons(held["geometries"], depth + 1)
    elif kind == "Feature":
        yield from _polygons(held["geometry"], depth + 1) if held["geometry"] else ()
    elif kind in _KINDS:
        for rings in held["coordinates"] if kind == "MultiPolygon" else [held["coordinates"]]:
            yield tuple(tuple((float(point[0]), float(point[1])) for point in ring) for ring in rings)


def _without_needless(ring: NDArray[np.float64]) -> NDArray[np.float64]:
    """Leave out points on the straight line between their neighbours; the last point is the first."""
    open_ring = ring[:-1]
    ahead, behind = np.roll(open_ring, -1, 0) - open_ring, open_ring - np.roll(open_ring, 1, 0)
    kept = open_ring[np.abs(ahead[:, 0] * behind[:, 1] - ahead[:, 1] * behind[:, 0]) > 1e-9]
    return np.concatenate([kept, kept[:1]]) if len(kept) > 2 else ring


def _cross(ring: NDArray[np.float64], flips: NDArray[np.bool_]) -> None:
    """Note in each row, at the first pixel behind it, where a ring crosses the middles of the row's pixels."""
    rows, columns = flips.shape
    ends = np.roll(ring, -1, 0)
    for (x0, y0), (x1, y1) in zip(ring.tolist(), ends.tolist(), strict=True):
        if y0 > y1:
            x0, y0, x1, y1 = x1, y1, x0, y0
        y = np.arange(max(0, int(np.ceil(y0))), min(rows, int(np.ceil(y1))))
        if len(y):
            x = np.ceil(x0 + (y - y0) * ((x1 - x0) / (y1 - y0)))
            np.logical_xor.at(flips, (y, np.clip(x, 0, columns - 1).astype(np.intp)), True)
