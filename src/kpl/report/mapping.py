"""The map of one picture of a run: its file, the run's encoder, and the class that it went to."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from kpl.embeddings import encoder_identity
from kpl.embeddings.encoding import encode_pictures
from kpl.encoders import Encoder, load_encoder
from kpl.errors import EncoderError, InputError
from kpl.images import decode, read_picture_bytes
from kpl.report.explaining import Explained
from kpl.report.seen import Seen
from kpl.report.where import (
    Where,
    draw_where,
    occlusion_map,
    occlusion_views,
    window_map,
    window_views,
)

__all__ = ["map_picture"]

_GRID = 8
_TIMED = 4


def map_picture(
    seen: Seen,
    explained: Explained,
    picture: str | Path,
    *,
    window: int | None = None,
    encoder: Encoder | None = None,
    announce: Callable[[int, float], None] | None = None,
) -> tuple[Image.Image, Where]:
    """Map where a picture shows the class it went to, by what the text says of the class.

    Args:
        seen: the run.
        explained: the picture's evidence.
        picture: the file of that picture.
        window: slide a window of this many pixels, in the place of hiding parts.
        encoder: the run's; None loads it by its name.
        announce: told the number of views and the seconds they will take, before they are read.

    Returns:
        The picture under its map, and the map.

    Raises:
        InputError: the file is not the picture that was classified, or the window does not fit it.
        PictureError, EncoderError: the file cannot be read, the encoder is not at hand or another one.
    """
    data = read_picture_bytes(Path(picture))
    known = next(kept.sha256 for kept in seen.run.features.pictures() if kept.id == explained.image)
    if hashlib.sha256(data).hexdigest() != known:
        raise InputError(
            f"{str(picture)!r} is not the file that was classified as {explained.image!r}: its bytes differ"
        )
    coder = encoder or load_encoder(seen.run.summary["encoder"]["name"])
    if encoder_identity(coder) != seen.run.summary["plan"]["encoder"]:
        raise EncoderError(
            f"the run used {seen.run.summary['plan']['encoder']}, and here is {encoder_identity(coder)}: bring that one"
        )
    pixels = decode(data)
    views = occlusion_views(_GRID) if window is None else window_views(pixels.shape, window)
    if announce:
        began = time.perf_counter()
        encode_pictures([pixels] * _TIMED, coder)
        announce(views, (time.perf_counter() - began) / _TIMED * views)
    proxies, own = seen.text_proxies, explained.class_index
    where = (
        occlusion_map(pixels, coder, proxies, own, grid=_GRID)
        if window is None
        else window_map(pixels, coder, proxies, own, window=window)
    )
    return draw_where(pixels, where), where
