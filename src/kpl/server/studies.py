"""Medical files of a session as units: planned and read in a decoding process, for a stranger wrote them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kpl.errors import PictureError
from kpl.images import Asked, Instance, SetAside, Unit, load_instance, reader_of
from kpl.images.finding import Search

__all__ = ["Files", "hold_medical", "plan_units", "read_instance", "units_of"]

Files = Sequence[tuple[str, str]]
"""The user's name and the server's path of each file."""
_SUFFIX = re.compile(r"(\.[a-z0-9]{1,8}){0,2}$")
_TEXT = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".jp2", ".zip"})


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
        medical = reader_of(path) not in (None, "picture")
    except OSError:
        medical = False
    if not medical:
        path.unlink()
    return path if medical else None


@lru_cache(maxsize=1)
def _planned(files: tuple[tuple[str, str], ...]) -> tuple[list[Unit], list[SetAside]]:
    search = Search(Asked())
    for name, path in files:
        search.take_file(Path(path), name, given=True)
    return search.plan(), search.set_aside


def plan_units(files: Files) -> bytes:
    """Say as JSON what units files make up, and which are set aside."""
    units, aside = _planned(tuple((name, path) for name, path in files))
    told = [
        {
            **{each: getattr(unit, each) for each in ("kind", "patient", "study", "series", "sources", "notes")},
            "reading": unit.reading,
            "frames": [instance.frame for instance in unit.instances],
        }
        for unit in units
    ]
    return json.dumps({"units": told, "set_aside": [asdict(item) for item in aside]}).encode()


def read_instance(files: Files, unit: int, place: int, *, shrink_to: int, max_pixels: int) -> NDArray[np.uint8]:
    """Return the (height, width, 3) pixels of one instance of a unit that these files make up.

    Raises:
        PictureError: it cannot be read.
    """
    units, _ = _planned(tuple((name, path) for name, path in files))
    pixels = load_instance(units[unit].instances[place], shrink_to=shrink_to, max_pixels=max_pixels)[1]
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
        Instance(name if one else f"{name}#{place:03d}", path, name, patient, told["frames"][place])
        for place, path in kept
    )
    sources = tuple((str(told["sources"][place][0]), told["sources"][place][1]) for place, _ in kept)
    unit = Unit(name, told["kind"], instances, patient, told["study"], told["series"], sources)
    return replace(unit, notes=tuple(told["notes"]), reading=told["reading"])
