"""Pictures in lots, one a shard of features: what is worked on at a time, by whichever process."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from kpl.errors import InputError
from kpl.images import Asked, Instance, SetAside, Unit


@dataclass(frozen=True)
class Lot:
    """The pictures of one shard.

    Attributes:
        number: of the shard.
        start: place of its first picture among all.
        records: the pictures; those of a unit one behind the other, perhaps on into the next lot.
        units: what they make up; a picture that stands for itself need not be there.
        sources: pseudonyms of what an instance comes from, by its id.
        left_out: pictures that are not to be read, by their ids, and why.
    """

    number: int
    start: int
    records: Sequence[Instance]
    units: Sequence[Unit] = ()
    sources: Mapping[str, tuple[str, str | None]] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)


class Lots(Protocol):
    """All pictures of a feature folder, lot by lot, the same ones in every process."""

    @property
    def count(self) -> int:
        """Lots."""

    @property
    def total(self) -> int:
        """Pictures."""

    @property
    def set_aside(self) -> Sequence[SetAside]:
        """Files that were set aside before."""

    @property
    def asked(self) -> dict[str, Any] | None:
        """What was asked of the readers, where that is not as usual."""

    @property
    def notes(self) -> Sequence[str]:
        """What the user should know of how the pictures were found."""

    @property
    def key(self) -> str:
        """A hash of what is planned, with the size of a lot."""

    def lots(self, numbers: Iterable[int]) -> Iterator[Lot]:
        """Yield these lots; numbers rise."""

    def size_of(self, number: int) -> int:
        """Count the pictures of a lot."""

    def ids(self) -> Iterator[str]:
        """Yield the ids of all pictures."""


@dataclass(frozen=True)
class Listed:
    """Pictures that were all found before, cut into lots of `size`."""

    records: Sequence[Instance]
    size: int
    units: Sequence[Unit] = ()
    set_aside: Sequence[SetAside] = ()
    of_readers: Asked | None = None
    notes: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Refuse pictures that cannot be told apart, with an `InputError`."""
        if not self.records:
            raise InputError("no picture to embed: give at least one")
        if self.size < 1:
            raise InputError(f"--shard-size must be at least 1, got {self.size}")
        seen = set()
        for record in self.records:
            if record.id in seen:
                raise InputError(f"two pictures have the id {record.id!r}: ids must be different")
            seen.add(record.id)
            try:
                f"{record.id}{record.group}".encode()
            except UnicodeEncodeError as error:
                raise InputError(f"the id or group of {record.id!r} cannot be written as UTF-8: rename it") from error

    @property
    def count(self) -> int:
        """Lots."""
        return -(-len(self.records) // self.size)

    @property
    def total(self) -> int:
        """Pictures."""
        return len(self.records)

    @property
    def asked(self) -> dict[str, Any] | None:
        """What was asked of the readers."""
        return (self.of_readers.told() or None) if self.of_readers else None

    @cached_property
    def key(self) -> str:
        """A hash of what is planned."""
        whole = hashlib.sha256(f"{self.size} {self.asked}\n".encode())
        for record in self.records:
            whole.update(planned_line(record, self._sources.get(record.id)))
        for item in self.set_aside:
            whole.update(repr((item.id, item.reason)).encode())
        return whole.hexdigest()

    def lots(self, numbers: Iterable[int]) -> Iterator[Lot]:
        """Yield these lots."""
        for number in numbers:
            start = number * self.size
            records = self.records[start : start + self.size]
            units = [self._units[name] for name in dict.fromkeys(r.unit for r in records) if name in self._units]
            yield Lot(number, start, records, units, self._sources)

    def size_of(self, number: int) -> int:
        """Count the pictures of a lot."""
        return min(self.size, len(self.records) - number * self.size)

    def ids(self) -> Iterator[str]:
        """Yield the ids of all pictures."""
        return (record.id for record in self.records)

    @cached_property
    def _units(self) -> dict[str, Unit]:
        return {unit.id: unit for unit in self.units}

    @cached_property
    def _sources(self) -> dict[str, tuple[str, str | None]]:
        return {i.id: source for unit in self.units for i, source in zip(unit.instances, unit.sources, strict=False)}


def planned_line(record: Instance, source: tuple[str, str | None] | None) -> bytes:
    """Return what a picture adds to the hash of a plan: everything of it that is known before it is read, but where."""
    told = (record.id, record.unit, record.group, record.frame, record.place, source, record.reading)
    return repr(told).encode("utf-8", "surrogatepass")
