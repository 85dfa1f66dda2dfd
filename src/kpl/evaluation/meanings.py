"""What the cell under a class says: there, not there, uncertain, or nothing."""

from __future__ import annotations

from collections.abc import Sequence

from kpl.errors import LabelsError
from kpl.evaluation.reading import Reading
from kpl.evaluation.sources import LabelRow, LabelRows

__all__ = ["marks_of", "only_class"]

_CELLS = {"1": 1, "yes": 1, "true": 1, "present": 1, "0": 0, "no": 0, "false": 0, "absent": 0, "": None, "-1": -1}
_CELLS |= {"1.0": 1, "0.0": 0, "-1.0": -1}
_UNCERTAIN = {"ignore": -1, "present": 1, "absent": 0}


def marks_of(table: LabelRows, reading: Reading) -> tuple[list[list[int]], list[str]]:
    """Return of each row and column of a class 1, 0 or -1 (unknown), and what is to be said of how that was read.

    An empty cell is unknown unless `blank` says otherwise, or the table has the form of CheXpert's labeller: a column
    "No Finding", and -1 where a report is uncertain. There a finding that is not mentioned is absent.

    Raises:
        LabelsError: a cell that says none of these, by its line.
    """
    titles = list(table.classes)
    read = [[_mark(cell, title, row.line) for cell, title in zip(row.marks, titles, strict=True)] for row in table.rows]
    labeller = any(row.none for row in table.rows) and any(-1 in marks for marks in read)
    blank = reading.blank or ("absent" if labeller else "unknown")
    notes = []
    blanks = sum(mark is None for marks in read for mark in marks)
    if blanks and labeller and not reading.blank:
        notes.append(
            f"{blanks} empty cells were read as absent, as CheXpert's labeller means them: --blank unknown to leave "
            "them out"
        )
    empty, unsure = 0 if blank == "absent" else -1, _UNCERTAIN[reading.uncertain]
    found = []
    for row, marks in zip(table.rows, read, strict=True):
        otherwise = 0 if reading.none and _CELLS.get(row.none.lower()) == 1 else empty
        found.append([otherwise if mark is None else unsure if mark == -1 else mark for mark in marks])
    return found, notes


def only_class(row: LabelRow, titles: Sequence[str], name: str) -> str:
    """Return the one class whose column has a 1.

    Raises:
        LabelsError: none has, or several have.
    """
    there = [title for title, cell in zip(titles, row.marks, strict=True) if _mark(cell, title, row.line) == 1]
    if len(there) != 1:
        told = " and ".join(map(repr, there)) or "none of the classes"
        raise LabelsError(
            f"{name!r}, line {row.line}: {row.image!r} has a 1 under {told}, and the run gives a picture one class: "
            "keep one, or leave the line out"
        )
    return there[0]


def _mark(cell: str, title: str, line: int) -> int | None:
    try:
        return _CELLS[cell.lower()]
    except KeyError as error:
        raise LabelsError(f"line {line}: {cell!r} under {title!r} is neither 1 nor 0 nor empty") from error
