"""The whole job over HTTP: pictures and knowledge in, predictions, evidence and downloads out."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient
from tests.server.conftest import cell, finish, parts

from kpl.knowledge import KnowledgeBase, load_knowledge
from kpl.runs import load_model


def test_the_job_tells_its_progress_and_ends(client: TestClient, session: str, cells: dict[str, bytes]) -> None:
    client.put(f"{session}/knowledge", json={"pack": "blood-cells"})
    said = client.post(f"{session}/pictures", files=parts({**cells, "notes.txt": b"no picture"})).json()
    assert said["added"] == list(range(12))
    assert [item["name"] for item in said["left_out"]] == ["notes.txt"]
    job = client.post(f"{session}/jobs", json={"k": 5}).json()
    events = client.get(f"/api/jobs/{job['id']}/events")
    assert events.headers["content-type"].startswith("text/event-stream")
    told = [json.loads(line[6:]) for line in events.text.splitlines() if line.startswith("data: ")]
    assert told[-1]["state"] == "done"
    assert all(event["done"] <= event["total"] for event in told)
    now = client.get(session).json()
    assert (now["pictures"], now["classified"], len(now["left_out"])) == (12, 12, 1)
    assert client.get(f"{session}/predictions").json()["k"] == 5


def test_predictions_have_a_column_for_each_thing(client: TestClient, classified: str) -> None:
    said = client.get(f"{classified}/predictions").json()
    assert len(said["classes"]) == 10
    for method in ("kpl", "text"):
        assert {len(said[method][name]) for name in ("label", "confidence", "runner_up")} == {12}
        assert sum(said[method]["share"]) == pytest.approx(1, abs=1e-3)
        assert all(a != b for a, b in zip(said[method]["label"], said[method]["runner_up"], strict=True))
    assert sum(said["prior"]) == pytest.approx(1, abs=1e-3)
    assert said["prior"] == said["estimated_prior"]
    assert not said["by_hand"]


def moved(client: TestClient, address: str, **settings: Any) -> dict[str, Any]:
    answer = client.post(f"{address}/predictions", json=settings)
    assert answer.status_code == 200, answer.text
    said: dict[str, Any] = answer.json()
    return said


def test_a_prior_moves_and_comes_back(client: TestClient, classified: str) -> None:
    before = client.get(f"{classified}/predictions").json()
    only = {key: float(key == "platelet") for key in before["classes"]}
    said = moved(client, classified, prior=only)
    assert said["by_hand"]
    assert set(said["kpl"]["label"]) == set(said["text"]["label"]) == {before["classes"].index("platelet")}
    assert "set by hand" in said["warnings"][0] + said["warnings"][-1]
    table = list(csv.DictReader(io.StringIO(client.get(f"{classified}/predictions.csv").text)))
    assert {row["label"] for row in table} == {"platelet"}
    told = client.get(f"{classified}/pictures/0/evidence?refit=true").json()
    assert told["winner"] == before["classes"].index("platelet")
    again = [s["winner_without"] for s in told["sentences"] if s["proxy_effect"] is not None]
    assert set(again) == {told["winner"]}, "learning again keeps the prior: no other class can win"
    assert moved(client, classified) == before


def test_the_number_of_descriptions_moves_and_comes_back(client: TestClient, classified: str) -> None:
    before = client.get(f"{classified}/predictions").json()
    assert moved(client, classified, k=1)["k"] == 1
    assert moved(client, classified, k=10_000)["k"] == before["most"]
    assert moved(client, classified, k=before["k"]) == before


@pytest.mark.parametrize("prior", [{"platelet": 1.0}, {"nonsense": 1.0}, {}])
def test_a_prior_of_other_classes_is_refused(client: TestClient, classified: str, prior: dict[str, float]) -> None:
    assert client.post(f"{classified}/predictions", json={"prior": prior}).status_code == 422


def test_a_prior_of_zeros_is_refused(client: TestClient, classified: str) -> None:
    keys = client.get(f"{classified}/predictions").json()["classes"]
    answer = client.post(f"{classified}/predictions", json={"prior": dict.fromkeys(keys, 0.0)})
    assert answer.status_code == 422
    assert "not all of them zero" in answer.json()["detail"]


def test_evidence_splits_the_text_margin(client: TestClient, classified: str) -> None:
    said = client.get(f"{classified}/pictures/3/evidence").json()
    assert sum(s["text_share"] for s in said["sentences"]) == pytest.approx(said["text_margin"], abs=1e-6)
    assert all(s["proxy_effect"] is None for s in said["sentences"])
    assert {s["class_index"] for s in said["sentences"]} == {said["winner"], said["runner_up"]}
    again = client.get(f"{classified}/pictures/3/evidence?refit=true").json()
    assert any(s["proxy_effect"] is not None for s in again["sentences"])
    assert again["winner"] == said["winner"]


@pytest.mark.parametrize("place", [-1, 12, 10**12])
@pytest.mark.parametrize("what", ["evidence", "thumbnail"])
def test_a_picture_that_is_not_there(client: TestClient, classified: str, place: int, what: str) -> None:
    assert client.get(f"{classified}/pictures/{place}/{what}").status_code == 404


def test_thumbnails_and_names(client: TestClient, classified: str) -> None:
    answer = client.get(f"{classified}/pictures/0/thumbnail")
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.content[:2] == b"\xff\xd8"
    assert client.get(f"{classified}/pictures?first=10&count=5").json() == {
        "first": 10,
        "names": ["cell-10.png", "cell-11.png"],
    }


def test_the_model_that_is_downloaded_says_the_same(client: TestClient, classified: str, tmp_path: Path) -> None:
    answer = client.get(f"{classified}/model.kpl")
    assert 'filename="model.kpl"' in answer.headers["content-disposition"]
    (tmp_path / "model.kpl").write_bytes(answer.content)
    (tmp_path / "0.png").write_bytes(cell(0))
    model = load_model(tmp_path / "model.kpl")
    said = client.get(f"{classified}/predictions").json()
    found = model.predict(tmp_path / "0.png")
    assert found.label == said["classes"][said["kpl"]["label"][0]]
    assert found.confidence == pytest.approx(said["kpl"]["confidence"][0], abs=2e-3)


def test_the_report_is_of_what_is_shown(client: TestClient, classified: str) -> None:
    before = client.get(f"{classified}/predictions").json()
    answer = client.get(f"{classified}/report.html")
    assert answer.status_code == 200, answer.text
    assert 'attachment; filename="report.html"' in answer.headers["content-disposition"]
    assert "cell-0.png" in answer.text
    assert "data:image/webp" in answer.text
    assert "set by hand" not in answer.text
    moved(client, classified, prior={key: 1.0 + 9 * (key == "platelet") for key in before["classes"]})
    assert "set by hand" in client.get(f"{classified}/report.html").text
    moved(client, classified)
    folder = client.app.state.service.sessions.get(classified.rsplit("/", 1)[1]).folder  # type: ignore[attr-defined]
    assert [path.name for path in folder.iterdir() if "report" in path.name] == []


def test_a_description_is_changed_and_pictures_are_not_read_again(client: TestClient, session: str) -> None:
    base = client.get("/api/packs/blood-cells").json()
    client.put(f"{session}/knowledge", json={"knowledge": base})
    client.post(f"{session}/pictures", files=parts({"a.png": cell(0), "b.png": cell(1)}))
    finish(client, client.post(f"{session}/jobs", json={}).json())
    before = client.get(f"{session}/predictions").json()
    base["classes"][0]["descriptions"] = [{"text": "a cell that nobody has seen"}]
    assert client.put(f"{session}/knowledge", json={"knowledge": base}).status_code == 200
    assert client.get(f"{session}/predictions").json() == before  # until a job learns from it
    finish(client, client.post(f"{session}/jobs", json={}).json())
    assert client.get(f"{session}/predictions").json() != before


def test_more_pictures_join_those_that_are_there(client: TestClient, session: str) -> None:
    client.put(f"{session}/knowledge", json={"pack": "blood-cells"})
    for lot, expected in (((0, 1), 2), ((2,), 3)):
        client.post(f"{session}/pictures", files=[("files", ("same.png", cell(n))) for n in lot])
        finish(client, client.post(f"{session}/jobs", json={}).json())
        assert len(client.get(f"{session}/predictions").json()["kpl"]["label"]) == expected
    assert client.get(f"{session}/pictures").json()["names"] == ["same.png", "same-2.png", "same-3.png"]


def own_classes(*sentences: str) -> dict[str, Any]:
    classes = [{"key": f"class {n}", "descriptions": [text]} for n, text in enumerate(sentences)]
    return {"kpl_knowledge": 2, "task": {"name": "own", "modality": "blood smear"}, "classes": classes}


def test_knowledge_comes_back_as_a_file(client: TestClient, session: str, tmp_path: Path) -> None:
    assert client.get(f"{session}/knowledge.yaml").status_code == 404
    base = client.get("/api/packs/blood-cells").json()
    base["classes"][0]["descriptions"] = [{"text": "a cell that nobody has seen"}]
    client.put(f"{session}/knowledge", json={"knowledge": base})
    (tmp_path / "knowledge.yaml").write_text(client.get(f"{session}/knowledge.yaml").text, encoding="utf-8")
    assert load_knowledge(tmp_path / "knowledge.yaml") == KnowledgeBase.model_validate(base)


@pytest.mark.parametrize("sent", [{"pack": "chest-pneumonia"}, {"knowledge": None}])
def test_the_service_refuses_what_the_command_refuses(client: TestClient, session: str, sent: dict[str, Any]) -> None:
    if "knowledge" in sent:
        sent = {"knowledge": own_classes("a round cell", "a cell with a lobed nucleus") | {"task": {"name": "own"}}}
    answer = client.put(f"{session}/knowledge", json=sent)
    assert answer.status_code == 422
    assert "and 'mini' reads only blood smear" in answer.json()["detail"]
    assert client.get(session).json()["classes"] == []
    assert client.put(f"{session}/knowledge", json=sent | {"insist": True}).status_code == 200
    client.post(f"{session}/pictures", files=parts({"a.png": cell(0), "b.png": cell(1)}))
    assert finish(client, client.post(f"{session}/jobs", json={}).json())["state"] == "done"
    assert "believe nothing of this" in " ".join(client.get(f"{session}/predictions").json()["warnings"])


def test_a_number_of_descriptions_that_nobody_asked_for_is_forgotten(client: TestClient, session: str) -> None:
    """One sentence a class allows k = 1 only: the knowledge that follows is read with KPL's own k again."""
    client.post(f"{session}/pictures", files=parts({"a.png": cell(0), "b.png": cell(1)}))

    def k_of(knowledge: dict[str, Any], **start: int) -> tuple[int, int]:
        assert client.put(f"{session}/knowledge", json=knowledge).status_code == 200
        finish(client, client.post(f"{session}/jobs", json=start).json())
        said = client.get(f"{session}/predictions").json()
        return said["k"], said["most"]

    pack, own = {"pack": "blood-cells"}, {"knowledge": own_classes("a round cell", "a cell with a lobed nucleus")}
    fresh = k_of(pack)
    assert k_of(own) == (1, 1)
    assert k_of(pack) == fresh
    assert k_of(pack, k=3)[0] == 3
    moved(client, session, prior=dict.fromkeys(client.get(f"{session}/predictions").json()["classes"], 1.0))
    assert k_of(pack)[0] == 3  # asked for, and the same classes
    assert k_of(own) == (1, 1)
    assert k_of(pack) == fresh  # asked for of other classes


def test_what_a_method_says_of_a_known_prior_is_bayes(client: TestClient, classified: str) -> None:
    """Two priors: the odds between any two classes move by the ratio of the priors alone."""
    outcome = client.app.state.service.sessions.get(classified.rsplit("/", 1)[1]).outcome  # type: ignore[attr-defined]
    before = outcome.predictions.probabilities
    moved = outcome.moved(None, dict.fromkeys(outcome.keys, 1.0))
    after, method = moved.predictions.probabilities, moved.method
    np.testing.assert_allclose(method.predict_proba(outcome.images), after, atol=1e-9)
    np.testing.assert_array_equal(outcome.predictions.probabilities, before)  # an outcome never changes
    ratio = np.log(after[:, 0] / after[:, 1]) - np.log(before[:, 0] / before[:, 1])
    expected = np.log(outcome.estimated[1] / outcome.estimated[0])
    np.testing.assert_allclose(ratio, expected, rtol=1e-6)
