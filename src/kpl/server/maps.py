"""Where a picture of a session shows a class: what a map costs, and the map as a picture."""

from __future__ import annotations

import io
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kpl.embeddings.encoding import encode_pictures
from kpl.encoders import Encoder, PatchEncoder
from kpl.images import Instance, decode
from kpl.progress import Counted
from kpl.proxies.arrays import Floats
from kpl.report import How, draw_where, occlusion_map, occlusion_views, patch_map, window_map, window_views
from kpl.server.refusals import Refused, TooLarge

_GRID = 8
_TIMED = 2
_LEAST_SIDE, _SHOWN_SIDE = 8, 640


@dataclass(frozen=True)
class MapPlan:
    """How a map is made.

    Attributes:
        picture: (height, width, 3), shrunken so that its copies stay small.
        how: by what.
        window: side of the window in pixels; 0 for none.
        views: pictures that the encoder reads for it.
    """

    picture: NDArray[np.uint8]
    how: How
    window: int
    views: int


@dataclass(frozen=True)
class DrawnMap:
    """A map that was drawn: of which picture, for which class, and the JPEG. It is held in memory only."""

    place: int
    class_index: int
    jpeg: bytes


def known_ways(encoder: Encoder) -> list[How]:
    """By what a map can be made with an encoder, what suits it best first."""
    return ["patches", "hiding", "windows"] if isinstance(encoder, PatchEncoder) else ["hiding", "windows"]


def plan_map(record: Instance, encoder: Encoder, how: How | None, share: float, most: int) -> MapPlan:
    """Say how the map of a picture is made.

    Args:
        record: of the picture as the service keeps it.
        encoder: will read the views.
        how: by what; None for the one that suits the encoder.
        share: side of a window, as a share of the picture's shorter side.
        most: views that are allowed.

    Raises:
        Refused: the picture is too narrow, or the encoder gives no patches.
        TooLarge: more views than are allowed.
    """
    shown = Image.fromarray(decode(record.path))
    side = max(_SHOWN_SIDE, 3 * encoder.card.image_size)
    shown.thumbnail((side, side))
    picture = np.asarray(shown)
    shorter = min(picture.shape[:2])
    if shorter < _LEAST_SIDE:
        raise Refused(f"a picture of {shown.width} x {shown.height} pixels is too narrow for a map")
    chosen = how or known_ways(encoder)[0]
    if chosen not in known_ways(encoder):
        raise Refused(f"encoder {encoder.card.name!r} gives no features of patches: take hiding or windows")
    if chosen != "windows":
        return MapPlan(picture, chosen, 0, 1 if chosen == "patches" else occlusion_views(_GRID))
    pixels = min(shorter, max(_LEAST_SIDE, round(share * shorter)))
    views = window_views(picture.shape, pixels)
    if views > most:
        raise TooLarge(f"{views} windows: at most {most} are looked at here, take a larger window")
    return MapPlan(picture, chosen, pixels, views)


def seconds_a_view(plan: MapPlan, encoder: Encoder) -> float:
    """Time the encoder on a picture."""
    began = time.perf_counter()
    encode_pictures([plan.picture] * _TIMED, encoder)
    return (time.perf_counter() - began) / _TIMED


def draw_map(plan: MapPlan, encoder: Encoder, text_proxies: Floats, class_index: int, progress: Counted) -> bytes:
    """Make a map and draw it over its picture, a JPEG; for the arguments see `kpl.report.occlusion_map`."""
    if plan.how == "patches" and isinstance(encoder, PatchEncoder):
        where = patch_map(plan.picture, encoder, text_proxies, class_index)
        progress(1, 1)
    elif plan.how == "windows":
        where = window_map(plan.picture, encoder, text_proxies, class_index, window=plan.window, progress=progress)
    else:
        where = occlusion_map(plan.picture, encoder, text_proxies, class_index, grid=_GRID, progress=progress)
    jpeg = io.BytesIO()
    draw_where(plan.picture, where).save(jpeg, "JPEG", quality=85)
    return jpeg.getvalue()
