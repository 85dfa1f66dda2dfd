"""The folder that features are written to: what may be written there, what is kept, what goes."""

from __future__ import annotations

from pathlib import Path

from kpl.embeddings.layout import INDEX_NAME, Shard, is_own_file, read_model
from kpl.errors import FeaturesError, OutputError
from kpl.files import remove

__all__ = ["drop_index", "drop_surplus", "make_folder", "prepare_folder", "read_shard"]


def make_folder(out: Path) -> None:
    """Make the folder, if it is not there.

    Raises:
        OutputError: it cannot be made or read.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        next(out.iterdir(), None)
    except FileExistsError as error:
        raise OutputError(f"{str(out)!r} is a file: give a folder to write features to") from error
    except OSError as error:
        raise OutputError(f"cannot use the folder {str(out)!r}: {error.strerror}") from error


def prepare_folder(out: Path, encoder: str, settings: str, ids: list[str], *, overwrite: bool) -> None:
    """Make sure that the folder may be worked on, and remove what a stopped process left; under the folder's lock.

    An unfinished folder of the same encoder and settings is gone on with; so is a finished one of the same pictures, of
    which only shards that changed are embedded again. Whatever else it holds needs `overwrite`; files that are not of
    this layout are never touched.

    Raises:
        OutputError: the folder belongs to something else, or holds features that would be lost.
    """
    names = sorted(path.name for path in out.iterdir())
    own = [name for name in names if is_own_file(name)]
    if not own and any(not name.startswith(".") for name in names):
        raise OutputError(f"{str(out)!r} exists and is no feature folder: give a new or an empty folder")
    for name in own:
        if name.startswith("."):
            remove(out / name)
    if not overwrite:
        _refuse_loss(out, own, encoder, settings, ids)


def _refuse_loss(out: Path, own: list[str], encoder: str, settings: str, ids: list[str]) -> None:
    mend = "give another folder, or replace these features with --overwrite"
    held: list[str] = []
    for name in own:
        if not (name.startswith("images-") and name.endswith(".json")):
            continue
        shard = read_shard(out / name)
        if shard is None:
            raise OutputError(f"{str(out)!r} holds features that cannot be read ({name} is damaged): {mend}")
        if (shard.encoder, shard.settings) != (encoder, settings):
            other = f"encoder {shard.encoder}" if shard.encoder != encoder else "other settings"
            raise OutputError(f"{str(out)!r} holds features of {other}, not of {encoder} as asked for now: {mend}")
        held += [picture.id for picture in shard.pictures]
    if INDEX_NAME in own and held != ids:
        raise OutputError(f"{str(out)!r} holds features of {len(held)} pictures, not of these {len(ids)}: {mend}")


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
