"""What the report tells of a multi-label run."""

from __future__ import annotations

from collections import Counter
from typing import Any, ClassVar

import numpy as np

from kpl.report.charts import probability_histogram
from kpl.report.scores import Scored
from kpl.report.story import WALLS, Story, Wall, loudest
from kpl.runs import MultiLabelRun
from kpl.runs.thumbnails import empty_rows, multi_label_rows

_TOGETHER = 20  # sets of classes that are listed, and classes that fit a square table
_SUMMARY = "Each class by itself: what is seen when it is there against what is seen when it is not; nothing is learnt"


class MultiLabelStory(Story[MultiLabelRun]):
    """What is told of a multi-label run.

    Attributes:
        truth: (n, C) what labels say: 1 there, 0 not there, -1 unknown; None without labels.
    """

    template: ClassVar[str] = "multi_label.html"
    stated: ClassVar[dict[str, str]] = {"summary": _SUMMARY}

    def __init__(self, run: MultiLabelRun, scored: Scored | None = None) -> None:
        """Choose what is shown."""
        super().__init__(run, scored.context if scored else None)
        self.truth = scored.truth if scored else None
        said = run.predictions
        self.counts = run.whole.counts if run.whole else said.present.sum(axis=0)
        self._shown = multi_label_rows(said.probabilities, said.present, run.thresholds)
        self._empty = empty_rows(said.probabilities, said.present, run.thresholds)
        self.rows = {row for c in self.order[:WALLS] for rows in self._shown[c] for row in rows.tolist()}
        self.rows |= set(self._empty)

    def wall(self, c: int) -> Wall:
        """The surest pictures that have a class, and the nearest to its threshold."""
        surest, near = (rows.tolist() for rows in self._shown[c])
        whole = "All that have it" if len(surest) == self.counts[c] else "The surest"
        rest = "The others nearest to the threshold" if surest else "Nearest to the threshold"
        return [(end, [self._tile(row, c) for row in rows]) for end, rows in ((whole, surest), (rest, near)) if rows]

    def note(self, c: int) -> str:
        """Say how many these are, and from which probability on."""
        return f"{self.counts[c]} present, threshold {100 * self.run.thresholds[c]:.1f}\N{NO-BREAK SPACE}%"

    def further(self) -> dict[str, Any]:
        """Thresholds, probabilities, what occurs together, and what has no class."""
        run, chances = self.run, self.run.predictions.probabilities
        closest = [int(np.argmin(run.thresholds - chances[row])) for row in self._empty]
        return {
            "classes": [
                self.share(c) | {"threshold": float(run.thresholds[c]), "median": float(np.median(chances[:, c]))}
                for c in range(len(run.keys))
            ],
            "histograms": [
                (
                    run.class_names[c],
                    probability_histogram(
                        chances[:, c], float(run.thresholds[c]), run.class_names[c], int(self.counts[c])
                    ),
                )
                for c in self.order[:WALLS]
            ],
            "together": _together(run),
            "bare": {
                "count": run.empty,
                "tiles": [self._tile(row, c) for row, c in zip(self._empty, closest, strict=True)],
            },
        }

    def _tile(self, row: int, c: int) -> dict[str, Any]:
        """One picture with the evidence for one class."""
        run, name = self.run, self.run.class_names[c]
        chances, there = run.predictions.probabilities[row], run.predictions.present[row]
        present, truth = bool(there[c]), -1 if self.truth is None else int(self.truth[row, c])
        sentences = run.sentences(row, c)
        shown, between = loudest(sentences)
        others = [d for d in np.argsort(-chances, kind="stable").tolist() if d != c and there[d]]
        return {
            "id": run.ids[row],
            "picture": self.sprite(row),
            "slices": self.slices(row, c, self.sprite),
            "name": name,
            "present": present,
            "said": ["present" if present else "absent"],
            "probability": float(chances[c]),
            "threshold": float(run.thresholds[c]),
            "others": [(run.class_names[d], float(chances[d])) for d in others],
            "truth": "present" if truth == 1 else "absent",
            "right": None if truth < 0 else bool(truth) == present,
            "margin": sum(each.share for each in sentences),
            "sentences": shown,
            "between": len(between),
            "between_share": sum(each.share for each in between),
            "nearest": [
                (f"Nearest where {name} is {words}", self.near(found))
                for words, has in (("present", True), ("absent", False))
                if (found := run.nearest(row, c, present=has))
            ],
        }

    def described(self, c: int) -> dict[str, Any]:
        """Say of each pair of sentences how much more pictures with the class lean to it than the others do."""
        run, there = self.run, self.run.predictions.present[:, c]
        lift = np.zeros(len(run.contrasts[c]))
        if 0 < there.sum() < run.n:
            away = run.images[there].mean(axis=0, dtype=np.float64) - run.images[~there].mean(axis=0, dtype=np.float64)
            lift = np.asarray(run.contrasts[c] @ away) * float(run.plan["settings"]["temperature"])
        told = [{"against": text} for text in run.against(c)]
        return self.sentences(c, lift.tolist(), told, stated=bool(run.knowledge.classes[c].absent))


def _together(run: MultiLabelRun) -> dict[str, Any]:
    """Count which classes the pictures have together: as sets, and in pairs where these fit a table."""
    sets = Counter(tuple(np.flatnonzero(row).tolist()) for row in run.predictions.present)
    common = sorted(((found, count) for found, count in sets.items() if found), key=lambda item: (-item[1], item[0]))
    there = run.predictions.present.astype(np.int64)
    pairs = there.T @ there
    whole = np.maximum(np.diag(pairs)[:, None], 1)
    shares = (100 * pairs / whole).round().astype(int)
    return {
        "sets": [([run.class_names[c] for c in found], count) for found, count in common[:_TOGETHER]],
        "more": max(0, len(common) - _TOGETHER),
        "pairs": [
            (run.class_names[c], list(zip(pairs[c].tolist(), shares[c].tolist(), strict=True)))
            for c in range(len(run.keys))
        ]
        if len(run.keys) <= _TOGETHER
        else None,
    }
