"""Which files are pictures, which are known but not read in this version, and how both are recognised."""

from __future__ import annotations

from pathlib import Path, PurePath

__all__ = ["PICTURE_SUFFIXES", "READ_FORMATS", "reason_for", "unread_format", "unread_reason"]

# A closed list: Pillow's other plugins start programs (EPS) or guess from little (TGA).
READ_FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "GIF", "WEBP", "PPM", "JPEG2000")

PICTURE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".tif", ".tiff", ".bmp", ".gif", ".webp"}
    | {".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".j2k", ".jpx"}
)

_UNREAD_SUFFIXES = {
    suffix: name
    for name, suffixes in {
        "DICOM": ".dcm .dicom .ima",
        "NIfTI": ".nii",
        "a volume file": ".mha .mhd .nrrd .nhdr .mgh .mgz .mnc",
        "a slide file": ".svs .ndpi .mrxs .scn .vms .vmu .bif .svslide .vsi .isyntax",
        "a microscope file": ".czi .lif .nd2 .oib .oif .lsm",
        "HEIC": ".heic .heif",
        "AVIF": ".avif",
        "a camera's raw file": ".dng .cr2 .cr3 .nef .arw .orf .rw2",
    }.items()
    for suffix in suffixes.split()
}

_HEAD_BYTES = 348  # a NIfTI header, the longest of those looked at


def unread_reason(path: Path) -> str | None:
    """Say why a file of a known but unread format is set aside; None for every other file.

    Known by the suffix; a file whose suffix says nothing (DICOM files often have none) is known by its first bytes.

    Args:
        path: an existing regular file.

    Raises:
        OSError: the first bytes are needed and cannot be read.
    """
    suffix = PurePath(path.name.lower().removesuffix(".gz")).suffix
    if suffix in PICTURE_SUFFIXES:
        return None
    name = _UNREAD_SUFFIXES.get(suffix)
    if name is None:
        with path.open("rb") as file:
            name = unread_format(file.read(_HEAD_BYTES))
    return None if name is None else reason_for(name)


def unread_format(head: bytes) -> str | None:
    """Name the medical format that a file's first bytes give away.

    Example:
        >>> unread_format(bytes(128) + b"DICM")
        'DICOM'
        >>> unread_format(b"GIF89a") is None
        True
    """
    if head[128:132] == b"DICM":
        return "DICOM"
    if head[344:348] in (b"n+1\0", b"ni1\0"):
        return "NIfTI"
    return None


def reason_for(name: str) -> str:
    """Word the reason for setting aside a file of the format `name`."""
    return f"{name}: this version has no reader for it; export it as PNG or TIFF"
