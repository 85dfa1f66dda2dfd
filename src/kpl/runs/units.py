"""Units in a run: their instances' scores pooled, the instance that speaks loudest, and the tables that tell of them.

instances.csv   what is said of every instance, where units have several
tissue/         of slides where their tissue was found or outlined, GeoJSON in pixels of the finest level
units.csv       pseudonyms of patient, study, series, instances and paths of medical files (`kpl.images.pseudonyms`)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, pairwise
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kpl.embeddings import FeatureFolder
from kpl.embeddings.layout import StoredUnit
from kpl.embeddings.units import Units
from kpl.files import write_file
from kpl.images.pseudonyms import found_by_pseudonym, read_key
from kpl.methods import Method
from kpl.proxies.arrays import Floats, log_odds
from kpl.proxies.pooling import DEFAULT_POOL, Pool, centred, key_rows, whole_units
from kpl.runs.folder import TISSUE_FOLDER
from kpl.runs.tables import read_columns, write_csv
from kpl.tables import Identifiers

INSTANCES_FILE = "instances.csv"
UNITS_FILE = "units.csv"
_BESIDE = ("study", "series", "instance", "path")
_PLACE = ("x", "y", "level")  # of tiles, in pixels of the finest level
_SHOWN = 5  # tiles of a slide
_STRIP = 8  # frames of a clip
_NOTES = 8  # kinds of notes that are warned of


@dataclass(frozen=True)
class Pooling:
    """How what is said of the rows of features becomes what is said of units.

    Attributes:
        features: n rows of U units.
        pool: "mean", "max", "top-K" or "top-K%".
    """

    features: FeatureFolder
    pool: str = DEFAULT_POOL

    @property
    def plain(self) -> bool:
        """Whether every picture stands for itself."""
        return self.features.plain

    @property
    def other(self) -> str:
        """The pool whose answers are shown beside, where they differ."""
        return DEFAULT_POOL if self.pool == "mean" else "mean"

    @property
    def deciding(self) -> int:
        """How many instances are shown of those that decided: the K of top-K, at most five; five of a mean."""
        return min(Pool(self.pool).most(100 * _SHOWN), _SHOWN)

    @property
    def sizes(self) -> Sequence[int]:
        """Rows of each unit, (U,)."""
        return self.features.of_units.sizes

    @property
    def shards(self) -> list[int]:
        """Units whose first row lies in each of the shards, (shards,)."""
        first = np.cumsum([0, *self.sizes])[:-1]
        ends = np.cumsum([shard.rows for shard in self.features.index.shards])
        return list(map(int, np.bincount(np.searchsorted(ends, first, side="right"), minlength=len(ends))))

    def shown(self, place: int, key: int, chances: Floats) -> tuple[int, ...]:
        """Return which instances of a unit are shown, by their numbers in it.

        Args:
            place: of the unit.
            key: its instance that speaks loudest for its answer.
            chances: what each of its instances says of that answer, (size,), the more the louder.

        Returns:
            Of a slide the loudest tiles, the key one first; of all else in their order, see `strip`.
        """
        if self.features.of_units.listed[place].kind != "slide":
            return strip(self.features.of_units.listed[place].kind, key, len(chances))
        order = np.argsort(-chances, kind="stable")[: self.deciding].tolist()
        return (key, *(at for at in order if at != key))[: self.deciding]

    def places(self, unit: int) -> list[tuple[int, int]]:
        """Return the (x, y) of the tiles of a slide, in pixels of the finest level; of all else nothing."""
        first = sum(self.sizes[:unit])
        rows = islice(self.features.pictures(), first, first + self.sizes[unit])
        return [row.place[:2] for row in rows if row.place is not None]

    def pooled(self, blocks: Iterable[Floats], *, apart: bool = False, by: str | None = None) -> Iterator[Floats]:
        """Pool log probabilities (n_k, C) of rows to such of units; those of single pictures stay as they are.

        Args:
            blocks: each row up to a constant.
            apart: they are log odds of classes that do not exclude each other, and have no such constant.
            by: another pool than the own.
        """
        if self.plain:
            yield from blocks
            return
        pool = Pool(by or self.pool)
        for rows, sizes in whole_units(blocks, self.sizes):
            yield pool(rows if apart else centred(rows), sizes)

    def pooled_column(self, values: Floats) -> Floats:
        """Pool one number of each row (rows,), the more the better, to one of each unit, (n,)."""
        return np.concatenate(list(self.pooled([values[:, None]], apart=True)))[:, 0]

    def tell(self, path: Path, classes: Sequence[str], blocks: Iterable[Floats], winners: NDArray[np.intp]) -> Told:
        """Write `instances.csv` from log odds (n_k, C) of rows, and say which speak loudest for the winners."""
        from scipy.special import expit

        keys: list[int] = []
        shown: list[tuple[int, ...]] = []
        placed = any(unit.kind == "slide" for unit in self.features.of_units.listed)

        def rows() -> Iterator[list[str]]:
            first = unit = 0
            pictures = self.features.pictures()
            for block, sizes in whole_units(blocks, self.sizes):
                own = key_rows(block, sizes, winners[unit : unit + len(sizes)])
                keys.extend((own + first).tolist())
                ends = np.cumsum([0, *sizes])
                for at, (start, stop) in enumerate(pairwise(ends.tolist()), start=unit):
                    shown.append(self.shown(at, int(own[at - unit]) - start, block[start:stop, winners[at]]))
                for odds in block:
                    picture = next(pictures)
                    frame = "" if picture.frame is None else str(picture.frame)
                    place = [str(number) for number in picture.place or ("", "", "")] if placed else []
                    yield [picture.id, picture.unit or picture.id, frame, *place, *(f"{p:.6f}" for p in expit(odds))]
                first, unit = first + len(block), unit + len(sizes)

        write_csv(
            path / INSTANCES_FILE,
            ["instance", "unit", "frame", *(_PLACE if placed else ()), *(f"p_{key}" for key in classes)],
            rows(),
        )
        return Told(self.features, tuple(keys), tuple(shown))

    def facts(self) -> dict[str, Any]:
        """Return what `run.json` says of the units, where there are any, and of what was asked of the readers."""
        asked = {"asked": self.features.index.asked} if self.features.index.asked else {}
        if self.plain:
            return asked
        units = self.features.of_units
        told = [
            {"id": unit.id, "kind": unit.kind, "instances": size, "reading": unit.reading, "notes": list(unit.notes)}
            for unit, size in zip(units.listed, units.sizes, strict=True)
        ]
        return {"units": told, **asked}

    def warnings(self) -> list[str]:
        """Say which units are there twice, and what is to be known of how units were read."""
        units, found = self.features.of_units, []
        what = "pictures" if units.plain else "units"
        if units.copies:
            more, listed = _listed(units.ids, units.copies, " = ")
            found.append(
                f"{more} of {len(units.ids)} {what} are byte for byte the same as another ({listed}): each counts once "
                "in what is learnt"
            )
        if units.near_copies:
            more, listed = _listed(units.ids, units.near_copies, " ~ ")
            found.append(
                f"{more} of {len(units.ids)} {what} look all but the same as another ({listed}): each counts, so leave "
                "out what is there twice"
            )
        if units.copies or units.near_copies:
            patients = [unit.patient for unit in units.listed]
            found += _copies_told(units, patients, "patients", "look whose they are")
        found += [f"{count} of {self.features.n} pictures: {note}" for note, count in units.notes]
        notes = Counter[str](() if units.single else (note for unit in units.listed for note in unit.notes))
        found += [f"{count} of {len(units.ids)} units: {note}" for note, count in notes.most_common(_NOTES)]
        return found


def _copies_told(units: Units, values: Sequence[object], what: str, mend: str) -> list[str]:
    """Say in a sentence which copies, the same or all but the same, have different values; nothing where none has.

    Args:
        units: of a run.
        values: (units,) such as patients or labels; None says nothing.
        what: these are, in the plural.
        mend: what to do.
    """
    if not (across := units.copies_across(values)):
        return []
    _, listed = _listed(units.ids, across, " ~ ")
    there = "1 picture is" if len(across) == 1 else f"{len(across)} pictures are"
    return [f"{there} there under several {what} ({listed}): {mend}"]


def labelled_copies(
    units: Units,
    keys: Sequence[str],
    labels: NDArray[np.int64],
    groups: Sequence[str | None] | None,
    column: str | None,
) -> list[str]:
    """Say which pictures are there twice under different labels, or in different groups of the labels.

    Args:
        units: of a run.
        keys: of its classes.
        labels: (units,) places of classes, -1 for none.
        groups: (units,) that the labels name, in `column`.
    """
    named = [keys[label] if label >= 0 else None for label in labels.tolist()]
    found = _copies_told(units, named, "labels", "one of them is wrong")
    return found + (_copies_told(units, groups, f"values of {column}", "look whose they are") if groups else [])


def _listed(ids: Sequence[str], groups: Sequence[Sequence[int]], sign: str) -> tuple[int, str]:
    """Count what is there more than once, and name the first of it."""
    listed = "; ".join(sign.join(ids[place] for place in places[:3]) for places in groups[:3])
    return sum(len(places) - 1 for places in groups), listed + ("; ..." if len(groups) > 3 else "")


@dataclass(frozen=True)
class Told:
    """What a table of predictions says of units beside the answers.

    Attributes:
        features: of the instances.
        key_rows: of each unit the row of the instance that speaks loudest for its answer.
        shown: of each unit the instances that are shown, by their numbers in it: see `Pooling.shown`.
    """

    features: FeatureFolder
    key_rows: tuple[int, ...]
    shown: tuple[tuple[int, ...], ...] = ()

    @cached_property
    def key_ids(self) -> tuple[str, ...]:
        """Names of these instances, (U,)."""
        return tuple(self.features.ids[row] for row in self.key_rows)

    @property
    def beside(self) -> dict[tuple[int, str], str]:
        """Names of what is shown beside the key instance of a unit, by the unit's place and a number in the unit."""
        first = np.cumsum([0, *self.features.of_units.sizes]).tolist()
        rows = {(unit, at): first[unit] + at for unit, own in enumerate(self.shown) for at in own}
        return {(unit, str(at)): self.features.ids[r] for (unit, at), r in rows.items() if r != self.key_rows[unit]}

    def columns(self, **more: Sequence[str]) -> dict[str, Sequence[Any]]:
        """Return the columns that stand behind a unit's name."""
        units = self.features.of_units
        return {
            "kind": [unit.kind for unit in units.listed],
            "patient": [unit.patient or "" for unit in units.listed],
            "instances": list(units.sizes),
            "key_instance": self.key_ids,
            **more,
        }


