"""What the report of a multi-label run tells, in its order, as plain values for its template."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from kpl.report.charts import presence_histogram
from kpl.report.layout import Sprite, near_pictures, set_aside, what_was_run
from kpl.report.marks import mark
from kpl.report.presence_scores import PresenceScored
from kpl.runs import MultiLabelRun
from kpl.runs.thumbnails import empty_rows, presence_rows

__all__ = ["tell_presence"]

_WALLS = 40  # classes with a wall, as in the report of one label a picture
_SIDE = 3  # sentences for presence, and for absence
_SENTENCES = 12
_TOGETHER = 20  # sets of classes that are listed, and classes that fit a square table
_SUMMARY = "Each class by itself: what is seen when it is there against what is seen when it is not; nothing is learnt"


def tell_presence(run: MultiLabelRun, scored: PresenceScored | None) -> dict[str, Any]:
    """Gather all that the template shows."""
    counts = run.predictions.present.sum(axis=0)
    order = np.argsort(-counts, kind="stable").tolist()
    chosen = presence_rows(run.predictions.probabilities, run.predictions.present, run.thresholds)
    none = empty_rows(run.predictions.probabilities, run.predictions.present, run.thresholds)
    nearest = [int(np.argmin(run.thresholds - run.predictions.probabilities[row])) for row in none]
    shown = {row for c in order[:_WALLS] for rows in chosen[c] for row in rows.tolist()} | set(none)
    tile = _Findings(run, scored)
    return {
        "what": what_was_run(run) | {"summary": _SUMMARY},
        "classes": [_class(run, c, int(counts[c]), int(counts.max())) for c in range(len(run.keys))],
        "histograms": [
            presence_histogram(
                run.predictions.probabilities[:, c], float(run.thresholds[c]), run.class_names[c], int(counts[c])
            )
            for c in order[:_WALLS]
        ],
        "together": _together(run),
        "warnings": run.warnings,
        "aside": set_aside(run),
        "scores": scored.context if scored else None,
        "pictures_shown": bool(run.thumbnails),
        "pictures_missing": sum(row not in run.thumbnails for row in shown),
        "walls": [
            {
                "name": run.class_names[c],
                "count": int(counts[c]),
                "threshold": float(run.thresholds[c]),
                "surest": [tile(row, c) for row in chosen[c][0].tolist()],
                "near": [tile(row, c) for row in chosen[c][1].tolist()],
            }
            for c in order[:_WALLS]
        ],
        "walls_left_out": max(0, len(order) - _WALLS),
        "bare": {
            "count": int((~run.predictions.present.any(axis=1)).sum()),
            "tiles": [tile(row, c) for row, c in zip(none, nearest, strict=True)],
        },
        "knowledge": [_knowledge(run, c) for c in order[:_WALLS]],
        "sprite": tile.sprite.pictures,
    }


def _class(run: MultiLabelRun, c: int, count: int, top: int) -> dict[str, Any]:
    return {
        "name": run.class_names[c],
        "mark": mark(c),
        "count": count,
        "share": count / run.n,
        "bar": 100 * count / max(top, 1),
        "threshold": float(run.thresholds[c]),
        "median": float(np.median(run.predictions.probabilities[:, c])),
    }


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


class _Findings:
    """One picture with the evidence for one class."""

    def __init__(self, run: MultiLabelRun, scored: PresenceScored | None) -> None:
        self.run, self.scored = run, scored
        self.sprite = Sprite(run.thumbnails)

    def __call__(self, row: int, c: int) -> dict[str, Any]:
        run = self.run
        truth = int(self.scored.truth[row, c]) if self.scored else -1
        present = bool(run.predictions.present[row, c])
        sentences = run.sentences(row, c)
        between = sentences[_SIDE:-_SIDE] if len(sentences) > 2 * _SIDE else ()
        shown = sentences if not between else (*sentences[:_SIDE], *sentences[-_SIDE:])
        chances, there = run.predictions.probabilities[row], run.predictions.present[row]
        others = [d for d in np.argsort(-chances, kind="stable").tolist() if d != c and there[d]]
        return {
            "id": run.ids[row],
            "picture": self.sprite(row),
            "name": run.class_names[c],
            "present": present,
            "probability": float(run.predictions.probabilities[row, c]),
            "threshold": float(run.thresholds[c]),
            "others": [(run.class_names[d], float(chances[d])) for d in others],
            "truth": None if truth < 0 else bool(truth),
            "right": None if truth < 0 else bool(truth) == present,
            "margin": sum(each.share for each in sentences),
            "sentences": shown,
            "between": len(between),
            "between_share": sum(each.share for each in between),
            "nearest": [
                (f"Nearest where {run.class_names[c]} is {words}", near_pictures(run.ids, self.sprite, found))
                for words, there in (("present", True), ("absent", False))
                if (found := run.nearest(row, c, present=there))
            ],
        }


def _knowledge(run: MultiLabelRun, c: int) -> dict[str, Any]:
    """Say of each pair of sentences how much more pictures with the class lean to it than the others do."""
    entry, there = run.knowledge.classes[c], run.predictions.present[:, c]
    lift = np.zeros(len(entry.descriptions))
    if 0 < there.sum() < run.n:
        away = run.images[there].mean(axis=0, dtype=np.float64) - run.images[~there].mean(axis=0, dtype=np.float64)
        lift = np.asarray(run.contrasts[c] @ away) * float(run.plan["settings"]["temperature"])
    order = np.argsort(-lift, kind="stable").tolist()
    shown = order if len(order) <= _SENTENCES else order[: _SENTENCES - 4] + order[-4:]
    top, against = float(np.abs(lift).max()) or 1.0, run.against(c)
    return {
        "key": entry.key,
        "name": entry.name,
        "count": int(there.sum()),
        "descriptions": len(order),
        "stated": bool(entry.absent),
        "left_out": len(order) - len(shown),
        "sentences": [
            {
                "text": entry.descriptions[j].text,
                "against": against[j],
                "lift": float(lift[j]),
                "bar": 100 * abs(float(lift[j])) / top,
                "below": bool(lift[j] < 0),
                "reviewed": bool((p := entry.descriptions[j].provenance) and p.reviewed_by),
            }
            for j in shown
        ],
    }
