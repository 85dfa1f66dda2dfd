"""The reader of picture files, which `kpl.images.decode` reads: each is a unit of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from kpl.errors import PictureError
from kpl.images.decoding import decode, read_picture_bytes
from kpl.images.formats import PICTURE_SUFFIXES, READ_FORMATS, is_picture, known_content
from kpl.images.hushed import ignore_warnings_of
from kpl.images.records import Asked, Instance, Kind, Planned, SetAside, Unit
from kpl.images.stacking import evenly
from kpl.images.tiff import is_tiff, refuse_slides_and_stacks, tiff_reason

_LOOKED_AT = 1 << 16  # bytes: what stands before the pixels of most pictures
_MEDICAL_SUFFIXES = frozenset({"", ".dcm", ".dicom", ".ima", ".img", ".nii"})


@dataclass(frozen=True, slots=True)
class PageReading:
    """A page, or a frame of a film, of a file that has several."""

    reader: ClassVar[str] = "picture"


class PictureReader:
    """JPEG, PNG, TIFF and what else Pillow reads."""

    name = "picture"
    title = "pictures"
    extra: str | None = None
    module: str | None = None
    suffixes = PICTURE_SUFFIXES

    def probe(self, head: bytes, path: Path) -> bool:
        """Say by its suffix whether a file is a picture; by its first bytes where it has none, or that of DICOM."""
        suffix = path.suffix.lower()
        nameless = suffix in _MEDICAL_SUFFIXES or suffix[1:].isdigit()  # the end of a UID is no suffix
        return suffix in PICTURE_SUFFIXES or (nameless and is_picture(head))

    def plan(self, files: Sequence[tuple[str, Path]], asked: Asked) -> Planned:
        """Make a unit of every file; of one of several pages it needs to be told which, or how many, taken evenly."""
        units, set_aside = [], []
        for name, path in files:
            try:
                units.append(_unit(name, path, asked.only.get(path), asked.frames))
            except PictureError as error:
                set_aside.append(SetAside(name, str(error)))
        return Planned(units, set_aside)

    def pixels(self, instance: Instance, *, shrink_to: int | None, max_pixels: int) -> NDArray[np.uint8]:
        """Decode the file, see `kpl.images.decode`."""
        return decode(instance.path, shrink_to=shrink_to, max_pixels=max_pixels, page=instance.frame)


def _unit(name: str, path: Path, only: frozenset[int] | None, frames: int | None) -> Unit:
    try:
        with path.open("rb") as file:
            head = file.read(_LOOKED_AT)
    except OSError as error:
        raise PictureError(f"cannot be read: {error.strerror or type(error).__name__}") from None
    tiff = is_tiff(head)
    if not tiff and (reason := known_content(head)):
        raise PictureError(reason)
    count = (
        _pages(path, head, by_page=(only or frames) is not None) if tiff or head[:3] == b"GIF" or _moves(head) else 1
    )
    if only is None and (frames is None or count == 1):
        moving = (f"an animation of {count} frames: the first is read, --frames reads more",) if count > 1 else ()
        return Unit(name, "image", (Instance(name, path),), notes=moving)
    chosen = evenly(count, frames or count) if only is None else sorted(page for page in only if page < count)
    if not chosen:
        raise PictureError(f"none of the frames asked for: it has {count}, counted from 0")
    if count == 1:
        return Unit.of(Instance(name, path))
    kind: Kind = "image" if len(chosen) == 1 else "series" if tiff else "clip"
    pages = tuple(
        Instance(name if kind == "image" else f"{name}#{page:03d}", path, name, None, page, PageReading())
        for page in chosen
    )
    return Unit(name, kind, pages, reading={} if only is not None else {"frames": [len(chosen), count]})


def _moves(head: bytes) -> bool:
    """Whether a PNG or WebP says before its pixels that it is animated."""
    if head[:4] == b"\x89PNG":
        return b"acTL" in head[: head.find(b"IDAT")]
    return head[12:16] == b"VP8X" and bool(head[20:21]) and bool(head[20] & 2)


def _pages(path: Path, head: bytes, *, by_page: bool) -> int:
    """Count the pages or frames; a file that cannot be opened has one, and is refused when it is read.

    Raises:
        PictureError: a TIFF that is a slide, of a kind that is not read, or, unless it is read `by_page`, a stack.
    """
    tiff = is_tiff(head)
    ignore_warnings_of(r"PIL\.")
    try:
        with Image.open(path, formats=READ_FORMATS) as picture:
            if tiff:
                refuse_slides_and_stacks(picture, stacks=not by_page)
            return int(getattr(picture, "n_frames", 1)) if by_page or not tiff else 1
    except PictureError:
        raise
    except UnidentifiedImageError:
        if tiff:
            raise PictureError(tiff_reason(read_picture_bytes(path))) from None
        return 1
    except Exception:  # a damaged file can raise anything: it is told when it is read
        return 1
