"""What a picture is before it is decoded: a name, a place on disk, a group; and what was set aside, with its reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["PictureRecord", "SetAside"]


@dataclass(frozen=True, slots=True)
class PictureRecord:
    """One picture to read.

    Attributes:
        id: name that is unique within a run and the same on every machine: a posix path relative to the folder given
        path: where the file lies; of a picture in memory its id
        group: what the picture belongs to (a patient, a slide); None when nobody said
        data: gives the bytes of a picture in memory; None for a file
    """

    id: str
    path: Path
    group: str | None = None
    data: Callable[[], bytes] | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class SetAside:
    """One file that takes no part in the run: its id and a reason that names no path."""

    id: str
    reason: str
