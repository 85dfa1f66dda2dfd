"""The readers of all kinds of files: one protocol, one registry, known by content.

A reader of another package is found by its entry point in the group `kpl.readers`: an object, or a class without
arguments.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache, lru_cache
from pathlib import Path
from threading import Lock
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from kpl.errors import PictureError
from kpl.images.arrays import ArrayReader
from kpl.images.decoding import MAX_PIXELS, decode_told, read_picture_bytes
from kpl.images.dicom_reader import DicomReader
from kpl.images.drawings import few_values
from kpl.images.nifti import NiftiReader
from kpl.images.plain import PictureReader
from kpl.images.records import Asked, Instance, Planned
from kpl.images.slides import SlideReader
from kpl.images.tars import TarReader
from kpl.images.volumes import VolumeReader
from kpl.later import offered


class Reader(Protocol):
    """Reads one kind of files.

    Attributes:
        name, title: in `Reading.reader`; in messages
        extra, module: the extra that brings its library and a module of it; None for none
        suffixes: that such files have, with their point, in small letters
    """

    name: str
    title: str
    extra: str | None
    module: str | None
    suffixes: frozenset[str]

    def probe(self, head: bytes, path: Path) -> bool:
        """Say by a file's first bytes whether it is of this kind."""

    def plan(self, files: Sequence[tuple[str, Path]], asked: Asked) -> Planned:
        """Make units of files, (id, path) each, from their headers; nothing is decoded."""

    def pixels(self, instance: Instance, *, shrink_to: int | None, max_pixels: int) -> NDArray[np.uint8]:
        """Return the (height, width, 3) pixels of an instance that it planned.

        Raises:
            PictureError: the reason in a few words.
        """


@cache
def readers() -> dict[str, Reader]:
    """Return every reader by its name, in the order in which they are asked; pictures come last."""
    plugins = [entry.load() for entry in offered("kpl.readers")]
    made: list[Reader] = [each() if isinstance(each, type) else each for each in plugins]
    made += [SlideReader(), DicomReader(), NiftiReader(), VolumeReader(), ArrayReader(), TarReader(), PictureReader()]
    return {reader.name: reader for reader in made}


class Loaded(NamedTuple):
    """What was read of an instance.

    Attributes:
        sha256: of what it is read from: of a picture file its bytes; else of the file, the frame and how it is read;
            None where the file cannot be read
        pixels: (height, width, 3) of 0..255, or why there are none
        note: what a user should know of how it was read, or of what it holds; None for nothing
    """

    sha256: str | None
    pixels: NDArray[np.uint8] | PictureError
    note: str | None = None


def load_instance(instance: Instance, *, shrink_to: int | None = None, max_pixels: int = MAX_PIXELS) -> Loaded:
    """Read an instance once, for its hash and its pixels.

    Args:
        instance: of a unit that a reader planned, or a picture in memory.
        shrink_to, max_pixels: see `kpl.images.decode`.
    """
    digest, note = None, None
    try:
        if instance.reading is None:
            data = _bytes_of(instance)
            digest = hashlib.sha256(data).hexdigest()
            pixels, note = decode_told(data, shrink_to=shrink_to, max_pixels=max_pixels)
        else:
            digest = fingerprint(instance)
            reader = readers()[instance.reading.reader]
            pixels = reader.pixels(instance, shrink_to=shrink_to, max_pixels=max_pixels)
    except PictureError as error:
        return Loaded(digest, error)
    if note is None and (count := few_values(pixels)) is not None:
        note = "of one colour alone" if count == 1 else "of no more than 8 colours: a drawing, or a mask"
    return Loaded(digest, pixels, note)


def fingerprint(instance: Instance) -> str:
    """Hash what an instance is read from, as `load_instance` does, without decoding it.

    Raises:
        PictureError: its file cannot be read.
    """
    if instance.reading is None:
        return hashlib.sha256(_bytes_of(instance)).hexdigest()
    try:
        stat = instance.path.stat()
        whole = _hash_of(instance.path, stat.st_mtime_ns, stat.st_size)
    except OSError as error:
        raise PictureError(f"cannot be read: {error.strerror or type(error).__name__}") from error
    place = "" if instance.place is None else f" {instance.place}"
    return hashlib.sha256(f"{whole} {instance.frame}{place} {instance.reading!r}".encode()).hexdigest()


_locks = [Lock() for _ in range(16)]


def _bytes_of(instance: Instance) -> bytes:
    return read_picture_bytes(instance.path) if instance.data is None else instance.data()


def _hash_of(path: Path, changed: int, size: int) -> str:
    with _locks[hash(path) % len(_locks)]:  # all threads begin with the same file, perhaps a large one
        return _hashed(path, changed, size)


@lru_cache(maxsize=1024)
def _hashed(path: Path, changed: int, size: int) -> str:
    del changed, size  # they only say that it is still the same file
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