def strip(kind: str, key: int, size: int) -> tuple[int, ...]:
    """Return which instances of a unit are shown in a row: the key one between its neighbours, of a clip some more.

    Example:
        >>> strip("series", 4, 16), strip("clip", 4, 16), strip("series", 0, 2)
        ((3, 4, 5), (0, 2, 3, 4, 5, 6, 9, 11, 13, 15), (0, 1))
    """
    wanted = {key - 1, key, key + 1}
    if kind == "clip":
        wanted |= set(np.rint(np.linspace(0, size - 1, _STRIP)).astype(int).tolist())
    return tuple(sorted(at for at in wanted if 0 <= at < size))


def fit_on(method: Method, features: Any) -> NDArray[np.float64] | None:  # noqa: ANN401 - rows of features of any kind
    """Return the weights (n,) that a method learns from these features with; None for one that cannot weigh."""
    return None if method.unweighted else features.weights


def odds_of(method: Method, blocks: Iterable[Floats]) -> Iterator[Floats]:
    """Yield the log odds (n_k, C) of each class against the others."""
    for block in blocks:
        yield log_odds(method.logits(block))


def write_units(folder: Path, features: FeatureFolder) -> None:
    """Write `units.csv`, if any unit is of medical files."""
    units = features.of_units
    told = not units.single and any(unit.study is not None or unit.series is not None for unit in units.listed)
    if not told and not units.sourced:
        return
    place = {unit.id: unit for unit in units.listed}

    def rows() -> Iterator[list[str]]:
        for picture in features.pictures():
            unit = place[picture.unit or picture.id]
            path, instance = picture.source or (None, None)
            said = (picture.id, unit.id, unit.patient, unit.study, unit.series, instance, path)
            yield [each or "" for each in said]

    write_csv(folder / UNITS_FILE, ["instance_id", "unit", "patient", *_BESIDE], rows())


