"""How good predictions are, and how sure that is: labels, metrics, bootstrap intervals, methods side by side."""

from kpl.evaluation.bootstrap import Difference, Resampling, bootstrap_intervals, paired_difference
from kpl.evaluation.comparison import MAJORITY, Predicted, Scores, Table, compare, evaluate_predictions
from kpl.evaluation.labels import Truth, read_labels
from kpl.evaluation.metrics import (
    METRICS,
    accuracy,
    auroc,
    balanced_accuracy,
    chance_rate,
    macro_f1,
    majority_rate,
)

__all__ = [
    "MAJORITY",
    "METRICS",
    "Difference",
    "Predicted",
    "Resampling",
    "Scores",
    "Table",
    "Truth",
    "accuracy",
    "auroc",
    "balanced_accuracy",
    "bootstrap_intervals",
    "chance_rate",
    "compare",
    "evaluate_predictions",
    "macro_f1",
    "majority_rate",
    "paired_difference",
    "read_labels",
]
