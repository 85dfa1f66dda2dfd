"""The result of a session calibrated on a few labels, and pictures left without a label, as the commands do it."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from starlette.testclient import TestClient
from tests.server.conftest import CLASSES, finish, parts
from tests.server.test_scores import ROWS, scored, table

from kpl.runs import classify, load_model


def calibrated(client: TestClient, address: str, data: bytes, **how: Any) -> Any:
    return client.post(f"{address}/calibration", files={"file": ("labels.csv", data)}, params=how)


@pytest.fixture
def mine(client: TestClient, session: str, cells: dict[str, bytes]) -> str:
    """A classified session whose settings may be changed."""
    client.put(f"{session}/knowledge", json={"pack": "blood-cells"})
    client.post(f"{session}/pictures", files=parts(cells))
    assert finish(client, client.post(f"{session}/jobs", json={}).json())["state"] == "done"
    return session


def flat_picture(green: int) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (128, 128), (0, green, 90)).save(data, "PNG")
    return data.getvalue()


def shown(client: TestClient, address: str) -> Any:
    return client.get(f"{address}/predictions").json()


def test_what_is_shown_is_what_the_command_makes_of_the_same_labels(
    client: TestClient, mine: str, cells: dict[str, bytes], tmp_path: Path
) -> None:
    before = shown(client, mine)
    assert not before["calibrated"]
    assert client.get(f"{mine}/calibration.json").status_code == 404
    told = calibrated(client, mine, table(ROWS)).json()
    assert told["unit"] == "6 patients by 'patient_id', 12 images"
    assert told["after"]["nll"] <= told["before"]["nll"]
    after = shown(client, mine)
    assert after["calibrated"]
    assert after["kpl"]["confidence"] != before["kpl"]["confidence"]
    assert "calibrated on 12 labelled pictures" in after["warnings"][0]

    (tmp_path / "model.kpl").write_bytes(client.get(f"{mine}/model.kpl").content)
    (tmp_path / "calibration.json").write_bytes(client.get(f"{mine}/calibration.json").content)
    for name, data in cells.items():
        (tmp_path / name).write_bytes(data)
    run = classify(
        [tmp_path / name for name in cells],
        model=load_model(tmp_path / "model.kpl"),
        calibration=tmp_path / "calibration.json",
    )
    np.testing.assert_allclose(run.predictions.confidence, after["kpl"]["confidence"], atol=1e-3)
    table_of = csv.DictReader(io.StringIO(client.get(f"{mine}/predictions.csv").text))
    np.testing.assert_allclose([float(row["confidence"]) for row in table_of], after["kpl"]["confidence"], atol=1e-3)
    assert "not calibrated" not in client.get(f"{mine}/report.html").text


def test_below_a_least_confidence_a_picture_gets_no_label(client: TestClient, mine: str) -> None:
    sure = sorted(shown(client, mine)["kpl"]["confidence"])
    least = (sure[5] + sure[6]) / 2
    now = client.post(f"{mine}/predictions", json={"least": least}).json()
    without = [each["place"] for each in now["unlabelled"]]
    assert without == [at for at, share in enumerate(now["kpl"]["confidence"]) if share < least]
    assert {each["why"] for each in now["unlabelled"]} == {"no label given"}
    rows = list(csv.DictReader(io.StringIO(client.get(f"{mine}/predictions.csv").text)))
    assert [at for at, row in enumerate(rows) if not row["label"]] == without
    assert all(row["leading"] for row in rows)
    assert any("without a label" in each for each in scored(client, mine, table(ROWS)).json()["notices"])
    assert client.post(f"{mine}/predictions", json={"least": 0}).json()["unlabelled"] == []
    assert client.post(f"{mine}/predictions", json={"least": 1.5}).status_code == 422


def test_classes_have_thresholds_of_their_own_and_all_of_it_stays_when_the_session_learns_again(
    client: TestClient, mine: str, tmp_path: Path
) -> None:
    said = shown(client, mine)["kpl"]
    key = CLASSES[0]
    asked = {"least": 0.1, "thresholds": {key: 1}}
    now = client.post(f"{mine}/predictions", json=asked).json()
    kept = {name: now[name] for name in ("least", "thresholds")}
    assert kept == {"least": 0.1, "thresholds": {key: 1.0}}
    at = now["classes"].index(key)
    assert [each["place"] for each in now["unlabelled"]] == [row for row, c in enumerate(said["label"]) if c == at]
    rows = list(csv.DictReader(io.StringIO(client.get(f"{mine}/predictions.csv").text)))
    assert {row["label"] for row in rows} == {*CLASSES[1:], ""}
    (tmp_path / "report.html").write_bytes(client.get(f"{mine}/report.html").content)
    assert "without a label" in (tmp_path / "report.html").read_text(encoding="utf-8")
    base = yaml.safe_load(client.get(f"{mine}/knowledge.yaml").text)
    base["classes"][0]["descriptions"].append("a further sentence")
    assert client.put(f"{mine}/knowledge", json={"knowledge": base}).status_code == 200
    assert finish(client, client.post(f"{mine}/jobs", json={}).json())["state"] == "done"
    assert {name: shown(client, mine)[name] for name in kept} == kept
    base["classes"] = [each | {"key": f"{each['key']}_2"} for each in base["classes"]]
    assert client.put(f"{mine}/knowledge", json={"knowledge": base}).status_code == 200
    assert finish(client, client.post(f"{mine}/jobs", json={}).json())["state"] == "done"
    assert {name: shown(client, mine)[name] for name in kept} == {"least": 0.1, "thresholds": {}}
    assert client.post(f"{mine}/predictions", json={"thresholds": {"unicorn": 0.5}}).status_code == 422
    assert client.post(f"{mine}/predictions", json={"thresholds": {f"{key}_2": 2}}).status_code == 422


def test_labels_of_groups_are_scored_at_their_level(client: TestClient, mine: str) -> None:
    base = yaml.safe_load(client.get(f"{mine}/knowledge.yaml").text)
    base |= {"kpl_knowledge": 2, "classes": [
        each | {"parent": ["red" if each["key"].endswith("red_cell") else "other"]} for each in base["classes"]
    ]}  # fmt: skip
    assert client.put(f"{mine}/knowledge", json={"knowledge": base}).status_code == 200
    assert finish(client, client.post(f"{mine}/jobs", json={}).json())["state"] == "done"
    mixed = scored(client, mine, table([(*row[:2], "red" if "red" in row[2] else row[2]) for row in ROWS])).json()
    (level,) = mixed["levels"]
    assert (level["level"], sorted(level["names"]), level["labelled"]) == (1, ["other", "red"], 12)
    assert mixed["labelled"] == 8
    assert mixed["truth"].count(None) == 4
    groups = scored(client, mine, table([(*row[:2], "red" if "red" in row[2] else "other") for row in ROWS])).json()
    assert groups["methods"]["kpl"] == level["methods"]["kpl"]
    assert groups["levels"] == []
    assert groups["truth"] == [None] * 12


def test_no_label_and_none_of_these_are_asked_for_together_as_the_command_takes_them(
    client: TestClient, session: str, cells: dict[str, bytes], tmp_path: Path
) -> None:
    flat = {f"flat-{number}.png": flat_picture(80 + 20 * number) for number in range(3)}
    client.put(f"{session}/knowledge", json={"pack": "blood-cells"})
    client.post(f"{session}/pictures", files=parts(cells | flat))
    assert finish(client, client.post(f"{session}/jobs", json={}).json())["state"] == "done"
    least = float(np.median(shown(client, session)["kpl"]["confidence"]))
    client.post(f"{session}/predictions", json={"other": True})
    now = client.post(f"{session}/predictions", json={"least": least}).json()
    assert {each["why"] for each in now["unlabelled"]} == {"no label given", "none of these"}
    for name, data in (cells | flat).items():
        (tmp_path / name).write_bytes(data)
    asked = {"knowledge": "blood-cells", "other": True, "abstain_below": least}
    run = classify([tmp_path / name for name in cells | flat], **asked)
    wanted = [(run.predictions[row].label or "") for row in range(run.n)]
    rows = list(csv.DictReader(io.StringIO(client.get(f"{session}/predictions.csv").text)))
    assert [row["label"] for row in rows] == wanted
    (tmp_path / "report.html").write_bytes(client.get(f"{session}/report.html").content)
    assert "none of these" in (tmp_path / "report.html").read_text(encoding="utf-8")
    again = client.post(f"{session}/predictions", json={"other": False}).json()
    assert (again["least"], again["unlike"]) == (least, None)
    assert {each["why"] for each in again["unlabelled"]} == {"no label given"}


def test_a_calibration_goes_with_the_settings_that_it_was_made_for(client: TestClient, mine: str) -> None:
    calibrated(client, mine, table(ROWS))
    assert client.post(f"{mine}/predictions", json={"least": 0.4}).json()["calibrated"]
    assert not client.post(f"{mine}/predictions", json={"k": 1}).json()["calibrated"]
    assert client.get(f"{mine}/predictions").json()["least"] == 0.4


def test_what_cannot_be_calibrated_is_one_line(client: TestClient, mine: str, session: str) -> None:
    few = calibrated(client, mine, table(ROWS[:5]))
    assert (few.status_code, few.json()["detail"]) == (
        422, "5 labelled images are too few to calibrate on: label at least 10",
    )  # fmt: skip
    assert calibrated(client, mine, b"no table").status_code == 422
    assert not shown(client, mine)["calibrated"]
    assert CLASSES[0] in shown(client, mine)["classes"]
