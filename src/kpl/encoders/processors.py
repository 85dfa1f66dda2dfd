"""From an image processor of transformers to what a card says of preparing pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kpl.encoders.files import per_channel
from kpl.encoders.preprocess import FILTERS
from kpl.errors import EncoderError

__all__ = ["preparation_of"]


def preparation_of(processor: Any, where: Path) -> dict[str, Any]:  # noqa: ANN401 - no types
    """What a card says of a processor; what KPL does not do is refused, never guessed.

    Raises:
        EncoderError: it asks for something else than resizing, cropping and standardising square pictures.
    """

    def refuse(what: str) -> EncoderError:
        return EncoderError(f"{where}: its processor says {what}, which KPL does not do")

    size, crop = processor.size, getattr(processor, "crop_size", None)
    if not processor.do_resize:
        raise refuse("do_resize false")
    if getattr(processor, "do_pad", None):
        raise refuse("do_pad")
    if size.shortest_edge and not size.longest_edge:
        resize, side = "shortest", int(size.shortest_edge)
    elif size.height and size.height == size.width:
        resize, side = "squash", int(size.height)
    else:
        raise refuse(f"size {size}")
    cropped = bool(getattr(processor, "do_center_crop", False))
    if cropped and (crop is None or crop.height != crop.width):
        raise refuse(f"crop_size {crop}")
    if resize == "shortest" and not cropped:
        raise refuse("size shortest_edge without do_center_crop: pictures that are not square")
    names = {int(value): name for name, value in FILTERS.items()}
    unit = 255 * float(processor.rescale_factor) if processor.do_rescale else 255.0
    plain = not processor.do_normalize
    mean = [0.0] * 3 if plain else [float(value) / unit for value in per_channel(processor.image_mean)]
    std = [1 / unit] * 3 if plain else [float(value) / unit for value in per_channel(processor.image_std)]
    image_size = int(crop.height) if cropped and crop else side
    return {
        "image_size": image_size,
        "resize": resize,
        "resize_to": 0 if side == image_size else side,
        "crop": "center" if cropped else "none",
        "interpolation": names[int(processor.resample)],
        "mean": mean,
        "std": std,
    }
