"""One run says one thing: to Python, in its tables, in its report, on the page and through the service."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient
from tests.server.conftest import CLASSES

from kpl.embeddings import embed_texts
from kpl.encoders import load_encoder
from kpl.errors import EncoderError
from kpl.knowledge import KnowledgeBase, load_knowledge
from kpl.report import explain_picture, explain_presence, write_report
from kpl.runs import calibrate, classify, classify_presence, evaluate, evaluate_presence, fit, open_run
from kpl.server.outcomes import learn
from kpl.server.views import about_outcome

PRIOR = (0.9, 0.05, 0.05)


@pytest.fixture(scope="module")
def pictures(cells: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for name, data in cells.items():
        (folder / name).write_bytes(data)
    return folder


@pytest.fixture(scope="module")
def base() -> KnowledgeBase:
    pack = load_knowledge("blood-cells")
    return pack.model_copy(update={"classes": tuple(c for c in pack.classes if c.key in CLASSES)})


@pytest.fixture(scope="module")
def labels(cells: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("labels") / "labels.csv"
    rows = [f"{name},{CLASSES[number % len(CLASSES)]}" for number, name in enumerate(cells)]
    path.write_text("image,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return path


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def check_alike(run: Any) -> None:
    """What Python says is what the table, the report and the explanation say."""
    page, again = write_report(run).read_text(encoding="utf-8"), open_run(run.path)
    assert list(again) == list(run)
    for row, (said, line) in enumerate(zip(run.predictions, table(run.predictions_file), strict=True)):
        assert (said.id, said.label or "", said.runner_up) == (line["image"], line["label"], line["runner_up"])
        assert said.confidence == pytest.approx(float(line["confidence"]), abs=1e-6)
        found = explain_picture(run, said.id, top=0)
        assert (found.confidence, found.runner_up) == (said.confidence, again.class_names[run.predictions.runners[row]])
        assert found.text_label == run.class_names[run.text.winners[row]]
    moved = int((run.predictions.winners != run.text.winners).sum())
    assert re.search(rf"\b{moved} of {run.n}\b|\b{moved} picture", page) or not moved
    missing = set(range(run.n)) - set(run.thumbnails)
    assert not missing or run.thumbnails == {}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"settings": {"prior": PRIOR}},
        {"settings": {"k": 2, "prior": PRIOR}},
        {"settings": {"k": None}},
        {"coverage": 0.5},
        {"abstain_below": 0.9},
        {"method": "otter", "settings": {"prior": PRIOR}},
    ],
)
def test_every_way_to_ask_a_run_gives_one_answer(changes, pictures, base, labels, tmp_path) -> None:
    run = classify(pictures, knowledge=base, out=tmp_path / "run", **changes)
    check_alike(run)
    own = evaluate(run, labels=labels, replicates=0, methods=[run.method_name]).table.scores[run.method_name]
    truth = run.labels(labels).labels
    assert own.accuracy == pytest.approx(float((run.predictions.winners == truth).mean()))


@pytest.mark.parametrize(("k", "prior"), [(None, None), (2, None), (None, PRIOR), (1, PRIOR)])
def test_the_page_says_what_the_run_says(k, prior, pictures, base, tmp_path) -> None:
    settings = {name: value for name, value in (("k", k), ("prior", prior)) if value is not None}
    run = classify(pictures, knowledge=base, out=tmp_path / "run", settings=settings)
    encoder = load_encoder("mini")
    outcome = learn(base, encoder, run.features, embed_texts(base.prompts(), encoder), k)
    if prior is not None:
        outcome = outcome.moved(k, dict(zip(outcome.keys, prior, strict=True)))
    shown = about_outcome(outcome)
    assert shown.kpl.label == run.predictions.winners.tolist()
    assert shown.kpl.runner_up == run.predictions.runners.tolist()
    assert shown.text.label == run.text.winners.tolist()
    assert shown.text.confidence == pytest.approx(run.text.confidence.tolist(), abs=1e-4)
    outcome.write_csv(tmp_path / "page.csv")
    for line, said in zip(table(tmp_path / "page.csv"), run, strict=True):
        assert line["label"] == said.label
        assert float(line["confidence"]) == pytest.approx(said.confidence, abs=2e-6)


def test_a_prior_set_by_hand_moves_what_the_text_says(pictures, base, tmp_path) -> None:
    usual = classify(pictures, knowledge=base, out=tmp_path / "usual")
    certain = classify(pictures, knowledge=base, out=tmp_path / "one", settings={"prior": (1.0, 0.0, 0.0)})
    assert set(certain.text.winners.tolist()) == {0} != set(usual.text.winners.tolist())
    assert "100" in write_report(certain).read_text(encoding="utf-8")
    assert explain_picture(certain, certain.ids[1]).text_label == certain.class_names[0]


def test_a_model_and_a_calibration_say_one_thing_everywhere(pictures, base, labels, tmp_path) -> None:
    model = fit(pictures, knowledge=base, out=tmp_path / "m.kpl", settings={"prior": PRIOR})
    run = classify(pictures, model=model, out=tmp_path / "run")
    check_alike(run)
    for name, said in zip(run.ids, run, strict=True):
        alone = model.predict(pictures / name)
        assert (alone.label, alone.runner_up) == (said.label, said.runner_up)
        assert alone.confidence == pytest.approx(said.confidence, abs=1e-4)
    calibrate(run, labels=labels, out=tmp_path / "c.json")
    check_alike(classify(pictures, model=model, calibration=tmp_path / "c.json", out=tmp_path / "sure"))


def test_the_service_keeps_the_run_that_it_shows(client: TestClient, classified: str) -> None:
    before = client.get(f"{classified}/predictions").json()
    prior = {key: float(n + 1) for n, key in enumerate(before["classes"])}
    shown = client.post(f"{classified}/predictions", json={"k": 2, "prior": prior}).json()
    lines = client.get(f"{classified}/predictions.csv").text.splitlines()
    labels = [line["label"] for line in csv.DictReader(lines)]
    assert labels == [shown["classes"][c] for c in shown["kpl"]["label"]]
    assert client.post(f"{classified}/predictions", json={"k": before["k"]}).json() == before


def test_a_multi_label_run_says_one_thing_everywhere(pictures, base, tmp_path) -> None:
    run = classify_presence(pictures, knowledge=base, out=tmp_path / "run", threshold=0.4)
    assert list(open_run(run.path)) == list(run)
    write_report(run)
    for said, line in zip(run, table(run.predictions_file), strict=True):
        assert (said.id, "|".join(said.labels)) == (line["image"], line["labels"])
        _, classes = explain_presence(run, said.id)
        there = {run.keys[run.class_names.index(each.class_name)] for each in classes if each.present}
        assert there == set(said.labels)
    rows = [",".join([said.id, *("1" if key in said.labels else "0" for key in run.keys)]) for said in run]
    (tmp_path / "labels.csv").write_text("\n".join([",".join(["image", *run.keys]), *rows]), encoding="utf-8")
    scored, _ = evaluate_presence(run, labels=tmp_path / "labels.csv", replicates=0)
    assert scored.mean["accuracy"] == 1.0


def test_a_run_is_not_scored_with_another_encoder(pictures, base, labels, tmp_path) -> None:
    class Renamed:
        def __init__(self) -> None:
            self.inner = load_encoder("mini")
            self.card = self.inner.card.model_copy(update={"interpolation": "nearest"})

        def __getattr__(self, name: str) -> Any:
            return getattr(self.inner, name)

    run = classify(pictures, knowledge=base, out=tmp_path / "run", encoder=Renamed())
    with pytest.raises(EncoderError, match="'ensemble' cannot be scored here: the run used mini:"):
        evaluate(run, labels=labels, methods=["names", "ensemble", "kpl"], replicates=0)
    scored = evaluate(run, labels=labels, methods=["ensemble", "kpl"], encoder=Renamed(), replicates=0)
    assert list(scored.table.scores) == ["ensemble", "kpl"]
    every = evaluate(run, labels=labels, methods="all", replicates=0)
    assert "here is mini:" in every.left_out["ensemble"]


def test_a_file_with_another_column_is_read_by_name(pictures, base, tmp_path) -> None:
    run = classify(pictures, knowledge=base, out=tmp_path / "run")
    lines = [["site", *line] for line in csv.reader(run.predictions_file.read_text(encoding="utf-8").splitlines())]
    with run.predictions_file.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([[*line[::-1]] for line in lines])
    np.testing.assert_array_equal(open_run(run.path).predictions.winners, run.predictions.winners)
