from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpl.errors import LabelsError
from kpl.evaluation import (
    METRICS,
    Resampling,
    accuracy,
    auroc,
    balanced_accuracy,
    bootstrap,
    bootstrap_intervals,
    macro_f1,
    paired_difference,
)
from kpl.evaluation.bootstrap import resamples
from kpl.evaluation.weighted import Confusion, Ranks

rows = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3), *[st.integers(0, 3)] * 4),
    min_size=1,
    max_size=15,
).map(np.array)


def noisy(n, n_classes, share, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.integers(n_classes, size=n)
    predictions = np.where(rng.random(n) < share, truth, rng.integers(n_classes, size=n))
    return truth, predictions, rng.random((n, n_classes)) + np.eye(n_classes)[predictions]


@given(rows)
def test_a_weight_is_the_image_repeated(table):
    truth, predictions, counts, scores = table[:, 0], table[:, 1], table[:, 2], table[:, 3:] / 3
    if not counts.any():
        counts = counts + 1
    weights = np.stack([counts, np.ones_like(counts)], axis=1)
    again = np.repeat(np.arange(len(truth)), counts)
    found = Confusion(truth, predictions).scores(weights)
    for name, metric in (("accuracy", accuracy), ("balanced_accuracy", balanced_accuracy), ("macro_f1", macro_f1)):
        expected = [metric(truth[again], predictions[again]), metric(truth, predictions)]
        assert found[name] == pytest.approx(expected)
    areas = Ranks(truth, scores).scores(weights)["auroc"]
    assert areas == pytest.approx([auroc(truth[again], scores[again]), auroc(truth, scores)], nan_ok=True)


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(0, 50), st.integers(0, 5))
def test_each_replicate_draws_as_many_images_as_there_are(n, replicates, seed):
    blocks = list(resamples(n, resampling=Resampling(replicates=replicates, seed=seed)))
    assert sum(block.shape[1] for block in blocks) == replicates
    assert all((block.sum(axis=0) == n).all() for block in blocks)


@given(st.lists(st.sampled_from(["a", "b", "c", None]), min_size=1, max_size=20))
def test_a_group_is_drawn_as_a_whole(groups):
    (weights,) = resamples(len(groups), groups, Resampling(replicates=20))
    first = {group: at for at, group in reversed(list(enumerate(groups)))}
    for at, group in enumerate(groups):
        if group is not None:
            assert (weights[at] == weights[first[group]]).all()
    units = [*(first[group] for group in first if group), *(at for at, group in enumerate(groups) if group is None)]
    assert (weights[units].sum(axis=0) == len(units)).all()


def test_how_many_replicates_are_held_at_once_changes_nothing(monkeypatch):
    whole = np.concatenate(list(resamples(31, resampling=Resampling(replicates=40))), axis=1)
    monkeypatch.setattr(bootstrap, "_BLOCK", 31 * 7)
    assert (np.concatenate(list(resamples(31, resampling=Resampling(replicates=40))), axis=1) == whole).all()


def test_the_seed_decides():
    truth, predictions, probabilities = noisy(200, 3, 0.6)
    first = bootstrap_intervals(truth, predictions, probabilities)
    assert first == bootstrap_intervals(truth, predictions, probabilities)
    assert first != bootstrap_intervals(truth, predictions, probabilities, resampling=Resampling(seed=1))


def test_the_interval_of_accuracy_is_the_binomial_one():
    truth, predictions, probabilities = noisy(2000, 4, 0.7)
    share = accuracy(truth, predictions)
    half = 1.96 * np.sqrt(share * (1 - share) / 2000)
    intervals = bootstrap_intervals(truth, predictions, probabilities)
    assert intervals["accuracy"] == pytest.approx((share - half, share + half), abs=0.003)
    assert set(intervals) == set(METRICS)
    for metric, figure in (("macro_f1", macro_f1(truth, predictions)), ("auroc", auroc(truth, probabilities))):
        low, high = intervals[metric]
        assert low < figure < high


