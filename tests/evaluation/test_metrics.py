from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpl.errors import FeaturesError, LabelsError
from kpl.evaluation import (
    CLASS_METRICS,
    METRICS,
    Predicted,
    Resampling,
    accuracy,
    auroc,
    balanced_accuracy,
    chance_rate,
    compare,
    describe,
    evaluate_predictions,
    macro_f1,
    majority_rate,
    score_multi_label,
)
from kpl.evaluation.metrics import REGISTRY, Measure

classes = st.integers(0, 4)
pairs = st.lists(st.tuples(classes, classes), min_size=1, max_size=30).map(lambda rows: np.array(rows).T)
# Few distinct scores, so that ties are the rule.
scored = st.lists(st.tuples(classes, *[st.integers(0, 3)] * 5), min_size=1, max_size=20).map(np.array)


def brute_auroc(truth, scores):
    areas = []
    for k in range(scores.shape[1]):
        wins = [
            (scores[i, k] > scores[j, k]) + (scores[i, k] == scores[j, k]) / 2
            for i in np.flatnonzero(truth == k)
            for j in np.flatnonzero(truth != k)
        ]
        if wins:
            areas.append(np.mean(wins))
    return np.mean(areas) if areas else np.nan


def brute_f1(truth, predictions):
    figures = []
    for k in set(truth) | set(predictions):
        hits = np.sum((truth == k) & (predictions == k))
        precision = hits / max(np.sum(predictions == k), 1)
        recall = hits / max(np.sum(truth == k), 1)
        figures.append(2 * precision * recall / (precision + recall) if hits else 0)
    return np.mean(figures)


@given(pairs)
def test_counts_agree_with_the_definitions(pair):
    truth, predictions = pair
    assert accuracy(truth, predictions) == pytest.approx(np.mean(truth == predictions))
    recalls = [np.mean(predictions[truth == k] == k) for k in np.unique(truth)]
    assert balanced_accuracy(truth, predictions) == pytest.approx(np.mean(recalls))
    assert macro_f1(truth, predictions) == pytest.approx(brute_f1(truth, predictions))


@given(scored)
def test_auroc_agrees_with_counting_pairs(rows):
    truth, scores = rows[:, 0], rows[:, 1:] / 3
    assert auroc(truth, scores) == pytest.approx(brute_auroc(truth, scores), nan_ok=True)


@given(scored)
def test_auroc_depends_on_order_alone_and_mirrors(rows):
    truth, scores = rows[:, 0], rows[:, 1:].astype(float)
    area = auroc(truth, scores)
    assert auroc(truth, np.exp(3 * scores)) == pytest.approx(area, nan_ok=True)
    assert auroc(truth, -scores) == pytest.approx(1 - area, nan_ok=True)


@given(pairs, st.randoms())
def test_neither_order_of_images_nor_numbering_of_classes_counts(pair, random):
    truth, predictions = pair
    order = np.array(random.sample(range(len(truth)), len(truth)))
    renamed = np.array(random.sample(range(5), 5))
    for metric in (accuracy, balanced_accuracy, macro_f1):
        assert metric(renamed[truth[order]], renamed[predictions[order]]) == pytest.approx(metric(truth, predictions))


@given(pairs)
def test_perfect_predictions_score_one(pair):
    truth = pair[0]
    assert accuracy(truth, truth) == balanced_accuracy(truth, truth) == macro_f1(truth, truth) == 1
    area = auroc(truth, np.eye(5)[truth])
    assert area == 1 or (np.isnan(area) and len(set(truth)) == 1)


@given(pairs)
def test_the_majority_rate_is_the_accuracy_of_the_commonest_class(pair):
    truth = pair[0]
    assert majority_rate(truth) == pytest.approx(max(accuracy(truth, np.full_like(truth, k)) for k in range(5)))


def test_golden_values():
    truth = np.array([0, 0, 0, 0, 1, 1, 2, 2])
    predictions = np.array([0, 0, 0, 1, 1, 2, 2, 3])
    assert accuracy(truth, predictions) == 5 / 8
    assert balanced_accuracy(truth, predictions) == pytest.approx((3 / 4 + 1 / 2 + 1 / 2) / 3)
    # Class 3 is predicted and never occurs: it counts with 0.
    assert macro_f1(truth, predictions) == pytest.approx((6 / 7 + 1 / 2 + 1 / 2 + 0) / 4)
    assert majority_rate(truth) == 1 / 2
    assert chance_rate(4) == 1 / 4


