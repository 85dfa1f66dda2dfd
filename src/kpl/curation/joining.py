"""A table of the user's with what a run says of each of its rows: how an answer by unit finds its patient again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kpl.errors import LabelsError
from kpl.evaluation import Reading
from kpl.runs import Run
from kpl.runs.units import identified
from kpl.tables.columns import Choice, ImageColumns, open_wanted
from kpl.tables.matching import Pictures


def joined(run: Run, table: str | Path, said: dict[str, list[Any]]) -> tuple[dict[str, list[Any]], tuple[str, ...]]:
    """Put columns about the pictures of a run beside the rows that name them; a row of a patient is one line a unit.

    Args:
        run: the run.
        table: any that `kpl evaluate` reads; identifiers of medical files are hashed with the key in KPL_HOME.
        said: columns (n,) of the run's pictures, which get names of their own.

    Returns:
        The columns of the table and these, and what the user should be told.

    Raises:
        LabelsError, TableError: the table cannot be read, or names no picture of the run.
    """
    known = identified(run.path, run.ids)
    opened, pictures = open_wanted(table, Reading()), Pictures(run.ids, known, run.patients)
    images = ImageColumns.choose(Choice(opened), Reading(), pictures.may_fit)
    rows = [(name, row) for row in opened.rows() for name in images.images(row, pictures)] if images else []
    found = pictures.match([name for name, _ in rows])
    kept = [(row, place) for (_, row), place in zip(rows, found.places, strict=True) if place is not None]
    if not kept or images is None:
        hint = f": {known.hint}" if known else ""
        raise LabelsError(f"no row of {opened.name!r} is for one of the {run.n} {run.noun} of the run{hint}")
    columns: dict[str, list[Any]] = {
        title or f"column {at + 1}": [row.cells[at] for row, _ in kept] for at, title in enumerate(opened.titles)
    }
    columns |= {f"kpl_{name}": _of(values, kept) for name, values in said.items()}
    without = run.n - len({place for _, place in kept})
    notes = [f"{without} {run.noun} of the run have no row in {opened.name}"] if without else []
    return columns, (f"columns: {images.told}", *opened.notes, *found.told(), *notes)


def _of(values: Sequence[Any], kept: Sequence[tuple[object, int]]) -> list[Any]:
    return [values[place] for _, place in kept]