def write_tissue(folder: Path, units: Iterable[StoredUnit]) -> None:
    """Write the tissue of slides as GeoJSON, one file each, called by the unit's stem, as `--tissue` reads it."""
    names: Counter[str] = Counter()
    for unit in units:
        if unit.tissue:
            (folder / TISSUE_FOLDER).mkdir(exist_ok=True)
            names[name := PurePosixPath(unit.id).stem] += 1
            number = f"-{names[name]}" if names[name] > 1 else ""
            write_file(folder / TISSUE_FOLDER / f"{name}{number}.geojson", unit.tissue)


def identified(folder: Path, ids: Sequence[str]) -> Identifiers | None:
    """Return what finds units by a patient's number, a UID, a relative path or a pseudonym of these, from `units.csv`.

    Of a number that patients of several issuers have nothing is found. None in a run without medical files.
    """
    if not (folder / UNITS_FILE).exists():
        return None
    if (key := read_key()) is None:
        hint = f"{UNITS_FILE} cannot be joined by patient numbers, UIDs or paths: its key is not in KPL_HOME"
        return Identifiers(None, hint)
    place = {unit: number for number, unit in enumerate(ids)}
    rows = zip(*read_columns(folder / UNITS_FILE, ("unit", "patient", *_BESIDE)), strict=True)
    look = found_by_pseudonym(((place[unit], patient, said) for unit, patient, *said in rows if unit in place), key)
    return Identifiers(
        look, f"if these are patient numbers, UIDs or paths, the key in KPL_HOME is not that of {UNITS_FILE}"
    )
