"""The main job as library calls: classify pictures into a run folder, and score a run."""

from kpl.runs.calibrating import CalibrationFile, CalibrationResult, calibrate, load_calibration
from kpl.runs.choosing import ChosenThresholds, ThresholdsFile, calibrate_multi_label, load_thresholds
from kpl.runs.classifying import classify
from kpl.runs.contradicting import Contradiction, contradictions
from kpl.runs.evaluating import EVALUATED, Evaluation, evaluate
from kpl.runs.fitting import Drift, Update, fit, update
from kpl.runs.folder import is_run
from kpl.runs.insight import KnowledgeInsight, inspect_knowledge, verdict_words
from kpl.runs.models import Learnt, Model, is_model, load_model, save_model
from kpl.runs.multi_label import MultiLabelRun, MultiLabelSentence
from kpl.runs.multi_label_classifying import classify_multi_label
from kpl.runs.opening import open_run, open_single_label
from kpl.runs.predictions import Findings, MultiLabelPredictions, Prediction, Predictions
from kpl.runs.run import Run
from kpl.runs.single_label import SingleLabelRun
from kpl.runs.site import Site
from kpl.runs.source import DEFAULT_ENCODER
from kpl.runs.texts import bundle_texts, wanted_prompts

__all__ = [
    "DEFAULT_ENCODER",
    "EVALUATED",
    "CalibrationFile",
    "CalibrationResult",
    "ChosenThresholds",
    "Contradiction",
    "Drift",
    "Evaluation",
    "Findings",
    "KnowledgeInsight",
    "Learnt",
    "Model",
    "MultiLabelPredictions",
    "MultiLabelRun",
    "MultiLabelSentence",
    "Prediction",
    "Predictions",
    "Run",
    "SingleLabelRun",
    "Site",
    "ThresholdsFile",
    "Update",
    "bundle_texts",
    "calibrate",
    "calibrate_multi_label",
    "classify",
    "classify_multi_label",
    "contradictions",
    "evaluate",
    "fit",
    "inspect_knowledge",
    "is_model",
    "is_run",
    "load_calibration",
    "load_model",
    "load_thresholds",
    "open_run",
    "open_single_label",
    "save_model",
    "update",
    "verdict_words",
    "wanted_prompts",
]
