"""Predictions in Parquet: the same run says the same, however it keeps them, and as much of it as is asked for."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.runs.conftest import SENTENCES

from kpl.curation import compare_runs, export
from kpl.errors import AlreadyThereError, FeaturesError, MissingExtraError, OutputError
from kpl.report import explain_picture, write_report
from kpl.runs import classify_multi_label, evaluate, open_run
from kpl.runs.prediction_files import read_predictions, write_predictions
from kpl.runs.sampling import sampled
from kpl.server.opened import OpenedRun

pytest.importorskip("pyarrow")

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(
    ids=st.lists(TEXT | st.text(" ,\"'\n\r;\t=😀", min_size=1), min_size=1, max_size=12),
    keys=st.lists(TEXT, min_size=2, max_size=5, unique=True),
    block=st.integers(1, 5),
    size=st.integers(1, 5),
)
def test_any_names_come_back(tmp_path_factory, ids, keys, block, size):
    place = tmp_path_factory.mktemp("parquet") / "predictions"
    chances = np.random.default_rng(block).dirichlet(np.ones(len(keys)), size=len(ids))
    blocks = (chances[start : start + block] for start in range(0, len(ids), block))
    sizes = [min(size, len(ids) - start) for start in range(0, len(ids), size)]
    winners = write_predictions(place, ids, keys, blocks, sizes=[0, *sizes])
    read = read_predictions(place, keys)
    assert (read.ids, len(list(place.iterdir()))) == (tuple(ids), len(sizes))
    assert np.array_equal(read.winners, winners)
    assert np.array_equal(read.probabilities, chances)
    some = np.flatnonzero(np.arange(len(ids)) % 2 == 0)
    assert read_predictions(place, keys, rows=some).ids == tuple(ids[row] for row in some)


def test_units_are_numbered_and_those_without_a_label_have_none(tmp_path):
    told: dict[str, Any] = {"kind": ["series"] * 3, "patient": ["p", "", "q"], "instances": [1, 2, 3]}
    told["key_instance"] = ["a#1", "b#1", "c#1"]
    answered = np.array([False, False, True])
    chances = np.array([[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]])
    for place in (tmp_path / "predictions", tmp_path / "p.csv"):
        write_predictions(place, "abc", ["x", "y"], [chances], answered, told, sizes=[2, 0, 1])
        assert [each.label for each in read_predictions(place, ["x", "y"])] == [None, None, "y"]
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(tmp_path / "predictions" / "predictions-00000.parquet")
    assert table.to_pylist()[0] == {
        "unit": "a", "kind": "series", "patient": "p", "instances": 1, "key_instance": "a#1", "label": None,
        "confidence": 0.9, "margin": 0.8, "runner_up": "y", "leading": "x", "p_x": 0.9, "p_y": 0.1,
    }  # fmt: skip


@pytest.fixture
def labels(job) -> Path:
    rows = [f"{number}.png,{list(SENTENCES)[number % 3]}" for number in range(10)]
    path = job.folder / "labels.csv"
    path.write_text("\n".join(["image,label", *rows]), encoding="utf-8")
    return path


@pytest.mark.parametrize("other", [False, True])
def test_the_same_run_says_the_same_however_it_is_kept(job, labels, other, tmp_path):
    how = {"other": other, "with_evidence": True}
    plain = job.run(**how, out=tmp_path / "plain")
    run = job.run(**how, predictions="parquet")
    assert run.predictions_file.is_dir()
    assert not (run.path / "predictions.csv").exists()
    assert list(run) == list(plain) == list(open_run(run.path))
    assert (run.counts, run.warnings, run.abstained) == (plain.counts, plain.warnings, plain.abstained)
    assert run.summary == plain.summary
    for told in ("winners", "runners", "answered", "probabilities", "ranking"):
        assert np.array_equal(getattr(run.predictions, told), getattr(plain.predictions, told))
    OpenedRun(run).write_csv(tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_bytes() == plain.predictions_file.read_bytes()
    pages = [write_report(each, labels=labels, replicates=20).read_text() for each in (run, plain)]
    assert pages[0] == pages[1].replace("predictions.csv", "predictions")
    scores = [evaluate(each, labels=labels, replicates=0, methods=[each.method_name]).table for each in (run, plain)]
    assert scores[0].scores == scores[1].scores
    assert explain_picture(run, run.ids[0]) == explain_picture(plain, plain.ids[0])
    for each in (run, plain):
        export(each, "csv", tmp_path / f"{each.path.name}.csv")
    assert (tmp_path / "run.csv").read_bytes() == (tmp_path / "plain.csv").read_bytes()
    assert compare_runs(run, plain).agreement == 1.0
    assert list(open_run(run.save(tmp_path / "copy").path)) == list(run)
    with pytest.raises(AlreadyThereError):
        job.run(**how, predictions="parquet")
    with pytest.raises(OutputError):
        job.run(**how)


def test_of_a_large_run_a_sample_is_shown_with_the_counts_of_all(job, monkeypatch):
    run = job.run(predictions="parquet")
    assert sampled(run) is run
    monkeypatch.setattr("kpl.runs.sampling.shown_rows", lambda winners, *_: [np.flatnonzero(winners == 0)[:1]])
    some = sampled(run, most=9, size=5)
    assert (5 <= some.n < run.n, some.total) == (True, run.n)
    everything = list(run)
    assert list(some) == [everything[row] for row in some.whole.rows]
    assert np.array_equal(some.images, run.images[some.whole.rows])
    assert some.ids == tuple(run.ids[row] for row in some.whole.rows)
    assert some.winner_counts.tolist() == run.winner_counts.tolist() == list(run.counts.values())
    assert (some.title, some.left_out, some.counts) == (run.title, run.left_out, run.counts)
    assert {some.ids[place]: small for place, small in some.thumbnails.items()} == {
        run.ids[row]: run.thumbnails[row] for row in some.whole.rows.tolist()
    }
    monkeypatch.setattr("kpl.report.page.sampled", lambda own: sampled(own, most=9, size=5))
    page = write_report(run).read_text()
    assert f"made of {some.n} of the {run.n} pictures" in page
    for name, count in zip(run.class_names, run.counts.values(), strict=True):
        assert not count or f'{name} <span class="soft">({count})' in page


def test_of_a_large_multi_label_run_too(job, tmp_path):
    given = {"knowledge": job.knowledge}
    run = classify_multi_label(job.pictures, **given, out=tmp_path / "several", predictions="parquet")
    plain = classify_multi_label(job.pictures, **given, out=tmp_path / "plain")
    assert list(run) == list(plain)
    some, everything = sampled(run, most=1, size=4), list(run)
    assert list(some) == [everything[row] for row in some.whole.rows]
    assert (some.empty, some.total, some.counts) == (run.empty, run.n, run.counts)


def test_a_file_that_is_missing_or_damaged_is_told(job):
    run = job.run(predictions="parquet")
    first = min(run.predictions_file.iterdir())
    kept = first.read_bytes()
    for content in (b"", kept[:-9], b"PAR1"):
        first.write_bytes(content)
        with pytest.raises(FeaturesError, match="classify again"):
            _ = open_run(run.path).predictions
    first.unlink()
    with pytest.raises(FeaturesError, match="classify again"):
        _ = open_run(run.path).predictions


def test_without_pyarrow_nothing_is_begun(job, monkeypatch):
    usual = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.partition(".")[0] == "pyarrow":
            raise ImportError(name)
        return usual(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"\[parquet\]"):
        job.run(predictions="parquet")
    assert not job.out.exists()
