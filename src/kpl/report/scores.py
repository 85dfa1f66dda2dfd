"""What labels say of a run, laid out for its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from kpl.encoders import Encoder
from kpl.errors import LabelsError
from kpl.evaluation import CLASS_METRICS, MultiLabelTable, Reading, Scores, Table, caveats
from kpl.evaluation.details import Details
from kpl.evaluation.metrics import FIRST, REGISTRY
from kpl.evaluation.weighted import Metric
from kpl.progress import Progress
from kpl.proxies.arrays import Floats
from kpl.report.charts import coverage_curve, curves, reliability_curve
from kpl.runs import Evaluation, SingleLabelRun, evaluate
from kpl.runs.whole import Whole

Figure = tuple[float | None, tuple[float, float] | None]
"""A value and its interval."""

_PARTS = (
    ("How often each is right, on the same pictures: more is better", False),
    ("Whether its probabilities can be believed: less is better", True),
)
_ROC_CLASSES = 10
_MATRIX = 40
_POINTS = 120


@dataclass(frozen=True)
class Scored:
    """Labels, and all that follows from them.

    Attributes:
        truth: (n,) class indices, -1 where there is no label; of a multi-label run (n, C): 1 there, 0 not there, -1
            unknown.
        context: what the template shows.
    """

    truth: NDArray[np.int64]
    context: dict[str, Any]

    def only(self, whole: Whole | None) -> Scored:
        """Return the same with the labels of a sample; of the whole where it is none."""
        return self if whole is None else replace(self, truth=self.truth[whole.rows])


def laid_out(
    evaluation: Evaluation,
    replicates: int,
    headline: Sequence[tuple[str, Figure]],
    heads: Sequence[str],
    subgroups: Mapping[str, Mapping[str, tuple[int, Sequence[Figure]]]],
    by: str,
) -> dict[str, Any]:
    """Lay out what both kinds of run have alike.

    Args:
        evaluation: of the run.
        replicates: by which its intervals were made.
        headline: titles of the first figures, and these.
        heads, subgroups: of the figures of each value of each column, and for each the pictures and the figures.
        by: what these are of.
    """
    table = evaluation.table
    return {
        "n": table.n if isinstance(table, MultiLabelTable) else table.majority.n,
        "sure": _how_sure(table.unit, replicates),
        "notices": list(evaluation.notices),
        "left_out": dict(evaluation.left_out),
        "headline": [(title, *figure) for title, figure in headline],
        "caveats": [] if isinstance(table, MultiLabelTable) else caveats(table, evaluation.names),
        "focus": None,
        "by": by,
        "subgroup_metrics": list(heads),
        "subgroups": [
            (column, [(value, *told) for value, told in values.items()]) for column, values in subgroups.items()
        ],
    }


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
    progress: Progress | None = None,
) -> Scored:
    """Score a run against labels; arguments as in `kpl.runs.evaluate`.

    Raises:
        LabelsError, FeaturesError: what cannot be used.
    """
    own = run.method_name
    truth = run.labels(labels, ignore_unknown=ignore_unknown, reading=reading, groups=True).labels
    if not (truth >= 0).any():
        raise LabelsError(
            "every label names a group of classes, and the report is of classes: `kpl evaluate` scores it"
        )
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
    return Scored(truth, _context(run, evaluation, truth, replicates))


def _context(run: SingleLabelRun, evaluation: Evaluation, truth: NDArray[np.int64], replicates: int) -> dict[str, Any]:
    table = evaluation.methods
    focus = table.reference or next(iter(table.scores))
    own, details = table.scores[focus], table.details[focus]
    rows = [(name, scores, name == focus) for name, scores in table.scores.items()]
    rows += [("majority", table.majority, False), ("chance", table.guessing, False)]
    shown = [m for m in REGISTRY if any(scores.figures[m.name] is not None for scores in table.scores.values())]
    parts = [(told, [m for m in shown if m.less_is_better == less]) for told, less in _PARTS]
    subgroups = {
        column: {value: (scores.n, _figures(scores, shown[:3])) for value, scores in values.items()}
        for column, values in table.subgroups.get(focus, {}).items()
    }
    headline = [(m.title, _figure(own, m)) for m in shown if m.first]
    return laid_out(evaluation, replicates, headline, [m.title for m in shown[:3]], subgroups, focus) | {
        "focus": focus,
        "methods": [
            (told, [m.title for m in part], [(name, own, _figures(row, part)) for name, row, own in rows])
            for told, part in parts
            if part
        ]
        + [_at_level(level, each, focus) for level, each in evaluation.levels.items()],
        "class_metrics": [metric.short for metric in CLASS_METRICS],
        "reference": table.reference,
        "differences": [(name, d.accuracy, d.interval, d.p_value, d.p_holm) for name, d in table.differences.items()],
        "classes": [
            (name, each, [(each.figures[m.name], each.intervals.get(m.name)) for m in CLASS_METRICS])
            for name, each in zip(run.class_names, details.classes.values(), strict=True)
        ],
        "confusion": _confusion(run.class_names, details.confusion),
        "figures": [
            (_roc(run, truth), "ROC, each class against the rest."),
            (
                _reliability(details, table.majority.n, own.ece),
                "Reliability: of the pictures that are so sure, how many are right? Larger dots hold more pictures.",
            ),
            (
                _coverage(details),
                "Coverage and risk: how many errors remain if only the surest pictures are answered.",
            ),
        ],
    }


def _at_level(level: int, table: Table, focus: str) -> tuple[str, list[str], list[tuple[str, bool, list[Figure]]]]:
    names = next(iter(table.details.values())).classes
    rows = [(name, name == focus, _figures(scores, FIRST)) for name, scores in table.scores.items()]
    told = f"Level {level} above the classes: {', '.join(names)}; {table.majority.n} labelled"
    return told, [metric.title for metric in FIRST], rows


def _reliability(details: Details, n: int, ece: float | None) -> Markup | None:
    if not details.reliability:
        return None
    told = "" if ece is None else f"; calibration error {ece:.3f}"
    return reliability_curve(
        details.reliability, n, f"Dots on the dotted line would be right as often as they are sure{told}"
    )


def _coverage(details: Details) -> Markup | None:
    if not details.coverage:
        return None
    half = int(np.searchsorted(details.coverage, 0.5))  # pictures that are equally sure are answered together
    every, share, surest = details.risk[-1], details.coverage[half], details.risk[half]
    told = f"Answering all pictures {every:.1%} are wrong; answering the surest {share:.0%} {surest:.1%}"
    return coverage_curve(details.coverage, details.risk, told)


def _confusion(
    names: Sequence[str], counts: NDArray[np.int64] | None
) -> list[tuple[str, list[tuple[int, int]]]] | None:
    if counts is None or len(counts) > _MATRIX:
        return None
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return [
        (name, list(zip(own.tolist(), (share * 100).round().astype(int).tolist(), strict=True)))
        for name, own, share in zip(names, counts, shares, strict=True)
    ]


def _roc(run: SingleLabelRun, labels: NDArray[np.int64]) -> Markup | None:
    labelled, said = labels >= 0, run.predictions
    truth, ranks = labels[labelled], (said.probabilities if said.ranking is None else said.ranking)[labelled]
    return roc_curves(
        [(c, run.class_names[c], truth == c, ranks[:, c]) for c in range(len(run.keys))], "against the rest"
    )


def roc_curves(classes: Sequence[tuple[int, str, NDArray[np.bool_], Floats]], against: str) -> Markup | None:
    """Draw the curves of the most frequent classes: number, name, where it is there, and its scores; None for none."""
    mixed = [each for each in classes if 0 < each[2].sum() < len(each[2])]
    common = sorted(mixed, key=lambda each: -int(each[2].sum()))[:_ROC_CLASSES]
    if not common:
        return None
    told = f"One curve a class {against}, the {len(common)} most frequent; the dotted line is guessing"
    lines = [(c, name, *_curve(there, scores)) for c, name, there, scores in common]
    return curves(lines, "ROC", told, "false alarms (1 - specificity)", "found (sensitivity)")


def _how_sure(unit: str, replicates: int) -> str:
    """Say how the intervals were made: over which units, and how many draws."""
    if not replicates:
        return "No intervals were asked for."
    return f"In small print: 95 % percentile intervals by bootstrap, {replicates} resamples over {unit}."


def _figures(scores: Scores, metrics: Sequence[Metric]) -> list[Figure]:
    return [_figure(scores, metric) for metric in metrics]


def _figure(scores: Scores, metric: Metric) -> Figure:
    return scores.figures[metric.name], scores.intervals.get(metric.name)


def _curve(positive: NDArray[np.bool_], scores: Floats) -> tuple[list[float], list[float]]:
    """Return false alarm rates and sensitivities from the strictest threshold on, thinned."""
    order = np.argsort(-scores, kind="stable")
    falling = scores[order]
    last = np.append(falling[1:] != falling[:-1], True)  # equal scores are one threshold
    found = np.concatenate([[0.0], (np.cumsum(positive[order]) / positive.sum())[last]])
    alarms = np.concatenate([[0.0], (np.cumsum(~positive[order]) / (~positive).sum())[last]])
    kept = np.unique(np.linspace(0, len(found) - 1, _POINTS).round().astype(int))
    return alarms[kept].tolist(), found[kept].tolist()
