"""Calibrating a run, applying the file, and leaving pictures without a label."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from tests.runs.conftest import be_every_encoder

from kpl.embeddings import FeatureRows
from kpl.errors import InputError
from kpl.evaluation import Calibration
from kpl.methods import make_method
from kpl.runs import calibrate, classify, evaluate, fit, load_calibration, open_run
from kpl.runs.predictions import read_predictions
from kpl.runs.warnings import result_warnings

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
        assert {**row, "label": ""} == {**before, "label": ""}
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
        ({"coverage": 0.5, "abstain_below": 0.5}, "one of the two"),
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
