"""Which files are pictures, which are known but not read in this version, and how both are recognised."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path, PurePath

# A closed list: Pillow's other plugins start programs (EPS) or guess from little (TGA).
READ_FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "GIF", "WEBP", "PPM", "JPEG2000")

PICTURE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".tif", ".tiff", ".bmp", ".gif", ".webp"}
    | {".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".j2k", ".jpx"}
)

VOLUME_SUFFIXES = frozenset({".nii", ".hdr", ".mgh", ".mgz", ".mnc", ".nrrd", ".nhdr", ".mha", ".mhd"})

_UNREAD_SUFFIXES = {
    suffix: name
    for name, suffixes in {
        "DICOM": ".dcm .dicom .ima .dc3 .acr",
        "NIfTI": ".nii",
        "a volume file": ".mha .mhd .nrrd .nhdr .mgh .mgz .mnc .minc .gipl .par .rec .head .brik .hdr .img .v",
        "a slide": ".svs .ndpi .mrxs .scn .bif .svslide .qptiff .btf",
        "a slide file": ".vms .vmu .vsi .isyntax",
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

_FIRST_PARTS = {".img": ".hdr", ".brik": ".head", ".rec": ".par"}

HEAD_BYTES = 352
"""Bytes at a file's beginning that it is known by: a NIfTI header, the longest of those looked at."""

PACKED_TAR = "a packed tar archive: unpack it to .tar, whose pictures are read where they lie"
"""Why such a file is set aside, and what a table names in it."""

_SEG_NRRD = "a segmentation, no picture"

_DICOM_GROUPS = (2, 8)  # a file without the preamble begins with one of these
_VALUE_TYPES = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT OB OF OW PN SH SL SQ SS ST TM UI UL UN US UT".split())


def set_aside_reason(path: Path, head: bytes, *, packed: bool) -> str | None:
    """Say why a file that no reader takes is set aside; None for one that is no picture of any kind.

    Unread formats are known by their first bytes (medical files often have no suffix, or a wrong one), those inside a
    `.gz` too, then by suffix or place.

    Args:
        path: of the file.
        head, packed: as `first_bytes` gave them.
    """
    lower = path.name.lower()
    suffix = PurePath(lower.removesuffix(".gz")).suffix
    if suffix in PICTURE_SUFFIXES:
        return None
    if lower.endswith((".seg.nrrd", ".seg.nhdr")):
        return _SEG_NRRD
    content = unread_format(head)
    if content == "DICOM" and packed:
        return "DICOM: packed with gzip, unpack it"
    if suffix in (".tar", ".tgz"):
        return PACKED_TAR
    if suffix == ".zip":
        return "a zip archive: unpack it and name the folder"
    if packed and not head and (suffix in _UNREAD_SUFFIXES or lower.endswith(".mgz")):
        return "packed with gzip, and damaged or cut short"
    name = content or _UNREAD_SUFFIXES.get(suffix) or _by_place(path)
    if name in ("DICOM", "NIfTI", "a slide") and name != content:
        return f"{name}: by its name alone, for it does not begin as {name} does"
    if (first := _FIRST_PARTS.get(suffix)) and content is None:
        return f"the values of a volume whose header ({first}) is missing: bring both files"
    return None if name is None else reason_for(name)


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
        return "Analyze"  # which has no other mark than its header's length
    return None


def is_picture(head: bytes) -> bool:
    """Say by its first bytes whether a file is a picture of a kind that begins like nothing else.

    Example:
        >>> is_picture(b"GIF89a"), is_picture(b"II*\\0")  # a TIFF may be anything
        (True, False)
    """
    return head.startswith(_PICTURES) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")


_PICTURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"\x00\x00\x00\x0cjP  \r\n\x87\n")


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
    if start.startswith(b"<?xml"):
        return (
            _OTHER_CONTENT[b"<svg"] if b"<svg" in start else "an XML page, not a picture: download the picture itself"
        )
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


def first_bytes(path: Path) -> tuple[bytes, bool]:
    """Read the first bytes of a file, of what is inside where it is packed with gzip, and say whether it is.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        if not head.startswith(b"\x1f\x8b"):
            return head, False
        file.seek(0)
        try:
            with gzip.GzipFile(fileobj=file) as inside:
                return inside.read(HEAD_BYTES), True
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
