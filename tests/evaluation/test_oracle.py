"""Every metric against scikit-learn, plain and under the weights of a resample."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from kpl.evaluation import (
    accuracy,
    auroc,
    average_precision,
    balanced_accuracy,
    brier_score,
    calibration_error,
    cohen_kappa,
    macro_f1,
    negative_log_likelihood,
)
from kpl.evaluation.metrics import Measure
from kpl.evaluation.trust import BINS


def case(seed, n=60, n_classes=4, levels=None):
    """Truth that holds every class, predictions, and probabilities; few `levels` make ties."""
    rng = np.random.default_rng(seed)
    truth = np.concatenate([np.arange(n_classes), rng.integers(n_classes, size=n - n_classes)])
    raw = rng.random((n, n_classes)) + 0.6 * np.eye(n_classes)[truth]
    if levels:
        raw = np.round(raw * levels) + 1
    probabilities = raw / raw.sum(axis=1, keepdims=True)
    return truth, probabilities.argmax(axis=1), probabilities


def by_oracle(truth, predictions, probabilities, weights=None):
    n_classes = probabilities.shape[1]
    hot = np.eye(n_classes)[truth]
    by_class = {"average": None, "sample_weight": weights}
    return {
        "accuracy": oracle.accuracy_score(truth, predictions, sample_weight=weights),
        "balanced_accuracy": oracle.balanced_accuracy_score(truth, predictions, sample_weight=weights),
        "macro_f1": oracle.f1_score(truth, predictions, average="macro", sample_weight=weights),
        "auroc": np.mean(oracle.roc_auc_score(hot, probabilities, **by_class)),
        "average_precision": np.mean(oracle.average_precision_score(hot, probabilities, **by_class)),
        "kappa": oracle.cohen_kappa_score(truth, predictions, sample_weight=weights),
        "kappa_linear": oracle.cohen_kappa_score(truth, predictions, weights="linear", sample_weight=weights),
        "kappa_quadratic": oracle.cohen_kappa_score(truth, predictions, weights="quadratic", sample_weight=weights),
        "brier": oracle.brier_score_loss(truth, probabilities, scale_by_half=False, sample_weight=weights),
        "nll": oracle.log_loss(truth, probabilities, sample_weight=weights),
    }


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 10_000), st.integers(2, 6), st.sampled_from([None, 2, 5]))
def test_every_metric_is_that_of_scikit_learn(seed, n_classes, levels):
    truth, predictions, probabilities = case(seed, n_classes=n_classes, levels=levels)
    expected = by_oracle(truth, predictions, probabilities)
    found = {
        "accuracy": accuracy(truth, predictions),
        "balanced_accuracy": balanced_accuracy(truth, predictions),
        "macro_f1": macro_f1(truth, predictions),
        "auroc": auroc(truth, probabilities),
        "average_precision": average_precision(truth, probabilities),
        "kappa": cohen_kappa(truth, predictions),
        "kappa_linear": cohen_kappa(truth, predictions, "linear"),
        "kappa_quadratic": cohen_kappa(truth, predictions, "quadratic"),
        "brier": brier_score(truth, probabilities),
        "nll": negative_log_likelihood(truth, probabilities),
    }
    assert found == pytest.approx(expected)


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 10_000), st.sampled_from([None, 3]))
def test_a_resample_scores_as_scikit_learn_with_its_weights(seed, levels):
    truth, predictions, probabilities = case(seed, levels=levels)
    drawn = np.random.default_rng(seed).multinomial(len(truth), np.full(len(truth), 1 / len(truth)), size=3).T
    drawn[:4] += 1  # scikit-learn has no figure for a class that was not drawn
    measure = Measure(truth, predictions, probabilities, ordered=True).scores(drawn)
    for column in range(3):
        expected = by_oracle(truth, predictions, probabilities, drawn[:, column])
        assert {name: measure[name][column] for name in expected} == pytest.approx(expected)


@settings(deadline=None)
@given(st.integers(0, 1000), st.integers(2, 4))
def test_calibration_errors_are_sums_over_bins(seed, n_classes):
    truth, predictions, probabilities = case(seed, n_classes=n_classes)

    def error(right, chance):
        edges = np.linspace(0, 1, BINS + 1)
        inside = [(chance > low) & (chance <= high) for low, high in pairwise(edges)]
        return sum(abs(right[b].mean() - chance[b].mean()) * b.mean() for b in inside if b.any())

    confidence = probabilities.max(axis=1)
    assert calibration_error(truth, probabilities) == pytest.approx(error(predictions == truth, confidence))
    by_class = [error(truth == k, probabilities[:, k]) for k in range(n_classes)]
    assert calibration_error(truth, probabilities, classwise=True) == pytest.approx(np.mean(by_class))
    weighted = Measure(truth, predictions, probabilities).scores(np.ones((len(truth), 1), int))
    assert weighted["ece"][0] == pytest.approx(calibration_error(truth, probabilities))
    assert weighted["classwise_ece"][0] == pytest.approx(np.mean(by_class))
