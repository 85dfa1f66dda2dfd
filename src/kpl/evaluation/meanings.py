"""What the cell under a class says: there, not there, uncertain, or nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from kpl.errors import LabelsError
from kpl.evaluation.reading import Reading
from kpl.evaluation.sources import LabelRow, LabelRows

_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")
_CELLS: dict[str, int | None] = {
    **dict.fromkeys(("1", "1.0", "yes", "y", "true", "t", "present", "positive", "pos", "x"), 1),
    **dict.fromkeys(("0", "0.0", "no", "n", "false", "f", "absent", "negative", "neg"), 0),
    **dict.fromkeys(("", "na", "n/a", "nan", "null", "<na>"), None),
    **dict.fromkeys(("-1", "-1.0", "uncertain", "unsure", "?"), -1),
}
_UNCERTAIN = {"ignore": -1, "present": 1, "absent": 0}


def marks_of(table: LabelRows, reading: Reading) -> tuple[list[list[int]], list[str]]:
    """Return of each row and column of a class 1, 0 or -1 (unknown), and what is to be said of how that was read.

    An empty cell is unknown unless `blank` says otherwise, or the table has the form of CheXpert's labeller, which
    has a column "No Finding". There a finding that is not mentioned is absent.

    Raises:
        LabelsError: a cell that says none of these, by its line.
    """
    titles = list(table.classes)
    read = [[_mark(cell, title, row.line) for cell, title in zip(row.marks, titles, strict=True)] for row in table.rows]
    labeller = any(row.none for row in table.rows)
    blank = reading.blank or ("absent" if labeller else "unknown")
    notes = []
    blanks = sum(mark is None for marks in read for mark in marks)
    if blanks and labeller and not reading.blank:
        notes.append(
            f"{blanks} empty cells were read as absent, as CheXpert's labeller means them: --blank unknown to leave "
            "them out"
        )
    if blanks and not labeller and not reading.blank and not any(mark == 0 for marks in read for mark in marks):
        notes.append(
            f"no cell says 0, and {blanks} are empty, so nothing is known to be absent: --blank absent if they mean it"
        )
    empty, unsure = 0 if blank == "absent" else -1, _UNCERTAIN[reading.uncertain]
    found = []
    for row, marks in zip(table.rows, read, strict=True):
        otherwise = 0 if reading.none and _CELLS.get(row.none.lower()) == 1 else empty
        found.append([otherwise if mark is None else unsure if mark == -1 else mark for mark in marks])
    return found, notes


def either_class(table: LabelRows, reading: Reading, names: Sequence[str]) -> tuple[list[LabelRow], list[str]]:
    """Read the only column of a class where there are two, by their `names`: what is not the one is the other.

    Raises:
        LabelsError: a cell that says neither, by its line.
    """
    ((title, place),) = table.classes.items()
    marks, notes = marks_of(table, reading)
    said = {1: names[place], 0: names[1 - place], -1: ""}
    rows = [row._replace(label=said[own[0]], marks=()) for row, own in zip(table.rows, marks, strict=True)]
    return rows, [*notes, f"{title!r} is one of two classes: where it is not there, the label is {said[0]!r}"]


def only_class(row: LabelRow, titles: Sequence[str], name: str, *, lenient: bool = False) -> LabelRow:
    """Give a row the one class whose column has a 1 for its label.

    Args:
        row: of a table with a column a class.
        titles: of the columns of classes.
        name: of the table.
        lenient: take what the columns say together for a label that is no class, instead of refusing.

    Raises:
        LabelsError: none has a 1, or several have.
    """
    there = [title for title, cell in zip(titles, row.marks, strict=True) if _mark(cell, title, row.line) == 1]
    if len(there) == 1 or lenient:
        return row._replace(label="|".join(there) or "none of the classes", marks=())
    told = " and ".join(map(repr, there)) or "none of the classes"
    raise LabelsError(
        f"{name!r}, line {row.line}: {row.image!r} has a 1 under {told}, and the run gives a picture one class: "
        "keep one, or leave such pictures out with --ignore-unknown"
    )


def parts_of(cell: str, resolve: Callable[[str], int | None]) -> list[str]:
    """Part a cell that names several classes: at "|", as a list in brackets, or at another mark if all are classes.

    Such marks are semicolon, comma, plus, slash, ampersand and space.

    Example:
        >>> parts_of("['edema', 'mass']", {"edema": 0, "mass": 1}.get), parts_of("edema, left", {"edema": 0}.get)
        (['edema', 'mass'], ['edema, left'])
    """
    if resolve(cell) is not None:
        return [cell]
    if cell.startswith("[") and cell.endswith("]"):
        quoted = _QUOTED.findall(cell)
        return [own.strip() for pair in quoted for own in pair if own.strip()] or _parted(cell[1:-1], ",")
    for mark in ";,+/& ":
        parts = _parted(cell, mark)
        if "|" not in cell and len(parts) > 1 and all(resolve(part) is not None for part in parts):
            return parts
    return _parted(cell, "|")


def _parted(text: str, mark: str) -> list[str]:
    return [part for each in text.split(mark) if (part := each.strip())]


def none_told(reading: Reading, resolve: Callable[[str], int | None]) -> list[str]:
    """Say what the label that is called none was taken for."""
    if reading.none is None:
        return []
    if resolve(reading.none) is not None:
        return [f"{reading.none!r} is a class of the knowledge, and was read as this class"]
    return [f"{reading.none!r} was read as the absence of all classes"]


def _mark(cell: str, title: str, line: int) -> int | None:
    try:
        return _CELLS[cell.lower()]
    except KeyError as error:
        raise LabelsError(f"line {line}: {cell!r} under {title!r} is neither 1 nor 0 nor empty") from error
