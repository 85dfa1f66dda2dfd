"""The maps of pictures of a run: their files, the run's encoder, and the classes that they went to."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kpl.embeddings.encoding import encode_pictures
from kpl.encoders import Encoder, PatchEncoder
from kpl.errors import InputError, PictureError
from kpl.images import Instance, load_instance
from kpl.progress import Counted
from kpl.report.explaining import Explained
from kpl.report.where import (
    How,
    Where,
    draw_where,
    occlusion_map,
    occlusion_views,
    patch_map,
    window_map,
    window_views,
)
from kpl.runs import SingleLabelRun

_GRID = 8
_TIMED = 4
_SMALL_SIDE = 224
_QUALITY = 62

Announce = Callable[[int, float], None]


@dataclass(frozen=True)
class SmallMap:
    """A map as the report shows it.

    Attributes:
        data: WebP of at most 224 pixels.
        how: by what it was made.
    """

    data: bytes
    how: How


def map_picture(
    run: SingleLabelRun,
    explained: Explained,
    picture: str | Path,
    *,
    how: How | None = None,
    window: int | None = None,
    encoder: str | Encoder | None = None,
    announce: Announce | None = None,
    progress: Counted | None = None,
) -> tuple[Image.Image, Where]:
    """Map where a picture shows the class it went to, by what the text says of the class.

    Args:
        run: the run.
        explained: the picture's evidence.
        picture: the file of that picture; of a unit of several where they are, and its key instance is mapped.
        how: by what; None takes windows if their size is given, else patches if the encoder has them, else hiding.
        window: side of the windows in pixels.
        encoder: the run's, or where it is; None loads it by its name.
        announce: told the number of views and the seconds they will take, before they are read; not for a single view.
        progress: called with (views read, views in all).

    Returns:
        The picture under its map, and the map.

    Raises:
        InputError: the file is not the picture that was classified, the encoder has no patches, or the window is
            missing, not asked for, or does not fit the picture.
        PictureError, EncoderError: the file cannot be read, the encoder is not at hand or another one.
    """
    row = run.row_of(explained.image)
    there = run.found_again(picture, [row])
    if row not in there:
        raise InputError(
            f"{str(picture)!r} is not the file that was classified as {explained.image!r}: its bytes differ"
        )
    pixels = _pixels(there[row])
    coder = run.encoder(encoder)
    chosen = _chosen(coder, how, window)
    if announce:
        _announce(coder, pixels, _views(chosen, pixels, window), announce)
    where = _map(chosen, pixels, coder, run, explained.class_index, window, progress)
    return draw_where(pixels, where), where


def map_rows(
    run: SingleLabelRun,
    rows: Sequence[int],
    pictures: str | Path,
    count: int,
    *,
    window: int | None = None,
    encoder: str | Encoder | None = None,
    announce: Announce | None = None,
    progress: Counted | None = None,
) -> dict[int, SmallMap]:
    """Map the least sure of some pictures of a run, each for the class that it went to.

    Args:
        run: the run.
        rows: of the pictures to choose from.
        pictures: where the pictures are, see `Run.found_again`.
        count: how many to map.
        window, encoder, announce: as in `map_picture`; told of all views together.
        progress: called with (maps drawn, maps in all).

    Returns:
        The maps by row; fewer than asked for where files are missing or changed.

    Raises:
        InputError: `count` is below 1, no picture of them is in the folder, or the window does not fit one.
        EncoderError: the encoder is not at hand or another one.
    """
    if count < 1:
        raise InputError(f"maps, the number of pictures to map, must be at least 1, got {count}")
    there = run.found_again(pictures, rows)
    coder = run.encoder(encoder)
    chosen = _chosen(coder, None, window)
    found: list[int] = []
    views, first = 0, np.empty((0, 0, 3), np.uint8)
    for row in sorted(there, key=lambda row: (run.predictions.sureness[row], row)):
        if len(found) == count:
            break
        try:
            pixels = _pixels(there[row])
        except PictureError:
            continue
        first = pixels if not found else first
        found.append(row)
        views += _views(chosen, pixels, window)
    if not found:
        raise InputError(f"none of the pictures that the report shows is in {str(pictures)!r} as it was classified")
    if announce:
        _announce(coder, first, views, announce)
    made = {}
    for row in found:
        pixels = _pixels(there[row])
        drawn = draw_where(pixels, _map(chosen, pixels, coder, run, int(run.predictions.winners[row]), window, None))
        made[row] = SmallMap(_small(drawn), chosen)
        if progress:
            progress(len(made), len(found))
    return made


def _pixels(instance: Instance) -> NDArray[np.uint8]:
    pixels = load_instance(instance)[1]
    if isinstance(pixels, PictureError):
        raise pixels
    return pixels


def _chosen(encoder: Encoder, how: How | None, window: int | None) -> How:
    patches = isinstance(encoder, PatchEncoder)
    chosen = how or ("windows" if window is not None else "patches" if patches else "hiding")
    if (chosen == "windows") != (window is not None):
        raise InputError("a map by windows needs their size, and no other map has one: give both, or neither")
    if chosen == "patches" and not patches:
        raise InputError(f"encoder {encoder.card.name!r} gives no features of patches: hide parts, or slide windows")
    return chosen


def _views(how: How, pixels: NDArray[np.uint8], window: int | None) -> int:
    if how == "windows" and window is not None:
        return window_views(pixels.shape, window)
    return 1 if how == "patches" else occlusion_views(_GRID)


def _announce(encoder: Encoder, pixels: NDArray[np.uint8], views: int, announce: Announce) -> None:
    if views == 1:
        return
    timed = min(_TIMED, views)
    began = time.perf_counter()
    encode_pictures([pixels] * timed, encoder)
    announce(views, (time.perf_counter() - began) / timed * views)


def _map(
    how: How,
    pixels: NDArray[np.uint8],
    encoder: Encoder,
    run: SingleLabelRun,
    class_index: int,
    window: int | None,
    progress: Counted | None,
) -> Where:
    proxies = run.text_proxies
    if how == "patches" and isinstance(encoder, PatchEncoder):
        return patch_map(pixels, encoder, proxies, class_index)
    if window is not None:
        return window_map(pixels, encoder, proxies, class_index, window=window, progress=progress)
    return occlusion_map(pixels, encoder, proxies, class_index, grid=_GRID, progress=progress)


def _small(drawn: Image.Image) -> bytes:
    drawn.thumbnail((_SMALL_SIDE, _SMALL_SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    drawn.save(buffer, format="WEBP", quality=_QUALITY, method=4)
    return buffer.getvalue()
