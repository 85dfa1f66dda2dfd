from __future__ import annotations

import json

import numpy as np
import pytest

from kpl.errors import LabelsError, UnknownNameError
from kpl.evaluation import (
    METRICS,
    Predicted,
    Resampling,
    accuracy,
    auroc,
    compare,
    evaluate_predictions,
    paired_difference,
)

FEW = Resampling(replicates=200)


@pytest.fixture
def results():
    rng = np.random.default_rng(0)
    truth = rng.choice(4, size=120, p=[0.5, 0.3, 0.2, 0])
    weak = rng.random((120, 4)) + 0.5 * np.eye(4)[truth]
    strong = rng.random((120, 4)) + 0.8 * np.eye(4)[truth]
    return truth, {
        "cupl": Predicted(weak.argmax(axis=1), weak),
        "kpl": Predicted(strong.argmax(axis=1), strong),
        "names": Predicted(np.zeros(120, dtype=int)),
    }


def test_the_json_is_method_then_metric(results):
    truth, methods = results
    table = compare(truth, methods, n_classes=4, reference="cupl", resampling=FEW)
    found = json.loads(json.dumps(table.to_json(), allow_nan=False))
    assert list(found) == ["cupl", "kpl", "names", "majority", "chance"]
    for row in found.values():
        assert set(METRICS) | {"intervals", "n"} <= set(row)
        assert 0 <= row["accuracy"] <= 1
        assert row["n"] == 120
    low, high = found["kpl"]["intervals"]["accuracy"]
    assert low < found["kpl"]["accuracy"] < high
    assert found["names"]["auroc"] is None
    assert found["names"]["intervals"]["auroc"] is None
    assert found["majority"]["accuracy"] == np.mean(truth == 0)
    assert found["majority"]["balanced_accuracy"] == pytest.approx(1 / 3)
    assert table.chance == 0.25
    assert "difference" not in found["cupl"]
    expected = paired_difference(truth, methods["kpl"].predictions, methods["cupl"].predictions, resampling=FEW)
    assert found["kpl"]["difference"] == {
        "from": "cupl",
        "accuracy": expected.accuracy,
        "interval": list(expected.interval),
        "p_value": expected.p_value,
        "p_holm": expected.p_value,  # the larger of the two p-values, so nothing is added
    }
    other = found["names"]["difference"]
    assert other["p_holm"] == min(2 * other["p_value"], expected.p_value)
    assert found["chance"]["accuracy"] == found["chance"]["balanced_accuracy"] == 0.25
    assert (found["chance"]["auroc"], found["chance"]["kappa"], found["chance"]["brier"]) == (0.5, 0, 0.75)


def test_without_a_reference_nothing_is_paired(results):
    truth, methods = results
    table = compare(truth, methods, n_classes=4, resampling=Resampling(replicates=0))
    assert not table.differences
    assert all(value is None for value in table.scores["kpl"].intervals.values())


