"""Which files are slides: known by what they hold, tiles with smaller levels or a scanner's mark, not by suffix."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _TEXT, _SAMPLES = 256, 257, 258, 262, 270, 277
_TILE_WIDTH, _LEVELS, _NDPI = 322, 330, 65420
_WANTED: Final = {_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _TEXT, _SAMPLES, _TILE_WIDTH, _LEVELS, _NDPI}
_FORMS: Final = {1: "B", 2: "s", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_MAKERS: Final = re.compile(rb"Aperio|Philips|<scn|iScan|MedScan|<OME")
_PAGES: Final = 128
_ENTRIES: Final = 1024
_TEXT_BYTES: Final = 1 << 20
_WSI: Final = b"1.2.840.10008.5.1.4.1.1.77.1.6"
_SERIES: Final = re.compile(rb"\x20\x00\x0e\x00UI(..)", re.DOTALL)
_HEADER: Final = 1 << 16
_MICRONS: Final = {"nm": 1e-3, "µm": 1.0, "μm": 1.0, "um": 1.0, "mm": 1e3, "cm": 1e4}


@dataclass(frozen=True, slots=True)
class Page:
    """One picture of a TIFF, by its directory.

    Attributes:
        width, height: pixels
        tiled: stored in tiles, not in strips
        bits, samples: of a value, values of a pixel
        grey: its values are of grey, not of colour
        levels: smaller copies that hang on it
        text: what it says of itself
        ndpi: it bears Hamamatsu's mark
    """

    width: int
    height: int
    tiled: bool
    bits: int
    samples: int
    grey: bool
    levels: int
    text: bytes
    ndpi: bool

    def is_smaller_copy_of(self, other: Page) -> bool:
        """Whether its proportions are those of a larger page, as far as whole pixels can tell."""
        if not 0 < self.width < other.width or not 0 < self.height < other.height:
            return False
        across, down = other.width / self.width, other.height / self.height
        return abs(across - down) <= max(across, down) * (1.0 / self.width + 1.0 / self.height + 0.01)


def is_slide_file(head: bytes, path: Path) -> bool:
    """Say by its first bytes, and of a TIFF by its directories, whether a file is a slide or a part of one."""
    if head[128:132] == b"DICM":
        return _WSI + b"\0" in head or _WSI + b"\x02" in head
    suffix = path.suffix.lower()
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        try:
            with path.open("rb") as file:
                return looks_like_slide(tiff_pages(file))
        except OSError:
            return False
    if suffix == ".mrxs":
        return head.startswith(b"\xff\xd8")
    if suffix == ".svslide":
        return head.startswith(b"SQLite format 3")
    return head.startswith(b"ZISRAWFILE") or part_of_slide(path)


def part_of_slide(path: Path) -> bool:
    """Whether a file lies in the folder of a MIRAX slide, which is read by the file beside that folder."""
    return path.suffix.lower() in (".dat", ".ini") and path.parent.with_name(path.parent.name + ".mrxs").is_file()


def series_of(path: Path) -> tuple[Path, bytes] | None:
    """Return what the files of one DICOM slide have alike, their folder and series; None for other files."""
    with path.open("rb") as file:
        head = file.read(_HEADER)
    found = _SERIES.search(head) if head[128:132] == b"DICM" else None
    if found is None:
        return None
    length = int.from_bytes(found[1], "little")
    return path.parent, head[found.end() : found.end() + length]


def looks_like_slide(pages: list[Page]) -> bool:
    """Whether a TIFF is a slide: tiled, with smaller levels or a scanner's mark."""
    tiled = [page for page in pages if page.tiled]
    if not tiled:
        return any(page.ndpi for page in pages)
    largest = max(tiled, key=lambda page: page.width * page.height)
    marked = any(_MAKERS.search(page.text) or page.ndpi for page in pages)
    return bool(largest.levels) or marked or any(page.is_smaller_copy_of(largest) for page in tiled)


def tiff_pages(file: BinaryIO) -> list[Page]:
    """List the pages of a TIFF or BigTIFF as far as their directories make sense; no pixel is read."""
    head = file.read(16)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    if order is None or len(head) < 16:
        return []
    big = head[2:4] in (b"+\0", b"\0+")
    offset = struct.unpack_from(order + ("Q" if big else "I"), head, 8 if big else 4)[0]
    pages: list[Page] = []
    seen: set[int] = set()
    while offset and offset not in seen and len(pages) < _PAGES:
        seen.add(offset)
        try:
            page, offset = _page(file, offset, order, big=big)
        except (struct.error, OSError, OverflowError, ValueError):
            break  # cut short, or no directory
        pages.append(page)
    return pages


def pixel_size_of(text: bytes) -> float | None:
    """Return the microns per pixel that OME's description of a TIFF states, the mean of both sides."""
    said = text.decode("utf-8", "replace")
    found = []
    for axis in "XY":
        size = re.search(rf'PhysicalSize{axis}="([0-9.eE+-]+)"', said)
        unit = re.search(rf'PhysicalSize{axis}Unit="([^"]+)"', said)
        try:
            found.append(float(size[1]) * _MICRONS[unit[1] if unit else "µm"] if size else 0.0)
        except (KeyError, ValueError):
            return None
    return sum(found) / 2 if min(found) > 0 else None


def _page(file: BinaryIO, offset: int, order: str, *, big: bool) -> tuple[Page, int]:
    file.seek(offset)
    wide, entry = ("Q", struct.Struct(order + "HHQ8s")) if big else ("I", struct.Struct(order + "HHI4s"))
    count = struct.unpack(order + ("Q" if big else "H"), file.read(8 if big else 2))[0]
    if not 0 < count <= _ENTRIES:
        raise ValueError("no directory")
    entries = file.read(count * entry.size)
    following = struct.unpack(order + wide, file.read(8 if big else 4))[0]
    said: dict[int, tuple[int, ...]] = {}
    text, levels, ndpi = b"", 0, False
    for tag, kind, many, value in entry.iter_unpack(entries):
        if tag not in _WANTED:
            continue
        levels, ndpi = (many, ndpi) if tag == _LEVELS else (levels, ndpi or tag == _NDPI)
        form = _FORMS.get(kind)
        if form is None or tag == _LEVELS or (form == "s") != (tag == _TEXT):
            continue
        most = _TEXT_BYTES if tag == _TEXT else 16
        length = struct.calcsize(form) * min(many, most)
        if length > len(value):
            file.seek(struct.unpack_from(order + wide, value)[0])
            value = file.read(length)
        if tag == _TEXT:
            text = value
        else:
            said[tag] = struct.unpack_from(f"{order}{min(many, most)}{form}", value)
    first = {tag: values[0] for tag, values in said.items() if values}
    page = Page(
        width=first.get(_WIDTH, 0),
        height=first.get(_HEIGHT, 0),
        tiled=_TILE_WIDTH in said,
        bits=first.get(_BITS, 1),
        samples=first.get(_SAMPLES, 1),
        grey=first.get(_PHOTOMETRIC, 1) in (0, 1),
        levels=levels,
        text=text,
        ndpi=ndpi,
    )
    return page, following
