"""From grey or colour of eight bits to what an encoder gets: square pixels, three channels, not too large."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def square_size(width: int, height: int, *, down: float, across: float) -> tuple[int, int] | None:
    """Return the (width, height) with square pixels, the finer side kept; None where they are square already.

    Args:
        width, height: of the picture.
        down, across: distances of rows and of columns; those that make no sense count as equal.

    Example:
        >>> square_size(4, 4, down=2.0, across=1.0)
        (4, 8)
    """
    sensible = 0 < down < 1e6 and 0 < across < 1e6 and 0.1 < down / across < 10
    if not sensible or abs(down / across - 1.0) < 0.01:
        return None
    finer = min(down, across)
    return round(width * across / finer), round(height * down / finer)


def finished(
    picture: NDArray[np.uint8], sized: Callable[[int, int], tuple[int, int] | None], shrink_to: int | None
) -> NDArray[np.uint8]:
    """Bring (height, width) of grey or (height, width, 3 or more) of colour to its size and to three channels.

    Args:
        picture: values of 0..255.
        sized: `square_size` with its distances.
        shrink_to: see `kpl.images.decode`.
    """
    size = sized(picture.shape[1], picture.shape[0])
    factor = min(size or picture.shape[1::-1]) // shrink_to if shrink_to else 1
    if size or factor > 1:
        shown = Image.fromarray(picture)
        shown = shown.resize(size, Image.Resampling.BILINEAR) if size else shown
        picture = np.asarray(shown.reduce(factor) if factor > 1 else shown)
    if picture.ndim == 3:
        return np.ascontiguousarray(picture[..., :3])
    colour = np.empty((*picture.shape, 3), np.uint8)
    for channel in range(3):
        colour[..., channel] = picture
    return colour
