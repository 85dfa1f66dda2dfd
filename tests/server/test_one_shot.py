"""`/classify`: one picture at once by a fitted model."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from tests.server.conftest import all_places, cell, parts

from kpl.errors import InputError, ModelError
from kpl.runs import fit, load_model
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


def test_an_archive_is_told_that_pictures_only_are_taken(shot: TestClient) -> None:
    (said,) = shot.post("/classify", files=parts({"a.zip": b"PK\x03\x04"})).json()
    assert "pictures only" in said["error"]


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
