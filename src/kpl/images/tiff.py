"""What is particular to TIFF: slides and stacks that are no single picture, kinds that Pillow does not read, planes."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kpl.errors import PictureError

_KIND, _WIDTH, _BITS, _COMPRESSION, _PHOTOMETRIC, _TEXT = 254, 256, 258, 259, 262, 270
_STRIPS, _SAMPLES, _STRIP_BYTES, _PLANAR, _TILE_WIDTH, _LEVELS, _SAMPLE_FORMAT = 273, 277, 279, 284, 322, 330, 339
_REDUCED, _MASK = 1, 4
_SLIDE_MAKERS = ("Aperio", "Philips", "<OME")
_COMPRESSIONS = {33003: "JPEG 2000", 33005: "JPEG 2000", 34712: "JPEG 2000", 50002: "JPEG XL", 52546: "JPEG XL"}


def is_tiff(data: bytes) -> bool:
    """Whether the bytes begin as a TIFF or a BigTIFF."""
    return data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def refuse_slides_and_stacks(picture: Image.Image, *, stacks: bool = True) -> None:
    """Refuse a TIFF that holds more than one picture: the levels of a slide and, with `stacks`, the planes of a stack.

    A smaller copy beside the first page (a thumbnail) and a mask are no reason.

    Raises:
        PictureError: it is a slide or a stack, with what to do.
    """
    if picture.format != "TIFF":
        return
    from PIL.TiffImagePlugin import TiffImageFile  # no other picture needs it

    if not isinstance(picture, TiffImageFile):
        return
    tags, tiled = picture.tag_v2, _TILE_WIDTH in picture.tag_v2
    text = str(tags.get(_TEXT, ""))
    size, full, levels = picture.size, 1, _LEVELS in tags or any(maker in text for maker in _SLIDE_MAKERS)
    for page in range(1, picture.n_frames):
        picture.seek(page)
        kind = int(picture.tag_v2.get(_KIND, 0))
        full += picture.size == size and not kind & (_REDUCED | _MASK)
        levels |= bool(kind & _REDUCED) or (_TILE_WIDTH in picture.tag_v2 and picture.size[0] < size[0])
    picture.seek(0)
    if tiled and levels:
        raise PictureError("a slide file: give it by its name or folder, with the extra slides")
    if stacks and full > 1:
        raise PictureError(
            f"TIFF of {full} pages (--frames {min(full, 16)} reads so many of them evenly; a table with the columns "
            f"image and frame, 0 to {full - 1}, names single ones)"
        )


def planes_of_16_bits(picture: Image.Image, data: bytes) -> NDArray[np.uint16] | None:
    """Read uncompressed 16-bit planes, which Pillow mixes up, as (height, width, channels); None for all else.

    Raises:
        PictureError: the planes are tiled, or shorter than the header says.
    """
    tags: Any = getattr(picture, "tag_v2", {})
    if tags.get(_PLANAR) != 2 or tags.get(_COMPRESSION, 1) != 1 or set(tags.get(_BITS, ())) != {16}:
        return None
    channels, height, width = int(tags.get(_SAMPLES, 1)), picture.height, picture.width
    if tags.get(_PHOTOMETRIC) != 2 or channels not in (3, 4) or _TILE_WIDTH in tags:
        raise PictureError("TIFF of 16-bit planes that are not read: save it interleaved")
    strips = zip(tags[_STRIPS], tags[_STRIP_BYTES], strict=True)
    raw = b"".join(data[start : start + length] for start, length in strips)
    if len(raw) != 2 * channels * height * width:
        raise PictureError("truncated: the file ends before the picture does")
    order = ">u2" if data.startswith(b"MM") else "<u2"
    return np.frombuffer(raw, order).reshape(channels, height, width).transpose(1, 2, 0).astype(np.uint16)


def tiff_reason(data: bytes) -> str:
    """Say why a TIFF that Pillow does not take is not read, from its first directory."""
    from PIL import TiffImagePlugin

    try:
        tags = TiffImagePlugin.ImageFileDirectory_v2(data[: 16 if b"+" in data[2:4] else 8])
        file = io.BytesIO(data)
        file.seek(tags.next)
        tags.load(file)
        bits, samples = int(tags.get(_BITS, (1,))[0]), int(tags.get(_SAMPLES, 1))
        kind, compression = int(tags.get(_SAMPLE_FORMAT, (1,))[0]), int(tags.get(_COMPRESSION, 1))
    except Exception:  # whatever is wrong with the directory, there is nothing to say but that it is
        return "TIFF whose header is damaged"
    if _WIDTH not in tags:
        return "TIFF whose header is damaged"
    if compression in _COMPRESSIONS:
        return f"TIFF in {_COMPRESSIONS[compression]}, not read: save it without compression"
    if kind == 3 and samples > 1:
        return f"TIFF of {bits}-bit floats in colour, not read: save it in 8 or 16 bits"
    if kind == 3:
        return f"TIFF of {bits}-bit floats, not read: save it in 32-bit floats or in 16 bits"
    if samples > 4 or samples == 2:
        return f"TIFF of {samples} channels, not read: save the channels to look at as grey or RGB"
    return f"TIFF of {samples} x {bits} bits of a kind that is not read: save it in 8 or 16 bits"
