"""A finished run of several labels a picture on the page: looked at and scored, never changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from tests.server.conftest import CLASSES, cell

from kpl.report import explain_classes, write_report
from kpl.runs import MultiLabelRun, classify_multi_label, evaluate


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> MultiLabelRun:
    """A finished run of nine cells, each class by itself."""
    folder = tmp_path_factory.mktemp("several")
    (folder / "pictures").mkdir()
    for number in range(9):
        (folder / "pictures" / f"cell-{number}.png").write_bytes(cell(number))
    return classify_multi_label(
        folder / "pictures", knowledge="blood-cells", threshold=0.01, out=folder / "ward-4", finish=write_report
    )


@pytest.fixture(scope="module")
def looking(serving: Callable[..., TestClient], several: MultiLabelRun) -> tuple[TestClient, str]:
    client = serving(runs=[several.path])
    made = client.post("/api/sessions", json={"run": "ward-4"})
    assert made.status_code == 201, made.text
    return client, f"/api/sessions/{made.json()['id']}"


def test_it_is_shown_as_it_is(looking: tuple[TestClient, str], several: MultiLabelRun) -> None:
    client, address = looking
    assert [(run["name"], run["several"]) for run in client.get("/api/runs").json()] == [("ward-4", True)]
    told, said = client.get(f"{address}/findings").json(), several.predictions
    assert told["classes"] == list(several.keys)
    assert told["probabilities"] == said.probabilities.round(4).tolist()
    assert [sorted(own) for own in told["present"]] == [[c for c, yes in enumerate(row) if yes] for row in said.present]
    assert any(told["present"])
    assert told["warnings"] == list(several.warnings)
    assert client.get(f"{address}/pictures").json()["names"] == list(several.ids)
    assert client.get(f"{address}/pictures/0/picture").headers["content-type"] == "image/webp"
    assert client.get(f"{address}/predictions.csv").content == several.predictions_file.read_bytes()
    assert "cell-0.png" in client.get(f"{address}/report.html").text
    found = client.get(f"{address}/pictures/3/findings").json()
    _, classes = explain_classes(several, several.ids[3])
    assert [(each["name"], each["probability"]) for each in found] == [(c.class_name, c.probability) for c in classes]
    assert sum(s["share"] for s in found[0]["sentences"]) == pytest.approx(found[0]["margin"])


def test_it_is_scored_as_kpl_evaluate_scores_it(
    looking: tuple[TestClient, str], several: MultiLabelRun, tmp_path: Path
) -> None:
    client, address = looking
    lines = [f"cell-{number}.png,P{number // 3},{CLASSES[number % 3]}|platelet" for number in range(8)]
    path = tmp_path / "labels.csv"
    path.write_text("\n".join(["image,patient_id,label", *lines, "cell-8.png,P2,none"]))
    send = {"files": {"file": ("labels.csv", path.read_bytes())}, "params": {"none": "none"}}
    told = client.post(f"{address}/scores", **send).json()
    from kpl.evaluation import Reading

    own = evaluate(several, labels=path, reading=Reading(none="none")).multi_label
    assert told["unit"] == own.unit == "3 patients by 'patient_id', 9 images"
    assert told["methods"]["multi-label"]["figures"] == dict(own.mean)
    assert told["truth"] == []
    for key, figures in own.classes.items():
        assert told["classes"][key]["positives"] == figures["positives"]
        assert told["classes"][key]["threshold"] == figures["threshold"] == 0.01
        assert told["classes"][key]["figures"]["auroc"] == figures["auroc"]
    refused = client.post(f"{address}/scores", **{**send, "params": {"none": "none", "ignore_unknown": True}})
    assert (refused.status_code, "leave out" in refused.json()["detail"]) == (422, True)
    marks = "image,neutrophil,platelet\n" + "\n".join(f"cell-{number},{number % 2},-1" for number in range(9))
    send = {"files": {"file": ("labels.csv", marks.encode())}, "params": {"uncertain": "present"}}
    assert client.post(f"{address}/scores", **send).json()["classes"]["platelet"]["positives"] == 9


def test_what_is_for_one_label_is_refused(looking: tuple[TestClient, str], classified: str, client: TestClient) -> None:
    own, address = looking
    for answer in (
        own.get(f"{address}/predictions"),
        own.post(f"{address}/predictions", json={}),
        own.get(f"{address}/pictures/0/evidence"),
        own.get(f"{address}/queue?by=me"),
        own.get(f"{address}/corrections?by=me"),
        own.post(f"{address}/corrections", json={"by": "me", "place": 0, "label": "platelet"}),
        own.get(f"{address}/agreement"),
        own.get(f"{address}/model.kpl"),
        own.post(f"{address}/jobs", json={}),
    ):
        assert answer.status_code == 409, (answer.request.url, answer.text)
    assert own.get(f"{address}/pictures/99/findings").status_code == 404
    assert client.get(f"{classified}/findings").status_code == 404
