"""The reader of tar archives as WebDataset lays them out: each picture in one is a picture, read where it lies.

A record is the archive, the place of its first byte and its length: nothing is unpacked, and what lies beside a picture
under the same key (a class, a text, JSON) is never read.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from kpl.errors import PictureError
from kpl.images.decoding import MAX_FILE_BYTES, decode
from kpl.images.formats import PACKED_TAR, PICTURE_SUFFIXES, first_bytes
from kpl.images.records import Asked, Instance, Planned, SetAside, Unit

_ARCHIVE = re.compile(r"\.(?:tar(?:\.\w+)?|tgz)", re.IGNORECASE)
_UNREADABLE = "no tar archive that can be read: make it again"


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


@dataclass(frozen=True, slots=True)
class NoMember:
    """Stands for a picture of an archive that cannot be read, with the reason."""

    reason: str

    def __call__(self) -> bytes:
        """Raise a `PictureError`."""
        raise PictureError(self.reason)


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
        """Make a unit of every picture of every archive, by its headers alone; of one named in an archive, of it."""
        del asked
        units: list[Unit] = []
        set_aside: list[SetAside] = []
        for (name, path), inside in zip(files, members_at([path for _, path in files]), strict=True):
            if isinstance(inside, NoMember):
                set_aside.append(SetAside(name, inside.reason))
            elif inside is not None:
                units.append(Unit.of(Instance(name, path, data=inside)))
            if inside is not None:
                continue
            try:
                found = _members(path)
            except OSError as error:
                set_aside.append(SetAside(name, f"cannot be read: {error.strerror or type(error).__name__}"))
                continue
            except (tarfile.TarError, ValueError):
                set_aside.append(SetAside(name, _UNREADABLE))
                continue
            for inner, member in found.items():
                if member.size > MAX_FILE_BYTES:
                    set_aside.append(SetAside(f"{name}/{inner}", _too_large(member)))
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


def archive_of(path: Path) -> Path | None:
    """Return the tar archive, packed or not, that a path like `shard-000.tar/0001.png` leads into; None for none."""
    if not _ARCHIVE.search(str(path.parent)):
        return None
    return next((each for each in path.parents if _ARCHIVE.search(each.name) and each.is_file()), None)


def members_at(paths: Sequence[Path]) -> list[Member | NoMember | None]:
    """Find what paths name in tar archives, whose headers are read once each; None for a path that leads into none."""
    found: list[Member | NoMember | None] = [None] * len(paths)
    of_archive: dict[Path, list[int]] = {}
    for at, path in enumerate(paths):
        if (archive := archive_of(path)) is not None:
            of_archive.setdefault(archive, []).append(at)
    for archive, places in of_archive.items():
        inside = _inside(archive)
        for at in places:
            if isinstance(inside, NoMember):
                found[at] = inside
                continue
            member = inside.get(paths[at].relative_to(archive).as_posix())
            if member is None:
                found[at] = NoMember("no such picture in its tar archive")
            else:
                found[at] = member if member.size <= MAX_FILE_BYTES else NoMember(_too_large(member))
    return found


def _inside(archive: Path) -> dict[str, Member] | NoMember:
    """Return the pictures of an archive, or why there are none."""
    try:
        if archive.suffix.lower() != ".tar" or first_bytes(archive)[1]:
            return NoMember(PACKED_TAR)
        stat = archive.stat()
        return _members_once(archive, stat.st_mtime_ns, stat.st_size)
    except OSError as error:
        return NoMember(f"cannot be read: {error.strerror or type(error).__name__}")
    except (tarfile.TarError, ValueError):
        return NoMember(_UNREADABLE)


@lru_cache(maxsize=4)  # the next rows of a table are mostly of the same
def _members_once(path: Path, changed: int, size: int) -> dict[str, Member]:
    del changed, size  # they only say that it is still the same file
    return _members(path)


def _too_large(member: Member) -> str:
    return f"has {member.size >> 20} MiB: too large a picture"


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
