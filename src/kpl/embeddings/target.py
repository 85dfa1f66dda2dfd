"""The folder that features are written to: what may be replaced, what is kept, what goes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

from kpl.embeddings.done import Header
from kpl.embeddings.layout import INDEX_NAME, Shard, is_own_file, read_model
from kpl.embeddings.unique import Hashed
from kpl.errors import FeaturesError, OutputError
from kpl.files import remove

_AT_ONCE = 1 << 16  # ids


def make_folder(folder: Path) -> None:
    """Make a working folder, if it is not there, and remove what a stopped process left half-written in it.

    Raises:
        OutputError: it cannot be made or read.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.iterdir():
            if path.name.startswith(".") and is_own_file(path.name):
                remove(path)
    except OSError as error:
        raise OutputError(f"cannot use the folder {str(folder)!r}: {error.strerror}") from error


def check_folder(out: Path, header: Header, ids: Iterable[str], *, overwrite: bool, called: str | None = None) -> None:
    """Make sure that a folder may be replaced; under its lock.

    It may if it is not there, empty, unfinished and of the same encoder and settings, or finished and all of its
    pictures are among these, too. Whatever else it holds needs `overwrite`, and a folder without
    features is never replaced. An error calls it `called`, where it is a copy.

    Raises:
        OutputError: it belongs to something else, or holds features that would be lost.
    """
    if not out.is_dir():
        if out.exists():
            raise OutputError(f"{str(out)!r} is a file: give a folder to write features to")
        return
    names = sorted(path.name for path in out.iterdir())
    own = [name for name in names if is_own_file(name)]
    if not own and any(not name.startswith(".") for name in names):
        raise OutputError(f"{str(out)!r} exists and is no feature folder: give a new or an empty folder")
    if own and not overwrite:
        _refuse_loss(out, called or str(out), own, header, ids)


def _refuse_loss(out: Path, called: str, names: list[str], header: Header, ids: Iterable[str]) -> None:
    mend, count = "give another folder, or replace these features with --overwrite", 0
    with Hashed() as held, Hashed() as wanted:
        for name in names:
            if not (name.startswith("images-") and name.endswith(".json")):
                continue
            shard = read_shard(out / name)
            if shard is None:
                raise OutputError(f"{called!r} holds features that cannot be read ({name} is damaged): {mend}")
            if (shard.encoder, shard.settings) != (header.encoder, header.settings):
                other, own = shard.encoder, header.encoder
                told = f"encoder {other}" if other != own else "other settings"
                raise OutputError(f"{called!r} holds features of {told}, not of {own} as asked for now: {mend}")
            held.add([picture.id for picture in shard.pictures])
            count += len(shard.pictures)
        if INDEX_NAME not in names:
            return
        rest = iter(ids)
        while some := list(islice(rest, _AT_ONCE)):
            wanted.add(some)
        if lost := held.count_beside(wanted):
            raise OutputError(
                f"{called!r} holds features of {count} pictures, {lost} of them not among these {header.pictures}: "
                f"{mend}"
            )


def read_shard(path: Path) -> Shard | None:
    """Read a shard's list of pictures; None when there is none that can be read."""
    try:
        return read_model(Shard, path)
    except FeaturesError:
        return None


def drop_index(out: Path) -> None:
    """Mark the folder as unfinished, before anything in it changes."""
    (out / INDEX_NAME).unlink(missing_ok=True)


def drop_surplus(out: Path, shards: int) -> None:
    """Remove the shards that an earlier and larger list of pictures left."""
    for path in list(out.glob("images-*")):
        if is_own_file(path.name) and int(path.stem.removeprefix("images-")) >= shards:
            path.unlink()


def copy_files(source: Path, target: Path, names: Sequence[str]) -> None:
    """Give another folder the same files: a second name for each where the file system can, as none is changed."""
    for name in reversed(names):
        remove(target / name)
    for name in names:
        try:
            os.link(source / name, target / name)
        except OSError:
            shutil.copy2(source / name, target / name)


def copy_others(source: Path, target: Path) -> None:
    """Give another folder what lies beside the features and is not ours."""
    for path in source.iterdir() if source.is_dir() else ():
        if is_own_file(path.name):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.copytree(path, target / path.name, symlinks=True, dirs_exist_ok=True)
        else:
            remove(target / path.name)
            shutil.copy2(path, target / path.name, follow_symlinks=False)
