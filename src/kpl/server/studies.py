"""Medical files of a session as units: planned and read in a decoding process, for a stranger wrote them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kpl.encoders import EncoderCard
from kpl.errors import PictureError
from kpl.images import Asked, Instance, SetAside, Unit, load_instance, reader_of
from kpl.images.finding import Search
from kpl.images.nifti import SECOND_SUFFIXES
from kpl.images.pseudonyms import pseudonym
from kpl.knowledge import Task

Files = Sequence[tuple[str, str]]
"""The user's name and the server's path of each file."""
How = Sequence[Any]
"""How they are read, as `how_of` says it, or a list of the same."""
_SUFFIX = re.compile(r"(\.[a-z0-9]{1,8}){0,2}$")
_TEXT = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".jp2", ".zip"})


def hold_medical(name: str, data: bytes, place: str, stems: dict[str, int]) -> Path | None:
    """Keep the bytes of a medical file under a name of the server's; None for what is no such file.

    Args:
        name: the user's; of it only the suffix is kept, and that two parts of one volume have one name.
        data: the file.
        place: how the server's paths begin.
        stems: names that were given already, to the number that stands for each.
    """
    suffix = _SUFFIX.search(name.lower())[0]  # type: ignore[index]  # fits any
    if suffix in _TEXT and data[128:132] != b"DICM":
        return None
    stem = name.lower().removesuffix(suffix)
    path = Path(f"{place}{stems.setdefault(stem, len(stems)):06d}{suffix}")
    while path.exists():
        stem += "'"
        path = Path(f"{place}{stems.setdefault(stem, len(stems)):06d}{suffix}")
    path.write_bytes(data)
    try:
        medical = suffix.removesuffix(".gz") in SECOND_SUFFIXES or reader_of(path) not in (None, "picture")
    except OSError:
        medical = False
    if not medical:
        path.unlink()
    return path if medical else None


def how_of(task: Task, card: EncoderCard) -> How:
    """Say how files are read: the window that knowledge states for CT, and what of slides suits the encoder."""
    return task.window, card.image_size, card.mpp


@lru_cache(maxsize=1)
def _planned(
    paths: tuple[str, ...], window: str | None, tile: int, mpp: float | None
) -> tuple[list[Unit], list[SetAside]]:
    search = Search(Asked(ids="files", ct_window=window, tile=tile, mpp=mpp))
    for place, path in enumerate(paths):
        search.take_file(Path(path), f"{place:06d}", given=True)
    return search.plan(), search.set_aside


def plan_units(files: Files, how: How) -> bytes:
    """Say as JSON what units files make up and of which of them, by their places, and which are set aside.

    Args:
        files: to put together.
        how: see `how_of`.
    """
    paths = tuple(path for _, path in files)
    units, aside = _planned(paths, *how)
    place = {path: number for number, path in enumerate(paths)}
    told = []
    for unit in units:
        own = [place[str(instance.path)] for instance in unit.instances]
        uids = [uid for _, uid in unit.sources] or [None] * len(own)
        told.append(
            {
                **{each: getattr(unit, each) for each in ("kind", "patient", "study", "series", "notes", "reading")},
                "sources": [(pseudonym("path", files[at][0]), uid) for at, uid in zip(own, uids, strict=True)],
                "frames": [instance.frame for instance in unit.instances],
                "places": [instance.place for instance in unit.instances],
                "files": own,
            }
        )
    left = [{"file": int(item.id[:6]), "reason": item.reason} for item in aside]
    return json.dumps({"units": told, "set_aside": left}).encode()


def read_instance(
    files: Files, how: How, unit: int, place: int | None, *, shrink_to: int, max_pixels: int
) -> NDArray[np.uint8]:
    """Return the (height, width, 3) pixels of one instance of a unit that these files make up.

    Without a `place` they are those of a slide, small.

    Raises:
        PictureError: it cannot be read.
    """
    own = _planned(tuple(path for _, path in files), *how)[0][unit].instances
    instance = replace(own[0], place=None) if place is None else own[place]
    pixels = load_instance(instance, shrink_to=shrink_to, max_pixels=max_pixels)[1]
    if isinstance(pixels, PictureError):
        raise pixels
    return pixels


def units_of(told: dict[str, Any], number: int, kept: Sequence[tuple[int, Path]]) -> Unit:
    """Make a unit of the service of what `plan_units` said of one: its instances are the pictures that were kept.

    Args:
        told: of the unit.
        number: that it is called by.
        kept: place among the unit's instances, and the picture's file.
    """
    name, patient = f"unit-{number:04d}", told["patient"]
    one = len(told["frames"]) == 1
    instances = tuple(
        Instance(
            name if one else f"{name}#{at:03d}",
            path,
            name,
            patient,
            told["frames"][at],
            place=None if (tile := told["places"][at]) is None else tuple(tile),
        )
        for at, path in kept
    )
    sources = tuple((str(told["sources"][place][0]), told["sources"][place][1]) for place, _ in kept)
    unit = Unit(name, told["kind"], instances, patient, told["study"], told["series"], sources)
    return replace(unit, notes=tuple(told["notes"]), reading=told["reading"])
