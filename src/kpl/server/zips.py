"""Pictures out of a zip archive, in memory: no name in it ever becomes a path."""

from __future__ import annotations

import os
import stat
import zipfile
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import BinaryIO

from kpl.server.limits import Limits
from kpl.server.refusals import Refused, TooLarge

_BLOCK = 1 << 20


def is_zip(head: bytes) -> bool:
    """Say whether a file begins as a zip archive does."""
    return head[:4] in (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")


def unpack(file: BinaryIO, limits: Limits) -> Iterator[tuple[str, bytes | str]]:
    """Yield the name of each file in an archive with its bytes, or with the reason why it is left out.

    Folders in an archive are allowed, as part of a name. Hidden files and those that some systems add are passed over.

    Raises:
        Refused: it is no archive, is damaged, or holds what no archive of pictures holds: a path that leads out of it.
        TooLarge: more files than are allowed; or it unpacks to more than it may, a bomb.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            if len(entries) > limits.zip_entries:
                raise TooLarge(f"the archive holds {len(entries)} files: at most {limits.zip_entries} are unpacked")
            size = file.seek(0, os.SEEK_END)
            if sum(entry.compress_size for entry in entries) > size:
                raise TooLarge("the files of the archive overlap, so that it unpacks to far more than it holds")
            yield from _files(archive, [entry for entry in entries if not entry.is_dir()], size, limits)
    except Refused:
        raise
    except Exception as error:  # a damaged archive can raise anything in zipfile and zlib
        raise Refused("the archive is damaged or of a kind that is not read: make it again as a plain zip") from error


def _files(
    archive: zipfile.ZipFile, entries: list[zipfile.ZipInfo], size: int, limits: Limits
) -> Iterator[tuple[str, bytes | str]]:
    left = min(limits.zip_bytes, max(_BLOCK, limits.zip_ratio * size))
    for entry in entries:
        _refuse_escape(entry.filename)
        if stat.S_ISLNK(entry.external_attr >> 16):
            yield entry.filename, "a symbolic link in an archive: it is not followed"
            continue
        parts = PurePosixPath(entry.filename).parts
        if any(part.startswith(".") or part == "__MACOSX" for part in parts):
            continue
        if entry.flag_bits & 1:
            yield entry.filename, "encrypted: unpack it yourself first"
            continue
        if entry.file_size > limits.file_bytes:
            allowed = limits.file_bytes >> 20
            yield entry.filename, f"file of {entry.file_size >> 20} MiB: at most {allowed} MiB are read"
            continue
        data = _read(archive, entry, min(left, limits.file_bytes), limits)
        left -= len(data)
        yield entry.filename, "an archive in an archive: unpack it yourself first" if is_zip(data) else data


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, allowed: int, limits: Limits) -> bytes:
    """Read one file, and never more than is allowed, whatever its header says."""
    most = min(allowed, max(_BLOCK, limits.zip_ratio * max(1, entry.compress_size)))
    with archive.open(entry) as stream:
        data = stream.read(most + 1)
    if len(data) > most:
        raise TooLarge("the archive unpacks to far more than a folder of pictures would: it is not read further")
    return data


def _refuse_escape(name: str) -> None:
    parts = name.replace("\\", "/").split("/")
    if name.startswith(("/", "\\")) or ".." in parts or ":" in parts[0] or "\0" in name:
        raise Refused("the archive holds a path that leads out of it: it is not read further")
