"""A finished run in which each class is present in a picture or not, by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kpl.evaluation import MultiLabelTruth, Reading, read_multi_label
from kpl.knowledge.schema import negate
from kpl.proxies.arrays import Floats
from kpl.proxies.multi_label import multi_label_shares
from kpl.proxies.neighbours import nearest_others
from kpl.runs.prediction_files import read_multi_label_predictions
from kpl.runs.predictions import ROUNDED, MultiLabelPredictions
from kpl.runs.run import Run
from kpl.runs.scores import has_scores
from kpl.runs.thumbnails import kept_multi_label_rows
from kpl.runs.units import identified

_EVEN = 0.5  # what a class is held against whose threshold is 0 or 1, from which nothing has a distance


@dataclass(frozen=True)
class MultiLabelSentence:
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
    def predictions(self) -> MultiLabelPredictions:
        """What the run says of each picture: a sequence of `Findings`, and arrays."""
        return read_multi_label_predictions(self.predictions_file, self.keys, self.ids, rows=self._sample)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to know before believing the run."""
        return (*self.summary["warnings"], *([] if has_scores(self.path) else [ROUNDED]))

    @property
    def empty(self) -> int:
        """Pictures without any class."""
        if self.whole is not None:
            return int(self.summary["without_any"])
        return int((~self.predictions.present.any(axis=1)).sum())

    @property
    def title(self) -> str:
        """What was run, in a few words."""
        return f"{self.counted}, several labels each, with {self.encoder_name}"

    @property
    def left_out(self) -> tuple[str, ...]:
        """Of how many pictures no class is said, in words."""
        return (f"{self.empty} pictures have none of these classes",)

    def ranking(self) -> list[list[int]]:
        """Return of each class the rows that have it, the surest first."""
        said = self.predictions
        orders = np.argsort(-said.probabilities, axis=0, kind="stable").T
        return [order[said.present[order, c]].tolist() for c, order in enumerate(orders)]

    @cached_property
    def thresholds(self) -> Floats:
        """From which probability on a class is there, (C,)."""
        return np.array([self.summary["thresholds"][key] for key in self.keys], dtype=np.float64)

    @property
    def shown(self) -> dict[int, int]:
        """Rows of the pictures that a report may show, and the pixels of their longer side."""
        return kept_multi_label_rows(self.predictions.probabilities, self.predictions.present, self.thresholds)

    @cached_property
    def contrasts(self) -> list[Floats]:
        """(present - absent) / temperature of the sentences, C arrays (m_c, d)."""
        heat = float(self.plan["settings"]["temperature"])
        both = zip(self.descriptions, self.absent, strict=True)
        return [(there.astype(np.float64) - absent) / heat for there, absent in both]

    def labels(
        self, labels: str | Path, *, columns: Sequence[str] = (), reading: Reading | None = None
    ) -> MultiLabelTruth:
        """Read which classes the run's pictures have; arguments and errors as in `kpl.evaluation.read_multi_label`."""
        known = identified(self.path, self.ids)
        found = read_multi_label(
            Path(labels),
            self.ids,
            self.knowledge,
            columns=columns,
            reading=reading,
            identifiers=known,
            patients=self.patients,
        )
        return found if found.groups else replace(found, **self._patients)

    def against(self, class_index: int) -> list[str]:
        """Return what each description of a class is held against, in their order."""
        entry = self.knowledge.classes[class_index]
        stated = list(entry.absent) or (
            ["what the other classes say"]
            if len(self.absent[class_index]) == 1
            else [negate(each.text) for each in entry.descriptions]  # a run of an older release
        )
        return stated if len(stated) == len(entry.descriptions) else stated * len(entry.descriptions)

    def sentences(self, row: int, class_index: int) -> tuple[MultiLabelSentence, ...]:
        """Return what each description of a class says of a picture, those that speak for presence first."""
        image, least = self.images[row].astype(np.float64), float(self.thresholds[class_index])
        chances, shares = multi_label_shares(image, self.contrasts[class_index], least if 0 < least < 1 else _EVEN)
        texts = [each.text for each in self.knowledge.classes[class_index].descriptions]
        said = map(MultiLabelSentence, texts, self.against(class_index), chances.tolist(), shares.tolist())
        return tuple(sorted(said, key=lambda each: -each.share))

    def nearest(self, row: int, class_index: int, *, present: bool, count: int = 3) -> list[tuple[int, float]]:
        """Return the nearest other pictures that have a class, or that have it not, with cosines, the nearest first."""
        return nearest_others(self.images, row, self.predictions.present[:, class_index] == present, count)
