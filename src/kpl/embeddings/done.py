"""What is known of a finished shard without reading it: the index is made of it, and a later run trusts it.

.NAME.seen    beside a feature folder NAME: one `Done` for each of its shards, with sizes and times of change of the
              pictures when they were read. Without it, or where one differs, contents are compared instead
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from kpl.embeddings.layout import (
    Index,
    LeftOut,
    Shard,
    ShardEntry,
    Stored,
    StoredUnit,
    json_bytes,
    read_model,
    shard_names,
)
from kpl.embeddings.lots import Lot
from kpl.embeddings.units import stored_units
from kpl.errors import FeaturesError, InputError
from kpl.files import write_file
from kpl.images import Instance
from kpl.images.tars import Member

_MODULUS = 1 << 256
_SECOND = 10**9
_LISTED = 5  # shards that an error names


class Done(Stored):
    """A finished shard."""

    number: int
    plan: str
    """Of all pictures, as `Header.plan`."""
    planned: str
    """Hash of all that decides this shard but the contents of its pictures."""
    array_sha256: str
    pictures_sha256: str
    rows: int
    contents: str
    """What it adds to `Index.pictures_sha256`."""
    set_aside: tuple[LeftOut, ...] = ()
    units: tuple[StoredUnit, ...] | None = None
    seen: str | None = None
    """Hash of sizes and times of its pictures; None where they cannot be trusted."""
    files: tuple[int, ...] = ()
    """Sizes and times of its own two files."""

    @classmethod
    def of(cls, lot: Lot, plan: str, planned: str, shard: Shard, seen: str | None, files: tuple[int, ...]) -> Done:
        """Sum up a shard that was made of a lot."""
        good = [picture for picture in shard.pictures if picture.reason is None]
        places = enumerate(shard.pictures, start=lot.start)
        return cls(
            number=lot.number,
            plan=plan,
            planned=planned,
            array_sha256=shard.array_sha256,
            pictures_sha256=hashlib.sha256(json_bytes(shard)).hexdigest(),
            rows=len(good),
            contents=total_contents((place, p.id, p.unit, p.sha256) for place, p in places if p.reason is None),
            set_aside=tuple(LeftOut(id=p.id, reason=p.reason) for p in shard.pictures if p.reason is not None),
            units=stored_units(lot.units, good),
            seen=seen,
            files=files,
        )


class Header(Stored):
    """What all shards of a feature folder have in common."""

    kpl_parts: Literal[1] = 1
    plan: str
    encoder_name: str
    encoder: str
    settings: str
    dtype: Literal["float32", "float16"]
    dim: int
    shards: int
    pictures: int
    set_aside: tuple[LeftOut, ...] = ()
    asked: dict[str, Any] | None = None
    overwrite: bool = False
    parts: int = 1
    """How many parts whoever began it made of it; any other number will do."""
    replaces: str | None = None
    """SHA-256 of the index of the features that were there when it was begun."""

    def part_of(self, number: int) -> str:
        """Name the part that makes a shard, as it is typed."""
        return f"--part {number % self.parts}/{self.parts}"

    def checked(
        self,
        receipts: Iterable[Done | None],
        out: object,
        is_whole: Callable[[Done], bool],
        tell: Callable[[int, int], None],
    ) -> list[Done]:
        """Return what is done, in order, if that is everything.

        Args:
            receipts: of each shard, by number; None where there is none that can be read.
            out: what is made, for messages.
            is_whole: whether a shard's files are as they were written.
            tell: called after each, with how many there are.

        Raises:
            FeaturesError: a shard is missing, or not as it was written.
        """
        found, missing = [], []
        for number, done in enumerate(receipts):
            if done is None or (done.number, done.plan) != (number, self.plan):
                missing.append(number)
            elif not is_whole(done):
                raise FeaturesError(
                    f"shard {number} of {str(out)!r} is not as it was written: run {self.part_of(number)} again"
                )
            else:
                found.append(done)
            tell(number + 1, self.shards)
        if missing:
            raise FeaturesError(self._told_missing(out, missing))
        return found

    def _told_missing(self, out: object, missing: Sequence[int]) -> str:
        """Say in a sentence which shards of `out` are not there, and what makes them."""
        named = ", ".join(map(str, missing[:_LISTED])) + (", ..." if len(missing) > _LISTED else "")
        again = ", ".join(dict.fromkeys(map(self.part_of, missing[:_LISTED])))
        return (
            f"{len(missing)} of {self.shards} shards of {str(out)!r} are not there yet ({named}): run {again} again, "
            "then join"
        )


class Seen(Stored):
    """What was seen of all shards of a feature folder."""

    kpl_seen: Literal[1] = 1
    shards: tuple[Done, ...]


def total_contents(pictures: Iterable[tuple[int, str, str | None, str | None]]) -> str:
    """Hash pictures as a sum, which can be taken in parts and in any order.

    Args:
        pictures: place among all, id, unit and SHA-256 of the content.

    Example:
        >>> a, b = (0, "a.png", None, "00"), (1, "b.png", None, "11")
        >>> whole = total_contents([a, b])
        >>> whole == f"{int(total_contents([b]), 16) + int(total_contents([a]), 16):064x}"[-64:]
        True
    """
    total = 0
    for place, name, unit, sha256 in pictures:
        line = "".join(
            f"{part}\n" for part in (place, name, unit if unit != name else None, sha256) if part is not None
        )
        total += int.from_bytes(hashlib.sha256(line.encode()).digest())
    return f"{total % _MODULUS:064x}"


def index_of(header: Header, shards: Sequence[Done], folder: Path) -> Index:
    """Sum up the shards, which lie in `folder`; no array is read.

    Raises:
        InputError: not one picture could be read.
    """
    entries, left_out, contents = [], list(header.set_aside), 0
    for done in shards:
        array_name, list_name = shard_names(done.number)
        entries.append(
            ShardEntry(
                array=array_name,
                array_sha256=done.array_sha256,
                pictures=list_name,
                pictures_sha256=done.pictures_sha256,
                rows=done.rows,
            )
        )
        left_out += done.set_aside
        contents += int(done.contents, 16)
    rows = sum(entry.rows for entry in entries)
    if rows == 0:
        first = left_out[len(header.set_aside)].reason
        raise InputError(f"not one of {header.pictures} pictures can be read; the first: {first}")
    units = _all_units(shards, folder)
    return Index(
        encoder_name=header.encoder_name,
        encoder=header.encoder,
        settings=header.settings,
        dtype=header.dtype,
        rows=rows,
        dim=header.dim,
        pictures_sha256=f"{contents % _MODULUS:064x}",
        shards=tuple(entries),
        set_aside=tuple(left_out),
        units=units,
        asked=header.asked if units else None,
    )


def _all_units(shards: Sequence[Done], folder: Path) -> tuple[StoredUnit, ...] | None:
    """Put the units of all shards together, one that goes on into the next shard once; None where there are none."""
    if all(done.units is None for done in shards):
        return None
    found: dict[str, StoredUnit] = {}
    for done in shards:
        units = done.units
        if units is None:  # pictures that stand for themselves, among units elsewhere
            pictures = read_model(Shard, folder / shard_names(done.number)[1]).pictures
            units = tuple(StoredUnit(id=p.id, kind="image", patient=p.group) for p in pictures if p.reason is None)
        for unit in units:
            found.setdefault(unit.id, unit)
    return tuple(found.values())


def pictures_seen(records: Sequence[Instance]) -> str | None:
    """Hash sizes and times of change of pictures; None where one is not there, in memory, or changed just now."""
    whole, newest, before = hashlib.sha256(), 0, None
    for record in records:
        if record.data is not None and not isinstance(record.data, Member):
            return None
        path = record.path if record.data is None else record.data.path
        if path == before:
            continue
        before = path
        try:
            stat = path.stat()
        except OSError:
            return None
        changed = max(stat.st_mtime_ns, stat.st_ctime_ns)
        # A clock of whole seconds would not show a second change in the same one.
        newest = max(newest, changed + 2 * _SECOND if changed % _SECOND == 0 else changed + _SECOND // 20)
        whole.update(f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns}\n".encode())
    return whole.hexdigest() if newest < time.time_ns() else None


def files_seen(folder: Path, number: int) -> tuple[int, ...]:
    """Return sizes and times of change of the two files of a shard; nothing where one is missing."""
    try:
        stats = [(folder / name).stat() for name in shard_names(number)]
    except OSError:
        return ()
    return tuple(value for stat in stats for value in (stat.st_size, stat.st_mtime_ns))


def _beside(folder: Path) -> Path:
    place = folder.resolve()
    return place.with_name(f".{place.name}.seen")


def read_seen(folder: Path) -> dict[int, Done]:
    """Return what was seen of the shards of a feature folder, by their numbers; nothing where that is not known."""
    try:
        return {done.number: done for done in read_model(Seen, _beside(folder)).shards}
    except FeaturesError:
        return {}


def write_seen(folder: Path, shards: Iterable[Done]) -> None:
    """Keep what was seen of the shards of a feature folder."""
    write_file(_beside(folder), json_bytes(Seen(shards=tuple(shards))))
