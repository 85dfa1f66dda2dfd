"""Scores of classes that may occur together, against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from kpl.errors import LabelsError
from kpl.evaluation import CLASS_METRICS, Resampling, score_multi_label

KEYS = ["a", "b", "c"]
NONE = Resampling(replicates=0)


def case(seed, n=40):
    rng = np.random.default_rng(seed)
    present = rng.integers(2, size=(n, 3))
    present[:2] = [[0] * 3, [1] * 3]
    return present, np.clip(rng.random((n, 3)) * 0.7 + 0.3 * present, 0, 1)


@settings(deadline=None)
@given(st.integers(0, 500))
def test_each_class_and_the_mean_are_those_of_scikit_learn(seed):
    present, scores = case(seed)
    least = np.array([0.3, 0.5, 0.7])
    found = score_multi_label(present, scores, KEYS, least, resampling=NONE)
    for c, key in enumerate(KEYS):
        called = scores[:, c] >= least[c]
        expected = {
            "accuracy": oracle.accuracy_score(present[:, c], called),
            "auroc": oracle.roc_auc_score(present[:, c], scores[:, c]),
            "average_precision": oracle.average_precision_score(present[:, c], scores[:, c]),
            "sensitivity": oracle.recall_score(present[:, c], called),
            "specificity": oracle.recall_score(present[:, c], called, pos_label=0),
            "f1": oracle.f1_score(present[:, c], called),
            "precision": oracle.precision_score(present[:, c], called) if called.any() else None,
        }
        assert {metric.name: found.classes[key][metric.name] for metric in CLASS_METRICS} == pytest.approx(expected)
    assert found.mean["auroc"] == pytest.approx(oracle.roc_auc_score(present, scores, average="macro"))
    rates = present.mean(axis=0)
    assert found.majority == pytest.approx(np.maximum(rates, 1 - rates).mean())


def test_what_is_not_known_does_not_count():
    present, scores = case(0)
    holes = present.copy()
    holes[::3, 1] = -1
    found = score_multi_label(holes, scores, KEYS, np.full(3, 0.5), resampling=Resampling(100))
    kept = np.arange(40) % 3 != 0
    assert found.classes["b"]["auroc"] == pytest.approx(oracle.roc_auc_score(present[kept, 1], scores[kept, 1]))
    low, high = found.intervals["auroc b"]
    assert low < found.classes["b"]["auroc"] < high
    assert found.intervals["auroc"] is not None
    whole = score_multi_label(present, scores, KEYS, np.full(3, 0.5), resampling=NONE)
    assert found.classes["a"]["n"] == whole.classes["a"]["n"] == 40


def test_a_class_that_is_always_there_has_no_auroc_and_does_not_spoil_the_mean():
    present, scores = case(1)
    present[:, 0] = 1
    found = score_multi_label(present, scores, KEYS, np.full(3, 0.5), resampling=NONE)
    assert (found.classes["a"]["auroc"], found.classes["a"]["specificity"]) == (None, None)
    assert found.mean["auroc"] == pytest.approx(np.mean([found.classes[key]["auroc"] for key in "bc"]))


def test_what_does_not_fit_is_refused():
    present, scores = case(2)
    with pytest.raises(LabelsError, match="not of the same images"):
        score_multi_label(present[1:], scores, KEYS, np.full(3, 0.5))
    with pytest.raises(LabelsError, match="none of the 40 images"):
        score_multi_label(np.full((40, 3), -1), scores, KEYS, np.full(3, 0.5))
