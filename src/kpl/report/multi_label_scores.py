"""What labels say of a multi-label run, laid out for its report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from kpl.evaluation import (
    CLASS_METRICS,
    MultiLabelTable,
    MultiLabelTruth,
    Reading,
    Resampling,
    coverage_risk,
    reliability,
)
from kpl.evaluation import score_multi_label as score_rows
from kpl.proxies.arrays import Floats
from kpl.report.charts import coverage_curve, reliability_curve
from kpl.report.scores import Figure, Scored, laid_out, roc_curves
from kpl.runs import Evaluation, MultiLabelRun, evaluate

_NAMES = {metric.name: metric.title for metric in CLASS_METRICS}
_METRICS = tuple(_NAMES)
_RANKING = ("auroc", "average_precision")
_POINTS = 100
_CERTAIN = float(np.finfo(np.float64).epsneg)  # a probability that rounds to 0 or 1 keeps finite log odds


def score_multi_label(
    run: MultiLabelRun,
    labels: str | Path,
    *,
    by: Sequence[str] = (),
    replicates: int = 2000,
    reading: Reading | None = None,
) -> Scored:
    """Score a multi-label run against labels; arguments as in `kpl.runs.evaluate`.

    Raises:
        LabelsError, FeaturesError: what cannot be used.
    """
    scored = evaluate(run, labels=labels, by=by, replicates=replicates, reading=reading)
    truth = run.labels(labels, reading=reading)
    return Scored(truth.present, _context(run, scored, _alone(run, truth, replicates), truth.present, replicates))


def _context(
    run: MultiLabelRun, scored: Evaluation, alone: MultiLabelTable, truth: NDArray[np.int64], replicates: int
) -> dict[str, Any]:
    table = scored.multi_label
    subgroups = {
        column: {value: (inside.n, [_mean(inside, metric) for metric in _METRICS]) for value, inside in values.items()}
        for column, values in table.subgroups.items()
    }
    headline = [(_NAMES[metric], _mean(table, metric)) for metric in _METRICS[:4]]
    return laid_out(scored, replicates, headline, list(_NAMES.values()), subgroups, "mean over classes") | {
        "metrics": list(_NAMES.values()),
        "classes": [_class(table, key, name) for key, name in zip(run.keys, run.class_names, strict=True)],
        "mean": [_mean(table, metric) for metric in _METRICS],
        "majority": table.majority,
        "prevalence": table.prevalence,
        "ranking_metrics": [_NAMES[metric] for metric in _RANKING],
        "rankings": [
            ("present against absent, this run", True, [_mean(table, metric) for metric in _RANKING]),
            ("the descriptions alone", False, [_mean(alone, metric) for metric in _RANKING]),
            ("guessing", False, [(0.5, None), (table.prevalence, None)]),
        ],
        "figures": [(_roc(run, truth), "ROC, each class present against absent."), *_decisions(run, truth)],
    }


def _alone(run: MultiLabelRun, truth: MultiLabelTruth, replicates: int) -> MultiLabelTable:
    """Score the cosines with the mean description of each class; only their order means anything."""
    texts = np.stack([rows.mean(axis=0, dtype=np.float64) for rows in run.descriptions])
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    never = np.full(len(run.keys), np.inf)
    cosines, usual = run.images @ texts.T, Resampling(replicates)
    return score_rows(truth.present, cosines, run.keys, never, groups=truth.groups, resampling=usual)


def _decisions(run: MultiLabelRun, truth: NDArray[np.int64]) -> list[tuple[Markup, str]]:
    """Draw whether the probabilities can be believed, and what deciding less would save; all classes together."""
    known = truth >= 0
    there, chances = truth[known], run.predictions.probabilities[known]
    as_two = np.stack([1 - chances, chances], axis=1)
    bins = reliability(there, np.ones_like(there), as_two)
    distance = np.abs(_log_odds(chances) - _log_odds(np.broadcast_to(run.thresholds, known.shape)[known]))
    coverage, risk, _ = coverage_risk(there, run.predictions.present[known].astype(np.int64), distance)
    every, surest = risk[-1], risk[np.searchsorted(coverage, 0.5)]
    shown = np.unique(np.linspace(0, len(coverage) - 1, _POINTS).round().astype(int))
    told = f"Of all decisions {every:.1%} are wrong; of the half furthest from its threshold {surest:.1%}"
    believed = reliability_curve(
        bins,
        len(there),
        "Dots on the dotted line are there as often as they are held probable",
        xlabel="probability of being there",
        ylabel="share that is there",
    )
    saved = coverage_curve(coverage[shown].tolist(), risk[shown].tolist(), told, xlabel="share of decisions taken")
    return [
        (
            believed,
            "Reliability, all classes together: where a class is held so probable, how often is it there? Larger dots "
            "hold more decisions.",
        ),
        (
            saved,
            "Coverage and risk, all classes together: how many errors remain if only the decisions furthest from their "
            "threshold (in log odds) are taken.",
        ),
    ]


def _log_odds(chances: Floats) -> Floats:
    from scipy.special import logit

    return np.asarray(logit(np.clip(chances, _CERTAIN, 1 - _CERTAIN)))


def _mean(table: MultiLabelTable, metric: str) -> Figure:
    return table.mean[metric], table.intervals.get(metric)


def _class(table: MultiLabelTable, key: str, name: str) -> dict[str, Any]:
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


def _roc(run: MultiLabelRun, truth: NDArray[np.int64]) -> Markup | None:
    classes = []
    for c, (name, own) in enumerate(zip(run.class_names, truth.T, strict=True)):
        known = own >= 0
        classes.append((c, name, own[known] == 1, run.predictions.probabilities[known, c]))
    return roc_curves(classes, "present against absent")
