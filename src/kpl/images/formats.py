"""Which files are pictures, which are known but not read in this version, and how both are recognised."""

from __future__ import annotations

import gzip
import struct
import zlib
from importlib.util import find_spec
from pathlib import Path, PurePath
from typing import NamedTuple

from kpl.errors import MissingExtraError

__all__ = ["PICTURE_SUFFIXES", "READ_FORMATS", "Judged", "judge", "known_content", "reason_for", "unread_format"]

# A closed list: Pillow's other plugins start programs (EPS) or guess from little (TGA).
READ_FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "GIF", "WEBP", "PPM", "JPEG2000")

PICTURE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".tif", ".tiff", ".bmp", ".gif", ".webp"}
    | {".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".j2k", ".jpx"}
)

_UNREAD_SUFFIXES = {
    suffix: name
    for name, suffixes in {
        "DICOM": ".dcm .dicom .ima .dc3 .acr",
        "NIfTI": ".nii",
        "a volume file": ".mha .mhd .nrrd .nhdr .mgh .mgz .mnc .minc .gipl .par .rec .head .brik .hdr .img .v",
        "a slide file": ".svs .ndpi .mrxs .scn .vms .vmu .bif .svslide .vsi .isyntax .qptiff .btf",
        "a microscope file": ".czi .lif .nd2 .oib .oif .lsm",
        "HEIC": ".heic .heif",
        "AVIF": ".avif",
        "JPEG XL": ".jxl",
        "JPEG-LS": ".jls",
        "a NumPy array": ".npy .npz",
        "an HDF5 file": ".h5 .hdf5",
        "a film": ".mp4 .avi .mov .mkv .mpg .mpeg .wmv .webm",
        "a camera's raw file": ".dng .cr2 .cr3 .nef .arw .orf .rw2",
        "raw values without a header": ".raw",
    }.items()
    for suffix in suffixes.split()
}

_HEAD_BYTES = 352  # a NIfTI header, the longest of those looked at

_SEG_NRRD = "a segmentation, no picture"

_DICOM_GROUPS = (2, 8)  # a file without the preamble begins with one of these
_VALUE_TYPES = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT OB OF OW PN SH SL SQ SS ST TM UI UL UN US UT".split())


class Judged(NamedTuple):
    """What a file is taken for: a picture, or set aside for a reason, or neither."""

    picture: bool
    reason: str | None


def judge(path: Path) -> Judged:
    """Say whether a file is a picture to read, or why it is set aside.

    A picture by its suffix, or DICOM by its first bytes. Unread formats are known by their first bytes (medical files
    often have no suffix, or a wrong one), those inside a `.gz` too, then by suffix or place.

    Args:
        path: an existing regular file.

    Raises:
        OSError: the first bytes are needed and cannot be read.
    """
    lower = path.name.lower()
    suffix = PurePath(lower.removesuffix(".gz")).suffix
    if suffix in PICTURE_SUFFIXES:
        return Judged(not lower.endswith(".gz"), None)
    if lower.endswith((".seg.nrrd", ".seg.nhdr")):
        return Judged(False, _SEG_NRRD)
    head, packed = _head(path)
    content = unread_format(head)
    if content == "DICOM" and not packed:
        installed = find_spec("pydicom") is not None
        return Judged(installed, None if installed else str(MissingExtraError("reading DICOM", "dicom")))
    if content == "DICOM":
        return Judged(False, "DICOM: packed with gzip, unpack it")
    name = content or _UNREAD_SUFFIXES.get(suffix) or _by_place(path)
    if name == "DICOM":
        return Judged(False, "DICOM: by its name alone, for it does not begin as DICOM does")
    return Judged(False, None if name is None else reason_for(name))


