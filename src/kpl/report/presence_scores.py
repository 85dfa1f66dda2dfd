"""What labels say of a multi-label run, laid out for its report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kpl.evaluation import (
    PresenceLabels,
    PresenceTable,
    Reading,
    Resampling,
    coverage_risk,
    reliability,
)
from kpl.evaluation import score_presence as score_rows
from kpl.proxies.arrays import Floats
from kpl.report.charts import coverage_curve, curves, reliability_curve
from kpl.report.scores import METRIC_NAMES, how_sure, roc
from kpl.runs import MultiLabelRun, evaluate_presence

__all__ = ["PresenceScored", "score_presence"]

_METRICS = ("auroc", "average_precision", "sensitivity", "specificity", "f1", "accuracy")
_NAMES = {**METRIC_NAMES, "sensitivity": "sensitivity", "specificity": "specificity", "f1": "F1"}
_RANKING = ("auroc", "average_precision")
_ROC_CLASSES = 10
_POINTS = 100
_CERTAIN = float(np.finfo(np.float64).epsneg)  # a probability that rounds to 0 or 1 keeps finite log odds


class PresenceScored:
    """Labels, and all that follows from them.

    Attributes:
        truth: (n, C): 1 there, 0 not there, -1 unknown.
        context: what the template shows.
    """

    def __init__(
        self,
        run: MultiLabelRun,
        table: PresenceTable,
        alone: PresenceTable,
        notices: Sequence[str],
        truth: NDArray[np.int64],
        sure: str,
    ) -> None:
        """Lay out the scores of the run, beside those of its descriptions alone; `sure` tells of the intervals."""
        self.truth = truth
        self.context: dict[str, Any] = {
            "n": table.n,
            "sure": sure,
            "notices": list(notices),
            "metrics": [_NAMES[metric] for metric in _METRICS],
            "headline": [(_NAMES[metric], *_mean(table, metric)) for metric in _METRICS[:4]],
            "classes": [_class(table, key, name) for key, name in zip(run.keys, run.class_names, strict=True)],
            "mean": [_mean(table, metric) for metric in _METRICS],
            "majority": table.majority,
            "prevalence": table.prevalence,
            "subgroups": [
                (column, [(value, inside.n, [_mean(inside, m) for m in _METRICS]) for value, inside in values.items()])
                for column, values in table.subgroups.items()
            ],
            "ranking_metrics": [_NAMES[metric] for metric in _RANKING],
            "rankings": [
                ("present against absent, this run", True, [_mean(table, metric) for metric in _RANKING]),
                ("the descriptions alone", False, [_mean(alone, metric) for metric in _RANKING]),
                ("guessing", False, [(0.5, None), (table.prevalence, None)]),
            ],
            "roc": _roc(run, truth),
            **_decisions(run, truth),
        }


def score_presence(
    run: MultiLabelRun,
    labels: str | Path,
    *,
    by: Sequence[str] = (),
    replicates: int = 2000,
    reading: Reading | None = None,
) -> PresenceScored:
    """Score a multi-label run against labels; arguments as in `kpl.runs.evaluate_presence`.

    Raises:
        LabelsError, FeaturesError: what cannot be used.
    """
    table, notices = evaluate_presence(run, labels=labels, by=by, replicates=replicates, reading=reading)
    truth = run.labels(labels, reading=reading)
    sure = how_sure(truth.group_column, truth.groups, np.flatnonzero((truth.present >= 0).any(axis=1)), replicates)
    return PresenceScored(run, table, _alone(run, truth, replicates), notices, truth.present, sure)


def _alone(run: MultiLabelRun, truth: PresenceLabels, replicates: int) -> PresenceTable:
    """Score the cosines with the mean description of each class; only their order means anything."""
    texts = np.stack([rows.mean(axis=0, dtype=np.float64) for rows in run.descriptions])
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    never = np.full(len(run.keys), np.inf)
    cosines, usual = run.images @ texts.T, Resampling(replicates)
    return score_rows(truth.present, cosines, run.keys, never, groups=truth.groups, resampling=usual)


def _decisions(run: MultiLabelRun, truth: NDArray[np.int64]) -> dict[str, Any]:
    """Draw whether the probabilities can be believed, and what deciding less would save; all classes together."""
    known = truth >= 0
    there, chances = truth[known], run.predictions.probabilities[known]
    as_two = np.stack([1 - chances, chances], axis=1)
    bins = [
        (b.confidence, b.accuracy, round(b.share * len(there))) for b in reliability(there, np.ones_like(there), as_two)
    ]
    distance = np.abs(_log_odds(chances) - _log_odds(np.broadcast_to(run.thresholds, known.shape)[known]))
    coverage, risk, _ = coverage_risk(there, run.predictions.present[known].astype(np.int64), distance)
    every, surest = risk[-1], risk[np.searchsorted(coverage, 0.5)]
    shown = np.unique(np.linspace(0, len(coverage) - 1, _POINTS).round().astype(int))
    told = f"Of all decisions {every:.1%} are wrong; of the half furthest from its threshold {surest:.1%}"
    return {
        "reliability": reliability_curve(
            bins,
            "Dots on the dotted line are there as often as they are held probable",
            x_label="probability of being there",
            y_label="share that is there",
        ),
        "coverage": coverage_curve(
            coverage[shown].tolist(), risk[shown].tolist(), told, x_label="share of decisions taken"
        ),
    }


def _log_odds(chances: Floats) -> Floats:
    from scipy.special import logit

    return np.asarray(logit(np.clip(chances, _CERTAIN, 1 - _CERTAIN)))


def _mean(table: PresenceTable, metric: str) -> tuple[float | None, tuple[float, float] | None]:
    return table.mean[metric], table.intervals.get(metric)


def _class(table: PresenceTable, key: str, name: str) -> dict[str, Any]:
    figures = table.classes[key]
    n, positives = figures["n"] or 0, figures["positives"] or 0
    share = positives / n if n else None
    return {
        "name": name,
        "n": int(n),
        "positives": int(positives),
        "prevalence": share,
        "majority": None if share is None else max(share, 1 - share),
        "threshold": figures["threshold"],
        "figures": [(figures[metric], table.intervals.get(f"{metric} {key}")) for metric in _METRICS],
    }


def _roc(run: MultiLabelRun, truth: NDArray[np.int64]) -> Any:  # noqa: ANN401 - Markup, or None
    positives = (truth == 1).sum(axis=0)
    mixed = [c for c in np.argsort(-positives, kind="stable").tolist() if positives[c] and (truth[:, c] == 0).any()]
    if not mixed:
        return None
    lines = []
    for c in mixed[:_ROC_CLASSES]:
        known = truth[:, c] >= 0
        lines.append((c, run.class_names[c], *roc(truth[known, c] == 1, run.predictions.probabilities[known, c])))
    told = f"One curve a class, present against absent, the {len(lines)} most frequent; the dotted line is guessing"
    return curves(lines, "ROC", told, "false alarms (1 - specificity)", "found (sensitivity)")
