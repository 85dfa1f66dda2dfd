"""Studies and volumes through the service: decided on by unit, as the command decides, and nothing of the patient."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from typing import Any

import numpy as np
import pytest
from tests.images.made_dicom import dataset, packed
from tests.images.made_slides import blocks, of_picture, write_slide

from kpl.images.pseudonyms import pseudonym
from kpl.runs import classify
from rendered import cell_of_class, draw_cell

from .conftest import CLASSES, cell, finish, parts

MARKS = ("SNTL", "8.8.8")


def slice_of(series: int, place: int, **more: Any) -> bytes:
    rng = np.random.default_rng([series, place])
    drawn = draw_cell(cell_of_class(CLASSES[series % 3], rng), rng)[::2, ::2].mean(axis=2)
    said = {
        "Modality": "MR",
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.4",
        "PatientName": "SNTL^NAME",
        "PatientID": f"SNTL-{series // 2}",
        "StudyInstanceUID": f"8.8.8.1.{series // 2}",
        "SeriesInstanceUID": f"8.8.8.2.{series}",
        "SOPInstanceUID": f"8.8.8.3.{series}.{place}",
        "ImageOrientationPatient": ["1", "0", "0", "0", "1", "0"],
        "ImagePositionPatient": ["0", "0", str(place)],
        "WindowCenter": "128",
        "WindowWidth": "256",
    }
    return packed(dataset(drawn.astype(np.int16), **{**said, **more}))


def studies() -> dict[str, bytes]:
    return {f"SNTL {s // 2}/{s}/{p}": slice_of(s, p) for s in range(4) for p in range(3)}


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("KPL_HOME", str(tmp_path / "home"))


def test_slices_become_units_that_are_decided_on_as_the_command_decides(serving, home, tmp_path):
    client = serving()
    address = f"/api/sessions/{client.post('/api/sessions', json={}).json()['id']}"
    assert client.put(f"{address}/knowledge", json={"pack": "blood-cells"}).status_code == 200
    files, said = studies(), []

    def ask(path: str, how: str = "get", **more: Any) -> Any:
        answer = getattr(client, how)(f"{address}{path}", **more)
        assert answer.status_code < 300, answer.text
        said.append(answer.content)
        return answer

    first, *rest = files.items()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in rest[:5]:
            archive.writestr(name, data)
    for lot in ({"plain.png": cell(3)}, dict([first]), {"more.zip": buffer.getvalue()}, dict(rest[5:])):
        told = ask("/pictures", "post", files=parts(lot)).json()
        assert not told["left_out"]
    cut = slice_of(0, 9)
    ask("/pictures", "post", files=parts({"SNTL-cut.dcm": cut[: len(cut) - 100]}))
    assert (ask("").json()["pictures"], ask("").json()["waiting"]) == (1, 13)
    ended = finish(client, ask("/jobs", "post", json={}).json())
    assert ended["state"] == "done", ended
    told = ask("").json()
    assert (told["pictures"], told["waiting"], told["classified"]) == (5, 0, 5)
    assert told["left_out"] == [{"name": "file-0001", "reason": "DICOM whose pixels are cut short"}]
    names = ask("/pictures").json()["names"]
    assert names == ["plain.png", *(f"unit-000{n}" for n in range(1, 5))]
    found = ask("/predictions").json()
    assert found["units"]["kind"] == ["image", *["series"] * 4]
    assert found["units"]["instances"] == [1, 3, 3, 3, 3]
    assert found["units"]["patient"] == [None, *(pseudonym("patient", f"SNTL-{s // 2}") for s in range(4))]
    assert sum(found["kpl"]["share"]) == pytest.approx(1, abs=1e-3)

    for name, data in {"plain.png": cell(3), **files}.items():
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    run = classify(tmp_path / "in", knowledge="blood-cells", out=tmp_path / "run")
    order = [names.index(name) for name in run.ids]
    assert [found["classes"][found["kpl"]["label"][at]] for at in order] == [
        run.keys[c] for c in run.predictions.winners
    ]
    mine = list(csv.DictReader(io.StringIO(ask("/predictions.csv").text)))
    theirs = list(csv.DictReader((tmp_path / "run" / "predictions.csv").read_text().splitlines()))
    for at, other in zip(order, theirs, strict=True):
        for column, value in other.items():
            if column.startswith("p_") or column in ("confidence", "margin"):
                assert float(mine[at][column]) == pytest.approx(float(value), abs=2e-3)
            elif column != "key_instance" or other["instances"] != "1":
                assert mine[at][column] == value, column

    why = ask("/pictures/1/evidence?refit=true").json()
    assert len(why["curve"]) == 3
    assert why["curve"][why["key"]] == max(why["curve"])
    assert found["units"]["key_instance"][1] == f"unit-0001#{why['key']:03d}"
    assert ask("/pictures/1/thumbnail").content == ask(f"/pictures/1/thumbnail?instance={why['key']}").content
    assert ask("/pictures/1/picture").content == ask(f"/pictures/1/picture?instance={why['key']}").content
    assert client.get(f"{address}/pictures/1/thumbnail?instance=3").status_code == 404
    assert 'class="slices"' in ask("/report.html").text
    ask("/model.kpl")
    said.append(client.get("/metrics").content)
    for each in said:
        assert not any(mark.encode() in each for mark in MARKS), each[:300]
    ask("/pictures", "post", files=parts({"late": slice_of(0, 5)}))
    ended = finish(client, ask("/jobs", "post", json={}).json())
    assert ended["state"] == "done", ended
    assert any("two lots" in text for text in ask("/predictions").json()["warnings"])


def test_a_volume_is_one_unit_and_a_damaged_one_is_left_out(serving, home, tmp_path):
    nibabel = pytest.importorskip("nibabel")
    values = np.random.default_rng(0).normal(100, 30, (24, 20, 9)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), tmp_path / "ct.nii.gz")
    data = (tmp_path / "ct.nii.gz").read_bytes()
    client = serving()
    address = f"/api/sessions/{client.post('/api/sessions', json={}).json()['id']}"
    assert client.put(f"{address}/knowledge", json={"pack": "blood-cells"}).status_code == 200
    client.post(f"{address}/pictures", files=parts({"SNTL.nii.gz": data, "SNTL-2.nii.gz": data[:500]}))
    ended = finish(client, client.post(f"{address}/jobs", json={}).json())
    assert ended["state"] == "done", ended
    found = client.get(f"{address}/predictions").json()["units"]
    assert (found["kind"], found["instances"]) == (["volume"], [9])
    told = client.get(address).text
    assert "SNTL" not in told
    assert len(json.loads(told)["left_out"]) >= 1


@pytest.mark.slides
def test_a_slide_is_tiles_of_its_tissue_and_a_map(serving, home, tmp_path):
    there = np.eye(3, dtype=np.bool_)
    picture = blocks(there, 128)
    slide = write_slide(tmp_path / "SNTL.tif", picture.shape[1::-1], of_picture(picture), jpeg=True)
    client = serving()
    address = f"/api/sessions/{client.post('/api/sessions', json={}).json()['id']}"
    assert client.put(f"{address}/knowledge", json={"pack": "blood-cells"}).status_code == 200
    assert not client.post(f"{address}/pictures", files=parts({"SNTL.tif": slide.read_bytes()})).json()["left_out"]
    ended = finish(client, client.post(f"{address}/jobs", json={}).json())
    assert ended["state"] == "done", ended
    found = client.get(f"{address}/predictions").json()
    run = classify(slide, knowledge="blood-cells", out=tmp_path / "run")
    assert (found["units"]["kind"], found["units"]["instances"], found["units"]["pool"]) == (["slide"], [3], "mean")
    assert found["classes"][found["kpl"]["label"][0]] == run.predictions[0].label
    why = client.get(f"{address}/pictures/0/evidence").json()
    assert why["read"] == "0.5 microns a pixel"
    assert why["shown"][0] == why["key"]
    assert len(why["slide"]["tiles"]) == len(why["shown"])
    step = 112 / 3
    x, y, side = why["slide"]["tiles"][0]
    assert (x, y, side) == pytest.approx((why["key"] * step, why["key"] * step, step), abs=0.1)
    whole = client.get(f"{address}/pictures/0/slide")
    assert (whole.status_code, whole.headers["content-type"]) == (200, "image/png")
    assert 'class="slide"' in client.get(f"{address}/report.html").text
    assert client.get(f"{address}/pictures/1/slide").status_code == 404
    looked = serving(runs=[run.path])
    again = f"/api/sessions/{looked.post('/api/sessions', json={'run': 'run'}).json()['id']}/pictures/0"
    assert looked.get(f"{again}/evidence").json()["slide"]["tiles"] == why["slide"]["tiles"]
    assert looked.get(f"{again}/slide").headers["content-type"] == "image/webp"
    for at in why["shown"]:
        assert looked.get(f"{again}/thumbnail?instance={at}").status_code == 200
