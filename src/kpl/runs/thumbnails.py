"""Small pictures kept with a run, so that its report can show what was classified when the files are elsewhere."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, WebPImagePlugin
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from kpl.errors import FeaturesError, PictureError
from kpl.files import write_file
from kpl.images import Asked, Instance, decode_many, find_inputs, fingerprint
from kpl.proxies.arrays import Floats

THUMBNAIL_SIDE = 112
"""Pixels of the longer side."""
SHOWN_SIDE = 320
"""Pixels of the longer side of a picture that the report shows class by class, where it can be enlarged."""
SLIDE = "slide"
THUMBNAILS_FILE = "thumbnails.safetensors"
_QUALITY = 62
_MANY = 600  # from here on the others are kept smaller
_MANY_SIDE = 64
_MOST = 10_000  # that are kept, the least sure: the report lists these first, and is one file
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


def kept_rows(
    winners: NDArray[np.intp], text_winners: NDArray[np.intp], sureness: Floats, n_classes: int
) -> dict[int, int]:
    """Choose the rows whose small pictures a run keeps, with the pixels of their longer side.

    What the report shows class by class is large, the others are small, and smaller in a run of many.

    Example:
        >>> kept_rows(np.zeros(700, np.intp), np.zeros(700, np.intp), np.arange(700.0), 1)[350]
        64
    """
    shown = np.concatenate(shown_rows(winners, sureness, n_classes)).tolist()
    return _sides(sureness, {*shown, *overruled_rows(winners, text_winners, sureness)})


def _sides(sureness: Floats, shown: set[int]) -> dict[int, int]:
    side = THUMBNAIL_SIDE if len(sureness) <= _MANY else _MANY_SIDE
    rest = np.argsort(sureness, kind="stable")[:_MOST].tolist()
    return dict(sorted((dict.fromkeys(rest, side) | dict.fromkeys(shown, SHOWN_SIDE)).items()))


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


def multi_label_rows(
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
        >>> found = multi_label_rows(chances, chances >= 0.5, np.array([0.5]))
        >>> [(sure.tolist(), near.tolist()) for sure, near in found]
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
    """Choose pictures without any class, those nearest to having one first; arrays as in `multi_label_rows`."""
    rows = np.flatnonzero(~present.any(axis=1))
    short = (thresholds - probabilities[rows]).min(axis=1)
    return [int(row) for row in rows[np.argsort(short, kind="stable")][: 2 * _A_SIDE]]


def kept_multi_label_rows(probabilities: Floats, present: NDArray[np.bool_], thresholds: Floats) -> dict[int, int]:
    """Choose as `kept_rows` does, for a multi-label run; arrays as in `multi_label_rows`."""
    pairs = multi_label_rows(probabilities, present, thresholds)
    shown = {row for surest, near in pairs for row in (*surest.tolist(), *near.tolist())}
    shown |= set(empty_rows(probabilities, present, thresholds))
    return _sides(np.abs(probabilities - thresholds).min(axis=1), shown)


def thumbnail(picture: NDArray[np.uint8], side: int = THUMBNAIL_SIDE) -> bytes:
    """Shrink a picture (height, width, 3) so that its longer side has so many pixels, and return it as WebP."""
    small = Image.fromarray(picture)
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, format=WebPImagePlugin.WebPImageFile.format, quality=_QUALITY, method=4)
    return buffer.getvalue()


Place = TypeVar("Place")


def make_thumbnails(records: Iterable[tuple[Place, Instance, int]]) -> dict[Place, bytes]:
    """Read pictures and shrink them; those that cannot be read any more are left out.

    Args:
        records: (row or other place, where the picture is, pixels of the longer side).
    """
    sides: dict[int, list[tuple[Place, Instance]]] = {}
    for place, record, side in records:
        sides.setdefault(side, []).append((place, record))
    found = {}
    for side, own in sides.items():
        decoded = decode_many((record for _, record in own), shrink_to=2 * side)
        for (place, _), (_, picture) in zip(own, decoded, strict=True):
            if not isinstance(picture, PictureError):
                found[place] = thumbnail(picture, side)
    return found


def find_again(place: Path, known: Iterable[tuple[str, str | None]], asked: Asked) -> dict[str, Instance]:
    """Find pictures of a run where they are now; one counts only if it is still what was classified.

    Args:
        place: where the pictures are: a folder, a file, or the table that named them.
        known: id and SHA-256 of each that is wanted.
        asked: what was asked of the readers then.

    Returns:
        Id to picture, of those that are there and the same. Medical files and a file given by itself may be called
        otherwise now.
    """
    there = find_inputs(place, replace(asked, everywhere=True)).pictures
    called = {record.id: record for record in there}
    found, others = {}, []
    for image, sha256 in known:
        if image in called and _hash_of(called[image]) == sha256:
            found[image] = called[image]
        elif sha256 is not None:
            others.append((image, sha256))
    if others:
        renamed = (record for record in there if record.reading is not None or len(there) == 1)
        by_content = {_hash_of(record): record for record in renamed}
        found |= {image: by_content[sha256] for image, sha256 in others if sha256 in by_content}
    return found


def _hash_of(record: Instance) -> str | None:
    try:
        return fingerprint(record)
    except PictureError:
        return None


def keep_thumbnails(
    folder: Path,
    pictures: Iterable[Instance],
    ids: Sequence[str],
    rows: Mapping[int, int],
    beside: Mapping[tuple[int, str], str] = MappingProxyType({}),
    slides: Mapping[int, Instance] = MappingProxyType({}),
) -> None:
    """Keep the thumbnails of some rows in a run folder.

    Args:
        folder: of the run.
        pictures: where the pictures are, by id.
        ids: (n,) of the run.
        rows: which to keep, and the pixels of their longer side.
        beside: by row and side the id of what is shown beside it of a unit of several: see `Told.beside`.
        slides: by row the whole slide, for a larger picture under the side `SLIDE`.
    """
    place = {record.id: record for record in pictures}

    def wanted() -> Iterator[tuple[tuple[int, str], Instance, int]]:
        yield from (((row, ""), place[ids[row]], side) for row, side in rows.items())
        yield from ((at, place[name], THUMBNAIL_SIDE) for at, name in beside.items() if at[0] in rows)
        yield from (((row, SLIDE), slides[row], 3 * THUMBNAIL_SIDE) for row in rows if row in slides)

    made = make_thumbnails(wanted())
    arrays = {
        f"{row:08d}" + (f"-{side}" if side else ""): np.frombuffer(data, dtype=np.uint8)
        for (row, side), data in made.items()
    }
    write_file(folder / THUMBNAILS_FILE, save(arrays))


def read_thumbnails(folder: Path) -> dict[tuple[int, str], bytes]:
    """Return (row, side) to WebP, the side "" but for what lies beside a key instance; empty when the run kept none.

    Raises:
        FeaturesError: the file is damaged.
    """
    if not (folder / THUMBNAILS_FILE).exists():
        return {}
    try:
        held = {name: values.astype(np.uint8).tobytes() for name, values in load_file(folder / THUMBNAILS_FILE).items()}
        return {(int(name.partition("-")[0]), name.partition("-")[2]): small for name, small in held.items()}
    except (OSError, ValueError, SafetensorError) as error:
        raise FeaturesError(f"{str(folder / THUMBNAILS_FILE)!r} is damaged: delete it, or classify again") from error
