"""Slides as openslide opens them: what they say of themselves, and the pixels of their levels."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kpl.errors import MissingExtraError, PictureError

_BLOCK: Final = 2048  # pixels of a level along a side that are read at once
SMALL: Final = 4096
"""Pixels of the longer side of a small picture, at most."""
_LARGEST: Final = 2 << 30  # pixels of the level that the small picture is made of


@dataclass(frozen=True)
class Slide:
    """An open slide: openslide's, what it says of itself, and of each level (width, height) and downsample."""

    handle: Any
    said: dict[str, str]
    sizes: tuple[tuple[int, int], ...]
    downsamples: tuple[float, ...]


def opened(path: Path) -> Slide:
    """Open a slide, or take the one that is open.

    Raises:
        PictureError: it cannot be opened.
    """
    try:
        stat = path.stat()
    except OSError as error:
        raise PictureError(f"cannot be read: {error.strerror or type(error).__name__}") from None
    return _open(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=8)
def _open(path: Path, changed: int, size: int) -> Slide:
    del changed, size  # they only say that it is still the same file
    return _fresh(path)


def _fresh(path: Path) -> Slide:
    try:
        import openslide
    except (ImportError, OSError):  # its other half, the library
        raise PictureError(str(MissingExtraError("reading slides", "slides"))) from None
    try:
        slide = openslide.OpenSlide(path)
        # Read once: after an error in a picture, none of this is to be had any more.
        return Slide(slide, _said(slide), slide.level_dimensions, slide.level_downsamples)
    except openslide.OpenSlideUnsupportedFormatError:
        raise PictureError(
            "a slide of a kind that is not read (vips tiffsave IN OUT.tif --tile --pyramid --compression jpeg makes "
            "one that is)"
        ) from None
    except openslide.OpenSlideError:  # its text may hold the path
        raise PictureError("a slide that cannot be opened: damaged, or compressed in a way that is not read") from None


def _said(slide: Any) -> dict[str, str]:  # noqa: ANN401 - of a library without types
    found = {}
    for name in slide.properties:
        with suppress(KeyError, UnicodeError):  # of a damaged slide a name may be none
            found[name] = slide.properties[name]
    return found


def region(path: Path, place: tuple[int, int, int], size: tuple[int, int], factor: int = 1) -> NDArray[np.uint8]:
    """Read a part of a level, (height, width, 3), smaller by a factor; what was not scanned is white.

    Raises:
        PictureError: it is damaged.
    """
    import openslide

    x, y, level = place
    try:
        try:
            read = opened(path).handle.read_region((x, y), level, size)
        except openslide.OpenSlideError:
            # An error ends what can be read from an opened slide, and another thread may have met it.
            _open.cache_clear()
            with _fresh(path).handle as slide:
                read = slide.read_region((x, y), level, size)
    except openslide.OpenSlideError:
        raise PictureError(f"a slide whose level {level} is damaged") from None
    values = np.asarray(read.reduce(factor) if factor > 1 else read)
    colour, cover = values[..., :3], values[..., 3:]
    if (cover == 255).all():
        return np.ascontiguousarray(colour)
    shown = colour * (cover / np.float32(255)) + (255 - cover.astype(np.float32))
    return np.rint(shown).astype(np.uint8)


def small_picture(path: Path, slide: Slide, scale: float) -> tuple[NDArray[np.uint8], float]:
    """Read a small picture of the whole slide from its most fitting level, block by block.

    Args:
        path, slide: the slide.
        scale: pixels of the finest level that a side of a pixel should stand for.

    Returns:
        (rows, columns, 3), at most 4096 a side, and the scale that it has.

    Raises:
        PictureError: the level is damaged, or too large.
    """
    number = max(n for n, down in enumerate(slide.downsamples) if down <= scale or n == 0)
    (width, height), down = slide.sizes[number], slide.downsamples[number]
    if width * height > _LARGEST:
        raise PictureError(
            "a slide without small levels, too large to look for tissue in (outline it with --tissue, or give it "
            "levels: vips tiffsave IN OUT.tif --tile --pyramid --compression jpeg)"
        )
    factor = max(1, int(scale / down), -(-max(width, height) // SMALL))
    block = max(1, _BLOCK // factor) * factor
    small = np.empty((-(-height // factor), -(-width // factor), 3), np.uint8)
    for top in range(0, height, block):
        for left in range(0, width, block):
            size = (min(block, width - left), min(block, height - top))
            part = region(path, (round(left * down), round(top * down), number), size, factor)
            small[top // factor : top // factor + len(part), left // factor : left // factor + part.shape[1]] = part
    return small, factor * down
