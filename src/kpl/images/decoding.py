"""From the bytes of a picture file to 8-bit RGB.

What each kind of picture becomes:

- 8-bit grey, palette, YCbCr, CMYK (Adobe's inverted form too): converted to RGB. ICC profiles are ignored.
- Transparent (alpha channel or a transparent palette entry): laid on white.
- 12- and 16-bit: the most significant 8 bits, so the type's full range becomes 0..255. Equal values stay equal from
  picture to picture. But a 16-bit picture that uses less than a quarter of its range (9, 12 or 14 bits kept in 16, a
  CT's values) is stretched: its smallest value becomes 0 and its largest 255.
- Float: 0..1 becomes 0..255. With values outside 0..1, and for 32-bit integers, the picture's own range is stretched.
- Animated, or a TIFF with a thumbnail beside it: the first. Of a TIFF of several pages the one that is asked for;
  without that, it is refused, as is a slide.
- Rotated or mirrored by EXIF: turned upright.
- DICOM: one frame as a viewer shows it, by the rules of `kpl.images.dicom`.
"""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from kpl.errors import PictureError
from kpl.images.dicom import read_dicom
from kpl.images.formats import READ_FORMATS, known_content, reason_for, unread_format
from kpl.images.hushed import ignore_warnings_of
from kpl.images.tiff import is_tiff, planes_of_16_bits, refuse_slides_and_stacks, tiff_reason

MAX_PIXELS = 150_000_000
"""Pictures with more pixels by their header are refused before decoding (a decompression bomb, or a slide)."""

MAX_FILE_BYTES = 1 << 30
"""Larger files are refused before reading."""

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_EXIF_ORIENTATION, _TIFF_BITS, _TIFF_PHOTOMETRIC, _TIFF_SAMPLE_FORMAT = 0x0112, 258, 262, 339

_NARROW = 4
"""A 16-bit picture that uses less than this part of its range is stretched."""

_STRETCHED = "16 bits of which less than a quarter of the range is used: stretched, its darkest value black"

_PILLOW_MODULES = r"PIL\."


def decode(
    source: str | Path | bytes, *, shrink_to: int | None = None, max_pixels: int = MAX_PIXELS, page: int | None = None
) -> NDArray[np.uint8]:
    """Decode one picture to 8-bit RGB, upright, first frame, transparency on white (see the head of this module).

    Args:
        source: a file, or the bytes of one.
        shrink_to: a hint that saves time and memory: a picture whose shorter side is at least twice this many pixels
            may come back smaller by a whole factor, averaged, its shorter side never below `shrink_to`. At three times
            the size that an encoder reads, what it sees does not change visibly.
        max_pixels: more, by the picture's header, are refused.
        page: of a file of pages or frames, counted from 0; None for a file of one picture, or the first of a film.

    Returns:
        (height, width, 3) array of 0..255.

    Raises:
        PictureError: the reason in a few words, without the file's path.

    Example:
        >>> decode(b"P6 2 1 255 " + bytes([255, 0, 0, 0, 0, 255])).tolist()
        [[[255, 0, 0], [0, 0, 255]]]
    """
    return decode_told(source, shrink_to=shrink_to, max_pixels=max_pixels, page=page)[0]


def decode_told(
    source: str | Path | bytes, *, shrink_to: int | None = None, max_pixels: int = MAX_PIXELS, page: int | None = None
) -> tuple[NDArray[np.uint8], str | None]:
    """Decode one picture as `decode` does, and say what a user should know of how it was read, if anything."""
    data = source if isinstance(source, bytes) else read_picture_bytes(Path(source))
    if not data:
        raise PictureError("empty file (0 bytes)")
    if unread_format(data) == "DICOM":
        return read_dicom(data, shrink_to=shrink_to, max_pixels=max_pixels), None
    ignore_warnings_of(_PILLOW_MODULES)
    try:
        with Image.open(io.BytesIO(data), formats=READ_FORMATS) as picture:
            _refuse_bomb(picture.width, picture.height, max_pixels)
            refuse_slides_and_stacks(picture, stacks=page is None)
            if page is not None:
                _turn_to(picture, page, max_pixels)
            pixels, stretched = _to_rgb(picture, shrink_to, data)
            return pixels, _STRETCHED if stretched else None
    except PictureError:
        raise
    except Image.DecompressionBombError as error:
        raise PictureError(f"more pixels than the {max_pixels / 10**6:g} megapixels allowed") from error
    except UnidentifiedImageError as error:
        raise PictureError(_unknown(data)) from error
    except MemoryError as error:
        raise PictureError("not enough memory to decode it") from error
    except Exception as error:  # a damaged file can raise anything in a decoder, and one picture must not stop a run
        cut = isinstance(error, EOFError) or "truncated" in str(error).lower()
        reason = "truncated: the file ends before the picture does" if cut else "damaged: its data cannot be decoded"
        raise PictureError(reason) from error


