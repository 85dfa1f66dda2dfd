"""The reader of tar archives as WebDataset lays them out: each picture in one is a picture, read where it lies.

A record is the archive, the place of its first byte and its length: nothing is unpacked, and what lies beside a picture
under the same key (a class, a text, JSON) is never read.
"""

from __future__ import annotations

import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from kpl.errors import PictureError
from kpl.images.decoding import MAX_FILE_BYTES, decode
from kpl.images.formats import PICTURE_SUFFIXES
from kpl.images.records import Asked, Instance, Planned, SetAside, Unit


@dataclass(frozen=True, slots=True)
class Member:
    """Gives the bytes of a picture in an archive, like those of a file of its own.

    Raises:
        PictureError: the archive is gone, or shorter than it was.
    """

    path: Path
    start: int
    size: int

    def __call__(self) -> bytes:
        """Read them."""
        try:
            with self.path.open("rb") as file:
                file.seek(self.start)
                data = file.read(self.size)
        except OSError as error:
            raise PictureError(f"cannot be read: {error.strerror or type(error).__name__}") from error
        if len(data) < self.size:
            raise PictureError("cannot be read: its archive is shorter than it was")
        return data


class TarReader:
    """Pictures in tar archives."""

    name = "tar"
    title = "a tar archive"
    extra: str | None = None
    module: str | None = None
    suffixes = frozenset({".tar"})

    def probe(self, head: bytes, path: Path) -> bool:
        """Say by its suffix whether a file is an archive."""
        del head
        return path.suffix.lower() in self.suffixes

    def plan(self, files: Sequence[tuple[str, Path]], asked: Asked) -> Planned:
        """Make a unit of every picture of every archive, by its headers alone."""
        del asked
        units: list[Unit] = []
        set_aside: list[SetAside] = []
        for name, path in files:
            try:
                found = _members(path)
            except OSError as error:
                set_aside.append(SetAside(name, f"cannot be read: {error.strerror or type(error).__name__}"))
                continue
            except (tarfile.TarError, ValueError):
                set_aside.append(SetAside(name, "no tar archive that can be read: make it again"))
                continue
            for inner, member in found.items():
                if member.size > MAX_FILE_BYTES:
                    set_aside.append(SetAside(f"{name}/{inner}", f"has {member.size >> 20} MiB: too large a picture"))
                else:
                    units.append(Unit.of(Instance(f"{name}/{inner}", path, data=member)))
            if not found:
                set_aside.append(SetAside(name, "a tar archive without a picture"))
        return Planned(units, set_aside)

    def pixels(self, instance: Instance, *, shrink_to: int | None, max_pixels: int) -> NDArray[np.uint8]:
        """Decode a picture, see `kpl.images.decode`."""
        if instance.data is None:
            raise PictureError("no picture of an archive")
        return decode(instance.data(), shrink_to=shrink_to, max_pixels=max_pixels)


def _members(path: Path) -> dict[str, Member]:
    """Return the pictures of an archive by their names; of two of one name the later counts, as when it is unpacked."""
    found: dict[str, Member] = {}
    with tarfile.open(path, "r:") as archive:
        while (each := archive.next()) is not None:
            vars(archive)["members"].clear()  # else it keeps all
            inner = PurePosixPath(each.name.lstrip("/"))
            if each.isreg() and not each.issparse() and inner.suffix.lower() in PICTURE_SUFFIXES:
                found[inner.as_posix()] = Member(path, each.offset_data, each.size)
    return found
