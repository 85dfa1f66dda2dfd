"""From picture records to a feature folder: decoded ahead in threads, encoded in batches, written shard by shard."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from kpl.embeddings.encoding import EmbedSettings, encode_pictures, encoder_identity
from kpl.embeddings.files import sha256_of_file
from kpl.embeddings.folder import FeatureFolder
from kpl.embeddings.layout import (
    INDEX_NAME,
    EmbeddedPicture,
    Index,
    LeftOut,
    Shard,
    ShardEntry,
    json_bytes,
    shard_names,
)
from kpl.embeddings.rows import unit_rows
from kpl.embeddings.target import (
    check_folder,
    copy_files,
    copy_others,
    drop_index,
    drop_surplus,
    make_folder,
    read_shard,
)
from kpl.encoders.protocol import Encoder
from kpl.errors import InputError, PictureError
from kpl.files import put, working_folder, write_file
from kpl.images import (
    PictureRecord,
    Pictures,
    SetAside,
    decode,
    default_workers,
    ordered_map,
    picture_bytes,
    read_record,
)

__all__ = ["Progress", "embed_in_place", "embed_picture", "embed_pictures", "hash_pictures"]

Progress = Callable[[int, int], None]
"""Told how many pictures are done, and how many there are."""

_SHRINK_FACTOR = 3  # times the encoder's picture size: what Pillow's own `reducing_gap` calls indistinguishable
_BATCH_BYTES = 256 << 20  # of decoded pictures: a few oddly long pictures must not fill the memory


def embed_pictures(
    records: Sequence[PictureRecord],
    encoder: Encoder,
    out: str | Path,
    *,
    batch_size: int | None = None,
    shard_size: int = 1024,
    dtype: Literal["float32", "float16"] = "float32",
    set_aside: Sequence[SetAside] = (),
    workers: int | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> FeatureFolder:
    """Embed pictures into a feature folder; called again after an interruption, go on where it stopped.

    They are written beside the folder and take its place when all are there; until then it is as it was, or not there.
    A shard that is there is kept when its pictures have the same ids, groups and contents (SHA-256 of the files) and
    the encoder and settings are the same. A picture that cannot be read is set aside with its reason and stops nothing.

    Args:
        records: the pictures, ids all different.
        encoder: turns pictures into (n, d) unit rows.
        out: folder to write.
        batch_size: pictures the encoder gets at once, at most; None takes the encoder's own `call_size`, else 32.
        shard_size: pictures a shard; an interruption costs at most the work on one shard.
        dtype: how features are stored.
        set_aside: files that were set aside before, to be listed in the folder with the others.
        workers: threads that read and decode, by default one a core and at most eight.
        overwrite: allow replacing the features of other pictures, settings or encoders.
        progress: called after every batch.

    Returns:
        The finished folder, opened.

    Raises:
        InputError: no record, two with one id, or not one picture that can be read.
        OutputError: the folder must not or cannot be written.
        EncoderError: the encoder broke its contract.
    """
    records, out = list(records), Path(out)
    _check_records(records)
    settings = _settings(encoder, dtype).content_hash()
    with working_folder(out, keep=("features",)) as work:
        check_folder(out, encoder_identity(encoder), settings, [record.id for record in records], overwrite=overwrite)
        fresh = work / "features"
        try:
            folder = embed_in_place(
                records,
                encoder,
                fresh,
                old=out,
                batch_size=batch_size,
                shard_size=shard_size,
                dtype=dtype,
                set_aside=set_aside,
                workers=workers,
                progress=progress,
            )
        except BaseException:
            with suppress(OSError):
                fresh.rmdir()  # nothing in it to go on from
            raise
        copy_others(out, fresh)
        put(fresh, out)
    return FeatureFolder(out, folder.index)


def embed_in_place(
    records: Sequence[PictureRecord],
    encoder: Encoder,
    folder: Path,
    *,
    old: Path | None = None,
    batch_size: int | None = None,
    shard_size: int = 1024,
    dtype: Literal["float32", "float16"] = "float32",
    set_aside: Sequence[SetAside] = (),
    workers: int | None = None,
    progress: Progress | None = None,
) -> FeatureFolder:
    """Embed pictures as `embed_pictures` does, but within a folder that nobody else sees; whole shards in it are kept.

    Args:
        records, encoder, batch_size, shard_size, dtype, set_aside, workers, progress: as for `embed_pictures`.
        folder: a working folder of the caller, there or not; what it holds of other pictures goes.
        old: a feature folder whose whole shards are taken over.

    Returns:
        The finished folder, opened.

    Raises:
        InputError, OutputError, EncoderError: as `embed_pictures`.
    """
    records = list(records)
    _check_records(records)
    batch_size = getattr(encoder, "call_size", 32) if batch_size is None else batch_size
    if min(batch_size, shard_size, workers or 1) < 1:
        raise InputError("batch_size, shard_size and workers must be at least 1")
    settings, workers = _settings(encoder, dtype), workers or default_workers()
    job = _Job(folder, old, encoder, encoder_identity(encoder), settings, batch_size, workers)
    make_folder(folder)
    shards = job.run(records, shard_size, progress)
    index = job.index(shards, set_aside)
    if index.rows == 0:
        raise InputError(
            f"not one of {len(records)} pictures can be read; the first: {index.set_aside[len(set_aside)].reason}"
        )
    drop_surplus(folder, len(shards))
    write_file(folder / INDEX_NAME, json_bytes(index))
    return FeatureFolder(folder, index)


def embed_picture(picture: Pictures, encoder: Encoder) -> NDArray[np.float32]:
    """Embed one picture, read and brought to unit length as `embed_pictures` and a feature folder do it.

    Args:
        picture: a file by its path, or a picture in memory, see `kpl.images.find_given`.
        encoder: turns pictures into (n, d) unit rows.

    Returns:
        (1, d), equal to the picture's row in a folder up to what the encoder makes of another batch.

    Raises:
        PictureError: the file cannot be read.
        EncoderError: the encoder broke its contract.
    """
    pixels = decode(picture_bytes(picture), shrink_to=_SHRINK_FACTOR * encoder.card.image_size)
    return unit_rows(encode_pictures([pixels], encoder), "the picture")


def hash_pictures(records: Sequence[PictureRecord], encoder: Encoder) -> str:
    """Hash ids and contents of pictures as the index of their features would say it; nothing is embedded.

    Args:
        records: the pictures.
        encoder: of the features; it decides how large a picture is read.

    Returns:
        SHA-256, hexadecimal: `Index.pictures_sha256`.
    """

    def read(record: PictureRecord) -> EmbeddedPicture:
        return _load(record, _SHRINK_FACTOR * encoder.card.image_size)[0]

    workers, contents = default_workers(), hashlib.sha256()
    with closing(ordered_map(read, records, workers=workers, look_ahead=workers)) as pictures:
        for picture in pictures:
            if picture.reason is None:
                contents.update(_line(picture))
    return contents.hexdigest()


def _line(picture: EmbeddedPicture) -> bytes:
    return f"{picture.id}\n{picture.sha256}\n".encode()


def _check_records(records: list[PictureRecord]) -> None:
    if not records:
        raise InputError("no picture to embed: give at least one")
    seen = set()
    for record in records:
        if record.id in seen:
            raise InputError(f"two pictures have the id {record.id!r}: ids must be different")
        seen.add(record.id)
        try:
            f"{record.id}{record.group}".encode()
        except UnicodeEncodeError as error:
            raise InputError(f"the id or group of {record.id!r} cannot be written as UTF-8: rename it") from error


@dataclass(frozen=True)
class _Job:
    out: Path
    old: Path | None
    encoder: Encoder
    identity: str
    settings: EmbedSettings
    batch_size: int
    workers: int

    def run(self, records: list[PictureRecord], shard_size: int, progress: Progress | None) -> list[Shard]:
        """Bring every shard about, kept or new."""

        def tell(before: int, done: int) -> None:
            if progress is not None:
                progress(before + done, len(records))

        shards = []
        for number, start in enumerate(range(0, len(records), shard_size)):
            part = records[start : start + shard_size]
            shard = self.kept(self.out, number, part)
            if shard is None:
                drop_index(self.out)
                shard = self.taken(number, part)
            if shard is None:
                shard = self.embed(number, part, partial(tell, start))
            else:
                tell(start, len(part))
            shards.append(shard)
        return shards

    def taken(self, number: int, records: list[PictureRecord]) -> Shard | None:
        """Take over a shard of the old folder, as `kept`."""
        shard = self.kept(self.old, number, records) if self.old else None
        if self.old and shard:
            copy_files(self.old, self.out, shard_names(number))
        return shard

    def kept(self, folder: Path, number: int, records: list[PictureRecord]) -> Shard | None:
        """Give back a shard of an earlier run, if it is whole and its pictures have not changed."""
        array_name, list_name = shard_names(number)
        shard = read_shard(folder / list_name)
        if shard is None or (shard.encoder, shard.settings) != (self.identity, self.settings.content_hash()):
            return None
        if [(p.id, p.group) for p in shard.pictures] != [(r.id, r.group) for r in records]:
            return None
        try:
            if (folder / list_name).read_bytes() != json_bytes(shard):
                return None
            if sha256_of_file(folder / array_name) != shard.array_sha256:
                return None
        except OSError:
            return None
        with closing(ordered_map(_fingerprint, records, workers=self.workers, look_ahead=self.workers)) as prints:
            same = all(found == p.sha256 for found, p in zip(prints, shard.pictures, strict=True))
        return shard if same else None

    def embed(self, number: int, records: list[PictureRecord], tell: Callable[[int], None]) -> Shard:
        """Embed one shard and write it: the array first, then the list that makes it whole."""
        pictures: list[EmbeddedPicture] = []
        features: list[NDArray[np.float32]] = [np.empty((0, self.encoder.card.dim), np.float32)]
        for batch, listed in self._batches(records):
            if batch:
                features.append(encode_pictures(batch, self.encoder))
            pictures += listed
            tell(len(pictures))
        buffer = io.BytesIO()
        np.save(buffer, np.concatenate(features).astype(self.settings.dtype), allow_pickle=False)
        data = buffer.getvalue()
        shard = Shard(
            encoder=self.identity,
            settings=self.settings.content_hash(),
            array_sha256=hashlib.sha256(data).hexdigest(),
            pictures=tuple(pictures),
        )
        array_name, list_name = shard_names(number)
        (self.out / list_name).unlink(missing_ok=True)  # never a list beside an array that it does not describe
        write_file(self.out / array_name, data)
        write_file(self.out / list_name, json_bytes(shard))
        return shard

    def _batches(self, records: list[PictureRecord]) -> Iterator[tuple[list[NDArray[np.uint8]], list[EmbeddedPicture]]]:
        """Yield decoded pictures, with the list of those read since the last batch, unreadable ones included."""

        def load(record: PictureRecord) -> tuple[EmbeddedPicture, NDArray[np.uint8] | None]:
            return _load(record, self.settings.shrink_to)

        batch: list[NDArray[np.uint8]] = []
        listed: list[EmbeddedPicture] = []
        with closing(ordered_map(load, records, workers=self.workers, look_ahead=self.batch_size)) as loaded:
            for picture, pixels in loaded:
                listed.append(picture)
                if pixels is not None:
                    batch.append(pixels)
                if len(batch) == self.batch_size or sum(p.nbytes for p in batch) > _BATCH_BYTES:
                    yield batch, listed
                    batch, listed = [], []
        if listed:
            yield batch, listed

    def index(self, shards: list[Shard], set_aside: Sequence[SetAside]) -> Index:
        """Sum up the shards; their files are described by what was written, not read again."""
        entries = []
        contents = hashlib.sha256()
        left_out = [LeftOut(id=item.id, reason=item.reason) for item in set_aside]
        for number, shard in enumerate(shards):
            array_name, list_name = shard_names(number)
            entries.append(
                ShardEntry(
                    array=array_name,
                    array_sha256=shard.array_sha256,
                    pictures=list_name,
                    pictures_sha256=hashlib.sha256(json_bytes(shard)).hexdigest(),
                    rows=shard.rows,
                )
            )
            for picture in shard.pictures:
                if picture.reason is None:
                    contents.update(_line(picture))
                else:
                    left_out.append(LeftOut(id=picture.id, reason=picture.reason))
        return Index(
            encoder_name=self.encoder.card.name,
            encoder=self.identity,
            settings=self.settings.content_hash(),
            dtype=self.settings.dtype,
            rows=sum(entry.rows for entry in entries),
            dim=self.encoder.card.dim,
            pictures_sha256=contents.hexdigest(),
            shards=tuple(entries),
            set_aside=tuple(left_out),
        )


def _settings(encoder: Encoder, dtype: Literal["float32", "float16"]) -> EmbedSettings:
    return EmbedSettings(dtype, _SHRINK_FACTOR * encoder.card.image_size)


def _load(record: PictureRecord, shrink_to: int) -> tuple[EmbeddedPicture, NDArray[np.uint8] | None]:
    """Read a picture's file once, for its hash and its pixels."""
    digest = None
    try:
        data = read_record(record)
        digest = hashlib.sha256(data).hexdigest()
        pixels = decode(data, shrink_to=shrink_to)
    except PictureError as error:
        return EmbeddedPicture(id=record.id, group=record.group, sha256=digest, reason=str(error)), None
    return EmbeddedPicture(id=record.id, group=record.group, sha256=digest), pixels


def _fingerprint(record: PictureRecord) -> str | None:
    try:
        return hashlib.sha256(read_record(record)).hexdigest()
    except PictureError:
        return None
