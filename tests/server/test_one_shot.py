"""`/classify`: one picture at once by a fitted model."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient
from tests.server.conftest import all_places, cell, parts
from tests.server.test_studies import slice_of

from kpl.errors import InputError, ModelError
from kpl.knowledge import load_knowledge
from kpl.runs import classify, fit, load_model
from kpl.server.limits import Limits
from kpl.server.service import Service


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    (folder / "cells").mkdir()
    for number in range(12):
        (folder / "cells" / f"{number}.png").write_bytes(cell(number))
    fit(folder / "cells", knowledge="blood-cells", out=folder / "cells.kpl")
    return folder / "cells.kpl"


@pytest.fixture(scope="module")
def shot(serving: Callable[..., TestClient], model_file: Path) -> TestClient:
    return serving(models=[model_file])


def test_it_says_what_the_model_says(shot: TestClient, model_file: Path, tmp_path: Path) -> None:
    files = {f"{n}.png": cell(n) for n in range(3)} | {"x.txt": b"nothing"}
    *said, bad = shot.post("/classify", files=parts(files)).json()
    model = load_model(model_file)
    for n, answer in enumerate(said):
        (tmp_path / answer["name"]).write_bytes(cell(n))
        found = model.predict(tmp_path / answer["name"])
        assert (answer["label"], answer["error"]) == (found.label, None)
        assert answer["probabilities"] == pytest.approx(found.probabilities, abs=1e-4)
    assert (bad["name"], bad["label"]) == ("x.txt", None)
    assert "not a JPEG" in bad["error"]


def test_a_picture_of_no_listed_class_is_called_so_if_that_is_asked_for(shot: TestClient, model_file: Path) -> None:
    noise = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(noise, "PNG")
    files = {"cell.png": cell(0), "noise.png": noise.getvalue()}
    plain, asked = (shot.post(f"/classify{query}", files=parts(files)).json() for query in ("", "?other=true"))
    distances = [each["unlike"] for each in asked]
    assert distances[0] < 1 <= distances[1]
    assert [each["unlike"] for each in plain] == pytest.approx(distances, abs=1e-4)
    assert [each["label"] for each in asked] == [plain[0]["label"], "none of these"]
    assert plain[1]["label"] in load_model(model_file).keys


def test_a_model_without_a_distance_says_so(
    serving: Callable[..., TestClient], model_file: Path, tmp_path: Path
) -> None:
    fit(model_file.parent / "cells", knowledge="blood-cells", out=tmp_path / "text.kpl", method="cupl")
    shot = serving(models=[tmp_path / "text.kpl"])
    assert shot.post("/classify", files=parts({"a.png": cell(0)})).json()[0]["unlike"] is None
    refused = shot.post("/classify?other=true", files=parts({"a.png": cell(0)}))
    assert refused.status_code == 422
    assert "knows no distance from its classes" in refused.json()["detail"]


def test_many_at_once_are_answered_as_one_is(shot: TestClient) -> None:
    alone = [shot.post("/classify?model=cells", files=parts({"a": cell(n)})).json()[0]["label"] for n in range(6)]
    with ThreadPoolExecutor(6) as pool:
        together = list(
            pool.map(lambda n: shot.post("/classify", files=parts({"a": cell(n)})).json()[0]["label"], range(6))
        )
    assert together == alone


def test_models_are_listed_and_others_are_not_known(shot: TestClient, client: TestClient) -> None:
    (said,) = shot.get("/api/models").json()
    assert (said["name"], said["encoder"], said["learnt_from"], len(said["classes"])) == ("cells", "mini", 12, 10)
    assert shot.post("/classify?model=other", files=parts({"a": cell(0)})).status_code == 404
    answer = client.post("/classify", files=parts({"a": cell(0)}))
    assert answer.status_code == 404
    assert "`kpl fit`, then `kpl serve --model" in answer.json()["detail"]


def test_a_model_says_how_far_the_pictures_it_was_asked_about_are_from_its_own(
    serving: Callable[..., TestClient], tmp_path: Path
) -> None:
    pack = load_knowledge("blood-cells")
    two = pack.model_copy(update={"classes": pack.classes[:2]})
    (tmp_path / "cells").mkdir()
    for number in range(30):
        (tmp_path / "cells" / f"{number}.png").write_bytes(cell(number))
    seen = fit(tmp_path / "cells", knowledge=two, out=tmp_path / "two.kpl").seen
    assert seen is not None
    assert seen.mass.max() >= 5, "the test's pictures make one class at least"
    fresh = serving(models=[tmp_path / "two.kpl"])
    assert fresh.get("/api/models").json()[0]["site"] is None
    fresh.post("/classify", files=parts({f"{n}.png": cell(n) for n in range(4)} | {"x.txt": b"nothing"}))
    assert fresh.get("/api/models").json()[0]["site"] is None, "too few to say anything"
    for lot in range(3):
        fresh.post("/classify", files=parts({f"{lot}-{n}.png": cell(n) for n in range(12)}))
    said = fresh.get("/api/models").json()[0]["site"]
    assert (10 <= said["pictures"] <= 40, said["far"]) == (True, False)
    assert 0 <= said["prior"] < 0.5


def test_an_archive_is_told_that_pictures_only_are_taken(shot: TestClient) -> None:
    (said,) = shot.post("/classify", files=parts({"a.zip": b"PK\x03\x04"})).json()
    assert "send the files in it" in said["error"]


def test_slices_become_one_answer_by_unit_as_the_command_gives_it(
    serving: Callable[..., TestClient], model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KPL_HOME", str(tmp_path / "home"))
    shot = serving(models=[model_file])
    files = {f"SNTL {place}": slice_of(2, place) for place in (2, 0, 1)}
    files |= {"cell.png": cell(3), "SNTL.dcm": slice_of(1, 0), "SNTL-cut.dcm": slice_of(0, 0)[:-9]}
    answer = shot.post("/classify", files=parts(files))
    assert "SNTL" not in answer.text
    assert "8.8.8" not in answer.text
    series, plain, single, cut = answer.json()
    assert [each["name"] for each in (series, plain, single, cut)] == [
        "unit-0001",
        "cell.png",
        "unit-0002",
        "file-0001",
    ]
    assert [each["files"] for each in (series, plain, single, cut)] == [[1, 2, 0], [3], [4], [5]]
    assert [each["kind"] for each in (series, plain, single)] == ["series", "image", "image"]
    assert [each["instances"] for each in (series, plain, single)] == [3, 1, 1]
    assert cut["error"] == "DICOM whose pixels are cut short"
    for name, data in files.items():
        (tmp_path / "in" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_bytes(data)
    run = classify(tmp_path / "in", model=model_file, out=tmp_path / "out", other=True)
    told = {row["unit"]: row for row in csv.DictReader((run.path / "predictions.csv").read_text().splitlines())}
    for said, row in ((series, "unit-0001"), (single, "unit-0002")):
        assert said["patient"] == told[row]["patient"]
        assert said["label"] == told[row]["leading"]
        assert said["unlike"] == pytest.approx(float(told[row]["unlike"]), rel=1e-2)
        assert said["probabilities"] == pytest.approx({key: float(told[row][f"p_{key}"]) for key in run.keys}, abs=2e-3)
    assert told["unit-0001"]["key_instance"] == f"unit-0001#{series['key_instance']:03d}"


def test_a_volume_in_two_files_is_one_answer(shot: TestClient, tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    values = np.random.default_rng(0).normal(100, 30, (24, 20, 9)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Pair(values, np.eye(4)), tmp_path / "a.img")
    sent = {name: (tmp_path / name).read_bytes() for name in ("a.img", "a.hdr")}
    (said,) = shot.post("/classify", files=parts(sent)).json()
    assert (said["name"], said["kind"], said["instances"], said["files"]) == ("unit-0001", "volume", 9, [1])


def test_too_many_at_once_are_told_to_wait(shot: TestClient) -> None:
    with all_places(shot.app.state.service.pending):  # type: ignore[attr-defined]
        assert shot.post("/classify", files=parts({"a": cell(0)})).status_code == 503


@pytest.mark.filterwarnings("ignore")
def test_an_encoder_that_fails_stops_only_those_that_asked(shot: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    held = shot.app.state.service.models["cells"]  # type: ignore[attr-defined]
    with monkeypatch.context() as patch:
        patch.setattr(type(held.encoder), "encode_images", lambda *_: (_ for _ in ()).throw(InputError("broken")))
        assert shot.post("/classify", files=parts({"a": cell(0)})).status_code == 422
    assert shot.post("/classify", files=parts({"a": cell(0)})).status_code == 200


def test_models_that_are_none_or_share_a_name_are_refused(model_file: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="same name"):
        Service(Limits(workers=1), [model_file, model_file])
    with pytest.raises(ModelError, match="no such model"):
        Service(Limits(workers=1), [tmp_path / "none.kpl"])
