"""The units that rows of features make up: which rows, how much each counts, which are there twice."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import overload

import numpy as np
from numpy.typing import NDArray

from kpl.embeddings.layout import EmbeddedPicture, StoredUnit
from kpl.errors import FeaturesError
from kpl.images import Unit, near_looks
from kpl.images.tissue import as_geojson

Begin = Callable[[], Iterator[EmbeddedPicture]]
_DIGEST = 16  # bytes of a content's hash that tell it from any other


@dataclass(frozen=True)
class Units:
    """The units of a feature folder, whose rows stand one behind the other.

    Of pictures that stand for themselves a few bytes each are held; their names are read again when they are asked for.

    Attributes:
        listed: one a unit, in order.
        sizes: (units,) rows of each.
        plain: every picture stands for itself, as in folders without medical files or a manifest.
        single: so it is, and no unit says more than its picture does.
        sourced: some picture says from which medical file it comes.
    """

    listed: Sequence[StoredUnit]
    sizes: Sequence[int]
    plain: bool
    single: bool
    sourced: bool
    notes: tuple[tuple[str, int], ...]
    """Of pictures, what was found when they were read, with how many it was found of."""
    _contents: NDArray[np.bytes_]
    _begin: Begin

    @classmethod
    def of(cls, begin: Begin, stored: Sequence[StoredUnit] | None) -> Units:
        """Put the pictures of a folder together, which `begin` reads from the first.

        Raises:
            FeaturesError: the rows of a unit do not stand together, or the index lists other units.
        """
        names: list[int] = []  # hashes of this process: no names are held
        sizes, contents, noted, sourced = [], bytearray(), Counter[str](), False
        for name, own in groupby(begin(), key=_unit_of):
            pictures = list(own)
            names.append(hash(name))
            sizes.append(len(pictures))
            contents += _digest([picture.sha256 for picture in pictures])
            for picture in pictures:
                sourced = sourced or picture.source is not None
                if picture.note:
                    noted[picture.note] += 1
        held = np.array(names, np.int64)
        if stored is None:
            unlike = len(held) < sum(sizes)
        else:
            unlike = not np.array_equal(held, [hash(unit.id) for unit in stored])
        if unlike or (len(np.unique(held)) < len(held) and _repeats(begin)):
            raise FeaturesError("the units of these features are not those that their index lists: embed again")
        listed = _Singles(begin, len(held)) if stored is None else tuple(stored)
        plain = stored is None or all(unit.kind == "image" for unit in stored)
        kinds, notes = (plain, stored is None, sourced), tuple(noted.most_common())
        return cls(listed, tuple(sizes), *kinds, notes, np.frombuffer(contents, f"S{_DIGEST}"), begin)

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """Names of the units, (units,)."""
        return tuple(self.names())

    def names(self) -> Iterator[str]:
        """Yield the names of the units, holding none."""
        return (name for name, _ in groupby(map(_unit_of, self._begin())))

    @cached_property
    def of_rows(self) -> NDArray[np.intp]:
        """The unit of each row, (n,)."""
        return np.repeat(np.arange(len(self.sizes)), self.sizes)

    @cached_property
    def copies(self) -> tuple[tuple[int, ...], ...]:
        """Places of units that are the same byte for byte, each group in order."""
        known = np.flatnonzero(self._contents != b"")
        order = known[np.argsort(self._contents[known], kind="stable")]
        starts = np.flatnonzero(np.r_[True, self._contents[order[1:]] != self._contents[order[:-1]]])
        ends = np.r_[starts[1:], len(order)]
        groups = (order[a:b].tolist() for a, b in zip(starts, ends, strict=True) if b - a > 1)
        return tuple(sorted(map(tuple, groups)))

    @cached_property
    def near_copies(self) -> tuple[tuple[int, ...], ...]:
        """Places of pictures that look all but the same and are not the same byte for byte, each group in order."""
        same = {place: places[0] for places in self.copies for place in places[1:]}
        looks = (next(own).look for _, own in groupby(self._begin(), key=_unit_of))
        return tuple(map(tuple, near_looks(None if place in same else look for place, look in enumerate(looks))))

    def copies_across(self, values: Sequence[object]) -> tuple[tuple[int, ...], ...]:
        """Return the groups of copies, the same or all but the same, of which `values`, (units,), say several things.

        None says nothing.
        """
        return tuple(
            places
            for places in (*self.copies, *self.near_copies)
            if len({values[place] for place in places if values[place] is not None}) > 1
        )

    @cached_property
    def weights(self) -> NDArray[np.float64] | None:
        """How much each row counts in what is learnt, (n,), every distinct unit once; None where all do alike."""
        if not self.copies and len(self.sizes) == sum(self.sizes):
            return None
        times = np.ones(len(self.sizes))
        for places in self.copies:
            times[list(places)] = len(places)
        return np.asarray(1.0 / (times * self.sizes)[self.of_rows])


class _Singles(Sequence[StoredUnit]):
    """Pictures that stand for themselves, as units; each pass reads them anew, and asking for one keeps all."""

    def __init__(self, begin: Begin, count: int) -> None:
        self._begin, self._count = begin, count

    @cached_property
    def _all(self) -> tuple[StoredUnit, ...]:
        return tuple(self)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[StoredUnit]:
        return (StoredUnit(id=_unit_of(p), kind="image", patient=p.group) for p in self._begin())

    @overload
    def __getitem__(self, place: int) -> StoredUnit: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[StoredUnit, ...]: ...
    def __getitem__(self, place: int | slice) -> StoredUnit | tuple[StoredUnit, ...]:
        return self._all[place]


def _unit_of(picture: EmbeddedPicture) -> str:
    return picture.unit or picture.id


def _digest(contents: Sequence[str | None]) -> bytes:
    """Return what a unit holds as `_DIGEST` bytes; zeros where that is not known."""
    if None in contents:
        return bytes(_DIGEST)
    if len(contents) == 1:
        return bytes.fromhex(contents[0] or "")[:_DIGEST]
    return hashlib.sha256("\n".join(map(str, contents)).encode()).digest()[:_DIGEST]


def _repeats(begin: Begin) -> bool:
    names = [name for name, _ in groupby(map(_unit_of, begin()))]
    return len(set(names)) < len(names)


def stored_units(units: Sequence[Unit], pictures: Sequence[EmbeddedPicture]) -> tuple[StoredUnit, ...] | None:
    """Return what the index says of the units that have a row; None where every picture stands for itself."""
    told = {unit.id: unit for unit in units}
    if all(p.unit is None for p in pictures) and all(map(_is_picture, units)):
        return None
    named = dict.fromkeys(picture.unit or picture.id for picture in pictures)
    groups = {picture.unit or picture.id: picture.group for picture in pictures}
    return tuple(_stored(name, told.get(name), groups[name]) for name in named)


def _is_picture(unit: Unit) -> bool:
    return unit == Unit.of(unit.instances[0])


def _stored(name: str, unit: Unit | None, group: str | None) -> StoredUnit:
    if unit is None:
        return StoredUnit(id=name, kind="series", patient=group)
    return StoredUnit(
        id=name,
        kind=unit.kind,
        patient=unit.patient,
        study=unit.study,
        series=unit.series,
        notes=unit.notes,
        reading=unit.reading,
        tissue=as_geojson(unit.tissue) if unit.tissue else None,
    )
