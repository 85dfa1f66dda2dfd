"""The main job as library calls: classify pictures into a run folder, and score a run."""

from kpl.runs.calibrating import CalibrationFile, CalibrationResult, calibrate, load_calibration
from kpl.runs.classifying import DEFAULT_ENCODER, classify
from kpl.runs.evaluating import EVALUATED, Evaluation, evaluate
from kpl.runs.fitting import Drift, Update, fit, update
from kpl.runs.folder import is_run
from kpl.runs.insight import KnowledgeInsight, inspect_knowledge, verdict_words
from kpl.runs.models import Learnt, Model, is_model, load_model, save_model
from kpl.runs.multi_label import MultiLabelRun, PresenceSaid
from kpl.runs.multilabel import classify_presence, evaluate_presence, is_multi_label
from kpl.runs.opening import open_run, open_single_label
from kpl.runs.predictions import Findings, Prediction, Predictions, PresencePredictions
from kpl.runs.run import Run
from kpl.runs.single_label import SingleLabelRun
from kpl.runs.texts import bundle_texts, wanted_prompts

__all__ = [
    "DEFAULT_ENCODER",
    "EVALUATED",
    "CalibrationFile",
    "CalibrationResult",
    "Drift",
    "Evaluation",
    "Findings",
    "KnowledgeInsight",
    "Learnt",
    "Model",
    "MultiLabelRun",
    "Prediction",
    "Predictions",
    "PresencePredictions",
    "PresenceSaid",
    "Run",
    "SingleLabelRun",
    "Update",
    "bundle_texts",
    "calibrate",
    "classify",
    "classify_presence",
    "evaluate",
    "evaluate_presence",
    "fit",
    "inspect_knowledge",
    "is_model",
    "is_multi_label",
    "is_run",
    "load_calibration",
    "load_model",
    "open_run",
    "open_single_label",
    "save_model",
    "update",
    "verdict_words",
    "wanted_prompts",
]
