"""Calibrating a run, applying the file, and leaving pictures without a label."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from tests.runs.conftest import be_every_encoder

from kpl.curation import export
from kpl.embeddings import FeatureRows
from kpl.errors import InputError, LabelsError
from kpl.evaluation import Calibration
from kpl.methods import make_method
from kpl.proxies.outside import text_fits, unlike_fits
from kpl.report.single_label import SingleLabelStory
from kpl.report.verdict import verdict
from kpl.runs import calibrate, classify, classifying, evaluate, fit, load_calibration, open_run
from kpl.runs.prediction_files import read_predictions
from kpl.runs.predictions import NONE_OF_THESE
from kpl.runs.warnings import UNLIKE, result_warnings

from .conftest import SENTENCES

KEYS = list(SENTENCES)


@pytest.fixture
def labels(job):
    path = job.folder / "few.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("image", "label"), *((f"{n}.png", KEYS[n % 3]) for n in range(10))])
    return path


def table(job):
    with (job.out / "predictions.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_calibration_is_fitted_written_and_applied(job, labels):
    job.run(method="cupl")
    before = table(job)
    path = job.folder / "calibration.json"
    told = []
    result = calibrate(job.out, labels=labels, out=path, progress=lambda *what: told.append(what))
    assert told == [("method", 0, 1), ("method", 1, 1)]
    assert load_calibration(path) == result.file
    assert result.file.labelled == 10
    assert result.file.after["nll"] <= result.file.before["nll"]
    run = open_run(job.out)
    raw = make_method("cupl", **run.summary["plan"]["settings"]).fit(run.features, run.descriptions)
    expected = Calibration(result.file.temperature, np.array([result.file.bias[key] for key in KEYS]))
    job.run(method="cupl", calibration=path, overwrite=True)
    found = np.array([[float(row[f"p_{key}"]) for key in KEYS] for row in table(job)])
    assert found == pytest.approx(expected(raw.predict_proba(run.features)), abs=1e-6)
    assert job.summary["plan"]["calibration"] == result.file.content_hash()
    assert "calibration" not in run.summary["plan"]
    assert before != table(job)


def test_a_calibration_for_something_else_is_refused(job, labels, fake_encoder):
    job.run(method="cupl")
    path = job.folder / "calibration.json"
    calibrate(job.out, labels=labels, out=path)
    again = {"calibration": path, "overwrite": True}
    with pytest.raises(InputError, match="for method cupl, not for text"):
        job.run(method="text", **again)
    with pytest.raises(InputError, match="cupl with k = None, not 1"):
        job.run(method="cupl", settings={"k": 1}, **again)
    job.knowledge.write_text(json.dumps({**SENTENCES, "platelet": ["a small body"]}))
    with pytest.raises(InputError, match="for knowledge"):
        job.run(method="cupl", **again)
    job.knowledge.write_text(json.dumps(SENTENCES))
    told = json.loads(path.read_text())
    path.write_text(json.dumps({**told, "encoder": "other:0"}))
    with pytest.raises(InputError, match="for encoder other:0"):
        job.run(method="cupl", **again)
    path.write_text("{}")
    with pytest.raises(InputError, match="no calibration of `kpl calibrate`"):
        job.run(method="cupl", **again)
    with pytest.raises(InputError, match="cannot read the calibration"):
        job.run(method="cupl", calibration=job.folder / "none.json", overwrite=True)


def test_pictures_below_a_confidence_stay_without_a_label(job, labels):
    job.run(method="cupl", settings={"temperature": 0.3})
    whole = table(job)
    confidences = sorted(float(row["confidence"]) for row in whole)
    least = (confidences[3] + confidences[4]) / 2
    result = job.run(method="cupl", settings={"temperature": 0.3}, abstain_below=least, overwrite=True)
    assert (result.abstained, result.n, sum(result.counts.values())) == (4, 10, 6)
    assert job.summary["abstained"] == 4
    for row, before in zip(table(job), whole, strict=True):
        assert row["label"] == (before["label"] if float(before["confidence"]) >= least else "")
        assert {**row, "label": ""} == {**before, "label": "", "leading": before["label"]}
    winners = read_predictions(job.out / "predictions.csv", KEYS).winners
    assert [KEYS[winner] for winner in winners] == [row["label"] for row in whole]
    scored = evaluate(job.out, labels=labels, methods=["cupl"], replicates=0)
    right = [KEYS[n % 3] == row["label"] for n, row in enumerate(whole) if float(row["confidence"]) >= least]
    assert scored.table.answered["cupl"] == (0.6, pytest.approx(np.mean(right)))
    assert scored.table.to_json()["cupl"]["answered"]["coverage"] == 0.6
    assert "left 4 of 10 labelled images without a label" in " ".join(scored.notices)


@pytest.mark.parametrize(("coverage", "kept"), [(0.5, 5), (1.0, 10), (0.01, 1), (0.3, 3)])
def test_a_coverage_keeps_the_most_confident(job, coverage, kept):
    result = job.run(method="cupl", settings={"temperature": 0.3}, coverage=coverage)
    assert sum(result.counts.values()) == kept
    labelled = [float(row["confidence"]) for row in table(job) if row["label"]]
    others = [float(row["confidence"]) for row in table(job) if not row["label"]]
    assert min(labelled) >= max(others, default=0)
    assert job.summary["plan"]["abstain"] == {"coverage": coverage}


def test_a_coverage_is_kept_where_every_confidence_rounds_to_one(job):
    result = job.run(method="cupl", settings={"temperature": 1e-6}, coverage=0.3)
    assert {row["confidence"] for row in table(job)} == {"1.000000"}
    assert sum(result.counts.values()) == 3


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        ({"abstain_below": 1.5}, "share from 0 to 1, got 1.5"),
        ({"coverage": 0}, "got 0"),
        ({"coverage": 0.5, "abstain_below": 0.5}, "give one"),
    ],
)
def test_abstention_without_meaning_is_refused(job, asked, part):
    with pytest.raises(InputError, match=part):
        job.run(**asked)
    assert not job.out.exists()


def test_collapsed_text_and_uneven_classes_are_warned_of(tmp_path):
    np.save(tmp_path / "a.npy", np.eye(40, dtype=np.float32))
    method = make_method("kpl").fit(FeatureRows([tmp_path / "a.npy"]), [np.eye(40)[:2], np.eye(40)[2:4]])
    method.prior_ = np.array([0.99, 0.01])
    zeros = np.zeros(40, dtype=int)
    told = " / ".join(result_warnings(method, np.arange(40) % 2, zeros, ["a", "b"]))
    assert "the text alone calls 40 of 40 pictures 'a'" in told
    assert "'a' at 99%, 1 of 2 next to absent" in told
    method.prior_ = np.array([0.6, 0.4])
    told = " / ".join(result_warnings(method, np.arange(40) % 2, np.arange(40) % 2, ["a", "b"]))
    assert "far from equally common" not in told
    assert "the text alone" not in told


def test_pictures_that_are_like_no_class_are_warned_of():
    images = np.eye(12)[[0, 1] * 40] + 0.1 * np.random.default_rng(0).normal(size=(80, 12))
    method = make_method("kpl").fit(images, [np.eye(12)[:1], np.eye(12)[1:2]])
    ones = np.zeros(80, dtype=int)
    own, other = (method.distances(rows) for rows in (images, np.eye(12)[[5, 6] * 40]))
    assert "like none of the classes" not in " / ".join(result_warnings(method, ones, ones, ["a", "b"], own))
    told = " / ".join(result_warnings(method, ones, ones, ["a", "b"], other))
    assert "80 of 80 pictures are like none of the classes" in told


def test_a_run_with_a_model_is_calibrated_by_what_the_model_said_of_it(job, labels, monkeypatch):
    be_every_encoder(monkeypatch, job.encoder)
    model, path = job.folder / "cells.kpl", job.folder / "calibration.json"
    fit(job.pictures, knowledge=job.knowledge, out=model, method="cupl")
    said = read_predictions(classify(job.pictures, model=model, out=job.out).predictions_file, KEYS)
    result = calibrate(job.out, labels=labels, out=path)
    assert result.file.model == open_run(job.out).summary["plan"]["model"]
    own = [said.probabilities[said.ids.index(f"{n}.png"), n % 3] for n in range(10)]
    assert result.file.before["nll"] == pytest.approx(-np.log(own).mean(), rel=1e-5)
    classify(job.pictures, model=model, calibration=path, out=job.out, overwrite=True)
    with pytest.raises(InputError, match="classify without --calibration"):
        calibrate(job.out, labels=labels, out=job.folder / "twice.json")
    with pytest.raises(InputError, match=r"is for model .*, not for a method that learns"):
        job.run(method="cupl", calibration=path, overwrite=True)


def test_pictures_of_no_listed_class_are_called_so(job):
    assert job.run().none_of_these is None
    result = job.run(other=True, overwrite=True)
    said = open_run(job.out).predictions
    assert said.unlike is not None
    strange = said.unlike >= 1
    assert result.none_of_these == job.summary["none_of_these"] == strange.sum()
    assert job.summary["plan"]["other"] is True
    assert [row["label"] == NONE_OF_THESE for row in table(job)] == strange.tolist()
    assert [each.label == NONE_OF_THESE for each in said] == strange.tolist()
    assert said.columns()["label"] == [row["label"] for row in table(job)]
    assert sum(result.counts.values()) == (~strange).sum()
    assert result.abstained == 0


def test_a_model_calls_by_distance_what_it_did_not_learn(job, tmp_path):
    path, few = tmp_path / "model.kpl", [job.pictures / f"{n}.png" for n in range(6)]
    model = fit(few, knowledge=job.knowledge, out=path)
    result = job.run(model=path, knowledge=None, other=True)
    expected = model.method.distances(result.features) / UNLIKE
    assert result.predictions.unlike == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("method", "learnt"), [("kpl", 10), ("cupl", 6)])
def test_a_model_goes_by_the_texts_over_pictures_that_it_learnt_from_or_without_a_distance(
    job, tmp_path, method, learnt
):
    path, few = tmp_path / "model.kpl", [job.pictures / f"{n}.png" for n in range(learnt)]
    model = fit(few, knowledge=job.knowledge, out=path, method=method)
    result = job.run(model=path, knowledge=None, other=True)
    fits = text_fits(result.features, model.method.text_.proxies, model.method.temperature)
    assert result.predictions.unlike == pytest.approx(unlike_fits(fits, 3), abs=1e-6)
    if method == "kpl":  # the same as the run that learns from them says
        own = job.run(other=True, overwrite=True)
        assert own.predictions.unlike == pytest.approx(unlike_fits(fits, 3), abs=1e-6)


def test_none_of_these_is_told_of_two_classes_too(job):
    sentences = dict(list(SENTENCES.items())[:2])
    said = job.run(knowledge=sentences, other=True).predictions
    assert said.unlike is not None
    assert 0 < said.unlike.min() < 1


def test_none_of_these_is_refused_where_a_class_has_the_name(job):
    with pytest.raises(InputError, match="rename it"):
        job.run(knowledge={**SENTENCES, "None of these": ["a blank picture"]}, other=True)


def test_what_was_left_as_none_of_these_is_told_of_a_score(job, labels, monkeypatch):
    monkeypatch.setattr(classifying, "unlike_classes", lambda _m, pooling, _model: np.arange(pooling.features.n) / 5)
    assert job.run(other=True, coverage=1.0).none_of_these == 5
    assert any("left 5 of 10 labelled images" in note for note in evaluate(job.out, labels=labels).notices)


def test_pictures_that_the_labels_name_as_unlisted_are_scored_as_such(job, monkeypatch):
    monkeypatch.setattr(classifying, "unlike_classes", lambda _m, pooling, _model: np.arange(pooling.features.n) / 5)
    table = job.folder / "named.csv"
    told = [KEYS[n % 3] if n < 6 else "None of these" for n in range(8)] + ["blast", ""]
    lines = [f"{n}.png,{label}" for n, label in enumerate(told) if label]
    table.write_text("image,label\n" + "\n".join(lines) + "\n", encoding="utf-8")
    plain = evaluate(job.run(), labels=table, ignore_unknown=True, methods=["cupl"], replicates=0)
    assert plain.unlisted is None
    assert any("name 3 images as of no listed class" in note for note in plain.notices)
    job.run(other=True, overwrite=True)
    scored = evaluate(job.out, labels=table, ignore_unknown=True, methods=["cupl"], replicates=20)
    found = scored.unlisted
    assert (found.unlisted, found.listed, found.found, found.auroc) == (3, 6, 1.0, 1.0)
    assert found.lost == pytest.approx(1 / 6)  # the sixth has an unlike of one
    assert found.intervals["lost"][0] <= 1 / 6 <= found.intervals["lost"][1]
    assert str(found) in scored.notices
    assert scored.table.majority.n == 6
    assert any("of no listed class: 2 of 10" in note for note in scored.notices)
    with pytest.raises(LabelsError, match="blast"):
        evaluate(job.out, labels=table, methods=["cupl"])


def test_none_of_these_is_exported_as_no_label(job, tmp_path, monkeypatch):
    monkeypatch.setattr(classifying, "unlike_classes", lambda _m, pooling, _model: np.arange(pooling.features.n) / 5)
    export(job.run(other=True), to="fiftyone", out=tmp_path / "made", pictures=job.pictures)
    told = json.loads((tmp_path / "made" / "labels.json").read_text(encoding="utf-8"))["labels"]
    assert sum(each is not None for each in told.values()) == 5


def test_the_report_says_how_many_are_none_of_these_in_its_verdict(job, monkeypatch):
    monkeypatch.setattr(classifying, "unlike_classes", lambda _m, pooling, _model: np.arange(pooling.features.n) / 5)
    run = job.run(other=True, coverage=1.0)
    assert (NONE_OF_THESE, 5) in verdict(run, None)["found"]
    assert SingleLabelStory(run).tell()["abstained"] == run.abstained == 0
