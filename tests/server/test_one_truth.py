"""One run says one thing: to Python, in its tables, in its report, on the page and through the service."""

from __future__ import annotations

import csv
import re
from collections import Counter
from html import unescape
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient
from tests.server.conftest import CLASSES, finish, parts

from kpl.embeddings import embed_pictures
from kpl.encoders import load_encoder
from kpl.errors import EncoderError
from kpl.images import find_inputs
from kpl.knowledge import KnowledgeBase, load_knowledge
from kpl.methods import KPL, METHODS
from kpl.report import explain_classes, explain_picture, write_report
from kpl.runs import calibrate, classify, classify_multi_label, evaluate, fit, open_run
from kpl.server.oneshot import Answer
from kpl.server.views import about_one

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


def tiles(page: str) -> dict[str, str]:
    """What the report's tiles say of each picture, as text."""
    found = re.findall(r'<li><details>(.*?)<div class="evidence">\s*<p><strong>(.*?)</strong></p>(.*?)</p>', page, re.S)
    return {name: " ".join(unescape(re.sub(r"<[^>]+>", " ", head + told)).split()) for head, name, told in found}


def as_shown(share: float) -> str:
    """A probability as the report writes it."""
    if share >= 0.9995:
        return "> 99.9 %"
    return "< 0.1 %" if share < 0.0005 else f"{100 * share:.1f} %"


def check_alike(run: Any, truth: Path | None = None) -> None:
    """What Python says is what the table, the report, the explanation and the scores say."""
    page, again, frame = write_report(run).read_text(encoding="utf-8"), open_run(run.path), run.predictions.columns()
    assert list(again) == list(run)
    told = tiles(page)
    assert set(told) == set(run.ids)
    assert list(frame) == list(table(run.predictions_file)[0])
    for row, (said, line) in enumerate(zip(run.predictions, table(run.predictions_file), strict=True)):
        assert (said.id, said.label or "", said.runner_up) == (line["image"], line["label"], line["runner_up"])
        assert (frame["label"][row], frame["runner_up"][row]) == (said.label, said.runner_up)
        assert said.confidence == frame["confidence"][row] == pytest.approx(float(line["confidence"]), abs=1e-6)
        for key, share in said.probabilities.items():
            assert share == frame[f"p_{key}"][row] == pytest.approx(float(line[f"p_{key}"]), abs=1e-6)
        found, winner = explain_picture(run, said.id, top=0), run.predictions.winners[row]
        assert (found.confidence, found.runner_up) == (said.confidence, again.class_names[run.predictions.runners[row]])
        assert (found.label, found.text_label) == (run.class_names[winner], run.class_names[run.text.winners[row]])
        assert f"{found.label} {as_shown(said.confidence)}, then {found.runner_up} " in told[said.id]
        assert f"The text alone says {found.text_label}." in told[said.id]
        word = {None: "no label given", "none of these": "none of these"}.get(said.label, "")
        assert found.unlabelled == word
        assert [each for each in ("no label given", "none of these") if each in told[said.id]] == (
            [word] if word else []
        )
    counts = Counter(said.label for said in run)
    assert run.counts == {key: counts[key] for key in run.keys}
    assert run.abstained == counts[None]
    assert (run.none_of_these or 0) == counts["none of these"]
    moved = int((run.predictions.winners != run.text.winners).sum())
    assert re.search(rf"\b{moved} of {run.n}\b|\b{moved} picture", page) or not moved
    missing = set(range(run.n)) - set(run.thumbnails)
    assert not missing or run.thumbnails == {}
    if truth is not None and run.method_name in METHODS:
        own = evaluate(run, labels=truth, replicates=0, methods=[run.method_name]).table.scores[run.method_name]
        right = run.predictions.winners == run.labels(truth).labels
        assert own.accuracy == pytest.approx(float(right.mean()))


CHOICES: dict[str, tuple[Any, ...]] = {
    "prior": (None, PRIOR),
    "k": ("usual", 2, None),
    "abstention": ({}, {"coverage": 0.5}, {"abstain_below": 0.9}, {"other": True}),
    "calibrated": (False, True),
    "saved": (False, True),
}
EVERY = [dict(zip(CHOICES, each, strict=True)) for each in product(*CHOICES.values())]


