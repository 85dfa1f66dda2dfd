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
from kpl.report.plane import plane_of
from kpl.report.scores import Scored
from kpl.runs import SingleLabelRun, verdict_words
from kpl.runs.tables import read_csv
from kpl.runs.thumbnails import overruled_rows, shown_rows

__all__ = ["rows_told", "tell"]

_WALLS = 40  # classes with a wall; more would be no report but a book
_POINTS = 2000
_SIDE = 3  # sentences for, and sentences against
_SENTENCES = 12
_PAIRS = 20
_DRAWN = 3  # pictures from which on a figure shows more than the table
_TABLED = 30  # classes whose similarities are a table
_HOW = {
    "patches": "by the encoder's features of its patches",
    "hiding": "by what hiding each part takes away",
    "windows": "by what small windows see by themselves",
}


def rows_told(run: SingleLabelRun) -> list[int]:
    """List the pictures that the report shows."""
    walls = shown_rows(run.predictions.winners, run.predictions.sureness, len(run.keys))
    overruled = overruled_rows(run.predictions.winners, run.text.winners, run.predictions.sureness)
    return sorted({row for c in _order(run)[:_WALLS] for row in walls[c].tolist()} | set(overruled))


def _order(run: SingleLabelRun) -> list[int]:
    """Classes, those with most pictures first."""
    return [int(c) for c in np.argsort([-len(rows) for rows in _members(run)], kind="stable")]


def tell(
    run: SingleLabelRun, scored: Scored | None, maps: Mapping[int, SmallMap] = MappingProxyType({})
) -> dict[str, Any]:
    """Gather all that the template shows; maps of pictures by their row."""
    effects = _Effects(run)
    walls = shown_rows(run.predictions.winners, run.predictions.sureness, len(run.keys))
    order, wanted = _order(run), rows_told(run)
    overruled = overruled_rows(run.predictions.winners, run.text.winners, run.predictions.sureness)
    effects.read({run.ids[row] for row in wanted})
    tile = _Tiles(run, scored, effects, maps)
    return {
        "what": what_was_run(run),
        "shares": _shares(run),
        "absent": [name for name, rows in zip(run.class_names, _members(run), strict=True) if not len(rows)],
        "abstained": int((~run.predictions.answered).sum()),
        "histogram": histogram(run.predictions.confidence) if len(run.ids) >= _DRAWN else None,
        "aside": set_aside(run),
        "warnings": run.warnings,
        "effects": bool(effects.found),
        "pictures_shown": bool(run.thumbnails),
        "pictures_missing": sum(row not in run.thumbnails for row in wanted),
        "walls": [
            {
                "name": run.class_names[c],
                "count": len(_members(run)[c]),
                "surest": [tile(row) for row in surest],
                "least": [tile(row) for row in least],
            }
            for c in order[:_WALLS]
            if len(walls[c])
            for surest, least in [_ends(walls[c].tolist(), len(_members(run)[c]))]
        ],
        "walls_left_out": sum(len(walls[c]) > 0 for c in order[_WALLS:]),
        "overruled": {
            "count": int((run.predictions.winners != run.text.winners).sum()),
            "pairs": _pairs(run),
            "tiles": [tile(row) for row in overruled],
        },
        "map": _map(run) if len(run.ids) >= _DRAWN else None,
        "alike": _alike(run),
        "knowledge": _knowledge(run, order[:_WALLS]),
        "scores": scored.context if scored else None,
        "sprite": tile.sprite.pictures,
    }


def _ends(shown: list[int], count: int) -> tuple[list[int], list[int]]:
    """Split the rows shown of a class of `count`: the surest, and the least sure where others lie between."""
    half = len(shown) if len(shown) == count else len(shown) // 2
    return shown[:half], shown[half:]


def _members(run: SingleLabelRun) -> list[np.ndarray[Any, np.dtype[np.intp]]]:
    return [np.flatnonzero(run.predictions.winners == c) for c in range(len(run.keys))]


def _shares(run: SingleLabelRun) -> list[dict[str, Any]]:
    own = np.bincount(run.predictions.winners, minlength=len(run.keys))
    text = np.bincount(run.text.winners, minlength=len(run.keys))
    top = max(int(own.max()), int(text.max()), 1)
    prior = run.summary.get("estimated_prior") or {}
    return [
        {
            "name": name,
            "mark": mark(c),
            "count": int(own[c]),
            "share": own[c] / run.n,
            "bar": 100 * own[c] / top,
            "text_count": int(text[c]),
            "text_share": text[c] / run.n,
            "text_bar": 100 * text[c] / top,
            "prior": prior.get(key),
        }
        for c, (key, name) in enumerate(zip(run.keys, run.class_names, strict=True))
    ]