def unread_format(head: bytes) -> str | None:
    """Name the medical format that a file's first bytes give away.

    Example:
        >>> unread_format(bytes(128) + b"DICM")
        'DICOM'
        >>> unread_format(b"GIF89a") is None
        True
    """
    if head[128:132] == b"DICM" or _begins_as_dicom(head):
        return "DICOM"
    if head[344:348] in (b"n+1\0", b"ni1\0") or head[4:8] in (b"n+2\0", b"ni2\0"):
        return "NIfTI"
    if len(head) >= 348 and head[:4] in (b"\x00\x00\x01\x5c", b"\x5c\x01\x00\x00"):
        return "a volume file"  # Analyze, which has no other mark than its header's length
    return None


def known_content(data: bytes) -> str | None:
    """Say what the bytes of something that is no readable picture are, in words that end a sentence; None if unknown.

    Example:
        >>> known_content(b"<!DOCTYPE html><html>")
        'an HTML page, not a picture: download the picture itself'
    """
    start = data[:512].lstrip().lower()
    if start.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not the picture: run git lfs pull"
    if start.startswith((b"<!doctype html", b"<html")):
        return "an HTML page, not a picture: download the picture itself"
    for mark, name in _OTHER_CONTENT.items():
        if data.startswith(mark):
            return name
    if data[4:8] == b"ftyp":
        return "a film, HEIC or AVIF file, not read: export it as PNG or TIFF"
    if data.startswith(b"\xff\xd8") and _is_lossless_jpeg(data):
        return "lossless JPEG, not read: save it as PNG or as plain JPEG"
    return None


_OTHER_CONTENT = {
    b"PK\x03\x04": "a zip archive, not a picture: unpack it and name the folder",
    b"\x1f\x8b": "a gzip file, not a picture: unpack it",
    b"%PDF": "a PDF document, not a picture: export its pages as PNG",
    b"<svg": "an SVG drawing, not read: export it as PNG",
    b"\xff\x0a": "JPEG XL, not read: save it as PNG",
    b"\x00\x00\x00\x0cJXL ": "JPEG XL, not read: save it as PNG",
    b"\x93NUMPY": "a NumPy array, not read: save it as PNG or TIFF",
    b"\x89HDF": "an HDF5 file, not read: save its pictures as PNG or TIFF",
}


def _head(path: Path) -> tuple[bytes, bool]:
    """The first bytes, of what is inside where the file is packed with gzip, and whether it is."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        if not head.startswith(b"\x1f\x8b"):
            return head, False
        file.seek(0)
        try:
            with gzip.GzipFile(fileobj=file) as inside:
                return inside.read(_HEAD_BYTES), True
        except (EOFError, OSError, zlib.error):  # cut short or damaged: its suffix may still tell
            return b"", True


def _begins_as_dicom(head: bytes) -> bool:
    """Whether a file without the preamble begins with a data element of the groups that DICOM begins with."""
    if len(head) < 12:
        return False
    for order in ("<", ">"):
        group, element = struct.unpack_from(order + "HH", head)
        if group not in _DICOM_GROUPS or element > 0x00FF:
            continue
        if head[4:6] in _VALUE_TYPES:
            return True
        length = struct.unpack_from(order + "I", head, 4)[0]  # implicit: the length follows at once
        if length <= 64 and length % 2 == 0 and (group, element) != (2, 2):
            return head[8 : 8 + length].isascii() or (element == 0 and length == 4)
    return False


def _is_lossless_jpeg(data: bytes) -> bool:
    """Whether the first frame of a JPEG is of a lossless kind (SOF3, SOF7, SOF11, SOF15, and JPEG-LS's SOF55)."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return marker in (0xC3, 0xC7, 0xCB, 0xCF)
        if marker == 0xF7:
            return True
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return False


def _by_place(path: Path) -> str | None:
    name = path.name.lower()
    if name == "slidedat.ini" or (name.startswith("data") and name.endswith(".dat")):
        return "a slide file"  # the parts of a MIRAX slide
    return "a microscope file" if any(part.lower().endswith(".zarr") for part in path.parts[:-1]) else None


def reason_for(name: str) -> str:
    """Word the reason for setting aside a file of the format `name`."""
    return f"{name}: this version has no reader for it; export it as PNG or TIFF"
