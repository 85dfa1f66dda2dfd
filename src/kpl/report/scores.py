"""What labels say of a run, laid out for its report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from kpl.encoders import Encoder
from kpl.evaluation import METRICS, Reading, Scores
from kpl.evaluation.metrics import REGISTRY
from kpl.proxies.arrays import Floats
from kpl.report.charts import coverage_curve, curves, reliability_curve
from kpl.runs import Evaluation, SingleLabelRun, evaluate

__all__ = ["METRIC_NAMES", "Scored", "how_sure", "roc", "score"]

METRIC_NAMES = {metric.name: metric.title for metric in REGISTRY}
_SMALLER_IS_BETTER = {metric.name for metric in REGISTRY if metric.less_is_better}
_CLASS_METRICS = ("sensitivity", "specificity", "precision", "f1", "auroc", "average_precision")
_ROC_CLASSES = 10
_MATRIX = 40
_POINTS = 120


class Scored:
    """Labels, and all that follows from them.

    Attributes:
        truth: (n,) class indices, -1 where there is no label.
        context: what the template shows.
    """

    def __init__(self, run: SingleLabelRun, evaluation: Evaluation, truth: NDArray[np.int64], sure: str) -> None:
        """Lay out an evaluation of the run; `sure` tells how its intervals were made."""
        self.truth = truth
        self.run = run
        table = evaluation.table
        focus = table.reference or next(iter(table.scores))
        details = table.details[focus]
        rows = [(name, scores, name == focus) for name, scores in table.scores.items()]
        rows += [("majority", table.majority, False), ("chance", table.guessing, False)]
        shown = [m for m in METRICS if any(getattr(scores, m) is not None for scores in table.scores.values())]
        self.context: dict[str, Any] = {
            "n": table.majority.n,
            "focus": focus,
            "notices": list(evaluation.notices),
            "left_out": dict(evaluation.left_out),
            "sure": sure,
            "methods": [
                (told, [METRIC_NAMES[m] for m in part], [(name, own, _figures(row, part)) for name, row, own in rows])
                for told, part in (
                    (
                        "How often each is right, on the same pictures: more is better",
                        [m for m in shown if m not in _SMALLER_IS_BETTER],
                    ),
                    (
                        "Whether its probabilities can be believed: less is better",
                        [m for m in shown if m in _SMALLER_IS_BETTER],
                    ),
                )
                if part
            ],
            "headline": [(METRIC_NAMES[m], *_figure(table.scores[focus], m)) for m in shown[:4]],
            "reference": table.reference,
            "differences": [
                (name, d.accuracy, d.interval, d.p_value, d.p_holm) for name, d in table.differences.items()
            ],
            "classes": [
                (name, own, [(getattr(own, m), own.intervals.get(m)) for m in _CLASS_METRICS])
                for name, own in zip(run.class_names, details.classes.values(), strict=True)
            ],
            "confusion": self._confusion(details.confusion),
            "subgroups": [
                (column, [(value, scores.n, _figures(scores, shown[:3])) for value, scores in values.items()])
                for column, values in table.subgroups.get(focus, {}).items()
            ],
            "subgroup_metrics": [METRIC_NAMES[m] for m in shown[:3]],
            "roc": self._roc(),
            "reliability": None,
            "coverage": None,
        }
        if details.reliability:
            ece = table.scores[focus].ece
            told = "Dots on the dotted line would be right as often as they are sure" + (
                "" if ece is None else f"; calibration error {ece:.3f}"
            )
            bins = [(b.confidence, b.accuracy, round(b.share * table.majority.n)) for b in details.reliability]
            self.context["reliability"] = reliability_curve(bins, told)
        if details.coverage:
            half = int(np.searchsorted(details.coverage, 0.5))  # pictures that are equally sure are answered together
            every, share, surest = details.risk[-1], details.coverage[half], details.risk[half]
            told = f"Answering all pictures {every:.1%} are wrong; answering the surest {share:.0%} {surest:.1%}"
            self.context["coverage"] = coverage_curve(details.coverage, details.risk, told)

    def _confusion(self, counts: NDArray[np.int64] | None) -> list[tuple[str, list[tuple[int, int]]]] | None:
        if counts is None or len(counts) > _MATRIX:
            return None
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        return [
            (name, list(zip(own.tolist(), (share * 100).round().astype(int).tolist(), strict=True)))
            for name, own, share in zip(self.run.class_names, counts, shares, strict=True)
        ]

    def _roc(self) -> Any:  # noqa: ANN401 - Markup, or None
        labelled = self.truth >= 0
        said = self.run.predictions
        truth, ranks = self.truth[labelled], (said.probabilities if said.ranking is None else said.ranking)[labelled]
        counts = np.bincount(truth, minlength=len(self.run.keys))
        common = [c for c in np.argsort(-counts, kind="stable").tolist() if 0 < counts[c] < len(truth)][:_ROC_CLASSES]
        if not common:
            return None
        lines = [(c, self.run.class_names[c], *roc(truth == c, ranks[:, c])) for c in common]
        told = f"One curve a class against the rest, the {len(lines)} most frequent; the dotted line is guessing"
        return curves(lines, "ROC", told, "false alarms (1 - specificity)", "found (sensitivity)")


def score(
    run: SingleLabelRun,
    labels: str | Path,
    *,
    by: Sequence[str] = (),
    methods: Sequence[str] | Literal["all"] | None = None,
    encoder: str | Encoder | None = None,
    ordered: bool = False,
    replicates: int = 2000,
    ignore_unknown: bool = False,
    reading: Reading | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Scored:
    """Score a run against labels; arguments as in `kpl.runs.evaluate`.

    Raises:
        LabelsError, FeaturesError: what cannot be used.
    """
    own = run.method_name
    given = methods if methods is None or methods == "all" else list(dict.fromkeys([*methods, own]))
    evaluation = evaluate(
        run,
        labels=labels,
        methods=given,
        encoder=encoder,
        ordered=ordered,
        replicates=replicates,
        ignore_unknown=ignore_unknown,
        by=by,
        reading=reading,
        progress=progress,
    )
    truth = run.labels(labels, ignore_unknown=ignore_unknown, reading=reading)
    return Scored(
        run,
        evaluation,
        truth.labels,
        how_sure(truth.group_column, truth.groups, np.flatnonzero(truth.labels >= 0), replicates),
    )


def how_sure(
    column: str | None, groups: Sequence[str | None] | None, labelled: NDArray[np.intp], replicates: int
) -> str:
    """Say how the intervals were made: of which units, (n,) `groups` in the `labelled` rows, and how many draws."""
    if not replicates:
        return "No intervals were asked for."
    drawn = "pictures"
    if groups is not None:
        units = {groups[row] or row for row in labelled.tolist()}
        drawn = f"{len(units)} groups in the labels' {column}, each whole"
    return f"In small print: 95 % percentile intervals by bootstrap, {replicates} resamples of the {drawn}."


def _figures(scores: Scores, metrics: Sequence[str]) -> list[tuple[float | None, tuple[float, float] | None]]:
    return [_figure(scores, metric) for metric in metrics]


def _figure(scores: Scores, metric: str) -> tuple[float | None, tuple[float, float] | None]:
    return getattr(scores, metric), scores.intervals.get(metric)


def roc(positive: NDArray[np.bool_], scores: Floats) -> tuple[list[float], list[float]]:
    """Return false alarm rates and sensitivities from the strictest threshold on, thinned."""
    order = np.argsort(-scores, kind="stable")
    falling = scores[order]
    last = np.append(falling[1:] != falling[:-1], True)  # equal scores are one threshold
    found = np.concatenate([[0.0], (np.cumsum(positive[order]) / positive.sum())[last]])
    alarms = np.concatenate([[0.0], (np.cumsum(~positive[order]) / (~positive).sum())[last]])
    kept = np.unique(np.linspace(0, len(found) - 1, _POINTS).round().astype(int))
    return alarms[kept].tolist(), found[kept].tolist()