def as_rgb(picture: Image.Image) -> NDArray[np.uint8]:
    """Return the pixels of a picture of Pillow, (height, width, 3) of 0..255, by the rules at the head of this module.

    Raises:
        PictureError: they cannot be had.
    """
    ignore_warnings_of(_PILLOW_MODULES)
    try:
        return _to_rgb(picture, None, b"")[0]
    except PictureError:
        raise
    except Exception as error:  # a damaged picture can raise anything when its pixels are read
        raise PictureError(f"its pixels cannot be read: {type(error).__name__}: {str(error)[:100]}") from error


def read_picture_bytes(path: Path) -> bytes:
    """Read a picture file whole.

    Raises:
        PictureError: the file cannot be read, or is larger than `MAX_FILE_BYTES`.
    """
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise PictureError(f"file of {size / 2**30:.1f} GiB: at most {MAX_FILE_BYTES / 2**30:.0f} GiB are read")
        return path.read_bytes()
    except OSError as error:
        raise PictureError(f"cannot be read: {error.strerror or type(error).__name__}") from error


def _refuse_bomb(width: int, height: int, most: int) -> None:
    if width * height > most:
        allowed = f"{most / 10**6:g} megapixels"
        raise PictureError(f"{width} x {height} pixels, more than the {allowed} allowed: tile it or shrink it")


def _turn_to(picture: Image.Image, page: int, most: int) -> None:
    try:
        picture.seek(page)
    except EOFError:
        raise PictureError(f"no page {page}: it has {getattr(picture, 'n_frames', 1)}, counted from 0") from None
    _refuse_bomb(picture.width, picture.height, most)


def _unknown(data: bytes) -> str:
    medical = unread_format(data)
    if medical:
        return reason_for(medical)
    if is_tiff(data):
        return tiff_reason(data)
    if known := known_content(data):
        return known
    return "not a JPEG, PNG, TIFF, BMP, GIF, WebP, PPM or JPEG 2000 picture, or its header is damaged"