def test_unlabelled_images_are_left_out(results):
    truth, methods = results
    groups = [str(at // 3) for at in range(120)]
    hidden = truth.copy()
    hidden[::2] = -1
    table = compare(hidden, methods, n_classes=4, groups=groups, reference="cupl", resampling=FEW)
    predictions, probabilities, _ = methods["kpl"]
    scores = table.scores["kpl"]
    assert scores.n == 60
    assert scores.accuracy == accuracy(truth[1::2], predictions[1::2])
    assert scores.auroc == auroc(truth[1::2], probabilities[1::2])
    alone = evaluate_predictions(
        truth[1::2], predictions[1::2], probabilities[1::2], groups=groups[1::2], resampling=FEW
    )
    assert alone == scores
    assert table.differences["kpl"].interval[0] < table.differences["kpl"].accuracy


def test_one_class_in_the_labels_has_no_auroc(results):
    truth, methods = results
    scores = evaluate_predictions(np.where(truth == 0, 0, -1), *methods["kpl"], resampling=FEW)
    assert scores.auroc is None
    assert scores.accuracy == scores.balanced_accuracy


def test_what_cannot_be_compared_is_refused(results):
    truth, methods = results
    with pytest.raises(LabelsError, match="'majority'"):
        compare(truth, {"majority": methods["kpl"]}, n_classes=4)
    with pytest.raises(UnknownNameError, match="did you mean 'cupl'"):
        compare(truth, methods, n_classes=4, reference="cuppl")
    with pytest.raises(LabelsError, match="none of the 120 images has a label"):
        compare(np.full(120, -1), methods, n_classes=4)
    with pytest.raises(LabelsError, match="119 true labels but predictions for 120"):
        evaluate_predictions(truth[1:], *methods["kpl"])
    with pytest.raises(LabelsError, match="1 groups for 120 images"):
        evaluate_predictions(truth, *methods["kpl"], groups=["a"])
    with pytest.raises(LabelsError, match="'chance'"):
        compare(truth, {"chance": methods["kpl"]}, n_classes=4)
    with pytest.raises(LabelsError, match="3 subgroups for 120 images"):
        compare(truth, methods, n_classes=4, subgroups={"site": ["a"] * 3})


def test_each_subgroup_is_scored_as_if_alone(results):
    truth, methods = results
    hidden = np.where(np.arange(120) % 10 == 0, -1, truth)
    sites = [None if at % 7 == 0 else "AB"[at % 2] for at in range(120)]
    groups = [str(at // 2) for at in range(120)]
    table = compare(hidden, methods, n_classes=4, subgroups={"site": sites}, groups=groups, resampling=FEW)
    found = table.to_json()["kpl"]["subgroups"]["site"]
    assert list(found) == ["A", "B"]
    rows = np.array([site == "B" and hidden[at] >= 0 for at, site in enumerate(sites)])
    alone = evaluate_predictions(
        truth[rows],
        methods["kpl"].predictions[rows],
        methods["kpl"].probabilities[rows],
        groups=[group for group, kept in zip(groups, rows, strict=True) if kept],
        resampling=FEW,
    )
    assert found["B"] == alone.to_json()


def test_grades_have_weighted_kappas(results):
    truth, methods = results
    table = compare(truth, methods, n_classes=4, ordered=True, resampling=FEW)
    assert table.scores["kpl"].kappa_quadratic > table.scores["kpl"].kappa_linear > table.scores["cupl"].kappa_linear
    assert table.scores["kpl"].intervals["kappa_linear"] is not None
    assert table.majority.kappa_quadratic == pytest.approx(0)
    assert compare(truth, methods, n_classes=4, resampling=FEW).scores["kpl"].kappa_linear is None


def test_what_rounds_to_one_is_ranked_by_its_log_odds():
    truth = np.array([0, 0, 1, 1])
    logits = np.array([[90.0, 0.0], [80.0, 0.0], [60.0, 0.0], [0.0, 50.0]])
    said = Predicted.of_logits(logits)
    assert said.probabilities[:3, 0].tolist() == [1.0, 1.0, 1.0]
    table = compare(truth, {"kpl": said}, n_classes=2, classes=["a", "b"], resampling=Resampling(replicates=50))
    scores, details = table.scores["kpl"], table.details["kpl"]
    assert scores.auroc == scores.average_precision == details.classes["a"].auroc == 1.0
    assert scores.intervals["auroc"] == (1.0, 1.0)
    assert list(details.coverage) == [0.25, 0.5, 0.75, 1.0], "a point an image, not one for all that round to one"
    assert list(details.risk) == [0.0, 0.0, pytest.approx(1 / 3), 0.25]
    assert details.threshold[0] == 1.0, "a threshold is of the probability"
    rounded = Predicted(*said[:2])
    assert compare(truth, {"kpl": rounded}, n_classes=2).scores["kpl"].auroc < 1
