"""Pictures become shards of features: decoded ahead in threads, encoded in batches, or kept where they are known."""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kpl.embeddings.encoding import EmbedSettings, encode_pictures
from kpl.embeddings.files import sha256_of_file
from kpl.embeddings.layout import EmbeddedPicture, Index, LeftOut, Shard, ShardEntry, json_bytes, shard_names
from kpl.embeddings.rows import map_array
from kpl.embeddings.target import copy_files, drop_index, read_shard
from kpl.embeddings.units import stored_units
from kpl.encoders.protocol import Encoder
from kpl.errors import FeaturesError, PictureError
from kpl.files import write_file
from kpl.images import Asked, Instance, SetAside, Unit, fingerprint, load_instance, look_of, ordered_map
from kpl.progress import Counted

__all__ = ["Shards", "picture_line"]

_OF_CONTENT = ("sha256", "reason", "note", "look")
_BATCH_BYTES = 256 << 20  # of decoded pictures: a few oddly long pictures must not fill the memory


@dataclass(frozen=True)
class Shards:
    """The shards of one job, made of the pictures or kept from earlier; fields as the arguments of `embed_pictures`."""

    out: Path
    old: Path | None
    encoder: Encoder
    identity: str
    settings: EmbedSettings
    batch_size: int
    workers: int
    sources: Mapping[str, tuple[str, str | None]]
    reused: Counter[int] = field(default_factory=Counter)
    """By shard the rows that were there already."""

    def run(self, records: list[Instance], shard_size: int, progress: Counted | None) -> list[Shard]:
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
                self.reused[number] = shard.rows
                tell(start, len(part))
            shards.append(shard)
        return shards

    def taken(self, number: int, records: list[Instance]) -> Shard | None:
        """Take over a shard of the old folder, as `kept`."""
        shard = self.kept(self.old, number, records) if self.old else None
        if self.old and shard:
            copy_files(self.old, self.out, shard_names(number))
            self.reused[number] = shard.rows
        return shard

    def kept(self, folder: Path, number: int, records: list[Instance]) -> Shard | None:
        """Give back a shard of an earlier run, if it is whole and its pictures have not changed."""
        array_name, list_name = shard_names(number)
        shard = read_shard(folder / list_name)
        if shard is None or (shard.encoder, shard.settings) != (self.identity, self.settings.content_hash()):
            return None
        if [p.model_copy(update=dict.fromkeys(_OF_CONTENT)) for p in shard.pictures] != [
            self.listed(record, None) for record in records
        ]:
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

    def listed(
        self,
        record: Instance,
        sha256: str | None,
        reason: str | None = None,
        note: str | None = None,
        look: str | None = None,
    ) -> EmbeddedPicture:
        """List a picture as its shard does."""
        return EmbeddedPicture(
            id=record.id,
            unit=None if record.unit == record.id else record.unit,
            group=record.group,
            frame=record.frame,
            place=record.place,
            source=self.sources.get(record.id),
            sha256=sha256,
            reason=reason,
            note=note,
            look=look if record.unit == record.id else None,
        )

    @cached_property
    def known(self) -> dict[str, tuple[EmbeddedPicture, NDArray[np.floating]]]:
        """What the old folder has of a content: its picture, and its row (d,), which stays on the disk."""
        found: dict[str, tuple[EmbeddedPicture, NDArray[np.floating]]] = {}
        for path in sorted(self.old.glob("images-*.json")) if self.old else ():
            shard = read_shard(path)
            array = path.with_suffix(".npy")
            if shard is None or (shard.encoder, shard.settings) != (self.identity, self.settings.content_hash()):
                continue
            with suppress(OSError, FeaturesError):
                if sha256_of_file(array) == shard.array_sha256 and path.read_bytes() == json_bytes(shard):
                    there = [picture for picture in shard.pictures if picture.reason is None]
                    rows = zip(there, map_array(array), strict=True)
                    found |= {picture.sha256: (picture, row) for picture, row in rows if picture.sha256}
        return found

    def embed(self, number: int, records: list[Instance], tell: Callable[[int], None]) -> Shard:
        """Embed one shard and write it: the array first, then the list that makes it whole."""
        pictures: list[EmbeddedPicture] = []
        features: list[NDArray[np.floating]] = [np.empty((0, self.encoder.card.dim), np.float32)]
        for batch, listed in self._batches(records):
            fresh = [pixels for pixels in batch if pixels.ndim == 3]
            rows = iter(encode_pictures(fresh, self.encoder)) if fresh else iter(())
            features += [(next(rows) if each.ndim == 3 else each)[None] for each in batch]
            self.reused[number] += len(batch) - len(fresh)
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

    def _batches(self, records: list[Instance]) -> Iterator[tuple[list[NDArray[Any]], list[EmbeddedPicture]]]:
        """Yield decoded pictures, or the known row of one, with the list of those read since, unreadable ones too."""

        def load(record: Instance) -> tuple[EmbeddedPicture, NDArray[Any] | None]:
            if self.known and (there := self.known.get(_fingerprint(record) or "")):
                old, row = there
                return self.listed(record, old.sha256, None, old.note, old.look), row
            sha256, pixels, note = load_instance(record, shrink_to=self.settings.shrink_to)
            if isinstance(pixels, PictureError):
                return self.listed(record, sha256, str(pixels)), None
            return self.listed(record, sha256, None, note, look_of(pixels)), pixels

        batch: list[NDArray[Any]] = []
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

    def index(
        self, shards: list[Shard], set_aside: Sequence[SetAside], units: Sequence[Unit], asked: Asked | None = None
    ) -> Index:
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
                    contents.update(picture_line(picture.id, picture.unit, picture.sha256))
                else:
                    left_out.append(LeftOut(id=picture.id, reason=picture.reason))
        stored = stored_units(units, [p for shard in shards for p in shard.pictures if p.reason is None])
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
            units=stored,
            asked=(asked.told() or None) if asked and stored else None,
        )


def picture_line(name: str, unit: str | None, sha256: str | None) -> bytes:
    """Return what a picture adds to the hash over all pictures."""
    return "".join(f"{part}\n" for part in (name, unit if unit != name else None, sha256) if part).encode()


def _fingerprint(record: Instance) -> str | None:
    try:
        return fingerprint(record)
    except PictureError:
        return None
