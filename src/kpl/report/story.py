"""What the report tells, in its order, as plain values for its template."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from kpl.methods import class_similarity
from kpl.methods.similarity import COLLAPSED
from kpl.report.charts import histogram, plane_map
from kpl.report.layout import Sprite, inline, near_pictures, set_aside, what_was_run
from kpl.report.mapping import SmallMap
from kpl.report.marks import MARKED, mark
from kpl.report.scores import Scored
from kpl.report.seen import Seen
from kpl.runs import verdict_words
from kpl.runs.tables import read_csv
from kpl.runs.thumbnails import overruled_rows, shown_rows

__all__ = ["rows_told", "tell"]

_WALLS = 40  # classes with a wall; more would be no report but a book
_POINTS = 2000
_SIDE = 3  # sentences for, and sentences against
_SENTENCES = 12
_PAIRS = 20
_TABLED = 30  # classes whose similarities are a table
_HOW = {
    "patches": "by the encoder's features of its patches",
    "hiding": "by what hiding each part takes away",
    "windows": "by what small windows see by themselves",
}


def rows_told(seen: Seen) -> list[int]:
    """List the pictures that the report shows."""
    walls = shown_rows(seen.winners, seen.said.sureness, seen.n_classes)
    overruled = overruled_rows(seen.winners, seen.text_winners, seen.said.sureness)
    return sorted({row for c in _order(seen)[:_WALLS] for row in walls[c].tolist()} | set(overruled))


def _order(seen: Seen) -> list[int]:
    """Classes, those with most pictures first."""
    return [int(c) for c in np.argsort([-len(rows) for rows in _members(seen)], kind="stable")]


def tell(seen: Seen, scored: Scored | None, maps: Mapping[int, SmallMap] = MappingProxyType({})) -> dict[str, Any]:
    """Gather all that the template shows; maps of pictures by their row."""
    effects = _Effects(seen)
    walls = shown_rows(seen.winners, seen.said.sureness, seen.n_classes)
    order, wanted = _order(seen), rows_told(seen)
    overruled = overruled_rows(seen.winners, seen.text_winners, seen.said.sureness)
    effects.read({seen.ids[row] for row in wanted})
    tile = _Tiles(seen, scored, effects, maps)
    return {
        "what": what_was_run(seen.run),
        "shares": _shares(seen),
        "absent": [name for name, rows in zip(seen.names, _members(seen), strict=True) if not len(rows)],
        "abstained": int((~seen.said.answered).sum()),
        "histogram": histogram(seen.confidence),
        "aside": set_aside(seen.run),
        "warnings": seen.warnings,
        "effects": bool(effects.found),
        "pictures_shown": bool(seen.thumbnails),
        "pictures_missing": sum(row not in seen.thumbnails for row in wanted),
        "walls": [
            {
                "name": seen.names[c],
                "count": len(_members(seen)[c]),
                "surest": [tile(row) for row in surest],
                "least": [tile(row) for row in least],
            }
            for c in order[:_WALLS]
            if len(walls[c])
            for surest, least in [_ends(walls[c].tolist(), len(_members(seen)[c]))]
        ],
        "walls_left_out": sum(len(walls[c]) > 0 for c in order[_WALLS:]),
        "overruled": {
            "count": int((seen.winners != seen.text_winners).sum()),
            "pairs": _pairs(seen),
            "tiles": [tile(row) for row in overruled],
        },
        "map": _map(seen),
        "alike": _alike(seen),
        "knowledge": _knowledge(seen, order[:_WALLS]),
        "scores": scored.context if scored else None,
        "sprite": tile.sprite.pictures,
    }


def _ends(shown: list[int], count: int) -> tuple[list[int], list[int]]:
    """Split the rows shown of a class of `count`: the surest, and the least sure where others lie between."""
    half = len(shown) if len(shown) == count else len(shown) // 2
    return shown[:half], shown[half:]


def _members(seen: Seen) -> list[np.ndarray[Any, np.dtype[np.intp]]]:
    return [np.flatnonzero(seen.winners == c) for c in range(seen.n_classes)]


def _shares(seen: Seen) -> list[dict[str, Any]]:
    own = np.bincount(seen.winners, minlength=seen.n_classes)
    text = np.bincount(seen.text_winners, minlength=seen.n_classes)
    top = max(int(own.max()), int(text.max()), 1)
    prior = seen.run.summary.get("estimated_prior") or {}
    return [
        {
            "name": name,
            "mark": mark(c),
            "count": int(own[c]),
            "share": own[c] / seen.n,
            "bar": 100 * own[c] / top,
            "text_count": int(text[c]),
            "text_share": text[c] / seen.n,
            "text_bar": 100 * text[c] / top,
            "prior": prior.get(key),
        }
        for c, (key, name) in enumerate(zip(seen.keys, seen.names, strict=True))
    ]


class _Effects:
    """What leaving a sentence out did to the method's margin, where the run computed it (`--explain`)."""

    def __init__(self, seen: Seen) -> None:
        self.path = seen.run.path / "evidence.csv"
        self.names = dict(zip(seen.keys, seen.names, strict=True))
        self.margins: dict[str, float] = {}
        self.found: dict[tuple[str, str, str], tuple[float, str]] = {}

    def read(self, ids: set[str]) -> None:
        """Read the effects of some pictures; nothing without `evidence.csv`."""
        if not self.path.exists():
            return
        header, *rows = read_csv(self.path)
        for row in (dict(zip(header, cells, strict=True)) for cells in rows):
            if row["proxy_effect"] and row["image"] in ids:
                self.margins[row["image"]] = float(row["proxy_margin"])
                then = self.names.get(row.get("label_without", ""), "")  # a run of an earlier version has none
                self.found[row["image"], row["class"], row["sentence"]] = float(row["proxy_effect"]), then