def covering(every: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """As few of the combinations as hold every pair of choices."""

    def pairs(each: dict[str, Any]) -> set[str]:
        return {repr(pair) for pair in combinations(each.items(), 2)}

    chosen, open_ = [], set().union(*map(pairs, every))
    while open_:
        best = max(every, key=lambda each: len(pairs(each) & open_))
        chosen.append(best)
        open_ -= pairs(best)
    return chosen


FEW = covering(EVERY)


@pytest.fixture(scope="module")
def features(pictures, tmp_path_factory) -> Path:
    found = find_inputs([pictures])
    folder = tmp_path_factory.mktemp("features") / "features"
    embed_pictures(found.pictures, load_encoder("mini"), folder, units=found.units)
    return folder


@pytest.mark.parametrize(
    "chosen", [pytest.param(each, marks=[] if each in FEW else pytest.mark.long) for each in EVERY], ids=repr
)
def test_every_way_to_ask_a_run_gives_one_answer(chosen, pictures, features, base, labels, tmp_path) -> None:
    settings = {} if chosen["k"] == "usual" else {"k": chosen["k"]}
    settings |= {} if chosen["prior"] is None else {"prior": chosen["prior"]}
    model = fit(features, knowledge=base, out=tmp_path / "m.kpl", settings=settings) if chosen["saved"] else None
    by: dict[str, Any] = {"knowledge": base, "settings": settings} if model is None else {"model": tmp_path / "m.kpl"}
    by["encoder"] = load_encoder("mini")
    plain = classify(features, **by, out=tmp_path / "plain")
    if chosen["calibrated"]:
        calibrate(plain, labels=labels, out=tmp_path / "c.json")
        by["calibration"] = tmp_path / "c.json"
    run = classify(features, **by, **chosen["abstention"], out=tmp_path / "run").with_pictures(pictures)
    check_alike(run, labels)
    if model is not None:  # alone, and as the service answers
        for name, said in zip(plain.ids, plain, strict=True):
            alone = model.predict(pictures / name)
            answer = about_one(model.keys, Answer(name, (0,), np.array(list(alone.probabilities.values()))))
            assert (alone.label, alone.runner_up, answer.label) == (said.label, said.runner_up, said.label)
            assert alone.confidence == pytest.approx(said.confidence, abs=1e-4)
            assert answer.confidence == pytest.approx(alone.confidence, abs=1e-6)


def test_another_method_is_asked_in_every_way_too(features, pictures, base, labels, tmp_path) -> None:
    run = classify(features, knowledge=base, out=tmp_path / "run", method="otter", settings={"prior": PRIOR})
    check_alike(run.with_pictures(pictures), labels)


@pytest.mark.parametrize(
    ("k", "prior", "other"),
    [(None, None, False), (2, None, False), (None, PRIOR, False), (1, PRIOR, False), (None, None, True)],
)
def test_the_page_and_the_service_say_what_the_run_says(
    k, prior, other, pictures, base, client, knowing, tmp_path
) -> None:
    settings = {name: value for name, value in (("k", k), ("prior", prior)) if value is not None}
    run = classify(pictures, knowledge=base, out=tmp_path / "run", settings=settings, other=other)
    asked = {"k": k or KPL().k or 99, "prior": prior and dict(zip(run.keys, prior, strict=True)), "other": other}
    shown = client.post(f"{knowing}/predictions", json=asked).json()
    assert shown["kpl"]["label"] == run.predictions.winners.tolist()
    assert shown["kpl"]["runner_up"] == run.predictions.runners.tolist()
    assert shown["kpl"]["confidence"] == pytest.approx(run.predictions.confidence.tolist(), abs=1e-4)
    assert shown["unlike"] == (pytest.approx(run.predictions.unlike.tolist(), abs=1e-4) if other else None)
    assert np.round(np.array(shown["kpl"]["share"]) * run.n).tolist() == list(run.counts.values())
    assert shown["text"]["label"] == run.text.winners.tolist()
    assert shown["text"]["confidence"] == pytest.approx(run.text.confidence.tolist(), abs=1e-4)
    lines = csv.DictReader(client.get(f"{knowing}/predictions.csv").text.splitlines())
    for line, said in zip(lines, run, strict=True):
        assert (line["image"], line["label"], line["runner_up"]) == (said.id, said.label, said.runner_up)
        assert float(line["confidence"]) == pytest.approx(said.confidence, abs=1e-4)
    told = tiles(client.get(f"{knowing}/report.html").text)
    for row, said in enumerate(run):
        name = run.class_names[run.predictions.winners[row]]
        assert f"{name} {as_shown(said.confidence)}, then" in told[said.id]
        why = client.get(f"{knowing}/pictures/{row}/evidence").json()
        assert (why["winner"], why["runner_up"]) == (run.predictions.winners[row], run.predictions.runners[row])
        assert why["text_label"] == run.text.winners[row]


@pytest.fixture(scope="module")
def knowing(client: TestClient, pictures: Path, base: KnowledgeBase) -> str:
    """The address of a session with the pictures and classes of the runs."""
    address = f"/api/sessions/{client.post('/api/sessions', json={}).json()['id']}"
    sent = client.put(f"{address}/knowledge", json={"knowledge": base.model_dump(exclude_none=True, mode="json")})
    assert sent.status_code == 200, sent.text
    files = parts({path.name: path.read_bytes() for path in sorted(pictures.iterdir())})
    assert client.post(f"{address}/pictures", files=files).status_code == 200
    assert finish(client, client.post(f"{address}/jobs", json={}).json())["state"] == "done"
    return address


def test_a_prior_set_by_hand_moves_what_the_text_says(pictures, base, tmp_path) -> None:
    usual = classify(pictures, knowledge=base, out=tmp_path / "usual")
    certain = classify(pictures, knowledge=base, out=tmp_path / "one", settings={"prior": (1.0, 0.0, 0.0)})
    assert set(certain.text.winners.tolist()) == {0} != set(usual.text.winners.tolist())
    assert "100" in write_report(certain).read_text(encoding="utf-8")
    assert explain_picture(certain, certain.ids[1]).text_label == certain.class_names[0]


def test_the_service_keeps_the_run_that_it_shows(client: TestClient, classified: str) -> None:
    before = client.get(f"{classified}/predictions").json()
    prior = {key: float(n + 1) for n, key in enumerate(before["classes"])}
    shown = client.post(f"{classified}/predictions", json={"k": 2, "prior": prior}).json()
    lines = client.get(f"{classified}/predictions.csv").text.splitlines()
    labels = [line["label"] for line in csv.DictReader(lines)]
    assert labels == [shown["classes"][c] for c in shown["kpl"]["label"]]
    assert client.post(f"{classified}/predictions", json={"k": before["k"]}).json() == before


@pytest.mark.parametrize(("threshold", "thresholds"), [(0.5, {}), (0.4, {}), (0.4, {"neutrophil": 0.6})])
def test_a_multi_label_run_says_one_thing_everywhere(threshold, thresholds, pictures, base, tmp_path) -> None:
    run = classify_multi_label(
        pictures, knowledge=base, out=tmp_path / "run", threshold=threshold, thresholds=thresholds
    )
    page, frame = write_report(run).read_text(encoding="utf-8"), run.predictions.columns()
    assert list(open_run(run.path)) == list(run)
    for row, (said, line) in enumerate(zip(run, table(run.predictions_file), strict=True)):
        assert (
            (said.id, "|".join(said.labels)) == (line["image"], line["labels"]) == (run.ids[row], frame["labels"][row])
        )
        _, classes = explain_classes(run, said.id)
        there = {run.keys[run.class_names.index(each.class_name)] for each in classes if each.present}
        assert there == set(said.labels)
        for each in classes:
            key = run.keys[run.class_names.index(each.class_name)]
            assert each.threshold == thresholds.get(key, threshold)
            assert each.probability == said.probabilities[key] == pytest.approx(float(line[f"p_{key}"]), abs=1e-6)
    assert run.counts == {key: sum(key in said.labels for said in run) for key in run.keys}
    assert run.empty == sum(not said.labels for said in run)
    for name, count in zip(run.class_names, run.counts.values(), strict=True):
        assert re.search(rf">{name} <span class=\"soft\">\({count} present", page)
    rows = [",".join([said.id, *("1" if key in said.labels else "0" for key in run.keys)]) for said in run]
    (tmp_path / "labels.csv").write_text("\n".join([",".join(["image", *run.keys]), *rows]), encoding="utf-8")
    scored = evaluate(run, labels=tmp_path / "labels.csv", replicates=0).multi_label
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
