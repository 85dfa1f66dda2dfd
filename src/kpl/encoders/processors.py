"""From an image processor of transformers to what a card says of preparing pictures."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from kpl.encoders.files import per_channel
from kpl.encoders.golden import fixed_pictures
from kpl.encoders.preprocess import FILTERS, picture_arrays
from kpl.encoders.protocol import EncoderCard
from kpl.errors import EncoderError

_LEVELS: Final = 4  # grey levels of 255: torchvision rounds a resized picture otherwise, by two at most


def preparation_of(processor: Any, where: Path) -> dict[str, Any]:  # noqa: ANN401 - no types
    """What a card says of a processor; what KPL does not do is refused, never guessed.

    Raises:
        EncoderError: it asks for something else than resizing, cropping and standardising square pictures.
    """

    def refuse(what: str) -> EncoderError:
        return EncoderError(f"{where}: its processor says {what}, which KPL does not do")

    size: Any = getattr(processor, "size", None)
    crop = getattr(processor, "crop_size", None)
    if not processor.do_resize:
        raise refuse("do_resize false")
    if getattr(processor, "do_pad", None):
        raise refuse("do_pad")
    most, patch = getattr(processor, "max_num_patches", 0), getattr(processor, "patch_size", 0)
    if most and patch and math.isqrt(most) ** 2 != most:
        raise refuse(f"max_num_patches {most}, which no square picture has")
    if most and patch:
        resize, side = "patches", math.isqrt(most) * int(patch)
    elif size.shortest_edge and not size.longest_edge:
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
    stated = processor.image_mean, processor.image_std
    means, spreads = map(per_channel, stated) if processor.do_normalize else ((0.0,) * 3, (1.0,) * 3)
    offset = 1.0 if processor.do_rescale and getattr(processor, "rescale_offset", False) else 0.0
    again = per_channel(stated[1]) if getattr(processor, "include_top", False) else (1.0,) * 3  # EfficientNet's
    mean = [(float(value) + offset) / unit for value in means]
    std = [float(value) * float(more) / unit for value, more in zip(spreads, again, strict=True)]
    image_size = int(crop.height) if cropped and crop else side
    return {
        "image_size": image_size,
        "resize": resize,
        **({"patch_size": int(patch)} if resize == "patches" else {}),
        "resize_to": 0 if side == image_size else side,
        "crop": "center" if cropped else "none",
        "interpolation": names[int(processor.resample)],
        "mean": mean,
        "std": std,
    }


def prepares_alike(processor: Any, preparation: dict[str, Any], where: Path) -> float:  # noqa: ANN401 - no types
    """Compare what a card says of a processor with what the processor makes of a few pictures.

    Returns:
        The largest difference in grey levels of 255, to whole levels; 0 too where it cannot be called in the usual way.

    Raises:
        EncoderError: it makes other pictures of them: it does something that no card says.
    """
    told = EncoderCard.model_construct(None, **({"resize_to": 0, "fill": 0, "patch_size": 0} | preparation))
    worst = 0.0
    for picture in fixed_pictures():
        try:
            found = np.asarray(processor(Image.fromarray(picture), return_tensors="np")["pixel_values"], np.float32)
        except Exception:
            return 0.0
        ours = next(iter(picture_arrays([picture], told).values()))
        levels = 255 * min(preparation["std"])
        worst = max(worst, float(np.abs(found - ours).max()) * levels if found.shape == ours.shape else np.inf)
    if worst > _LEVELS:
        raise EncoderError(
            f"{where}: its processor {type(processor).__name__} prepares pictures in a way that KPL does not know: the "
            "same pictures come out otherwise"
        )
    return float(round(worst))
