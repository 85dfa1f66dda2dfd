"""Pictures that a table names, with the patients they are of."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from itertools import islice
from pathlib import Path

from kpl.errors import InputError
from kpl.images.finding import Search, find_pictures, is_named
from kpl.images.pseudonyms import found_by_pseudonym, pseudonym, read_key, same_number
from kpl.images.records import Asked, Found, Unit
from kpl.images.windows import read_window
from kpl.tables import CohortRow, Identifiers, OpenedCohort, Pictures, Wanted, is_table, open_cohort

_LOOKED_AT = 100


def find_inputs(
    paths: str | Path | Iterable[str | Path],
    asked: Asked | None = None,
    *,
    table: str | Path | None = None,
    reading: Wanted | None = None,
) -> Found:
    """Find the pictures in folders and among files, or those that a table names.

    Args:
        paths: as for `find_pictures`; or one table, whose names are paths from its own folder.
        asked: as for `find_pictures`.
        table: of these pictures take those that this table names, by the narrowest rule that fits a name. Without
            `paths` the table gives them.
        reading: which columns of the table are which, if not those of known names.

    Raises:
        InputError: as of `find_pictures`; the table cannot be read, names no picture that is there, or says two
            patients of one picture.
    """
    given = [paths] if isinstance(paths, str | Path) else list(paths)
    if table is None and any(map(is_table, given)):
        if len(given) > 1:
            raise InputError(f"{str(next(filter(is_table, given)))!r} is a table: give it alone, or as --table")
        given, table = [], given[0]
    if table is None:
        if reading is not None and reading != type(reading)():
            raise InputError("--image-column, --image-pattern, --group-column and --sheet are about a table: give one")
        return find_pictures(given, asked)
    if given:
        return _among(find_pictures(given, asked), Path(table), reading, asked)
    root = Path(table).parent
    cohort = open_cohort(table, reading, lambda name: is_named(root / name.strip()))
    if not any(is_named(root / row.image) for row in islice(cohort.rows(), _LOOKED_AT)):
        return _among(find_pictures(root, asked), Path(table), reading, asked)
    return _listed(cohort, root, asked or Asked())


def _listed(cohort: OpenedCohort, root: Path, asked: Asked) -> Found:
    """Take the files that the rows name from the table's folder on; what is not there is set aside."""
    of_file: dict[tuple[str, str], CohortRow] = {}  # one file may be spelt in several ways
    only: dict[Path, frozenset[int]] = {}
    again: list[int] = []
    real = lru_cache(maxsize=1024)(os.path.realpath)
    for row in cohort.rows():
        path = root / row.image
        first = of_file.setdefault((real(path.parent), path.name), row)
        path = root / first.image
        if row is not first and (row.frame is None or row.frame in only.get(path, ())):
            again.append(row.line)
        _agree(cohort.name, first, row)
        if (first.frame is None) != (row.frame is None):
            lines = f"{cohort.name!r}, lines {first.line} and {row.line}"
            raise InputError(f"{lines}: a file is there whole and by frames: keep one")
        if row.frame is not None:
            only[path] = only.get(path, frozenset()) | {row.frame}
        if row is first and row.window is not None:
            _check_window(cohort.name, row)
    rows = {row.image: row for row in of_file.values()}
    outside = [Path(name).parent for name in rows if Path(name).is_absolute()]
    common = os.path.commonpath(outside) if outside else ""
    windows = {root / name: row.window for name, row in rows.items() if row.window is not None}
    search = Search(replace(asked, only=only), windows=windows)
    for name, row in rows.items():
        shown = Path(name).relative_to(common) if Path(name).is_absolute() else Path(name)
        before, taken = len(search.set_aside), len(search.order)
        search.take_file(root / name, shown.as_posix(), given=True)
        if (len(search.set_aside), len(search.order)) == (before, taken):
            again.append(row.line)
        search.set_aside[before:] = [
            replace(item, reason=f"{item.reason} (line {row.line})") for item in search.set_aside[before:]
        ]
    of_path = {root / name: row for name, row in rows.items()}
    of_unit = [(unit, [of_path[each.path] for each in unit.instances]) for unit in search.plan()]
    units = _together(cohort.name, of_unit, asked)
    if not units:
        reason = search.set_aside[0].reason
        raise InputError(f"none of the {len(rows)} pictures that {cohort.name!r} names can be read: {reason}")
    notes = [cohort.said, *cohort.notes]
    if again:
        notes.append(
            f"rows that name a file once more, which counts once: {len(again)}, the first in line {min(again)}"
        )
    return Found(units, search.set_aside, 0, tuple(notes), search.asked)


