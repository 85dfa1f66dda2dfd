"""What a picture is before it is decoded: a name, a place on disk, a group; and what was set aside, with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["PictureRecord", "SetAside"]


@dataclass(frozen=True, slots=True)
class PictureRecord:
    """One picture to read.

    Attributes:
        id: name that is unique within a run and the same on every machine: a posix path relative to the folder given
        path: where the file lies
        group: what the picture belongs to (a patient, a slide); None when nobody said
    """

    id: str
    path: Path
    group: str | None = None


@dataclass(frozen=True, slots=True)
class SetAside:
    """One file that takes no part in the run: its id and a reason that names no path."""

    id: str
    reason: str
