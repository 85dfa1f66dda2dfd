"""What the report tells, in its order, as plain values for its template: the same of a run of either kind."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np

from kpl.knowledge import Description
from kpl.report.gallery import gallery
from kpl.report.layout import Near, Sprite, set_aside, what_was_run
from kpl.report.marks import mark
from kpl.report.slices import Slices
from kpl.report.verdict import verdict
from kpl.runs import MultiLabelRun, SingleLabelRun

WALLS = 40
"""Classes with a wall; more would be no report but a book."""
_SENTENCES = 12
_SIDE = 3  # sentences for, and sentences against

Wall = list[tuple[str, list[dict[str, Any]]]]
"""Pictures of a class: headings, and tiles below each."""
Kind = TypeVar("Kind", SingleLabelRun, MultiLabelRun)
_Item = TypeVar("_Item")


class Story(ABC, Generic[Kind]):
    """What is told of a run; a kind of run says what its pictures are, and what there is besides.

    Attributes:
        template: lays it out.
        counts: pictures of each class, (C,).
        truth: what labels say, as `Scored.truth`.
        rows: pictures that are shown.
    """

    template: ClassVar[str]
    stated: ClassVar[dict[str, str]] = {}
    """Of what was run, where no method of the registry says it."""
    counts: np.ndarray[Any, np.dtype[np.intp]]
    rows: set[int]
    truth: np.ndarray[Any, np.dtype[np.int64]] | None

    def __init__(self, run: Kind, scores: dict[str, Any] | None) -> None:
        """Begin with what labels say of the run, if there are any."""
        self.run: Kind = run
        self.scores = scores
        self.sprite, self.slices = Sprite(run), Slices(run)

    @abstractmethod
    def wall(self, c: int) -> Wall:
        """Lay out the pictures of a class."""

    @abstractmethod
    def note(self, c: int) -> str:
        """Say how many these are, in short."""

    @abstractmethod
    def described(self, c: int) -> dict[str, Any] | None:
        """Say what each description of a class does; None where the method reads none."""

    @abstractmethod
    def further(self) -> dict[str, Any]:
        """Return what only this kind tells."""

    @cached_property
    def order(self) -> list[int]:
        """Classes, those with most pictures first."""
        return [int(c) for c in np.argsort(-self.counts, kind="stable")]

    def tell(self) -> dict[str, Any]:
        """Gather all that the template shows."""
        run = self.run
        walls = [(c, ends) for c in self.order[:WALLS] if (ends := self.wall(c))]
        further = self.further()  # before all pictures are laid out: those that stand in it lie in the page once
        return {
            "what": what_was_run(run) | self.stated,
            "warnings": run.warnings,
            "verdict": verdict(run, self.scores),
            "site": run.site.told if run.site else None,
            "aside": set_aside(run),
            "scores": self.scores,
            "pictures_shown": bool(run.thumbnails),
            "pictures_missing": sum(row not in run.thumbnails for row in self.rows),
            "walls": [{"name": run.class_names[c], "note": self.note(c), "ends": ends} for c, ends in walls],
            "walls_left_out": sum(self.counts[c] > 0 for c in self.order[WALLS:]),
            "knowledge": [told for c in self.order[:WALLS] if (told := self.described(c)) is not None],
            "everything": gallery(run, self.sprite, self.truth if self.scores else None),
            "sprite": self.sprite.pictures,
            **further,
        }

    def share(self, c: int) -> dict[str, Any]:
        """Say how many pictures a class has."""
        count, top = int(self.counts[c]), max(int(self.counts.max()), 1)
        return {
            "name": self.run.class_names[c],
            "mark": mark(c),
            "count": count,
            "share": count / self.run.total,
            "bar": 100 * count / top,
        }

    def near(self, found: Sequence[tuple[int, float]]) -> list[Near]:
        """Lay out neighbours, (row, cosine) each."""
        return [(self.run.ids[row], cosine, self.sprite(row)) for row, cosine in found]

    def sentences(
        self, c: int, lift: Sequence[float], more: Sequence[dict[str, Any]], **told: bool | int
    ) -> dict[str, Any]:
        """Lay out what the descriptions of a class do: how far each lifts it, and of each what there is more to say."""
        entry = self.run.knowledge.classes[c]
        order = sorted(range(len(lift)), key=lambda j: -lift[j])
        shown = order if len(order) <= _SENTENCES else order[: _SENTENCES - 4] + order[-4:]
        top = max(map(abs, lift)) or 1.0
        return {
            "key": entry.key,
            "name": entry.name,
            "count": int(self.counts[c]),
            "descriptions": len(order),
            "left_out": len(order) - len(shown),
            "sentences": [
                {
                    "text": entry.descriptions[j].text,
                    "lift": float(lift[j]),
                    "bar": 100 * abs(float(lift[j])) / top,
                    "below": bool(lift[j] < 0),
                    "reviewed": _is_reviewed(entry.descriptions[j]),
                    **more[j],
                }
                for j in shown
            ],
            **told,
        }


def loudest(found: Sequence[_Item]) -> tuple[list[_Item], Sequence[_Item]]:
    """Split sentences, the loudest for first and the loudest against last, into these and those between."""
    if len(found) <= 2 * _SIDE + 1:
        return list(found), ()
    return [*found[:_SIDE], *found[-_SIDE:]], found[_SIDE:-_SIDE]


def _is_reviewed(description: Description) -> bool:
    return bool(description.provenance and description.provenance.reviewed_by)
