"""What the report of a multi-label run tells, in its order, as plain values for its template."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from kpl.report.charts import presence_histogram
from kpl.report.layout import Sprite, near_pictures, set_aside, what_was_run
from kpl.report.marks import mark
from kpl.report.presence import PresenceSeen
from kpl.report.presence_scores import PresenceScored
from kpl.runs.thumbnails import empty_rows, presence_rows

__all__ = ["tell_presence"]

_WALLS = 40  # classes with a wall, as in the report of one label a picture
_SIDE = 3  # sentences for presence, and for absence
_SENTENCES = 12
_TOGETHER = 20  # sets of classes that are listed, and classes that fit a square table
_SUMMARY = "Each class by itself: what is seen when it is there against what is seen when it is not; nothing is learnt"


def tell_presence(seen: PresenceSeen, scored: PresenceScored | None) -> dict[str, Any]:
    """Gather all that the template shows."""
    counts = seen.present.sum(axis=0)
    order = np.argsort(-counts, kind="stable").tolist()
    chosen = presence_rows(seen.probabilities, seen.present, seen.thresholds)
    none = empty_rows(seen.probabilities, seen.present, seen.thresholds)
    nearest = [int(np.argmin(seen.thresholds - seen.probabilities[row])) for row in none]
    shown = {row for c in order[:_WALLS] for rows in chosen[c] for row in rows.tolist()} | set(none)
    tile = _Findings(seen, scored)
    return {
        "what": what_was_run(seen.run) | {"summary": _SUMMARY},
        "classes": [_class(seen, c, int(counts[c]), int(counts.max())) for c in range(len(seen.keys))],
        "histograms": [
            presence_histogram(seen.probabilities[:, c], float(seen.thresholds[c]), seen.names[c], int(counts[c]))
            for c in order[:_WALLS]
        ],
        "together": _together(seen),
        "warnings": seen.warnings,
        "aside": set_aside(seen.run),
        "scores": scored.context if scored else None,
        "pictures_shown": bool(seen.thumbnails),
        "pictures_missing": sum(row not in seen.thumbnails for row in shown),
        "walls": [
            {
                "name": seen.names[c],
                "count": int(counts[c]),
                "threshold": float(seen.thresholds[c]),
                "surest": [tile(row, c) for row in chosen[c][0].tolist()],
                "near": [tile(row, c) for row in chosen[c][1].tolist()],
            }
            for c in order[:_WALLS]
        ],
        "walls_left_out": max(0, len(order) - _WALLS),
        "bare": {
            "count": int((~seen.present.any(axis=1)).sum()),
            "tiles": [tile(row, c) for row, c in zip(none, nearest, strict=True)],
        },
        "knowledge": [_knowledge(seen, c) for c in order[:_WALLS]],
        "sprite": tile.sprite.pictures,
    }


def _class(seen: PresenceSeen, c: int, count: int, top: int) -> dict[str, Any]:
    return {
        "name": seen.names[c],
        "mark": mark(c),
        "count": count,
        "share": count / seen.n,
        "bar": 100 * count / max(top, 1),
        "threshold": float(seen.thresholds[c]),
        "median": float(np.median(seen.probabilities[:, c])),
    }


def _together(seen: PresenceSeen) -> dict[str, Any]:
    """Count which classes the pictures have together: as sets, and in pairs where these fit a table."""
    sets = Counter(tuple(np.flatnonzero(row).tolist()) for row in seen.present)
    common = sorted(((found, count) for found, count in sets.items() if found), key=lambda item: (-item[1], item[0]))
    there = seen.present.astype(np.int64)
    pairs = there.T @ there
    whole = np.maximum(np.diag(pairs)[:, None], 1)
    shares = (100 * pairs / whole).round().astype(int)
    return {
        "sets": [([seen.names[c] for c in found], count) for found, count in common[:_TOGETHER]],
        "more": max(0, len(common) - _TOGETHER),
        "pairs": [
            (seen.names[c], list(zip(pairs[c].tolist(), shares[c].tolist(), strict=True)))
            for c in range(len(seen.keys))
        ]
        if len(seen.keys) <= _TOGETHER
        else None,
    }


class _Findings:
    """One picture with the evidence for one class."""

    def __init__(self, seen: PresenceSeen, scored: PresenceScored | None) -> None:
        self.seen, self.scored = seen, scored
        self.sprite = Sprite(seen.thumbnails)

    def __call__(self, row: int, c: int) -> dict[str, Any]:
        seen = self.seen
        truth = int(self.scored.truth[row, c]) if self.scored else -1
        present = bool(seen.present[row, c])
        sentences = seen.sentences(row, c)
        between = sentences[_SIDE:-_SIDE] if len(sentences) > 2 * _SIDE else ()
        shown = sentences if not between else (*sentences[:_SIDE], *sentences[-_SIDE:])
        others = [d for d in np.argsort(-seen.probabilities[row], kind="stable").tolist() if d != c]
        return {
            "id": seen.ids[row],
            "picture": self.sprite(row),
            "name": seen.names[c],
            "present": present,
            "probability": float(seen.probabilities[row, c]),
            "threshold": float(seen.thresholds[c]),
            "others": [(seen.names[d], float(seen.probabilities[row, d])) for d in others if seen.present[row, d]],
            "truth": None if truth < 0 else bool(truth),
            "right": None if truth < 0 else bool(truth) == present,
            "margin": sum(each.share for each in sentences),
            "sentences": shown,
            "between": len(between),
            "between_share": sum(each.share for each in between),
            "nearest": [
                (f"Nearest where {seen.names[c]} is {words}", near_pictures(seen.ids, self.sprite, found))
                for words, there in (("present", True), ("absent", False))
                if (found := seen.nearest(row, c, present=there))
            ],
        }


def _knowledge(seen: PresenceSeen, c: int) -> dict[str, Any]:
    """Say of each pair of sentences how much more pictures with the class lean to it than the others do."""
    entry, there = seen.run.knowledge.classes[c], seen.present[:, c]
    lift = np.zeros(len(entry.descriptions))
    if 0 < there.sum() < seen.n:
        away = seen.features[there].mean(axis=0, dtype=np.float64) - seen.features[~there].mean(
            axis=0, dtype=np.float64
        )
        lift = np.asarray(seen.contrasts[c] @ away) * float(seen.run.summary["plan"]["settings"]["temperature"])
    order = np.argsort(-lift, kind="stable").tolist()
    shown = order if len(order) <= _SENTENCES else order[: _SENTENCES - 4] + order[-4:]
    top, against = float(np.abs(lift).max()) or 1.0, seen.against(c)
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