def _to_rgb(picture: Image.Image, shrink_to: int | None, data: bytes) -> tuple[NDArray[np.uint8], bool]:
    """Return the pixels, and whether they were stretched because they use little of 16 bits."""
    if shrink_to is not None and (factor := min(picture.size) // shrink_to) > 1:
        # A JPEG decodes to 1/2, 1/4 or 1/8 of its size at less than the usual cost; other formats ignore this.
        picture.draft(None, (picture.width // factor, picture.height // factor))
    planes = planes_of_16_bits(picture, data)
    deep = planes is None and any(";16" in str(tile[3]) for tile in getattr(picture, "tile", ()))
    picture.load()
    if planes is None and deep and picture.mode in ("RGB", "RGBA"):
        planes = _low_bytes_too(picture, data)
    stretched = False
    if planes is not None:
        picture_of_planes, stretched = _deep_colour(planes)
        rgb = _convert(picture_of_planes)
    elif _is_deep_grey(picture):
        grey, stretched = _deep_grey(picture)
        rgb = Image.fromarray(grey).convert("RGB")
    else:
        rgb = _convert(picture)
    if shrink_to is not None and (factor := min(rgb.size) // shrink_to) > 1:
        rgb = rgb.reduce(factor)
    turn = _UPRIGHT.get(_orientation(picture))
    if turn is not None:
        rgb = rgb.transpose(turn)
    return np.array(rgb), stretched


def _low_bytes_too(picture: Image.Image, data: bytes) -> NDArray[np.uint16] | None:
    """Read 16-bit colour whole where its high bytes alone would be one colour; None where they do, or none can be had.

    Pillow keeps one byte of two; told the other byte order, it keeps the other one.
    """
    high = np.asarray(picture)
    if int(high[..., :3].max()) - int(high[..., :3].min()) > 256 / _NARROW:
        return None
    with Image.open(io.BytesIO(data), formats=READ_FORMATS) as picture_again:
        again: Any = picture_again
        tiles = [
            tile._replace(args=(_other_order(tile.args[0]), *tile.args[1:]))
            if isinstance(tile.args, tuple)
            else tile._replace(args=_other_order(tile.args))
            for tile in again.tile
        ]
        if tiles == again.tile:
            return None
        again.tile = tiles
        low: NDArray[np.uint8] = np.asarray(again)
    return high.astype(np.uint16) * np.uint16(256) + low


def _other_order(raw: str) -> str:
    native = ";16L" if sys.byteorder == "little" else ";16B"
    return re.sub(r"(?<=;16)[LB]", lambda found: "LB"[found[0] == "L"], raw.replace(";16N", native))


def _deep_colour(values: NDArray[np.uint16]) -> tuple[Image.Image, bool]:
    """Bring (height, width, 3 or 4) of 16 bits to 8 by the rules at the head of this module, and say if stretched."""
    bytes_ = (values >> 8).astype(np.uint8)
    colour = values[..., :3]
    if stretched := _is_narrow(colour):
        bytes_[..., :3] = _own_range(colour)
    return Image.fromarray(bytes_), stretched


def eight_bits(values: NDArray[Any]) -> tuple[NDArray[np.uint8], bool]:
    """Bring an array to 8 bits by the rules at the head of this module, and say if it uses little of 16 bits.

    Args:
        values: (height, width) or (height, width, 3 or 4) of numbers or truths.

    Raises:
        PictureError: it holds values that are not finite.

    Example:
        >>> eight_bits(np.array([[0, 65535]], np.uint16))[0].tolist(), eight_bits(np.array([[0.5, 1.0]]))[0].tolist()
        ([[0, 255]], [[128, 255]])
    """
    if values.dtype == np.uint8:
        return np.ascontiguousarray(values), False
    if values.dtype.kind == "b":
        return np.ascontiguousarray(values.astype(np.uint8) * 255), False
    if values.dtype not in (np.uint16, np.int16):
        return _own_range(values), False
    if stretched := _is_narrow(values):
        return _own_range(values), stretched
    low = -32768 if values.dtype == np.int16 else 0
    return np.ascontiguousarray((values.astype(np.int32) - low >> 8).astype(np.uint8)), stretched


def _is_narrow(values: NDArray[Any]) -> bool:
    return bool(0 < int(values.max()) - int(values.min()) < 65536 / _NARROW)


def _orientation(picture: Image.Image) -> int:
    try:
        return int(picture.getexif().get(_EXIF_ORIENTATION, 1))
    except Exception:  # damaged EXIF says nothing about the picture
        return 1


def _is_deep_grey(picture: Image.Image) -> bool:
    return picture.mode in ("I", "F") or picture.mode.startswith("I;")


def _convert(picture: Image.Image) -> Image.Image:
    if picture.has_transparency_data:
        layer = _in_mode(picture, "RGBA")
        page = Image.new("RGB", layer.size, "white")
        page.paste(layer, mask=layer.getchannel("A"))
        return page
    return _in_mode(picture, "RGB")


def _in_mode(picture: Image.Image, mode: str) -> Image.Image:
    return picture if picture.mode == mode else picture.convert(mode)  # convert copies even when nothing changes


def _deep_grey(picture: Image.Image) -> tuple[NDArray[np.uint8], bool]:
    """Bring grey of more than 8 bits to 8 bits, (height, width), by the rules at the head; say if it was stretched."""
    values = np.asarray(picture)
    tags = getattr(picture, "tag_v2", {})
    bits = int(tags.get(_TIFF_BITS, (16,))[0])  # of the other formats only 16-bit ones get here
    signed = tags.get(_TIFF_SAMPLE_FORMAT, (1,))[0] == 2
    grey: NDArray[np.uint8]
    if stretched := bits == 16 and _is_narrow(values):
        grey = _own_range(values)
    elif bits <= 16:
        grey = ((values.astype(np.int32) + (signed << (bits - 1))) >> (bits - 8)).astype(np.uint8)
    else:
        grey = _own_range(values if signed or values.dtype.kind == "f" else values.view(np.uint32))
    if tags.get(_TIFF_PHOTOMETRIC) == 0:
        np.invert(grey, out=grey)
    return grey, stretched


def _own_range(values: NDArray[Any]) -> NDArray[np.uint8]:
    wide = values.astype(np.float64)
    low, high = float(wide.min()), float(wide.max())
    if not np.isfinite(high - low):
        raise PictureError("holds values that are not finite numbers")
    if values.dtype.kind == "f" and low >= 0.0 and high <= 1.0:
        low, high = 0.0, 1.0
    wide -= low
    wide *= 255.0 / (high - low) if high > low else 0.0
    return wide.round(out=wide).astype(np.uint8)