def test_groups_of_like_images_widen_the_interval():
    truth, predictions, _ = noisy(100, 2, 0.6)
    truth, predictions = np.repeat(truth, 9), np.repeat(predictions, 9)
    groups = [str(at // 9) for at in range(900)]
    low, high = bootstrap_intervals(truth, predictions)["accuracy"]
    group_low, group_high = bootstrap_intervals(truth, predictions, groups=groups)["accuracy"]
    assert (group_high - group_low) / (high - low) == pytest.approx(3, rel=0.1)


def test_a_lower_level_lies_inside():
    truth, predictions, _ = noisy(300, 3, 0.5)
    low, high = bootstrap_intervals(truth, predictions)["accuracy"]
    inner_low, inner_high = bootstrap_intervals(truth, predictions, resampling=Resampling(level=0.5))["accuracy"]
    assert low < inner_low < inner_high < high


def test_nothing_to_resample_gives_no_interval():
    one = np.array([0])
    assert set(bootstrap_intervals(one, one, np.ones((1, 2))).values()) == {None}
    three = np.array([0, 1, 1])
    assert set(bootstrap_intervals(three, three, groups=["a"] * 3).values()) == {None}
    assert set(bootstrap_intervals(three, three, resampling=Resampling(replicates=0)).values()) == {None}
    assert paired_difference(one, one, 1 - one).interval is None


def test_a_single_class_has_no_auroc_interval():
    truth = np.zeros(5, dtype=int)
    intervals = bootstrap_intervals(truth, np.array([0, 0, 0, 1, 1]), np.ones((5, 2)))
    assert intervals["auroc"] is None
    assert intervals["accuracy"] == intervals["balanced_accuracy"]


def test_a_pair_is_compared_image_by_image():
    truth, predictions, _ = noisy(1000, 4, 0.5)
    better = predictions.copy()
    better[:50] = truth[:50]
    gain = paired_difference(truth, better, predictions)
    assert gain.accuracy == pytest.approx(accuracy(truth, better) - accuracy(truth, predictions))
    low, high = gain.interval
    # The two agree on 950 images, so their difference is surer than either accuracy.
    own = bootstrap_intervals(truth, predictions)["accuracy"]
    assert 0 < low < gain.accuracy < high
    assert high - low < (own[1] - own[0]) / 2
    back = paired_difference(truth, predictions, better)
    assert back.interval == pytest.approx((-high, -low))
    assert paired_difference(truth, better, better, groups=[str(at % 7) for at in range(1000)]).interval == (0, 0)


@pytest.mark.parametrize(
    ("settings_", "part"),
    [
        ({"replicates": -1}, "-1 bootstrap replicates"),
        ({"level": 95}, "level of an interval is 95"),
        ({"level": 0}, "is 0"),
    ],
)
def test_settings_without_meaning_are_refused(settings_, part):
    with pytest.raises(LabelsError, match=part):
        Resampling(**settings_)


def test_one_group_an_image():
    with pytest.raises(LabelsError, match="2 groups for 3 images"):
        next(resamples(3, ["a", "b"]))


def test_the_p_value_is_that_of_mcnemar_and_of_swapping():
    truth = np.zeros(40, dtype=int)
    better, worse = truth.copy(), truth.copy()
    better[:4], worse[4:18] = 1, 1  # 14 images speak for the first, 4 for the second
    exact = 2 * sum(math.comb(18, k) for k in range(5)) / 2**18
    assert paired_difference(truth, better, worse).p_value == pytest.approx(exact)
    # The same with each image twice in one group: the test by draws finds the same.
    twice = [np.repeat(values, 2) for values in (truth, better, worse)]
    groups = [str(at // 2) for at in range(80)]
    many = Resampling(replicates=20_000)
    assert paired_difference(*twice, groups=groups, resampling=many).p_value == pytest.approx(exact, abs=0.005)
    assert paired_difference(*twice).p_value < exact / 10  # who forgets the groups is too sure
    assert paired_difference(truth, better, better).p_value == 1
    assert paired_difference(*twice, groups=groups, resampling=Resampling(replicates=0)).p_value is None


def test_equal_methods_are_told_apart_as_often_as_the_level_says():
    rng = np.random.default_rng(0)
    truth = np.zeros(200, dtype=int)
    few = Resampling(replicates=19)
    values = [
        paired_difference(truth, rng.integers(2, size=200), rng.integers(2, size=200), resampling=few).p_value
        for _ in range(300)
    ]
    assert np.mean(np.array(values) < 0.05) < 0.08
