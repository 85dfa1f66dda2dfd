"""The units that rows of features make up: which rows, how much each counts, which are there twice."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from kpl.embeddings.layout import EmbeddedPicture, StoredUnit
from kpl.errors import FeaturesError
from kpl.images import Unit, near_looks
from kpl.images.tissue import as_geojson


@dataclass(frozen=True)
class Units:
    """The units of a feature folder, whose rows stand one behind the other.

    Attributes:
        listed: one a unit, in order.
        sizes: (units,) rows of each.
        plain: every picture stands for itself, as in folders without medical files or a manifest.
    """

    listed: tuple[StoredUnit, ...]
    sizes: tuple[int, ...]
    plain: bool
    notes: tuple[tuple[str, int], ...] = ()
    """Of pictures, what was found when they were read, with how many it was found of."""
    _contents: tuple[tuple[str | None, ...], ...] = field(default=(), repr=False)
    _looks: tuple[str | None, ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, pictures: Sequence[EmbeddedPicture], stored: Sequence[StoredUnit] | None) -> Units:
        """Put the pictures of a folder together.

        Raises:
            FeaturesError: the rows of a unit do not stand together, or the index lists other units.
        """
        names: list[str] = []
        contents: list[list[str | None]] = []
        for picture in pictures:
            name = picture.unit or picture.id
            if not names or names[-1] != name:
                names.append(name)
                contents.append([])
            contents[-1].append(picture.sha256)
        if stored is None:
            stored = [StoredUnit(id=p.unit or p.id, kind="image", patient=p.group) for p in pictures]
        if [unit.id for unit in stored] != names or len(set(names)) < len(names):
            raise FeaturesError("the units of these features are not those that their index lists: embed again")
        plain = all(unit.kind == "image" for unit in stored)
        noted = Counter(picture.note for picture in pictures if picture.note)
        looks = [next(own).look for _, own in groupby(pictures, key=lambda picture: picture.unit or picture.id)]
        counted = tuple(map(tuple, contents))
        return cls(tuple(stored), tuple(map(len, contents)), plain, tuple(noted.most_common()), counted, tuple(looks))

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """Names of the units, (units,)."""
        return tuple(unit.id for unit in self.listed)

    @cached_property
    def of_rows(self) -> NDArray[np.intp]:
        """The unit of each row, (n,)."""
        return np.repeat(np.arange(len(self.sizes)), self.sizes)

    @cached_property
    def copies(self) -> tuple[tuple[int, ...], ...]:
        """Places of units that are the same byte for byte, each group in order."""
        alike = defaultdict(list)
        for place, content in enumerate(self._contents):
            if None not in content:
                alike[content].append(place)
        return tuple(tuple(places) for places in alike.values() if len(places) > 1)

    @cached_property
    def near_copies(self) -> tuple[tuple[int, ...], ...]:
        """Places of pictures that look all but the same and are not the same byte for byte, each group in order."""
        same = {place: places[0] for places in self.copies for place in places[1:]}
        looks = [None if place in same else look for place, look in enumerate(self._looks)]
        return tuple(map(tuple, near_looks(looks)))

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
        if not self.copies and len(self.sizes) == len(self.of_rows):
            return None
        times = np.ones(len(self.sizes))
        for places in self.copies:
            times[list(places)] = len(places)
        return np.asarray(1.0 / (times * self.sizes)[self.of_rows])


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
