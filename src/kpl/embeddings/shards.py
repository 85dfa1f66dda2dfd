"""Pictures become shards of features: decoded ahead in threads, encoded in batches, or kept where they are known."""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kpl.embeddings.done import Done, files_seen, pictures_seen, read_seen
from kpl.embeddings.encoding import EmbedSettings, encode_pictures
from kpl.embeddings.files import sha256_of_file
from kpl.embeddings.layout import EmbeddedPicture, Shard, json_bytes, read_model, shard_names
from kpl.embeddings.lots import Lot, planned_line
from kpl.embeddings.rows import map_array
from kpl.embeddings.target import copy_files, drop_index, read_shard
from kpl.encoders.protocol import Encoder
from kpl.errors import FeaturesError, PictureError
from kpl.files import write_file
from kpl.images import Instance, fingerprint, load_instance, look_of, ordered_map
from kpl.progress import silent

_OF_CONTENT = ("sha256", "reason", "note", "look")
_BATCH_BYTES = 256 << 20  # of decoded pictures: a few oddly long pictures must not fill the memory


@dataclass(frozen=True)
class Shards:
    """Makes shards of one job, of the pictures or of what is kept from earlier.

    Attributes:
        out: the folder that they are made in.
        old: a folder of features that are taken over.
        encoder, batch_size, workers: as for `embed_pictures`; the encoder's `identity` and its `settings`.
        plan: what the pictures of all shards are, see `Header.plan`.
        receipts: a folder where what is done is noted down, for a later run or for who joins the parts.
        verify: compare contents, whatever sizes and times of change say.
        shared: other processes may write the same shards at the same time.
    """

    out: Path
    old: Path | None
    encoder: Encoder
    identity: str
    settings: EmbedSettings
    batch_size: int
    workers: int
    plan: str = ""
    receipts: Path | None = None
    verify: bool = False
    shared: bool = False
    reused: Counter[int] = field(default_factory=Counter)
    """By shard the rows that were there already."""
    of_old: dict[int, Done] = field(default_factory=dict)
    """Shards of the old folder that are known to be as they would be made now."""

    def make(self, lot: Lot, tell: Callable[[int], None] = silent) -> Done:
        """Bring one shard about, kept or new; told how many of its pictures are done."""
        planned = self.planned(lot)
        done = self.kept(self.out, lot, planned, self._receipt(lot.number))
        if done is None:
            drop_index(self.out)
            done = self.taken(lot, planned)
        if done is None:
            seen = pictures_seen(lot.records)
            shard = self.embed(lot, tell)
            done = Done.of(lot, self.plan, planned, shard, seen, files_seen(self.out, lot.number))
        else:
            self.reused[lot.number] = done.rows
            tell(len(lot.records))
        if self.receipts is not None:
            write_file(self.receipts / receipt_name(lot.number), json_bytes(done), shared=self.shared)
        return done

    def planned(self, lot: Lot) -> str:
        """Hash all that decides a shard but the contents of its pictures."""
        whole = hashlib.sha256(f"{self.identity} {self.settings.content_hash()} {lot.start}\n".encode())
        for record in lot.records:
            whole.update(planned_line(record, lot.sources.get(record.id)))
        for item in lot.left_out.items():
            whole.update(repr(item).encode())
        return whole.hexdigest()

    def _receipt(self, number: int) -> Done | None:
        if self.receipts is None:
            return None
        try:
            return read_model(Done, self.receipts / receipt_name(number))
        except FeaturesError:
            return None

    @cached_property
    def _seen(self) -> dict[int, Done]:
        return read_seen(self.old) if self.old else {}

    def taken(self, lot: Lot, planned: str) -> Done | None:
        """Take over a shard of the old folder, as `kept`."""
        if self.old is None:
            return None
        done = self.of_old.get(lot.number) or self.kept(self.old, lot, planned, self._seen.get(lot.number))
        if done:
            copy_files(self.old, self.out, shard_names(lot.number))
        return done

    def untouched(self, lots: Iterable[Lot]) -> list[Done] | None:
        """Return what is done in the old folder of these lots, if nothing is to be made of any."""
        found = []
        for lot in lots if self.old else ():
            done = self.kept(self.old, lot, self.planned(lot), self._seen.get(lot.number)) if self.old else None
            if done is None:
                return None
            self.of_old[lot.number] = done
            found.append(done)
        return found

    def kept(self, folder: Path, lot: Lot, planned: str, before: Done | None) -> Done | None:
        """Give back what is done of a shard that is there, if it is whole and its pictures have not changed.

        That is so where everything has the sizes and times of `before`; else contents are compared.
        """
        seen = pictures_seen(lot.records)
        files = files_seen(folder, lot.number)
        known = before is not None and seen is not None and not self.verify
        if before is not None and known and (before.planned, before.files, before.seen) == (planned, files, seen):
            return before.model_copy(update={"plan": self.plan})
        shard = self._whole(folder, lot) if files else None
        return None if shard is None else Done.of(lot, self.plan, planned, shard, seen, files)

    def _whole(self, folder: Path, lot: Lot) -> Shard | None:
        """Read a shard, if its files and its pictures hold what it says."""
        array_name, list_name = shard_names(lot.number)
        shard = read_shard(folder / list_name)
        if shard is None or (shard.encoder, shard.settings) != (self.identity, self.settings.content_hash()):
            return None
        if [p.model_copy(update=dict.fromkeys(_OF_CONTENT)) for p in shard.pictures] != [
            self.listed(lot, record, None) for record in lot.records
        ]:
            return None
        try:
            if (folder / list_name).read_bytes() != json_bytes(shard):
                return None
            if sha256_of_file(folder / array_name) != shard.array_sha256:
                return None
        except OSError:
            return None
        with closing(ordered_map(_fingerprint, lot.records, workers=self.workers, look_ahead=self.workers)) as prints:
            same = all(
                found == p.sha256 if p.id not in lot.left_out else p.reason == lot.left_out[p.id]
                for found, p in zip(prints, shard.pictures, strict=True)
            )
        return shard if same else None

    def listed(
        self,
        lot: Lot,
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
            source=lot.sources.get(record.id),
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

    def embed(self, lot: Lot, tell: Callable[[int], None]) -> Shard:
        """Embed one shard and write it: the array first, then the list that makes it whole."""
        pictures: list[EmbeddedPicture] = []
        features: list[NDArray[np.floating]] = [np.empty((0, self.encoder.card.dim), np.float32)]
        for rows, listed in self.rows(lot):
            features += rows
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
        array_name, list_name = shard_names(lot.number)
        if self.receipts is None:  # with a receipt, what is not noted down counts as not there
            (self.out / list_name).unlink(missing_ok=True)  # never a list beside an array that it does not describe
        write_file(self.out / array_name, data, shared=self.shared)
        write_file(self.out / list_name, json_bytes(shard), shared=self.shared)
        return shard

    def rows(self, lot: Lot) -> Iterator[tuple[list[NDArray[np.floating]], list[EmbeddedPicture]]]:
        """Yield features (1, d), batch by batch, with the list of pictures read since; nothing is written."""
        for batch, listed in self._batches(lot):
            fresh = [pixels for pixels in batch if pixels.ndim == 3]
            rows = iter(encode_pictures(fresh, self.encoder)) if fresh else iter(())
            self.reused[lot.number] += len(batch) - len(fresh)
            yield [(next(rows) if each.ndim == 3 else each)[None] for each in batch], listed

    def _batches(self, lot: Lot) -> Iterator[tuple[list[NDArray[Any]], list[EmbeddedPicture]]]:
        """Yield decoded pictures, or the known row of one, with the list of those read since, unreadable ones too."""

        def load(record: Instance) -> tuple[EmbeddedPicture, NDArray[Any] | None]:
            if record.id in lot.left_out:
                return self.listed(lot, record, None, lot.left_out[record.id]), None
            if self.known and (there := self.known.get(_fingerprint(record) or "")):
                old, row = there
                return self.listed(lot, record, old.sha256, None, old.note, old.look), row
            sha256, pixels, note = load_instance(record, shrink_to=self.settings.shrink_to)
            if isinstance(pixels, PictureError):
                return self.listed(lot, record, sha256, str(pixels)), None
            return self.listed(lot, record, sha256, None, note, look_of(pixels)), pixels

        batch: list[NDArray[Any]] = []
        listed: list[EmbeddedPicture] = []
        with closing(ordered_map(load, lot.records, workers=self.workers, look_ahead=self.batch_size)) as loaded:
            for picture, pixels in loaded:
                listed.append(picture)
                if pixels is not None:
                    batch.append(pixels)
                if len(batch) == self.batch_size or sum(p.nbytes for p in batch) > _BATCH_BYTES:
                    yield batch, listed
                    batch, listed = [], []
        if listed:
            yield batch, listed


def receipt_name(number: int) -> str:
    """Name the file that says what is done of a shard."""
    return f"{number:05d}.json"


def _fingerprint(record: Instance) -> str | None:
    try:
        return fingerprint(record)
    except PictureError:
        return None