class _Tiles:
    """One picture with its evidence."""

    def __init__(self, seen: Seen, scored: Scored | None, effects: _Effects, maps: Mapping[int, SmallMap]) -> None:
        self.seen, self.scored, self.effects, self.maps = seen, scored, effects, maps
        self.sprite = Sprite(seen.thumbnails)

    def __call__(self, row: int) -> dict[str, Any]:
        seen = self.seen
        winner, runner = int(seen.winners[row]), int(seen.runners[row])
        truth = int(self.scored.truth[row]) if self.scored else -1
        where = self.maps.get(row)
        return {
            "id": seen.ids[row],
            "picture": self.sprite(row),
            "where": None if where is None else {"picture": inline(where.data), "how": _HOW[where.how]},
            "label": seen.names[winner],
            "runner_up": seen.names[runner],
            "confidence": float(seen.confidence[row]),
            "runner_confidence": float(seen.probabilities[row, runner]),
            "answered": bool(seen.said.answered[row]),
            "text_label": seen.names[int(seen.text_winners[row])],
            "text_agrees": bool(seen.text_winners[row] == winner),
            "truth": seen.names[truth] if truth >= 0 else None,
            "right": truth == winner if truth >= 0 else None,
            "text_margin": float(seen.features[row] @ (seen.text_proxies[winner] - seen.text_proxies[runner])),
            "method_margin": self.effects.margins.get(seen.ids[row]),
            "evidence": self._evidence(row),
            "nearest": [
                (f"Nearest called {seen.names[c]}", near_pictures(seen.ids, self.sprite, seen.nearest(row, c)))
                for c in ([winner] if winner == runner else [winner, runner])
            ],
        }

    def _evidence(self, row: int) -> list[dict[str, Any]]:
        found = self.seen.sentences(row)
        cut = _SIDE if len(found) > 2 * _SIDE + 1 else len(found)
        chosen, between = (*found[:cut], *found[cut:][-_SIDE:]), found[cut:-_SIDE]
        classes = self.seen.run.knowledge.classes
        lines = []
        for sentence in chosen:
            entry = classes[sentence.class_index]
            text = entry.descriptions[sentence.index].text
            lines.append(
                {
                    "class": entry.name,
                    "text": text,
                    "share": sentence.text_share,
                    "excess": sentence.text_excess,
                    "effect": self.effects.found.get((self.seen.ids[row], entry.key, text)),
                }
            )
        if between:
            shares, excess = (sum(getattr(s, part) for s in between) for part in ("text_share", "text_excess"))
            rest = {"class": "", "text": f"{len(between)} more between", "share": shares, "excess": excess}
            lines.insert(cut, rest | {"effect": None})
        return lines


