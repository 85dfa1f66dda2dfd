"""From pictures of any size to the array that an image tower reads, as the encoder's card describes it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kpl.encoders.protocol import EncoderCard
from kpl.errors import InputError

__all__ = ["prepare", "resize"]

_FILTERS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}


def resize(picture: NDArray[np.uint8], card: EncoderCard) -> NDArray[np.uint8]:
    """Bring a picture to the size that the tower reads.

    Args:
        picture: (height, width, 3) of 0..255.
        card: `squash` takes both sides to `image_size`; `shortest` takes the shorter side there and crops the
            middle of the longer one if the card says so.

    Returns:
        (image_size, image_size, 3); without a crop `shortest` gives (height, width, 3) of the same proportions.

    Raises:
        InputError: not a picture of three channels.
    """
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8 or 0 in picture.shape:
        raise InputError(
            f"an encoder reads pictures (height, width, 3) of type uint8: got {picture.shape} {picture.dtype}; "
            "decode the file with kpl.decode"
        )
    size = card.image_size
    image = Image.fromarray(picture)
    width, height = image.size
    if card.resize == "shortest":
        short = min(width, height)
        target = (max(size, round(width * size / short)), max(size, round(height * size / short)))
    else:
        target = (size, size)
    if image.size != target:
        image = image.resize(target, _FILTERS[card.interpolation])
    if card.crop == "center":
        left, top = (target[0] - size) // 2, (target[1] - size) // 2
        image = image.crop((left, top, left + size, top + size))
    return np.asarray(image)


def prepare(pictures: Sequence[NDArray[np.uint8]], card: EncoderCard) -> NDArray[np.float32]:
    """Resize and standardise pictures into one batch (n, 3, image_size, image_size).

    Raises:
        InputError: something is not a picture of three channels.
    """
    batch = np.stack([resize(picture, card) for picture in pictures]).astype(np.float32)
    mean, std = np.array(card.mean, dtype=np.float32), np.array(card.std, dtype=np.float32)
    batch /= 255 * std
    batch -= mean / std
    return np.ascontiguousarray(batch.transpose(0, 3, 1, 2))