def test_auroc_with_ties_and_an_absent_class_by_hand():
    truth = np.array([0, 0, 1, 1])
    probabilities = np.array([[0.8, 0.1, 0.1], [0.4, 0.4, 0.2], [0.4, 0.4, 0.2], [0.1, 0.6, 0.3]])
    # Class 0 wins 3.5 of 4 pairs, class 1 wins 3.5 of 4, class 2 does not occur.
    assert auroc(truth, probabilities) == 3.5 / 4
    assert auroc(truth, np.ones((4, 3))) == 0.5
    assert auroc(truth.astype(np.uint8), probabilities.astype(np.float16)) == 3.5 / 4


@pytest.mark.parametrize(
    ("truth", "predictions", "part"),
    [
        ([], [], "truth has shape \\(0,\\)"),
        ([0, 1], [0], "2 true labels but 1 predictions"),
        ([0, -1], [0, 0], "truth holds -1"),
        ([0, 1], [0.0, 1.0], "predictions has .* float64"),
        ([[0], [1]], [0, 1], "truth has shape \\(2, 1\\)"),
        ([True], [0], "type bool"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(truth, predictions, part):
    with pytest.raises(LabelsError, match=part):
        accuracy(np.array(truth), np.array(predictions))


@pytest.mark.parametrize(
    ("probabilities", "part"),
    [
        (np.ones(3), "shape \\(3,\\)"),
        (np.ones((2, 3)), "one row for each of the 3 images"),
        (np.ones((3, 2)), "true class 2 has no column"),
        (np.array([[1, 1, 1], [1, np.nan, 1], [1, 1, np.nan]]), "2 image\\(s\\) are not numbers, first in row 1"),
    ],
)
def test_probabilities_that_do_not_fit_are_refused(probabilities, part):
    with pytest.raises(LabelsError, match=part):
        auroc(np.array([0, 1, 2]), probabilities)


def test_a_rate_of_chance_needs_a_class():
    with pytest.raises(LabelsError, match="among 0 classes"):
        chance_rate(0)


def test_every_metric_of_the_registry_is_computed_and_is_an_attribute_of_the_scores():
    truth, predictions = np.array([0, 1, 2, 1]), np.array([0, 1, 1, 1])
    probabilities = np.full((4, 3), 0.2) + 0.4 * np.eye(3)[predictions]
    found = Measure(truth, predictions, probabilities, ordered=True).scores(np.ones((4, 1), dtype=np.int64))
    assert set(found) == set(METRICS)
    scores = evaluate_predictions(truth, predictions, probabilities, ordered=True)
    assert {name: getattr(scores, name) for name in METRICS} == {name: values[0] for name, values in found.items()}
    assert set(METRICS) <= set(dir(scores)) & set(scores.to_json()) & set(scores.intervals)
    assert len({metric.title for metric in REGISTRY}) == len({metric.short for metric in REGISTRY}) == len(METRICS)
    with pytest.raises(AttributeError, match="no attribute 'acuracy'"):
        _ = scores.acuracy


def test_every_metric_of_a_class_is_computed_for_one_label_and_for_several():
    truth, names = np.array([0, 1, 1, 0]), [metric.name for metric in CLASS_METRICS]
    probabilities = np.array([[0.9, 0.1], [0.4, 0.6], [0.7, 0.3], [0.6, 0.4]])
    one = describe(truth, probabilities.argmax(axis=1), probabilities, ["a", "b"]).classes["b"]
    several = score_multi_label(np.eye(2, dtype=int)[truth], probabilities, ["a", "b"], np.array([0.5, 0.5]))
    assert set(names) == set(one.figures)
    assert {name: one.figures[name] for name in names} == {name: several.classes["b"][name] for name in names}


def test_array_likes_are_scored_as_arrays_are():
    truth, rows = [0, 1, 1, -1], [[0.9, 0.1], [0.4, 0.6], [0.7, 0.3], [0.6, 0.4]]
    said = Predicted([0, 1, 0, 0], rows)
    table = compare(truth, {"a": said}, n_classes=2, resampling=Resampling(0))
    arrays = Predicted(np.array(said.predictions), np.array(rows))
    assert table == compare(np.array(truth), {"a": arrays}, n_classes=2, resampling=Resampling(0))
    assert auroc([0, 1, 1], rows[:3]) == auroc(np.array([0, 1, 1]), np.array(rows[:3]))
    with pytest.raises(FeaturesError, match="predictions must be"):
        compare([0, 1], {"a": Predicted(["x", "y"])}, n_classes=2)
