"""Each class by itself, the confusion matrix, operating points, reliability and the coverage-risk curve."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from kpl.errors import LabelsError
from kpl.evaluation import (
    OperatingRule,
    Resampling,
    accuracy,
    calibration_error,
    confusion_matrix,
    coverage_risk,
    describe,
    operating_point,
    reliability,
)

KEYS = ["a", "b", "c", "d"]
FEW = Resampling(replicates=100)


def case(seed=0, n=90):
    rng = np.random.default_rng(seed)
    truth = rng.integers(3, size=n)
    raw = rng.random((n, 4)) + 0.5 * np.eye(4)[truth]
    probabilities = raw / raw.sum(axis=1, keepdims=True)
    return truth, probabilities.argmax(axis=1), probabilities


@settings(deadline=None)
@given(st.integers(0, 500))
def test_classes_and_matrix_are_those_of_scikit_learn(seed):
    truth, predictions, probabilities = case(seed)
    found = describe(truth, predictions, probabilities, KEYS, resampling=Resampling(replicates=0))
    matrix = oracle.confusion_matrix(truth, predictions, labels=range(4))
    assert (found.confusion == matrix).all()
    precision, recall, f1, _ = oracle.precision_recall_fscore_support(
        truth, predictions, labels=range(4), zero_division=np.nan
    )
    for c, key in enumerate(KEYS[:3]):
        entry = found.classes[key]
        assert (entry.n, entry.predicted) == (matrix[c].sum(), matrix[:, c].sum())
        assert entry.sensitivity == pytest.approx(recall[c])
        assert entry.precision == pytest.approx(precision[c])
        assert entry.f1 == pytest.approx(f1[c])
        others = truth != c
        assert entry.specificity == pytest.approx(np.mean(predictions[others] != c))
        assert entry.auroc == pytest.approx(oracle.roc_auc_score(truth == c, probabilities[:, c]))
        assert entry.average_precision == pytest.approx(oracle.average_precision_score(truth == c, probabilities[:, c]))
    absent = found.classes["d"]
    assert (absent.n, absent.sensitivity, absent.auroc) == (0, None, None)
    assert absent.specificity is not None


def test_intervals_surround_and_all_goes_into_json():
    truth, predictions, probabilities = case()
    found = describe(truth, predictions, probabilities, KEYS, resampling=FEW, rule=OperatingRule("specificity", 0.8))
    low, high = found.classes["a"].intervals["sensitivity"]
    assert low < found.classes["a"].sensitivity < high
    assert found.classes["d"].intervals["sensitivity"] is None
    told = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert set(told) == {"per_class", "confusion", "reliability", "coverage_risk"}
    assert told["per_class"]["a"]["operating"]["specificity"] >= 0.8
    assert told["coverage_risk"]["coverage"][-1] == 1


@settings(deadline=None)
@given(st.integers(0, 500), st.floats(0.05, 1), st.booleans())
def test_an_operating_point_reaches_what_it_must_and_no_better_one_does(seed, value, ties):
    rng = np.random.default_rng(seed)
    positive, scores = rng.random(40) < 0.4, rng.random(40)
    positive[:2] = True, False
    if ties:
        scores = np.round(scores * 5) / 5
    every = [(t, (scores[positive] >= t).mean(), (scores[~positive] < t).mean()) for t in np.unique(scores)]
    point = operating_point(positive, scores, OperatingRule("sensitivity", value))
    assert point == pytest.approx(max(each for each in every if each[1] >= value - 1e-9))
    point = operating_point(positive, scores, OperatingRule("specificity", value))
    allowed = [each for each in every if each[2] >= value - 1e-9]
    assert point == (pytest.approx(min(allowed)) if allowed else None)


def test_what_has_no_operating_point():
    truth, predictions, probabilities = case()
    with pytest.raises(LabelsError, match=r"sensitivity of 1\.5"):
        operating_point(truth == 0, probabilities[:, 0], OperatingRule("sensitivity", 1.5))
    assert operating_point(truth == 3, probabilities[:, 3], OperatingRule("sensitivity", 0.5)) is None
    with pytest.raises(LabelsError, match="needs probabilities"):
        describe(truth, predictions, None, KEYS, rule=OperatingRule("sensitivity", 0.5))


def test_without_probabilities_only_what_they_need_is_missing():
    truth, predictions, probabilities = case()
    found = describe(truth, predictions, None, KEYS, resampling=FEW)
    assert found.classes["a"].sensitivity is not None
    assert (found.classes["a"].auroc, found.area_under_risk, list(found.reliability)) == (None, None, [])
    scores = describe(truth, predictions, probabilities * 7, KEYS, resampling=FEW)
    assert scores.classes["a"].auroc is not None
    assert scores.area_under_risk is None


def test_many_classes_have_no_matrix():
    truth = np.arange(120)
    assert describe(truth, truth, None, [str(k) for k in range(120)], resampling=FEW).confusion is None
    assert confusion_matrix(truth, truth, 120).trace() == 120


@settings(deadline=None)
@given(st.integers(0, 500), st.booleans())
def test_the_risk_at_a_threshold_is_the_error_of_those_answered(seed, ties):
    rng = np.random.default_rng(seed)
    truth, predictions, confidence = rng.integers(2, size=30), rng.integers(2, size=30), rng.random(30)
    if ties:
        confidence = np.round(confidence, 1)
    coverage, risk, threshold = coverage_risk(truth, predictions, confidence)
    assert coverage[-1] == 1
    assert risk[-1] == pytest.approx(1 - accuracy(truth, predictions))
    assert (np.diff(coverage) > 0).all()
    for share, error, least in zip(coverage, risk, threshold, strict=True):
        answered = confidence >= least
        assert share == pytest.approx(answered.mean())
        assert error == pytest.approx((truth != predictions)[answered].mean())


def test_reliability_bins_add_up_to_the_calibration_error():
    truth, predictions, probabilities = case()
    bins = reliability(truth, predictions, probabilities)
    assert sum(each.share for each in bins) == pytest.approx(1)
    gaps = sum(each.share * abs(each.accuracy - each.confidence) for each in bins)
    assert gaps == pytest.approx(calibration_error(truth, probabilities))


def test_each_figure_of_a_class_has_an_interval_those_of_the_ranking_if_asked_for():
    truth, predictions, probabilities = case()
    plain = describe(truth, predictions, probabilities, KEYS, resampling=FEW).classes
    ranked = describe(truth, predictions, probabilities, KEYS, resampling=FEW, with_rankings=True).classes
    for key in KEYS[:3]:
        for name, pair in ranked[key].intervals.items():
            assert pair is not None
            assert pair[0] <= getattr(ranked[key], name) <= pair[1]
        assert plain[key].intervals == {**ranked[key].intervals, "auroc": None, "average_precision": None}
    assert ranked["d"].intervals["auroc"] is None, "never in the labels"
