"""Slides that are drawn: pyramids of tiles in a TIFF, whose tiles may share their place in the file."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

TILE = 256
GLASS = (243, 242, 244)
PINK = (214, 120, 170)

Draw = Callable[[int, int, int], NDArray[np.uint8]]
"""Draws the (256, 256, 3) pixels of a tile, by its level, column and row."""


def blocks(there: NDArray[np.bool_], cell: int) -> NDArray[np.uint8]:
    """A picture with pink blocks on glass: one of `cell` pixels a side for each place that is true."""
    picture = (
        np.where(there[..., None], np.array(PINK, np.uint8), np.array(GLASS, np.uint8)).repeat(cell, 0).repeat(cell, 1)
    )
    grain = np.random.default_rng(3).integers(-4, 5, picture.shape)
    return np.clip(picture + grain, 0, 255).astype(np.uint8)


def of_picture(picture: NDArray[np.uint8]) -> Draw:
    """Draw the tiles of a picture, each level half the size of the one before."""
    levels = {0: Image.fromarray(picture)}

    def draw(level: int, column: int, row: int) -> NDArray[np.uint8]:
        if level not in levels:
            levels[level] = levels[0].reduce(2**level)
        box = (column * TILE, row * TILE, (column + 1) * TILE, (row + 1) * TILE)
        return np.asarray(levels[level].crop(box))

    return draw


def write_slide(
    path: Path,
    size: tuple[int, int],
    draw: Draw,
    *,
    levels: int = 3,
    mpp: float | None = 0.5,
    text: bytes = b"",
    jpeg: bool = False,
    **tags: Any,
) -> Path:
    """Write a tiled pyramid as BigTIFF; equal tiles are stored once.

    Args:
        path, size: where, and (width, height) of its finest level.
        draw: its tiles.
        levels: how many.
        mpp: microns per pixel, written as the resolution; None for none.
        text: description of the first page.
        jpeg: compressed; otherwise as they are.
        tags: `t262=1` and so on, in the place of what is written.
    """
    out = io.BytesIO()
    out.write(struct.pack("<2sHHHQ", b"II", 43, 8, 0, 0))
    stored: dict[bytes, tuple[int, int]] = {}
    link = 8
    for level in range(levels):
        width, height = (-(-side // 2**level) for side in size)
        places = []
        for row in range(-(-height // TILE)):
            for column in range(-(-width // TILE)):
                tile = draw(level, column, row)
                key = tile.tobytes()
                if key not in stored:
                    data = key
                    if jpeg:
                        packed = io.BytesIO()
                        Image.fromarray(tile).save(packed, "JPEG", quality=90, subsampling=0)
                        data = packed.getvalue()
                    stored[key] = (out.tell(), len(data))
                    out.write(data)
                places.append(stored[key])
        entries: dict[int, tuple[int, Any]] = {
            254: (4, [int(level > 0)]), 256: (4, [width]), 257: (4, [height]), 258: (3, [8, 8, 8]),
            259: (3, [7 if jpeg else 1]), 262: (3, [6 if jpeg else 2]), 277: (3, [3]), 284: (3, [1]),
            322: (3, [TILE]), 323: (3, [TILE]), 324: (16, [at for at, _ in places]), 325: (4, [n for _, n in places]),
        }  # fmt: skip
        if text and level == 0:
            entries[270] = (2, text + b"\0")
        if mpp is not None:
            a_centimetre = [round(1e7 / mpp / 2**level), 1000]
            entries |= {282: (5, a_centimetre), 283: (5, a_centimetre), 296: (3, [3])}
        for name, value in tags.items():
            entries[int(name[1:])] = (3, value)
        link = _directory(out, entries, link)
    path.write_bytes(out.getvalue())
    return path


def _directory(out: io.BytesIO, entries: dict[int, tuple[int, Any]], link: int) -> int:
    packed = []
    for tag, (kind, values) in sorted(entries.items()):
        form = {2: "s", 3: "H", 4: "I", 5: "I", 16: "Q"}[kind]
        data = values if kind == 2 else struct.pack(f"<{len(values)}{form}", *values)
        count = len(values) // 2 if kind == 5 else len(values)
        if len(data) > 8:
            out.seek(0, 2)
            data, at = struct.pack("<Q", out.tell()), out.write(data)
            del at
        packed.append(struct.pack("<HHQ8s", tag, kind, count, data))
    at = out.seek(0, 2)
    out.write(struct.pack("<Q", len(packed)) + b"".join(packed))
    following = out.tell()
    out.write(struct.pack("<Q", 0))
    out.seek(link)
    out.write(struct.pack("<Q", at))
    out.seek(0, 2)
    return following