def _among(found: Found, table: Path, reading: Wanted | None, asked: Asked | None) -> Found:
    """Of what was found, take what the rows name: a unit by its id, or by any file of it."""
    names: dict[str, int] = {}
    sharing: dict[int, list[int]] = {}  # units that lie in the file of another, two echoes for example
    for at, unit in enumerate(found.units):
        files = [unit.id] if not unit.sources else [instance.path.as_posix() for instance in unit.instances]
        if files[0] in names:
            sharing.setdefault(names[files[0]], []).append(at)
            names[f"{files[0]}\0{at}"] = at  # as no table calls it
        else:
            names |= dict.fromkeys(files, at)
    n = len(found.units)
    names |= {item.id: n + at for at, item in enumerate(found.set_aside)}
    pictures, owners = Pictures(list(names), _identifiers(found.units, list(names.values()))), list(names.values())
    cohort = open_cohort(table, reading, pictures.may_fit)
    others, rows = 0, []
    for row in cohort.rows(pictures):
        others += not row.image
        rows += [row] if row.image else []
    matched = pictures.match([row.image for row in rows])
    taken: dict[int, list[CohortRow]] = {}
    for place, row in zip(matched.places, rows, strict=True):
        if place is not None:
            taken.setdefault(owners[place], []).append(row)
    for at, others_of in sharing.items():
        for other in others_of if at in taken else ():
            taken.setdefault(other, taken[at])
    for row in rows:
        if asked_for := next((what for what in ("frame", "window") if getattr(row, what) is not None), None):
            raise InputError(
                f"{cohort.name!r}, line {row.line}: a {asked_for} is read where images are paths from the table's own "
                f"folder, and the table is given alone: name them so, or leave out the column {asked_for!r}"
            )
    of_unit = [(unit, taken[at]) for at, unit in enumerate(found.units) if at in taken]
    kept = _together(cohort.name, of_unit, asked or Asked())
    if not kept:
        named = next(cohort.rows(), CohortRow("none")).image
        told = f"it names images such as {named!r}, the pictures are called such as {next(iter(names))!r}"
        if "://" in named:
            told = f"it names addresses such as {named!r}, and nothing is fetched: download them and name the files"
        elif pictures.identifiers is not None:
            told = f"it may name files, {pictures.identifiers.hint}"
        raise InputError(f"none of the {n} pictures is one that {table.name!r} names: {told}")
    notes = [cohort.said, *cohort.notes, *matched.told()]
    if left := n - len(kept):
        notes.append(f"left out, not in the table: {left} of {n} pictures")
    if others := others + matched.places.count(None):
        notes.append(f"rows of the table whose picture is not there: {others}")
    aside = [found.set_aside[at - n] for at in sorted(taken) if at >= n]
    return Found(kept, aside, found.other_files, tuple(notes), found.asked)


def _identifiers(units: list[Unit], owners: list[int]) -> Identifiers | None:
    """Return what finds a name of medical units by a patient's number, a UID or a path; None where there are none."""
    if not any(unit.sources for unit in units):
        return None
    first = {at: place for place, at in reversed(list(enumerate(owners)))}
    said = [
        (
            first[at],
            unit.patient or "",
            (unit.study or "", unit.series or "", *(filter(None, sum(unit.sources, ())))),
        )
        for at, unit in enumerate(units)
        if unit.sources
    ]
    return Identifiers(found_by_pseudonym(said, read_key() or b""), "patient numbers or UIDs")


def _owned(name: str, unit: Unit, rows: list[CohortRow], *, hashed: bool) -> Unit:
    """Give a unit the patient and the study that its rows name, or their pseudonyms; without one it keeps its own."""
    for row in rows:
        _agree(name, rows[0], row)
    first = rows[0]
    patient, study = first.patient, first.study
    if hashed:
        patient, study = patient and pseudonym("patient", patient), study and pseudonym("study", study)
        patient = unit.patient if same_number(patient, unit.patient) else patient  # the file says who issued it too
    if not (group := patient or study):
        return unit
    instances = tuple(replace(instance, group=group) for instance in unit.instances)
    return replace(unit, instances=instances, patient=patient or unit.patient, study=study or unit.study)


def _together(name: str, of_unit: list[tuple[Unit, list[CohortRow]]], asked: Asked) -> list[Unit]:
    """Put together what the rows call one unit, in their order; one of medical files keeps its number."""
    named: dict[object, list[Unit]] = {}
    hashed = any(unit.sources for unit, _ in of_unit)  # where there are medical files, nobody is called by name
    for at, (unit, rows) in enumerate(of_unit):
        named.setdefault(rows[0].unit or at, []).append(_owned(name, unit, rows, hashed=hashed))
    found, taken = [], {unit.id for unit, rows in of_unit if not rows[0].unit}
    line = {rows[0].unit: rows[0].line for _, rows in reversed(of_unit)}
    for called, parts in named.items():
        if not isinstance(called, str):
            found += parts
            continue
        where = f"{name!r}, line {line[called]}"
        if len({(part.patient, part.study) for part in parts}) > 1:
            raise InputError(f"{where}: the images of this unit are of two patients or studies: keep one")
        medical = any(part.sources for part in parts)
        own = parts[0].id if medical and asked.ids == "pseudonyms" else called
        if own in taken:
            raise InputError(f"{where}: the name of its unit is that of an image too: give the unit another name")
        found.append(_merged(own, parts))
    return found


def _merged(own: str, parts: list[Unit]) -> Unit:
    instances = [instance for part in parts for instance in part.instances]
    if any(part.sources for part in parts):
        instances = [replace(each, id=f"{own}#{at:03d}") for at, each in enumerate(instances)]
    first, notes = parts[0], dict.fromkeys(note for part in parts for note in part.notes)
    nobody: tuple[str, str | None] = ("", None)
    sources = [source for part in parts for source in part.sources or [nobody] * len(part.instances)]
    return replace(
        first,
        id=own,
        kind="series" if len(parts) > 1 else first.kind,
        instances=tuple(replace(each, unit=own) for each in instances),
        sources=tuple(sources) if any(part.sources for part in parts) else (),
        notes=tuple(notes),
        reading=first.reading if len(parts) == 1 else {"parts": [part.reading for part in parts if part.reading]},
    )


def _check_window(name: str, row: CohortRow) -> None:
    try:
        read_window(row.window or "")
    except InputError as error:
        raise InputError(f"{name!r}, line {row.line}: {error}") from None


def _agree(name: str, first: CohortRow, row: CohortRow) -> None:
    for what in ("unit", "window"):
        if getattr(first, what) != getattr(row, what):
            raise InputError(f"{name!r}: lines {first.line} and {row.line} say two {what}s of one image: keep one")
    if (first.patient, first.study) != (row.patient, row.study):
        raise InputError(
            f"{name!r}: lines {first.line} and {row.line} say two patients or studies of one image or unit: keep one"
        )
