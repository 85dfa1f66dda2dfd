"""What the report tells of a run that gives each picture one label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from kpl.methods import Sentence, class_similarity
from kpl.methods.similarity import COLLAPSED
from kpl.report.charts import histogram, plane_map
from kpl.report.layout import inline
from kpl.report.mapping import SmallMap
from kpl.report.marks import MARKED, mark
from kpl.report.plane import plane_of
from kpl.report.scores import Scored
from kpl.report.story import WALLS, Story, Wall, loudest
from kpl.runs import SingleLabelRun, verdict_words
from kpl.runs.tables import read_csv
from kpl.runs.thumbnails import overruled_rows, shown_rows

_POINTS = 2000
_IN_WORDS = 2  # sentences that speak for the label in plain words
_PAIRS = 20
_DRAWN = 3  # pictures from which on a figure shows more than the table
_CONTRADICTED = 12
_TABLED = 30  # classes whose similarities are a table
_HOW = {
    "patches": "by the encoder's features of its patches",
    "hiding": "by what hiding each part takes away",
    "windows": "by what small windows see by themselves",
}


class SingleLabelStory(Story[SingleLabelRun]):
    """What is told of a run that gives each picture one label.

    Attributes:
        truth: (n,) class indices that labels say, -1 for none.
        maps: of pictures by their row.
    """

    template: ClassVar[str] = "report.html"
    truth: np.ndarray[Any, np.dtype[np.int64]]

    def __init__(self, run: SingleLabelRun, scored: Scored | None = None) -> None:
        """Choose what is shown."""
        super().__init__(run, scored.context if scored else None)
        self.truth = scored.truth if scored else np.full(run.n, -1)
        self.maps: Mapping[int, SmallMap] = {}
        said, text = run.predictions, run.text
        self.counts = run.winner_counts
        self._shown = shown_rows(said.winners, said.sureness, len(run.keys))
        self._overruled = overruled_rows(said.winners, text.winners, said.sureness)
        self.rows = {row for c in self.order[:WALLS] for row in self._shown[c].tolist()} | set(self._overruled)

    @cached_property
    def _effects(self) -> _Effects:
        return _Effects(self.run, {self.run.ids[row] for row in self.rows})

    def wall(self, c: int) -> Wall:
        """The surest pictures of a class, and the least sure where others lie between."""
        shown, count = self._shown[c].tolist(), int(self.counts[c])
        if len(shown) == count:
            return [("", [self._tile(row) for row in shown])] if shown else []
        half = len(shown) // 2
        return [
            (end, [self._tile(row) for row in rows])
            for end, rows in (("The surest", shown[:half]), ("The least sure", shown[half:]))
        ]

    def note(self, c: int) -> str:
        """Say how many these are."""
        return str(self.counts[c])

    def further(self) -> dict[str, Any]:
        """Shares, what text and pictures disagree on, the map, and how alike the classes are."""
        run = self.run
        drawn, names = run.n >= _DRAWN, dict(zip(run.keys, run.class_names, strict=True))
        return {
            "shares": self._shares(),
            "absent": [name for name, count in zip(run.class_names, self.counts, strict=True) if not count],
            "abstained": run.abstained,
            "none_of_these": run.none_of_these or 0,
            "histogram": histogram(run.predictions.confidence, "units" if run.key_rows else "pictures")
            if drawn
            else None,
            "effects": bool(self._effects.found),
            "overruled": {
                "count": int((run.predictions.winners != run.text.winners).sum()),
                "pairs": _pairs(run),
                "tiles": [self._tile(row) for row in self._overruled],
            },
            "map": _map(run) if drawn else None,
            "alike": _alike(run),
            "contradicted": [
                (names.get(said.key, said.key), said.text, names.get(said.instead, said.instead))
                for said in run.contradicted[:_CONTRADICTED]
            ],
            "contradicted_more": max(0, len(run.contradicted) - _CONTRADICTED),
        }

    def _shares(self) -> list[dict[str, Any]]:
        run = self.run
        text = np.bincount(run.text.winners, minlength=len(run.keys))
        if run.whole:  # as many as there would be of all
            text = np.round(text * run.total / run.n).astype(np.intp)
        top = max(int(self.counts.max()), int(text.max()), 1)
        prior = run.summary.get("estimated_prior") or {}
        return [
            self.share(c)
            | {
                "bar": 100 * self.counts[c] / top,
                "text_count": int(text[c]),
                "text_share": text[c] / run.total,
                "text_bar": 100 * text[c] / top,
                "prior": prior.get(key),
            }
            for c, key in enumerate(run.keys)
        ]

    def _tile(self, row: int) -> dict[str, Any]:
        """One picture with its evidence."""
        run, said = self.run, self.run.predictions
        winner, runner = int(said.winners[row]), int(said.runners[row])
        truth, where, text = int(self.truth[row]), self.maps.get(row), int(run.text.winners[row])
        sentences = run.sentences(row)
        return {
            "id": run.ids[row],
            "picture": self.sprite(row),
            "slices": self.slices(row, winner, self.sprite),
            "where": None if where is None else {"picture": inline(where.data), "how": _HOW[where.how]},
            "name": run.class_names[winner],
            "probability": float(said.confidence[row]),
            "runner_up": run.class_names[runner],
            "runner_confidence": float(said.probabilities[row, runner]),
            "said": [said.unlabelled(row), *([] if text == winner else [f"text: {run.class_names[text]}"])],
            "text_label": run.class_names[text],
            "truth": run.class_names[truth] if truth >= 0 else None,
            "right": truth == winner if truth >= 0 else None,
            "text_margin": float(run.images[row] @ (run.text_proxies[winner] - run.text_proxies[runner])),
            "method_margin": self._effects.margins.get(run.ids[row]),
            "evidence": self._evidence(row, sentences),
            **self._in_words(winner, sentences),
            "nearest": [
                (f"Nearest called {run.class_names[c]}", self.near(run.nearest(row, c)))
                for c in dict.fromkeys((winner, runner))
            ],
        }

    def _text(self, sentence: Sentence) -> str:
        return str(self.run.knowledge.classes[sentence.class_index].descriptions[sentence.index].text)

    def _in_words(self, winner: int, found: Sequence[Sentence]) -> dict[str, list[str]]:
        """The sentences that a picture, beyond the average one, is most and least like."""
        because = [s for s in found if s.class_index == winner and s.text_excess > 0][:_IN_WORDS]
        but = [s for s in reversed(found) if s.class_index != winner and s.text_excess < 0][:1]
        return {"because": [self._text(s) for s in because], "but": [self._text(s) for s in but]}

    def _evidence(self, row: int, found: Sequence[Sentence]) -> list[dict[str, Any]]:
        classes, (shown, between) = self.run.knowledge.classes, loudest(found)
        lines = [
            {
                "class": classes[each.class_index].name,
                "text": self._text(each),
                "share": each.text_share,
                "excess": each.text_excess,
                "effect": self._effects.found.get((self.run.ids[row], classes[each.class_index].key, self._text(each))),
            }
            for each in shown
        ]
        if between:
            share, excess = (sum(s.text_share for s in between), sum(s.text_excess for s in between))
            rest = {"class": "", "text": f"{len(between)} more between", "share": share, "excess": excess}
            lines.insert(len(shown) // 2, rest | {"effect": None})
        return lines

    def described(self, c: int) -> dict[str, Any] | None:
        """Say how much nearer each description is to the pictures of its class than to others, and its verdict."""
        if self.run.insight is None:
            return None
        items, entry = self.run.insight.descriptions[c], self.run.knowledge.classes[c]
        texts = [each.text for each in entry.descriptions]
        against = {said.text for said in self.run.contradicted if said.key == entry.key}
        told = [
            {
                "used": "yes" if item.used else "no: the pictures contradict it" if text in against else "no",
                "verdict": verdict_words(item, self.run.knowledge),
            }
            for item, text in zip(items, texts, strict=True)
        ]
        marked = sum(item.verdict.marked for item in items)
        return self.sentences(
            c, [item.lift for item in items], told, used=sum(item.used for item in items), marked=marked
        )


class _Effects:
    """What leaving a sentence out did to the method's margin, where the run computed it (`--explain`)."""

    def __init__(self, run: SingleLabelRun, ids: set[str]) -> None:
        """Read the effects of some pictures; nothing without `evidence.csv`."""
        path, names = run.path / "evidence.csv", dict(zip(run.keys, run.class_names, strict=True))
        self.margins: dict[str, float] = {}
        self.found: dict[tuple[str, str, str], tuple[float, str]] = {}
        header, *rows = read_csv(path) if path.exists() else [[]]
        for row in (dict(zip(header, cells, strict=True)) for cells in rows):
            if row["proxy_effect"] and row["image"] in ids:
                self.margins[row["image"]] = float(row["proxy_margin"])
                then = names.get(row.get("label_without", ""), "")  # a run of an earlier version has none
                self.found[row["image"], row["class"], row["sentence"]] = float(row["proxy_effect"]), then


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
