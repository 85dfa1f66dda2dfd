"""What several lines of one image say together: the words of several readers, or a finding a line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from kpl.errors import LabelsError
from kpl.evaluation.sources import LabelRow
from kpl.knowledge.folding import fold_name
from kpl.tables import Pictures

Readers = Literal["majority", "any", "all"]


def by_image(
    rows: Sequence[LabelRow], places: Sequence[int | None], readers: Readers | None, pictures: Pictures
) -> dict[int, list[LabelRow]]:
    """Return the rows of each of these pictures by its place, equal ones once.

    Raises:
        LabelsError: rows of one image contradict each other, and nothing is said of several `readers`; or they name
            two groups.
    """
    found: dict[int, list[LabelRow]] = {}
    for row, place in zip(rows, places, strict=True):
        if place is not None:
            found.setdefault(place, []).append(row)
    for place, every in found.items():
        if len(every) == 1:
            continue
        found[place] = list({_facts(row): row for row in reversed(every)}.values())[::-1]
        first, *others = found[place]
        for row in others:
            one, other = (_said(each, hidden=pictures.identifiers is not None) for each in (first, row))
            told = f"{pictures.ids[place]!r} is labelled twice, as {one} and as {other}: keep one"
            if row.group != first.group:
                raise LabelsError(told)
            if readers is None:
                raise LabelsError(
                    f"{told}, or say what several lines mean together with --readers majority, any or all"
                )
    return found


def agreed_label(rows: Sequence[LabelRow], readers: Readers | None, of: Callable[[str], object]) -> str | None:
    """Return the one label of an image: what most say, or what all say; None where they do not agree.

    Args:
        rows: of the image; one without a label says nothing.
        readers: None where there is one row.
        of: what makes two labels equal.

    Raises:
        LabelsError: what any of them says is no one label.
    """
    if len(rows) == 1:
        return rows[0].label
    labels = {(row.reader, of(row.label)): row.label for row in rows if row.label}
    votes = Counter(of(label) for label in labels.values())
    first = {of(label): label for label in reversed(labels.values())}
    if len(votes) < 2:
        return next(iter(first.values()), "")
    if readers == "any":
        raise LabelsError(
            f"{rows[0].image!r} is labelled as {' and as '.join(map(repr, first.values()))}, and --readers any would "
            "give it both, in a run of one label a picture: say majority or all"
        )
    (most, count), (_, second) = votes.most_common(2)
    return first[most] if readers == "majority" and count > second else None


def agreed_marks(marks: Sequence[Sequence[int]], who: Sequence[str], readers: Readers | None) -> list[int]:
    """Return what the lines of one image say of each class together, 1, 0 or -1 (unknown).

    Args:
        marks: (lines, C). What one reader says on several lines is there if it is on one of them.
        who: (lines,) the readers; a line without one is a reader's own.
        readers: None where there is one line.
    """
    words: dict[object, list[Sequence[int]]] = {}
    for at, (line, reader) in enumerate(zip(marks, who, strict=True)):
        words.setdefault(reader or at, []).append(line)
    each = np.array([np.max(lines, axis=0) for lines in words.values()])
    there, not_there = (each == 1).sum(axis=0), (each == 0).sum(axis=0)
    if readers == "all":
        said = np.where(not_there > 0, 0, np.where(there > 0, 1, -1))
    elif readers == "majority":
        said = np.where(there > not_there, 1, np.where(there < not_there, 0, -1))
    else:
        said = np.where(there > 0, 1, np.where(not_there > 0, 0, -1))
    return [int(mark) for mark in said]


def _facts(row: LabelRow) -> tuple[object, ...]:
    return fold_name(row.label), row.group, row.more, row.marks, row.none, row.reader


def _said(row: LabelRow, *, hidden: bool) -> str:
    """Quote what a row says of its image; of what may name a person only the line."""
    if hidden:
        return f"{row.label or '|'.join(row.marks)!r} (line {row.line})"
    further = ([] if row.group is None else [f"group {row.group!r}"]) + [repr(cell) for cell in row.more if cell]
    return repr(row.label or "|".join(row.marks)) + (f" ({', '.join(further)})" if further else "")
