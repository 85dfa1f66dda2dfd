"""What labels say of a multi-label run, laid out for its report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kpl.evaluation import PresenceTable, read_presence
from kpl.report.charts import curves
from kpl.report.presence import PresenceSeen
from kpl.report.scores import METRIC_NAMES, roc
from kpl.runs import evaluate_presence

__all__ = ["PresenceScored", "score_presence"]

_METRICS = ("auroc", "average_precision", "sensitivity", "specificity", "f1", "accuracy")
_NAMES = {**METRIC_NAMES, "sensitivity": "sensitivity", "specificity": "specificity", "f1": "F1"}
_ROC_CLASSES = 10


class PresenceScored:
    """Labels, and all that follows from them.

    Attributes:
        truth: (n, C): 1 there, 0 not there, -1 unknown.
        context: what the template shows.
    """

    def __init__(
        self, seen: PresenceSeen, table: PresenceTable, notices: Sequence[str], truth: NDArray[np.int64]
    ) -> None:
        """Lay out the scores of the run."""
        self.truth = truth
        self.context: dict[str, Any] = {
            "n": table.n,
            "notices": list(notices),
            "metrics": [_NAMES[metric] for metric in _METRICS],
            "headline": [(_NAMES[metric], *_mean(table, metric)) for metric in _METRICS[:4]],
            "classes": [_class(table, key, name) for key, name in zip(seen.keys, seen.names, strict=True)],
            "mean": [_mean(table, metric) for metric in _METRICS],
            "majority": table.majority,
            "prevalence": table.prevalence,
            "subgroups": [
                (column, [(value, inside.n, [_mean(inside, m) for m in _METRICS]) for value, inside in values.items()])
                for column, values in table.subgroups.items()
            ],
            "roc": _roc(seen, truth),
        }


def score_presence(
    seen: PresenceSeen, labels: str | Path, *, by: Sequence[str] = (), replicates: int = 2000
) -> PresenceScored:
    """Score a multi-label run against labels; arguments as in `kpl.runs.evaluate_presence`.

    Raises:
        LabelsError, FeaturesError: what cannot be used.
    """
    table, notices = evaluate_presence(seen.run.path, labels=labels, by=by, replicates=replicates)
    truth = read_presence(Path(labels), seen.ids, seen.run.knowledge)
    return PresenceScored(seen, table, notices, truth.present)


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


def _roc(seen: PresenceSeen, truth: NDArray[np.int64]) -> Any:  # noqa: ANN401 - Markup, or None
    positives = (truth == 1).sum(axis=0)
    mixed = [c for c in np.argsort(-positives, kind="stable").tolist() if positives[c] and (truth[:, c] == 0).any()]
    if not mixed:
        return None
    lines = []
    for c in mixed[:_ROC_CLASSES]:
        known = truth[:, c] >= 0
        lines.append((c, seen.names[c], *roc(truth[known, c] == 1, seen.probabilities[known, c])))
    told = f"One curve a class, present against absent, the {len(lines)} most frequent; the dotted line is guessing"
    return curves(lines, "ROC", told, "false alarms (1 - specificity)", "found (sensitivity)")
