"""Tables and folders of more pictures than memory holds: planned in one pass, read again a shard at a time.

A row is a picture, and so many rows in a row are a shard. What is kept of the pass is a few numbers, and the places of
rows that name a picture once more.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kpl.embeddings.lots import Lot
from kpl.embeddings.spool import Spool
from kpl.embeddings.unique import Hashed
from kpl.errors import InputError
from kpl.images import DRAWING, Asked, Instance, SetAside, has_files, is_named, members_at, reader_of, search_pieces
from kpl.tables import OpenedCohort, is_table, open_cohort

LISTED_AT_MOST: Final = 1 << 16
"""Rows of a table, and files of a folder, that are planned as a whole."""
_LOOKED_AT: Final = 100
_PASS: Final = 1 << 16  # rows that are looked at together
_SUFFIXES: Final = {".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".pq"}


@dataclass(frozen=True, eq=False)
class Manifest:
    """A table of pictures, a row each, or a folder of them, that is never all in memory.

    Attributes:
        root: the folder that its names are paths from.
        size: rows of a lot.
        total: rows.
        common: what absolute names have in common, which their ids go without.
        again: places of rows that name a picture once more, in order.
        content: a hash of all that is read of it.
        set_aside: files of a folder that were set aside; those of a table are not looked at before.
    """

    cohort: OpenedCohort | Spool
    root: Path
    size: int
    total: int
    common: str
    again: NDArray[np.int64]
    content: str
    set_aside: Sequence[SetAside] = ()

    @classmethod
    def read(cls, cohort: OpenedCohort | Spool, root: Path, size: int, set_aside: Sequence[SetAside] = ()) -> Manifest:
        """Plan a table in one pass, and in one more where ids are there twice.

        Raises:
            TableError: a row that names no image, or does not fit the titles.
            InputError: a name that cannot be written as UTF-8.
        """
        whole, total, common = hashlib.sha256(f"{size}\n".encode()), 0, ""
        for item in set_aside:
            whole.update(repr((item.id, item.reason)).encode())
        with Hashed() as hashed:
            for _, images, patients in cohort.slices(_PASS, count()):
                names = "\0".join(images)
                try:
                    whole.update(names.encode())
                    whole.update("\0".join(each or "" for each in patients).encode())
                except UnicodeEncodeError as error:
                    raise InputError(f"{cohort.name!r}: a name cannot be written as UTF-8: rename it") from error
                common = _common(common, images, names)
                hashed.add(list(_ids(images, names, "")))
                total += len(images)
            places = hashed.repeated()
        again = _repeated(cohort, places) if len(places) else places
        return cls(cohort, root, size, total, common, again, whole.hexdigest(), set_aside)

    @property
    def asked(self) -> None:
        """Nothing was asked of the readers."""
        return None

    @property
    def notes(self) -> list[str]:
        """What the user should know of how it was read."""
        notes = [*filter(None, [self.cohort.said]), *self.cohort.notes]
        if len(self.again):
            notes.append(
                f"rows that name a file once more, which counts once: {len(self.again)}, the first is row "
                f"{self.again[0] + 1}"
            )
        return notes

    @property
    def count(self) -> int:
        """Lots."""
        return -(-self.total // self.size)

    @property
    def key(self) -> str:
        """A hash of what is planned."""
        return hashlib.sha256(f"{self.content} {self.size}".encode()).hexdigest()

    def size_of(self, number: int) -> int:
        """Count the pictures of a lot."""
        start, stop = number * self.size, min((number + 1) * self.size, self.total)
        return stop - start - int(np.diff(np.searchsorted(self.again, [start, stop]))[0])

    def lots(self, numbers: Iterable[int]) -> Iterator[Lot]:
        """Yield these lots; numbers rise."""
        for part, images, patients in self.cohort.slices(self.size, numbers):
            start = part.number * self.size
            left = set(self.again[slice(*np.searchsorted(self.again, [start, start + self.size]))].tolist())
            ids = _ids(images, "\0".join(images), self.common)
            paths = [self.root / image for image in images]
            rows = enumerate(zip(ids, paths, patients, members_at(paths), strict=True), start=start)
            yield Lot(
                part.number,
                start,
                [
                    Instance(name, path, group=patient, data=inside)
                    for at, (name, path, patient, inside) in rows
                    if at not in left
                ],
            )

    def ids(self) -> Iterator[str]:
        """Yield the ids of all pictures."""
        for _, images, _ in self.cohort.slices(_PASS, count()):
            yield from _ids(images, "\0".join(images), self.common)


def open_manifest(inputs: Sequence[str], asked: Asked, size: int) -> Manifest | None:
    """Plan a table of more rows, or a folder of more files, than are held at once; None for what is planned as a whole.

    That is a folder with anything but plain pictures, or with links to folders; a workbook, a table of few rows, and
    one whose rows are not a picture each: it has columns of units, studies, frames or windows, or its first files are
    of medical readers.

    Raises:
        TableError, InputError: as of `Manifest.read`, or its columns cannot be told.
    """
    if len(inputs) != 1 or asked.told():
        return None
    if Path(inputs[0]).is_dir():
        return _walked(Path(inputs[0]), size)
    if not is_table(inputs[0]) or Path(inputs[0]).suffix.lower() not in _SUFFIXES:
        return None
    root = Path(inputs[0]).parent
    cohort = open_cohort(inputs[0], None, lambda name: is_named(root / name.strip()))
    if not cohort.plain or not any(islice(cohort.slices(LISTED_AT_MOST, [1]), 1)):
        return None
    for _, images, _ in cohort.slices(_LOOKED_AT, [0]):
        there = [path for image in images if is_named(path := root / image)]
        if not there or any(_of_medicine(path) for path in there):
            return None
    return Manifest.read(cohort, root, size)


def _walked(root: Path, size: int) -> Manifest | None:
    """Search a large folder of plain pictures; their names go to the disk."""
    if not has_files(root, LISTED_AT_MOST):
        return None
    spool, early, late, found = Spool(), list[SetAside](), list[SetAside](), False
    for piece in search_pieces(root):
        if piece is None:
            return None
        spool.add(piece.ids)
        found = found or bool(piece.ids)
        early += piece.early
        late += piece.late
    late.sort(key=lambda item: item.reason == DRAWING)  # those are found last of all
    return Manifest.read(spool, root, size, [*early, *late]) if found else None


def _of_medicine(path: Path) -> bool:
    try:
        return path.is_file() and reader_of(path) not in ("picture", None)
    except OSError:
        return False


def _ids(images: Sequence[str], joined: str, common: str) -> Iterable[str]:
    """Name pictures as a search does: posix paths, absolute ones without what they have in common."""
    plain = not any(sign in joined for sign in ("//", "/./", "\0./", "\\", "/\0")) and joined[:2] != "./"
    named = images if plain and joined[-1:] != "/" else [Path(image).as_posix() for image in images]
    if not common:
        return named
    return [name.removeprefix(common) if name[0] == "/" else name for name in named]


def _common(before: str, images: Sequence[str], joined: str) -> str:
    """Return the folder that all absolute names so far lie below, with its slash; empty while there are none."""
    if joined[:1] != "/" and "\0/" not in joined:
        return before
    folders = {image.rpartition("/")[0] for image in images if image[0] == "/"}
    found = os.path.commonpath([*folders, *([before] if before else [])])
    return found if found.endswith("/") else f"{found}/"


def _repeated(cohort: OpenedCohort | Spool, places: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return, of the places of ids that may be there twice, those whose id was there before."""
    seen: set[str] = set()
    found: list[int] = []
    slices = np.unique(places // _PASS).tolist()
    for part, images, _ in cohort.slices(_PASS, slices):
        start = part.number * _PASS
        ids = list(_ids(images, "\0".join(images), ""))
        for place in places[slice(*np.searchsorted(places, [start, start + _PASS]))].tolist():
            if ids[place - start] in seen:
                found.append(place)
            seen.add(ids[place - start])
    return np.array(found, np.int64)
