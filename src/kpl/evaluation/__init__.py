"""How good predictions are, and how sure that is: labels, metrics, bootstrap intervals, methods side by side."""

from kpl.evaluation.bootstrap import Difference, Resampling, bootstrap_intervals, paired_difference
from kpl.evaluation.comparison import CHANCE, MAJORITY, Predicted, Scores, Table, compare, evaluate_predictions
from kpl.evaluation.details import (
    ClassScores,
    Details,
    OperatingPoint,
    OperatingRule,
    confusion_matrix,
    describe,
    operating_point,
)
from kpl.evaluation.figures import FIGURE_SUFFIXES, check_figure, draw_table
from kpl.evaluation.labels import Truth, read_labels
from kpl.evaluation.metrics import (
    METRICS,
    accuracy,
    auroc,
    average_precision,
    balanced_accuracy,
    brier_score,
    calibration_error,
    chance_rate,
    cohen_kappa,
    macro_f1,
    majority_rate,
    negative_log_likelihood,
)
from kpl.evaluation.trust import ReliabilityBin, coverage_risk, reliability

__all__ = [
    "CHANCE",
    "FIGURE_SUFFIXES",
    "MAJORITY",
    "METRICS",
    "ClassScores",
    "Details",
    "Difference",
    "OperatingPoint",
    "OperatingRule",
    "Predicted",
    "ReliabilityBin",
    "Resampling",
    "Scores",
    "Table",
    "Truth",
    "accuracy",
    "auroc",
    "average_precision",
    "balanced_accuracy",
    "bootstrap_intervals",
    "brier_score",
    "calibration_error",
    "chance_rate",
    "check_figure",
    "cohen_kappa",
    "compare",
    "confusion_matrix",
    "coverage_risk",
    "describe",
    "draw_table",
    "evaluate_predictions",
    "macro_f1",
    "majority_rate",
    "negative_log_likelihood",
    "operating_point",
    "paired_difference",
    "read_labels",
    "reliability",
]
