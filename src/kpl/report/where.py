"""Where in a picture a class is seen: by the patches of a vision transformer, by hiding parts, or by small windows.

All show what the *text* of a class responds to, against the text of the others, not what a method learnt from the
images. Patches cost one reading of the picture; occlusion (Zeiler and Fergus, ECCV 2014) and windows ask the encoder
again and again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kpl.embeddings.encoding import encode_patches, encode_pictures
from kpl.encoders import Encoder, PatchEncoder
from kpl.encoders.preprocess import read_box
from kpl.errors import InputError
from kpl.progress import Counted
from kpl.proxies.arrays import Floats

How = Literal["patches", "hiding", "windows"]
"""By what a map is made."""

_BATCH = 8
_SHOWN_SIDE = 640


@dataclass(frozen=True)
class Where:
    """How much each place of a picture speaks for a class.

    Attributes:
        values: (rows, columns); the larger, the more.
        centres_y, centres_x: pixels of the places' centres, (rows,) and (columns,).
        side: pixels of a place, (height, width).
        extent: (left, top, right, bottom) in pixels, the part of the picture that was read.
        how: by what it was made.
        views: pictures that the encoder read for it.
    """

    values: Floats
    centres_y: Floats
    centres_x: Floats
    side: tuple[float, float]
    extent: tuple[float, float, float, float]
    how: How
    views: int

    @property
    def peak(self) -> tuple[float, float]:
        """The place that speaks loudest, (x, y) in pixels."""
        row, column = np.unravel_index(int(self.values.argmax()), self.values.shape)
        return float(self.centres_x[column]), float(self.centres_y[row])


def class_margin(features: Floats, text_proxies: Floats, class_index: int) -> Floats:
    """Return how much nearer each picture is to a class than to the nearest of the others, (n,).

    Args:
        features: (n, d) unit rows.
        text_proxies: (C, d) unit rows.
        class_index: the class.

    Example:
        >>> class_margin(np.array([[0.8, 0.6]]), np.eye(2), 0).round(1).tolist()
        [0.2]
    """
    cosines = features @ text_proxies.T
    others = np.delete(cosines, class_index, axis=1)
    return np.asarray(cosines[:, class_index] - (others.max(axis=1) if others.size else 0.0))


def patch_map(picture: NDArray[np.uint8], encoder: PatchEncoder, text_proxies: Floats, class_index: int) -> Where:
    """See the class's margin in each patch of a vision transformer; the encoder reads the picture once.

    Args:
        picture: (height, width, 3) of 0..255.
        encoder: gives features of patches.
        text_proxies, class_index: see `class_margin`.

    Returns:
        The map; of a picture that the encoder crops only the middle, of one that it pads no patch of padding alone.
    """
    height, width = picture.shape[:2]
    features = encode_patches(picture, encoder).astype(np.float64)
    rows, columns, dim = features.shape
    values = class_margin(features.reshape(-1, dim), text_proxies, class_index).reshape(rows, columns)
    left, top, right, bottom = read_box((width, height), encoder.card)
    own_rows, centres_y = _inside(top, bottom, rows, height)
    own_columns, centres_x = _inside(left, right, columns, width)
    extent = (max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height)))
    side = ((bottom - top) / rows, (right - left) / columns)
    return Where(values[np.ix_(own_rows, own_columns)], centres_y, centres_x, side, extent, "patches", 1)


def _inside(first: float, last: float, count: int, size: int) -> tuple[NDArray[np.intp], Floats]:
    """Which places between two ends lie in 0..size, at least in part, and the centres of those parts."""
    ends = np.clip(np.linspace(first, last, count + 1), 0, size)
    own = np.flatnonzero(np.diff(ends) > 0)
    return own, (ends[own] + ends[own + 1]) / 2


def occlusion_views(grid: int) -> int:
    """Count the pictures that `occlusion_map` has the encoder read."""
    return grid * grid + 1


def occlusion_map(
    picture: NDArray[np.uint8],
    encoder: Encoder,
    text_proxies: Floats,
    class_index: int,
    *,
    grid: int = 8,
    progress: Counted | None = None,
) -> Where:
    """Hide one place after the other and see how much of the class's margin goes.

    A place is two cells of the grid wide, so that neighbours overlap; it is filled with the picture's mean colour.

    Args:
        picture: (height, width, 3) of 0..255.
        encoder: reads grid x grid + 1 pictures.
        text_proxies, class_index: see `class_margin`.
        grid: places a side.
        progress: called with (views read, views in all).

    Raises:
        InputError: the grid is smaller than 2 or finer than the picture.
    """
    height, width = picture.shape[:2]
    if not 2 <= grid <= min(height, width):
        raise InputError(f"a grid of {grid} places a side does not fit a picture of {width} x {height}: take 2 or more")
    fill = picture.mean(axis=(0, 1)).round().astype(np.uint8)
    rows, columns = ((np.arange(grid) + 0.5) * size / grid for size in (height, width))
    views = [picture]
    for y in rows:
        for x in columns:
            view = picture.copy()
            view[_span(y, height / grid, height), _span(x, width / grid, width)] = fill
            views.append(view)
    seen = _margins(views, encoder, text_proxies, class_index, progress)
    side = (2 * height / grid, 2 * width / grid)
    gone = (seen[0] - seen[1:]).reshape(grid, grid)
    return Where(gone, rows, columns, side, (0.0, 0.0, float(width), float(height)), "hiding", len(views))


def _span(centre: float, half: float, size: int) -> slice:
    return slice(max(0, round(centre - half)), min(size, round(centre + half)))


def window_views(picture_shape: tuple[int, ...], window: int, overlap: int = 3) -> int:
    """Count the pictures that `window_map` has the encoder read."""
    return len(_starts(picture_shape[0], window, overlap)) * len(_starts(picture_shape[1], window, overlap))


def window_map(
    picture: NDArray[np.uint8],
    encoder: Encoder,
    text_proxies: Floats,
    class_index: int,
    *,
    window: int,
    overlap: int = 3,
    progress: Counted | None = None,
) -> Where:
    """Slide a window over a picture and see the class's margin in each crop.

    For a picture that shows more than the encoder was made for, such as a field of cells for an encoder of single
    cells: each crop is a picture of its own, and what surrounds it is not seen.

    Args:
        picture: (height, width, 3) of 0..255.
        encoder: reads one picture a window.
        text_proxies, class_index: see `class_margin`.
        window: side in pixels.
        overlap: the window moves by its side over this.
        progress: called with (views read, views in all).

    Raises:
        InputError: the window does not fit into the picture.
    """
    height, width = picture.shape[:2]
    if not 8 <= window <= min(height, width) or overlap < 1:
        raise InputError(
            f"a window of {window} pixels does not fit a picture of {width} x {height}: take 8 to {min(height, width)}"
        )
    rows, columns = _starts(height, window, overlap), _starts(width, window, overlap)
    views = [np.ascontiguousarray(picture[y : y + window, x : x + window]) for y in rows for x in columns]
    seen = _margins(views, encoder, text_proxies, class_index, progress).reshape(len(rows), len(columns))
    centres_y, centres_x = np.array(rows) + window / 2, np.array(columns) + window / 2
    extent = (0.0, 0.0, float(width), float(height))
    return Where(seen, centres_y, centres_x, (window, window), extent, "windows", len(views))


def _starts(size: int, window: int, overlap: int) -> list[int]:
    count = max(1, -(-(size - window) * overlap // window) + 1)
    return [round(start) for start in np.linspace(0, size - window, count).tolist()]


def _margins(
    views: list[NDArray[np.uint8]],
    encoder: Encoder,
    text_proxies: Floats,
    class_index: int,
    progress: Counted | None,
) -> Floats:
    rows = []
    for start in range(0, len(views), _BATCH):
        rows.append(encode_pictures(views[start : start + _BATCH], encoder))
        if progress:
            progress(min(start + _BATCH, len(views)), len(views))
    return class_margin(np.concatenate(rows).astype(np.float64), text_proxies, class_index)


def draw_where(picture: NDArray[np.uint8], where: Where) -> Image.Image:
    """Lay a map over its picture: what speaks for the class stays bright, the rest darkens; the peak is ringed.

    Brightness tells it, not colour, so that it can be read by everyone and on paper. What was not read is black.
    """
    height, width = picture.shape[:2]
    low, high = float(where.values.min()), float(where.values.max())
    shares = (where.values - low) / ((high - low) or 1.0)
    grid_x = np.clip(np.interp(np.arange(width), where.centres_x, np.arange(len(where.centres_x))), 0, None)
    grid_y = np.clip(np.interp(np.arange(height), where.centres_y, np.arange(len(where.centres_y))), 0, None)
    x0, y0 = np.floor(grid_x).astype(int), np.floor(grid_y).astype(int)
    x1, y1 = np.minimum(x0 + 1, shares.shape[1] - 1), np.minimum(y0 + 1, shares.shape[0] - 1)
    fx, fy = (grid_x - x0)[None, :], (grid_y - y0)[:, None]
    top = shares[np.ix_(y0, x0)] * (1 - fx) + shares[np.ix_(y0, x1)] * fx
    bottom = shares[np.ix_(y1, x0)] * (1 - fx) + shares[np.ix_(y1, x1)] * fx
    light = 0.25 + 0.75 * (top * (1 - fy) + bottom * fy)
    left, top, right, bottom = where.extent
    middle_x, middle_y = np.arange(width) + 0.5, np.arange(height) + 0.5
    light *= (left <= middle_x) & (middle_x <= right) & ((top <= middle_y) & (middle_y <= bottom))[:, None]
    drawn = (picture * light[..., None]).round().astype(np.uint8)
    x, y = where.peak
    distance = np.hypot(np.arange(width)[None, :] - x, np.arange(height)[:, None] - y)
    radius, line = min(where.side) / 2, max(1.5, min(height, width) / 150)
    drawn[np.abs(distance - radius) < line] = (255, 255, 255)
    drawn[np.abs(distance - radius - 2 * line) < line] = (0, 0, 0)
    shown = Image.fromarray(drawn)
    if max(shown.size) > _SHOWN_SIDE:
        shown.thumbnail((_SHOWN_SIDE, _SHOWN_SIDE), Image.Resampling.LANCZOS)
    return shown
