"""Correcting on the page: the store of `kpl correct`, readers blind to each other, finished runs looked at."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.server.conftest import CLASSES, cell, finish, parts

from kpl.report import write_report
from kpl.runs import SingleLabelRun, classify, evaluate, open_single_label
from kpl.runs.corrections import add_corrections, read_corrections


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> SingleLabelRun:
    """A finished run of nine cells."""
    folder = tmp_path_factory.mktemp("kept")
    (folder / "pictures").mkdir()
    for number in range(9):
        (folder / "pictures" / f"cell-{number}.png").write_bytes(cell(number))
    return classify(folder / "pictures", knowledge="blood-cells", out=folder / "ward-3", finish=write_report)


@pytest.fixture
def looking(serving: Callable[..., TestClient], kept: SingleLabelRun) -> tuple[TestClient, str]:
    (kept.path / "corrections.jsonl").unlink(missing_ok=True)
    client = serving(runs=[kept.path])
    made = client.post("/api/sessions", json={"run": "ward-3"})
    assert made.status_code == 201, made.text
    return client, f"/api/sessions/{made.json()['id']}"


def said(client: TestClient, address: str, by: str, place: int, label: str, **more: Any) -> dict[str, Any]:
    answer = client.post(f"{address}/corrections", json={"by": by, "place": place, "label": label, **more})
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def test_a_finished_run_is_shown_as_it_is(looking: tuple[TestClient, str], kept: SingleLabelRun) -> None:
    client, address = looking
    assert [run["name"] for run in client.get("/api/runs").json()] == ["ward-3"]
    told = client.get(f"{address}/predictions").json()
    assert told["fixed"]
    assert told["kpl"]["label"] == kept.predictions.winners.tolist()
    sureness = kept.predictions.sureness[told["kpl"]["order"]]
    assert (sureness[:-1] >= sureness[1:]).all()
    assert client.get(f"{address}/pictures").json()["names"] == list(kept.ids)
    assert client.get(f"{address}/pictures/0/picture").headers["content-type"] == "image/webp"
    plain = client.get(f"{address}/pictures/0/evidence").json()
    again = client.get(f"{address}/pictures/0/evidence?refit=true").json()
    assert plain["winner"] == told["kpl"]["label"][0]
    assert sum(s["text_share"] for s in plain["sentences"]) == pytest.approx(plain["text_margin"], abs=1e-6)
    assert any(s["proxy_effect"] is not None for s in again["sentences"])
    assert client.get(f"{address}/predictions.csv").content == kept.predictions_file.read_bytes()
    assert "cell-0.png" in client.get(f"{address}/report.html").text


def test_a_finished_run_is_scored_as_kpl_evaluate_scores_it(
    looking: tuple[TestClient, str], kept: SingleLabelRun, tmp_path: Path
) -> None:
    client, address = looking
    lines = [f"cell-{number}.png,P{number // 3},{CLASSES[number % 3]}" for number in range(9)]
    (tmp_path / "labels.csv").write_text("\n".join(["image,patient_id,label", *lines]))
    told = client.post(f"{address}/scores", files={"file": ("labels.csv", (tmp_path / "labels.csv").read_bytes())})
    assert told.status_code == 200, told.text
    own = evaluate(kept, labels=tmp_path / "labels.csv", methods=("kpl", "text"))
    assert told.json()["unit"] == own.methods.unit == "3 patients by 'patient_id', 9 images"
    for name, scores in own.methods.scores.items():
        assert told.json()["methods"][name]["figures"] == dict(scores.figures)


def test_a_finished_run_stays_as_it_is(looking: tuple[TestClient, str]) -> None:
    client, address = looking
    for answer in (
        client.put(f"{address}/knowledge", json={"pack": "blood-cells"}),
        client.post(f"{address}/pictures", files=parts({"a.png": cell(0)})),
        client.post(f"{address}/jobs", json={}),
        client.post(f"{address}/predictions", json={"k": 2}),
        client.get(f"{address}/model.kpl"),
    ):
        assert answer.status_code == 409, answer.text
        assert "finished run stays" in answer.json()["detail"]
    assert client.get(f"{address}/pictures/0/map").status_code == 404
    assert client.post("/api/sessions", json={"run": "../ward-3"}).status_code == 404


def test_corrections_are_those_of_the_command(looking: tuple[TestClient, str], kept: SingleLabelRun) -> None:
    client, address = looking
    said(client, address, "Ann", 0, "none of these")
    said(client, address, "Ann", 1, "unsure")
    told = said(client, address, "Ann", 2, kept.keys[1])
    assert [each["place"] for each in told["corrections"]] == [0, 1, 2]
    found = read_corrections(open_single_label(kept.path))
    assert [(each.image, each.label, each.by) for each in found] == [
        (kept.ids[0], "none of these", "Ann"),
        (kept.ids[1], "unsure", "Ann"),
        (kept.ids[2], kept.keys[1], "Ann"),
    ]
    assert found[0].said == kept.predictions[0].label
    assert found[0].when
    add_corrections(kept, {kept.ids[3]: kept.keys[0]}, by="Ann")  # at the command meanwhile
    assert len(client.get(f"{address}/corrections", params={"by": "Ann"}).json()["corrections"]) == 4
    undone = client.delete(f"{address}/corrections", params={"by": "Ann"})
    assert undone.json() == {"place": 3, "label": kept.keys[0], "final": False}
    rows = client.get(f"{address}/corrections.csv", params={"by": "Ann"}).text
    assert [row["label"] for row in csv.DictReader(io.StringIO(rows))] == ["none of these", "unsure", kept.keys[1]]
    todo = client.get(f"{address}/queue", params={"by": "Ann", "n": 100}).json()["places"]
    assert sorted(todo) == list(range(3, kept.n))


def test_readers_are_blind_until_they_compare(looking: tuple[TestClient, str], kept: SingleLabelRun) -> None:
    client, address = looking
    one, two = kept.keys[:2]
    for place, (ann, bob) in enumerate([(one, one), (two, two), (one, two), (one, "unsure")]):
        said(client, address, "Ann", place, ann)
        told = said(client, address, "Bob", place, bob)
    assert [each["label"] for each in told["corrections"]] == [one, two, two, "unsure"]
    found = client.get(f"{address}/agreement").json()
    assert found["readers"] == {"Ann": 4, "Bob": 4}
    pair = found["pairs"][0]
    assert (pair["pictures"], pair["kappa"]) == (3, pytest.approx(0.4))
    assert [(each["place"], each["said"]) for each in found["to_settle"]] == [(2, {"Ann": one, "Bob": two})]
    said(client, address, "Chief", 2, one, final=True)
    assert client.get(f"{address}/agreement").json()["to_settle"] == []


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        ({"by": "Ann", "place": 99, "label": "unsure"}, 404, "no such picture"),
        ({"by": "Ann", "place": 0, "label": "a unicorn"}, 404, "unknown class"),
        ({"by": "   ", "place": 0, "label": "unsure"}, 422, "say who corrects"),
        ({"place": 0, "label": "unsure"}, 422, "by"),
    ],
)
def test_what_cannot_be_a_correction(
    looking: tuple[TestClient, str], body: dict[str, Any], status: int, told: str
) -> None:
    client, address = looking
    answer = client.post(f"{address}/corrections", json=body)
    assert (answer.status_code, told in answer.json()["detail"]) == (status, True), answer.text
    assert client.delete(f"{address}/corrections", params={"by": "Nobody"}).status_code == 422


def test_a_session_of_ones_own_is_corrected_and_its_corrections_stay(
    serving: Callable[..., TestClient], tmp_path: Path
) -> None:
    client = serving(results=tmp_path)
    address = f"/api/sessions/{client.post('/api/sessions', json={}).json()['id']}"
    client.put(f"{address}/knowledge", json={"pack": "blood-cells"})
    client.post(f"{address}/pictures", files=parts({"a.png": cell(0), "b.png": cell(1)}))
    assert client.post(f"{address}/corrections", json={"by": "A", "place": 0, "label": "unsure"}).status_code == 404
    finish(client, client.post(f"{address}/jobs", json={}).json())
    said(client, address, "Ann", 0, "platelet")
    said(client, address, "Ann", 1, "monocyte")
    (first,) = tmp_path.iterdir()
    assert "blood-cells-2-pictures" in first.name.replace("white-", "") or "2-pictures" in first.name
    assert [each.label for each in read_corrections(open_single_label(first))] == ["platelet", "monocyte"]
    base = client.get("/api/packs/blood-cells").json()
    base["classes"] = [entry for entry in base["classes"] if entry["key"] != "platelet"]
    assert client.put(f"{address}/knowledge", json={"knowledge": base}).status_code == 200
    assert finish(client, client.post(f"{address}/jobs", json={}).json())["state"] == "done"
    (second,) = set(tmp_path.iterdir()) - {first}
    assert [each.label for each in read_corrections(open_single_label(second))] == ["monocyte"]
    assert len(read_corrections(open_single_label(first))) == 2
