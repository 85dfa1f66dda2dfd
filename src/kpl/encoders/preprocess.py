"""From pictures of any size to the array that an image tower reads, as the encoder's card describes it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kpl.encoders.protocol import EncoderCard
from kpl.errors import InputError
from kpl.images import pixels_of

FILTERS: Final = {
    "nearest": Image.Resampling.NEAREST,
    "lanczos": Image.Resampling.LANCZOS,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "box": Image.Resampling.BOX,
    "hamming": Image.Resampling.HAMMING,
}
"""Names of a card's interpolation."""


def resize(picture: NDArray[np.uint8], card: EncoderCard) -> NDArray[np.uint8]:
    """Bring a picture to the size that the tower reads.

    Args:
        picture: (height, width, 3) of 0..255.
        card: says how, see `EncoderCard.resize` and `EncoderCard.crop`.

    Returns:
        (image_size, image_size, 3); without a crop `shortest` and `longest` give (height, width, 3) of the same
        proportions.

    Raises:
        InputError: not a picture of three channels.
    """
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8 or 0 in picture.shape:
        raise InputError(
            f"an encoder reads pictures (height, width, 3) of type uint8: got {picture.shape} {picture.dtype}; "
            "decode the file with kpl.decode"
        )
    image = Image.fromarray(picture)
    target = _target(image.size, card)
    if image.size != target:
        image = image.resize(target, FILTERS[card.interpolation])
    if card.crop != "none" and image.size != (card.image_size, card.image_size):
        image = _crop(image, card)
    return np.asarray(image)


def _target(size: tuple[int, int], card: EncoderCard) -> tuple[int, int]:
    """(width, height) after resizing."""
    side, (width, height) = card.resize_to or card.image_size, size
    if card.resize == "squash":
        return side, side
    if card.resize == "patches":
        return _whole_patches(size, card)
    if card.resize == "longest":  # as OpenCLIP rounds
        ratio = max(width, height) / side
        return max(1, round(width / ratio)), max(1, round(height / ratio))
    if width <= height:  # as torchvision and transformers round
        return side, int(side * height / width)
    return int(side * width / height), side


def _whole_patches(size: tuple[int, int], card: EncoderCard) -> tuple[int, int]:
    """The largest sides of whole patches, as many as a square picture has, by transformers' own search."""
    patch, most = card.patch_size, (card.image_size // card.patch_size) ** 2

    def sides(scale: float) -> tuple[int, int]:
        width, height = (max(patch, math.ceil(side * scale / patch) * patch) for side in size)
        return width, height

    least, greatest = 1e-6, 100.0
    while greatest - least >= 1e-5:
        scale = (least + greatest) / 2
        width, height = sides(scale)
        least, greatest = (scale, greatest) if width * height <= most * patch**2 else (least, scale)
    return sides(least)


def _crop(image: Image.Image, card: EncoderCard) -> Image.Image:
    """The middle of the picture, padded where it is smaller; Pillow pads a box beyond the picture with black."""
    size = card.image_size
    left, top = (_start(side, size, rounded=card.crop == "center_round") for side in image.size)
    box = (left, top, left + size, top + size)
    if min(box) >= 0 and box[2] <= image.width and box[3] <= image.height:
        return image.crop(box)
    canvas = Image.new("RGB", (size, size), (card.fill,) * 3)
    canvas.paste(image, (-left, -top))
    return canvas


def read_box(size: tuple[int, int], card: EncoderCard) -> tuple[float, float, float, float]:
    """Say which part of a picture the tower reads.

    Args:
        size: (width, height) of the picture.
        card: says how it is resized and cropped.

    Returns:
        (left, top, right, bottom) in pixels of the picture; beyond it where the tower reads padding.

    Example:
        >>> from kpl.encoders import load_card
        >>> read_box((300, 200), load_card("mini").model_copy(update={"resize": "shortest", "crop": "center"}))
        (50.0, 0.0, 250.0, 200.0)
    """
    if card.crop == "none":
        return 0.0, 0.0, float(size[0]), float(size[1])
    resized, rounded = _target(size, card), card.crop == "center_round"
    left, top = (_start(side, card.image_size, rounded=rounded) for side in resized)
    across, down = size[0] / resized[0], size[1] / resized[1]
    return left * across, top * down, (left + card.image_size) * across, (top + card.image_size) * down


def _start(side: int, size: int, *, rounded: bool) -> int:
    """Where the crop begins; a negative number is the width of the padding before the picture."""
    if rounded:  # torchvision: half to even when cropping, down when padding
        return round((side - size) / 2) if side >= size else -((size - side) // 2)
    return (side - size) // 2  # transformers: down when cropping, up when padding


def prepare(pictures: Sequence[NDArray[np.uint8] | Image.Image], card: EncoderCard) -> NDArray[np.float32]:
    """Resize and standardise pictures, arrays or of Pillow, into one batch (n, 3, image_size, image_size).

    Raises:
        InputError: something is not a picture of three channels.
    """
    batch = np.stack([resize(_pixels(each), card) for each in pictures]).astype(np.float32)
    return np.ascontiguousarray(_standard(batch, card).transpose(0, 3, 1, 2))


def picture_arrays(pictures: Sequence[NDArray[np.uint8] | Image.Image], card: EncoderCard) -> dict[str, NDArray[Any]]:
    """What an image tower reads of pictures, by name: `image`; of a tower of patches the names of transformers.

    Raises:
        InputError: something is not a picture of three channels.
    """
    if card.resize != "patches":
        return {"image": prepare(pictures, card)}
    patch, most = card.patch_size, (card.image_size // card.patch_size) ** 2
    rows = np.zeros((len(pictures), most, 3 * patch**2), dtype=np.float32)
    mask, grids = np.zeros(rows.shape[:2], dtype=np.int32), np.zeros((len(pictures), 2), dtype=np.int64)
    for k, each in enumerate(pictures):
        picture = _standard(resize(_pixels(each), card).astype(np.float32), card)
        grids[k] = down, across = picture.shape[0] // patch, picture.shape[1] // patch
        cut = picture.reshape(down, patch, across, patch, 3).transpose(0, 2, 1, 3, 4)
        rows[k, : down * across], mask[k, : down * across] = cut.reshape(down * across, -1), 1
    return {"pixel_values": rows, "pixel_attention_mask": mask, "spatial_shapes": grids}


def _pixels(picture: NDArray[np.uint8] | Image.Image) -> NDArray[np.uint8]:
    return pixels_of(picture) if isinstance(picture, Image.Image) else picture


def _standard(pixels: NDArray[np.float32], card: EncoderCard) -> NDArray[np.float32]:
    mean, std = np.array(card.mean, dtype=np.float32), np.array(card.std, dtype=np.float32)
    pixels /= 255 * std
    pixels -= mean / std
    return pixels
