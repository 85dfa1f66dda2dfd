"""A finished run in which each class is present in a picture or not, by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kpl.evaluation import PresenceLabels, Reading, read_presence
from kpl.knowledge.schema import negate
from kpl.proxies.arrays import Floats
from kpl.proxies.neighbours import nearest_others
from kpl.proxies.presence import presence_shares
from kpl.runs.predictions import ROUNDED, PresencePredictions, read_presence_predictions
from kpl.runs.run import Run
from kpl.runs.thumbnails import kept_presence_rows

__all__ = ["MultiLabelRun", "PresenceSaid"]

_EVEN = 0.5  # what a class is held against whose threshold is 0, from which nothing has a distance


@dataclass(frozen=True)
class PresenceSaid:
    """One description of a class, against what is seen when the class is not there.

    Attributes:
        text, against: the two sentences.
        chance: probability of the class by this pair alone.
        share: its exact part of the margin; above zero it speaks for presence.
    """

    text: str
    against: str
    chance: float
    share: float


@dataclass(frozen=True, eq=False)
class MultiLabelRun(Run):
    """A run in which each class is present in a picture or not, by itself.

    Attributes:
        absent: per class (m_c, d) or (1, d), what is seen when it is not there.
    """

    absent: list[NDArray[np.float32]] = field(kw_only=True, repr=False)

    @cached_property
    def predictions(self) -> PresencePredictions:
        """What the run says of each picture: a sequence of `Findings`, and arrays."""
        return read_presence_predictions(self.predictions_file, self.keys, self.ids)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to know before believing the run."""
        return (*self.summary["warnings"], *([] if self.predictions.exact else [ROUNDED]))

    @property
    def empty(self) -> int:
        """Pictures without any class."""
        return int(self.summary["without_any"])

    @property
    def title(self) -> str:
        """What was run, in a few words."""
        return f"{self.n} pictures, several labels each, with {self.encoder_name}"

    @property
    def notes(self) -> tuple[str, ...]:
        """What is said below the table of a notebook."""
        return (f"{self.empty} pictures have none of these classes", *super().notes)

    def ranking(self) -> list[list[int]]:
        """Return of each class the rows that have it, the surest first."""
        said = self.predictions
        orders = np.argsort(-said.probabilities, axis=0, kind="stable").T
        return [order[said.present[order, c]].tolist() for c, order in enumerate(orders)]

    @cached_property
    def thresholds(self) -> Floats:
        """From which probability on a class is there, (C,)."""
        return np.array([self.plan["thresholds"][key] for key in self.keys], dtype=np.float64)

    @property
    def shown(self) -> list[int]:
        """Rows of the pictures that a report may show."""
        return kept_presence_rows(self.predictions.probabilities, self.predictions.present, self.thresholds)

    @cached_property
    def contrasts(self) -> list[Floats]:
        """(present - absent) / temperature of the sentences, C arrays (m_c, d)."""
        heat = float(self.plan["settings"]["temperature"])
        both = zip(self.descriptions, self.absent, strict=True)
        return [(there.astype(np.float64) - absent) / heat for there, absent in both]

    def labels(
        self, labels: str | Path, *, columns: Sequence[str] = (), reading: Reading | None = None
    ) -> PresenceLabels:
        """Read which classes the run's pictures have; arguments and errors as in `kpl.evaluation.read_presence`."""
        return read_presence(Path(labels), self.ids, self.knowledge, columns=columns, reading=reading)

    def against(self, class_index: int) -> list[str]:
        """Return what each description of a class is held against, in their order."""
        entry = self.knowledge.classes[class_index]
        stated = list(entry.absent) or [negate(each.text) for each in entry.descriptions]
        return stated if len(stated) == len(entry.descriptions) else stated * len(entry.descriptions)

    def sentences(self, row: int, class_index: int) -> tuple[PresenceSaid, ...]:
        """Return what each description of a class says of a picture, those that speak for presence first."""
        image, least = self.images[row].astype(np.float64), float(self.thresholds[class_index])
        chances, shares = presence_shares(image, self.contrasts[class_index], least or _EVEN)
        texts = [each.text for each in self.knowledge.classes[class_index].descriptions]
        said = map(PresenceSaid, texts, self.against(class_index), chances.tolist(), shares.tolist())
        return tuple(sorted(said, key=lambda each: -each.share))

    def nearest(self, row: int, class_index: int, *, present: bool, count: int = 3) -> list[tuple[int, float]]:
        """Return the nearest other pictures that have a class, or that have it not, with cosines, the nearest first."""
        return nearest_others(self.images, row, self.predictions.present[:, class_index] == present, count)