def _pairs(seen: Seen) -> list[tuple[str, str, int]]:
    moved = np.flatnonzero(seen.winners != seen.text_winners)
    pairs = Counter(zip(seen.text_winners[moved].tolist(), seen.winners[moved].tolist(), strict=True))
    common = sorted(pairs.items(), key=lambda item: (-item[1], item[0]))[:_PAIRS]
    return [(seen.names[text], seen.names[own], count) for (text, own), count in common]


def _map(seen: Seen) -> dict[str, Any]:
    plane = seen.plane
    rows = np.unique(np.linspace(0, seen.n - 1, min(seen.n, _POINTS)).round().astype(int))
    return {
        "drawing": plane_map(plane.images[rows], seen.winners[rows], plane.texts, seen.names, plane.shares),
        "drawn": len(rows),
        "legend": [(mark(c), name) for c, name in enumerate(seen.names[:MARKED])],
        "more": max(0, seen.n_classes - MARKED),
    }


def _alike(seen: Seen) -> dict[str, Any]:
    """Say how alike the classes are to the text: as a table, or by the most alike pairs where that were too large."""
    found = class_similarity(seen.text_proxies)
    near = np.argwhere(np.triu(np.ones_like(found.cosines), k=1))
    ranked = near[np.argsort(-found.cosines[near[:, 0], near[:, 1]], kind="stable")]
    collapsed = [(a, b) for a, b in ranked[:_PAIRS].tolist() if found.cosines[a, b] > COLLAPSED]
    order = found.order.tolist() if seen.n_classes <= _TABLED else []
    return {
        "collapsed": [(seen.names[a], seen.names[b]) for a, b in collapsed],
        "names": [seen.names[c] for c in order],
        "rows": [(seen.names[c], [found.centred[c, k] for k in order]) for c in order],
        "pairs": [
            (seen.names[a], seen.names[b], found.cosines[a, b], found.centred[a, b])
            for a, b in ([] if order else ranked[:_PAIRS].tolist())
        ],
    }


def _knowledge(seen: Seen, classes: Iterable[int]) -> list[dict[str, Any]] | None:
    """Say of each description how much nearer it is to the pictures of its class than to others, and its verdict."""
    if seen.insight is None:
        return None
    knowledge, told = seen.run.knowledge, []
    for c in classes:
        entry, items = knowledge.classes[c], seen.insight.descriptions[c]
        order = sorted(items, key=lambda item: -item.lift)
        shown = order if len(order) <= _SENTENCES else order[: _SENTENCES - 4] + order[-4:]
        top = max(abs(item.lift) for item in items) or 1.0
        told.append(
            {
                "key": entry.key,
                "name": entry.name,
                "count": seen.insight.classes[c].pictures,
                "used": sum(item.used for item in items),
                "descriptions": len(order),
                "marked": sum(item.verdict.marked for item in items),
                "left_out": len(order) - len(shown),
                "sentences": [
                    {
                        "text": entry.descriptions[item.index].text,
                        "used": item.used,
                        "lift": item.lift,
                        "bar": 100 * abs(item.lift) / top,
                        "against": item.lift < 0,
                        "verdict": verdict_words(item, knowledge),
                        "reviewed": bool((p := entry.descriptions[item.index].provenance) and p.reviewed_by),
                    }
                    for item in shown
                ],
            }
        )
    return told