class _Effects:
    """What leaving a sentence out did to the method's margin, where the run computed it (`--explain`)."""

    def __init__(self, run: SingleLabelRun) -> None:
        self.path = run.path / "evidence.csv"
        self.names = dict(zip(run.keys, run.class_names, strict=True))
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

    def __init__(
        self, run: SingleLabelRun, scored: Scored | None, effects: _Effects, maps: Mapping[int, SmallMap]
    ) -> None:
        self.run, self.scored, self.effects, self.maps = run, scored, effects, maps
        self.sprite = Sprite(run.thumbnails)

    def __call__(self, row: int) -> dict[str, Any]:
        run = self.run
        winner, runner = int(run.predictions.winners[row]), int(run.predictions.runners[row])
        truth = int(self.scored.truth[row]) if self.scored else -1
        where = self.maps.get(row)
        return {
            "id": run.ids[row],
            "picture": self.sprite(row),
            "where": None if where is None else {"picture": inline(where.data), "how": _HOW[where.how]},
            "label": run.class_names[winner],
            "runner_up": run.class_names[runner],
            "confidence": float(run.predictions.confidence[row]),
            "runner_confidence": float(run.predictions.probabilities[row, runner]),
            "answered": bool(run.predictions.answered[row]),
            "text_label": run.class_names[int(run.text.winners[row])],
            "text_agrees": bool(run.text.winners[row] == winner),
            "truth": run.class_names[truth] if truth >= 0 else None,
            "right": truth == winner if truth >= 0 else None,
            "text_margin": float(run.images[row] @ (run.text_proxies[winner] - run.text_proxies[runner])),
            "method_margin": self.effects.margins.get(run.ids[row]),
            "evidence": self._evidence(row),
            "nearest": [
                (f"Nearest called {run.class_names[c]}", near_pictures(run.ids, self.sprite, run.nearest(row, c)))
                for c in ([winner] if winner == runner else [winner, runner])
            ],
        }

    def _evidence(self, row: int) -> list[dict[str, Any]]:
        found = self.run.sentences(row)
        cut = _SIDE if len(found) > 2 * _SIDE + 1 else len(found)
        chosen, between = (*found[:cut], *found[cut:][-_SIDE:]), found[cut:-_SIDE]
        classes = self.run.knowledge.classes
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
                    "effect": self.effects.found.get((self.run.ids[row], entry.key, text)),
                }
            )
        if between:
            shares, excess = (sum(getattr(s, part) for s in between) for part in ("text_share", "text_excess"))
            rest = {"class": "", "text": f"{len(between)} more between", "share": shares, "excess": excess}
            lines.insert(cut, rest | {"effect": None})
        return lines


def _pairs(run: SingleLabelRun) -> list[tuple[str, str, int]]:
    moved = np.flatnonzero(run.predictions.winners != run.text.winners)
    pairs = Counter(zip(run.text.winners[moved].tolist(), run.predictions.winners[moved].tolist(), strict=True))
    common = sorted(pairs.items(), key=lambda item: (-item[1], item[0]))[:_PAIRS]
    return [(run.class_names[text], run.class_names[own], count) for (text, own), count in common]


def _map(run: SingleLabelRun) -> dict[str, Any]:
    plane = plane_of(run)
    rows = np.unique(np.linspace(0, run.n - 1, min(run.n, _POINTS)).round().astype(int))
    return {
        "drawing": plane_map(
            plane.images[rows], run.predictions.winners[rows], plane.texts, run.class_names, plane.shares
        ),
        "drawn": len(rows),
        "legend": [(mark(c), name) for c, name in enumerate(run.class_names[:MARKED])],
        "more": max(0, len(run.keys) - MARKED),
    }


def _alike(run: SingleLabelRun) -> dict[str, Any]:
    """Say how alike the classes are to the text: as a table, or by the most alike pairs where that were too large."""
    found = class_similarity(run.text_proxies)
    near = np.argwhere(np.triu(np.ones_like(found.cosines), k=1))
    ranked = near[np.argsort(-found.cosines[near[:, 0], near[:, 1]], kind="stable")]
    collapsed = [(a, b) for a, b in ranked[:_PAIRS].tolist() if found.cosines[a, b] > COLLAPSED]
    order = found.order.tolist() if len(run.keys) <= _TABLED else []
    return {
        "collapsed": [(run.class_names[a], run.class_names[b]) for a, b in collapsed],
        "names": [run.class_names[c] for c in order],
        "rows": [(run.class_names[c], [found.centred[c, k] for k in order]) for c in order],
        "pairs": [
            (run.class_names[a], run.class_names[b], found.cosines[a, b], found.centred[a, b])
            for a, b in ([] if order else ranked[:_PAIRS].tolist())
        ],
    }


def _knowledge(run: SingleLabelRun, classes: Iterable[int]) -> list[dict[str, Any]] | None:
    """Say of each description how much nearer it is to the pictures of its class than to others, and its verdict."""
    if run.insight is None:
        return None
    knowledge, told = run.knowledge, []
    for c in classes:
        entry, items = knowledge.classes[c], run.insight.descriptions[c]
        order = sorted(items, key=lambda item: -item.lift)
        shown = order if len(order) <= _SENTENCES else order[: _SENTENCES - 4] + order[-4:]
        top = max(abs(item.lift) for item in items) or 1.0
        told.append(
            {
                "key": entry.key,
                "name": entry.name,
                "count": run.insight.classes[c].pictures,
                "used": sum(item.used for item in items),
                "descriptions": len(order),
                "marked": sum(item.verdict.marked for item in items),
                "left_out": len(order) - len(shown),
                "sentences": [
                    {
                        "text": entry.descriptions[item.index].text,
                        "used": "yes" if item.used else "no: the pictures contradict it" if item.contradicted else "no",
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
