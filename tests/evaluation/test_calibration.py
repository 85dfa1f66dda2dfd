"""Calibration by a few labels: a wrong temperature and a shifted prior are found, and never at the labels' cost."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpl.errors import LabelsError
from kpl.evaluation import Calibration, calibrate_by_labels, fit_calibration, negative_log_likelihood
from kpl.proxies.arrays import softmax


def planted(seed=0, n=2000, temperature=1.0, prior=(1, 1, 1)):
    """Truth drawn from honest probabilities, and those probabilities made sharper and without the prior's shift."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.normal(size=(n, 3))
    honest = softmax(logits + np.log(prior))
    truth = (honest.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1)
    return truth, softmax(logits * temperature), honest


@given(st.floats(0.3, 5), st.integers(0, 20))
@settings(deadline=None, max_examples=8)
def test_a_planted_temperature_is_found(sharper, seed):
    truth, given_, _ = planted(seed, temperature=sharper)
    assert fit_calibration(truth, given_, prior=False).temperature == pytest.approx(sharper, rel=0.15)


def test_a_planted_prior_is_found_as_well():
    truth, given_, honest = planted(temperature=3.0, prior=(6, 1, 1))
    report = calibrate_by_labels(truth, given_)
    assert report.kind == "temperature+prior"
    assert report.calibration.temperature == pytest.approx(3, rel=0.15)
    expected = np.log([6, 1, 1])
    assert report.calibration.bias == pytest.approx(expected - expected.mean(), abs=0.2)
    assert report.after["nll"] == pytest.approx(negative_log_likelihood(truth, honest), abs=0.01)
    assert report.after["ece"] < 0.03 < report.before["ece"]
    assert report.before["nll"] == pytest.approx(negative_log_likelihood(truth, given_))


@given(st.integers(0, 1000), st.floats(0.2, 6))
@settings(deadline=None, max_examples=8)
def test_few_labels_are_never_let_run_away(seed, sharper):
    truth, given_, _ = planted(seed, n=12, temperature=sharper)
    report = calibrate_by_labels(truth, given_)
    assert report.after["nll"] <= report.before["nll"] + 1e-12
    assert 0.05 < report.calibration.temperature < 50
    out = report.calibration(given_)
    assert out.sum(axis=1) == pytest.approx(1)


@settings(deadline=None)
@given(st.floats(0.1, 10))
def test_a_temperature_alone_keeps_every_answer(temperature):
    _, given_, _ = planted(n=50)
    assert (Calibration(temperature, np.zeros(3))(given_).argmax(axis=1) == given_.argmax(axis=1)).all()


def test_labels_that_are_missing_do_not_count_and_groups_are_held_out_whole():
    truth, given_, _ = planted(n=300, temperature=2.0)
    hidden = np.where(np.arange(300) < 100, truth, -1)
    other = given_.copy()
    other[100:] = 1 / 3
    first, second = calibrate_by_labels(hidden, given_), calibrate_by_labels(hidden, other)
    assert first.after == second.after
    assert (first.n, first.folds) == (100, 5)
    groups = ["a" if at % 2 else "b" for at in range(300)]
    assert calibrate_by_labels(hidden, given_, groups=groups).folds == 2


def test_certain_and_wrong_is_survived():
    truth, certain = np.arange(20) % 2, np.tile([1.0, 0.0], (20, 1))
    report = calibrate_by_labels(truth, certain)
    assert report.after["nll"] < 2 < report.before["nll"]


def test_one_class_has_no_prior_to_shift():
    truth, given_, _ = planted(n=40)
    report = calibrate_by_labels(np.where(truth == 0, 0, -1), given_)
    assert report.kind != "temperature+prior"
    assert (report.calibration.bias == 0).all()


def test_what_cannot_be_calibrated_is_refused():
    truth, given_, _ = planted(n=40)
    with pytest.raises(LabelsError, match="9 labelled images are too few"):
        calibrate_by_labels(np.where(np.arange(40) < 9, truth, -1), given_)
    with pytest.raises(LabelsError, match="of one group"):
        calibrate_by_labels(truth, given_, groups=["a"] * 40)
    with pytest.raises(LabelsError, match="must sum to 1"):
        calibrate_by_labels(truth, given_ * 2)


@pytest.mark.parametrize("lead", [5.0, 30.0, 300.0])
def test_a_calibration_of_logits_is_that_of_their_probabilities(lead):
    logits = np.array([[lead, 0.0, -1.0], [0.0, lead, 0.5]])
    calibration = Calibration(4.0, np.array([0.1, -0.3, 0.2]))
    np.testing.assert_allclose(softmax(calibration.logits(logits)), calibration(softmax(logits)), atol=1e-12)
