"""Small pictures kept with a run, so that its report can show what was classified when the files are elsewhere."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Container, Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from kpl.errors import FeaturesError, PictureError
from kpl.files import write_file
from kpl.images import PictureRecord, decode_many, find_pictures, read_picture_bytes
from kpl.proxies.arrays import Floats

__all__ = [
    "THUMBNAIL_SIDE",
    "empty_rows",
    "find_thumbnails",
    "keep_thumbnails",
    "kept_presence_rows",
    "kept_rows",
    "make_thumbnails",
    "overruled_rows",
    "presence_rows",
    "read_thumbnails",
    "shown_rows",
    "thumbnail",
]

THUMBNAIL_SIDE = 112
"""Pixels of the longer side."""
_FILE = "thumbnails.safetensors"
_QUALITY = 62
_ALL = 600  # a run of this many pictures keeps them all
_A_SIDE = 12  # the surest and the least sure of a class
_TOGETHER = 480


def shown_rows(winners: NDArray[np.intp], sureness: Floats, n_classes: int) -> list[NDArray[np.intp]]:
    """Choose what to show of each class: the surest pictures, then the least sure, the surest first.

    Args:
        winners: (n,) class indices.
        sureness: (n,), see `Predictions`.
        n_classes: C; many classes get few pictures each.

    Example:
        >>> [rows.tolist() for rows in shown_rows(np.array([0, 0, 1]), np.array([0.5, 0.9, 0.7]), 2)]
        [[1, 0], [2]]
    """
    a_side = int(np.clip(_TOGETHER // (2 * n_classes), 1, _A_SIDE))
    chosen = []
    for c in range(n_classes):
        rows = np.flatnonzero(winners == c)
        rows = rows[np.argsort(-sureness[rows], kind="stable")]
        chosen.append(rows if len(rows) <= 2 * a_side else np.concatenate([rows[:a_side], rows[-a_side:]]))
    return chosen


def kept_rows(winners: NDArray[np.intp], text_winners: NDArray[np.intp], sureness: Floats, n_classes: int) -> list[int]:
    """Choose the rows whose thumbnails a run keeps: all of a small run, else what its report shows."""
    if len(winners) <= _ALL:
        return list(range(len(winners)))
    return sorted(
        {
            *np.concatenate(shown_rows(winners, sureness, n_classes)).tolist(),
            *overruled_rows(winners, text_winners, sureness),
        }
    )


def overruled_rows(winners: NDArray[np.intp], text_winners: NDArray[np.intp], sureness: Floats) -> list[int]:
    """Choose pictures on which the result is not what the text said, the surest of each pair of classes first.

    Example:
        >>> overruled_rows(np.array([0, 0, 1]), np.array([0, 1, 1]), np.array([0.5, 0.9, 0.7]))
        [1]
    """
    rows = np.flatnonzero(winners != text_winners)
    rows = rows[np.argsort(-sureness[rows], kind="stable")]
    place: dict[tuple[int, int], int] = {}
    keyed = []
    for row in rows.tolist():
        pair = (int(text_winners[row]), int(winners[row]))
        place[pair] = place.get(pair, 0) + 1
        keyed.append((place[pair], row))
    return [row for _, row in sorted(keyed, key=lambda item: item[0])][: 2 * _A_SIDE]


def presence_rows(
    probabilities: Floats, present: NDArray[np.bool_], thresholds: Floats
) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Choose what to show of each class of a multi-label run: the surest with it, and the nearest to its threshold.

    Args:
        probabilities: (n, C).
        present: (n, C), whether the picture has the class.
        thresholds: (C,).

    Returns:
        A pair a class, both by falling probability; no picture is in both.

    Example:
        >>> chances = np.array([[0.9], [0.4], [0.1]])
        >>> [(sure.tolist(), near.tolist()) for sure, near in presence_rows(chances, chances >= 0.5, np.array([0.5]))]
        [([0], [1, 2])]
    """
    a_side = int(np.clip(_TOGETHER // (2 * len(thresholds)), 1, _A_SIDE))
    chosen = []
    for own, there, least in zip(probabilities.T, present.T, thresholds.tolist(), strict=True):
        order = np.argsort(-own, kind="stable")
        surest = order[there[order]][:a_side]
        others = order[~np.isin(order, surest)]
        near = np.sort(np.argsort(np.abs(own[others] - least), kind="stable")[:a_side])
        chosen.append((surest, others[near]))
    return chosen


def empty_rows(probabilities: Floats, present: NDArray[np.bool_], thresholds: Floats) -> list[int]:
    """Choose pictures without any class, those nearest to having one first; arrays as in `presence_rows`."""
    rows = np.flatnonzero(~present.any(axis=1))
    short = (thresholds - probabilities[rows]).min(axis=1)
    return [int(row) for row in rows[np.argsort(short, kind="stable")][: 2 * _A_SIDE]]


def kept_presence_rows(probabilities: Floats, present: NDArray[np.bool_], thresholds: Floats) -> list[int]:
    """Choose as `kept_rows` does, for a multi-label run; arrays as in `presence_rows`."""
    if len(present) <= _ALL:
        return list(range(len(present)))
    pairs = presence_rows(probabilities, present, thresholds)
    shown = {row for surest, near in pairs for row in (*surest.tolist(), *near.tolist())}
    return sorted(shown | set(empty_rows(probabilities, present, thresholds)))


def thumbnail(picture: NDArray[np.uint8]) -> bytes:
    """Shrink a picture (height, width, 3) to `THUMBNAIL_SIDE` and return it as WebP."""
    small = Image.fromarray(picture)
    small.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, format="WEBP", quality=_QUALITY, method=4)
    return buffer.getvalue()


def make_thumbnails(records: Sequence[tuple[int, PictureRecord]]) -> dict[int, bytes]:
    """Read pictures and shrink them; those that cannot be read any more are left out.

    Args:
        records: (row, where the picture is).
    """
    decoded = decode_many((record for _, record in records), shrink_to=2 * THUMBNAIL_SIDE)
    found = {}
    for (row, _), (_, picture) in zip(records, decoded, strict=True):
        if not isinstance(picture, PictureError):
            found[row] = thumbnail(picture)
    return found


def find_thumbnails(
    folder: Path, known: Sequence[tuple[str, str | None]], rows: Iterable[int], kept: Container[int]
) -> dict[int, bytes]:
    """Make the thumbnails of some rows that are not kept yet, where a file in the folder is that picture.

    Args:
        folder: where the pictures are.
        known: (n,) id and SHA-256 of each row.
        rows: that are wanted.
        kept: rows whose thumbnails are there.
    """
    place = {record.id: record for record in find_pictures(folder).pictures}
    records = []
    for row in rows:
        image, sha256 = known[row]
        record = place.get(image)
        if record is None or row in kept:
            continue
        try:
            same = hashlib.sha256(read_picture_bytes(record.path)).hexdigest() == sha256
        except PictureError:
            continue
        if same:
            records.append((row, record))
    return make_thumbnails(records)


def keep_thumbnails(folder: Path, pictures: Iterable[PictureRecord], ids: Sequence[str], rows: Sequence[int]) -> None:
    """Keep the thumbnails of some rows in a run folder.

    Args:
        folder: of the run.
        pictures: where the pictures are, by id.
        ids: (n,) of the run.
        rows: which to keep.
    """
    place = {record.id: record for record in pictures}
    made = make_thumbnails([(row, place[ids[row]]) for row in rows])
    arrays = {f"{row:08d}": np.frombuffer(data, dtype=np.uint8) for row, data in made.items()}
    write_file(folder / _FILE, save(arrays))


def read_thumbnails(folder: Path) -> dict[int, bytes]:
    """Return row to WebP; empty when the run kept none.

    Raises:
        FeaturesError: the file is damaged.
    """
    if not (folder / _FILE).exists():
        return {}
    try:
        return {int(name): values.astype(np.uint8).tobytes() for name, values in load_file(folder / _FILE).items()}
    except (OSError, ValueError, SafetensorError) as error:
        raise FeaturesError(f"{str(folder / _FILE)!r} is damaged: delete it, or classify again") from error
