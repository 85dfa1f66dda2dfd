"""The evidence of one picture over HTTP: its neighbours, the picture itself, and where in it."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient
from tests.server.conftest import cell, finish, parts

from kpl.errors import InputError
from kpl.images.formats import READ_FORMATS
from kpl.server import maps
from kpl.server.limits import Limits
from kpl.server.outcomes import Outcome


def outcome_of(client: TestClient, address: str) -> Outcome:
    session = client.app.state.service.sessions.get(address.rsplit("/", 1)[1])  # type: ignore[attr-defined]
    found: Outcome = session.finished()
    return found


def test_the_nearest_pictures_of_both_sides(client: TestClient, classified: str) -> None:
    outcome = outcome_of(client, classified)
    labels = outcome.predictions.winners
    for place in range(12):
        said = client.get(f"{classified}/pictures/{place}/evidence").json()
        for side, own in (("nearest_winner", said["winner"]), ("nearest_runner_up", said["runner_up"])):
            cosines = outcome.images.astype(np.float64) @ outcome.images[place]
            others = [n for n in np.argsort(-cosines, kind="stable").tolist() if labels[n] == own and n != place]
            assert [near["place"] for near in said[side]] == others[:4]
            assert [near["name"] for near in said[side]] == [f"cell-{n}.png" for n in others[:4]]
            assert [near["cosine"] for near in said[side]] == pytest.approx(cosines[others[:4]].tolist(), abs=1e-4)


def test_the_picture_as_the_encoder_gets_it(client: TestClient, classified: str, cells: dict[str, bytes]) -> None:
    answer = client.get(f"{classified}/pictures/5/picture")
    assert answer.headers["content-type"] == "image/png"
    with Image.open(io.BytesIO(answer.content)) as kept, Image.open(io.BytesIO(cells["cell-5.png"])) as sent:
        assert np.array_equal(np.asarray(kept), np.asarray(sent))


def drawn(client: TestClient, address: str, place: int, **settings: Any) -> Image.Image:
    started = client.post(f"{address}/pictures/{place}/map", json=settings)
    assert started.status_code == 202, started.text
    ended = finish(client, started.json())
    assert (ended["state"], ended["done"]) == ("done", ended["total"]), ended
    answer = client.get(f"{address}/pictures/{place}/map.jpg")
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["cache-control"] == "no-store"
    return Image.open(io.BytesIO(answer.content))


@pytest.mark.parametrize(("how", "views"), [("hiding", 65), ("windows", 16)])
def test_a_map_costs_what_it_said(
    client: TestClient, classified: str, monkeypatch: pytest.MonkeyPatch, how: str, views: int
) -> None:
    cost = client.get(f"{classified}/pictures/3/map", params={"how": how}).json()
    assert (cost["how"], cost["views"]) == (how, views)
    assert cost["seconds"] > 0
    read, encoder = [], type(outcome_of(client, classified).encoder)
    whole = encoder.encode_images
    monkeypatch.setattr(encoder, "encode_images", lambda self, lot: read.append(len(lot)) or whole(self, lot))
    assert drawn(client, classified, 3, how=how).size == (96, 96)
    assert sum(read) == views


def test_patches_come_first_where_the_encoder_has_them(
    client: TestClient, classified: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert client.post(f"{classified}/pictures/3/map", json={"how": "patches"}).status_code == 422
    assert client.get(f"{classified}/pictures/3/map").json()["choices"] == ["hiding", "windows"]
    encoder = type(outcome_of(client, classified).encoder)

    def quarters(self: Any, pictures: list[np.ndarray]) -> np.ndarray:
        parts = [[picture[y : y + 48, x : x + 48] for y in (0, 48) for x in (0, 48)] for picture in pictures]
        return np.stack([self.encode_images(four).reshape(2, 2, -1) for four in parts])

    monkeypatch.setattr(encoder, "encode_patches", quarters, raising=False)
    cost = client.get(f"{classified}/pictures/3/map").json()
    assert (cost["how"], cost["views"], cost["choices"]) == ("patches", 1, ["patches", "hiding", "windows"])
    patches = np.asarray(drawn(client, classified, 3))
    assert not np.array_equal(patches, np.asarray(drawn(client, classified, 3, how="hiding")))


def test_a_map_of_another_class_is_another_map(client: TestClient, classified: str) -> None:
    said = client.get(f"{classified}/pictures/4/evidence").json()
    first = np.asarray(drawn(client, classified, 4))
    assert np.array_equal(first, np.asarray(drawn(client, classified, 4, class_index=said["winner"])))
    assert not np.array_equal(first, np.asarray(drawn(client, classified, 4, class_index=said["runner_up"])))
    assert client.get(f"{classified}/pictures/5/map.jpg").status_code == 404  # that is not its map


@pytest.mark.parametrize(
    ("place", "body", "status"),
    [
        (99, {}, 404),
        (0, {"class_index": 10}, 404),
        (0, {"class_index": -1}, 422),
        (0, {"how": "guessing"}, 422),
        (0, {"window": 0}, 422),
        (0, {"how": "windows", "window": 0.1}, 413),
    ],
)
def test_a_map_that_cannot_be_made(
    client: TestClient, classified: str, place: int, body: dict[str, Any], status: int
) -> None:
    answer = client.post(f"{classified}/pictures/{place}/map", json=body)
    assert answer.status_code == status, answer.text
    assert answer.json()["detail"]


def test_no_map_before_anything_is_classified(client: TestClient, session: str) -> None:
    client.post(f"{session}/pictures", files=parts({"a.png": cell(0)}))
    for answer in (
        client.get(f"{session}/pictures/0/map"),
        client.post(f"{session}/pictures/0/map", json={}),
        client.get(f"{session}/pictures/0/map.jpg"),
    ):
        assert answer.status_code == 404


def test_a_map_is_cancelled_and_leaves_nothing(
    serving: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = serving()
    address = f"/api/sessions/{client.post('/api/sessions', json={}).json()['id']}"
    client.put(f"{address}/knowledge", json={"pack": "blood-cells"})
    client.post(f"{address}/pictures", files=parts({"a.png": cell(0), "b.png": cell(1)}))
    finish(client, client.post(f"{address}/jobs", json={}).json())
    folder = client.app.state.service.sessions.get(address.rsplit("/", 1)[1]).folder  # type: ignore[attr-defined]
    before = sorted(folder.rglob("*"))
    encoder = type(outcome_of(client, address).encoder)
    whole = encoder.encode_images

    def slow(self: Any, lot: Any) -> Any:
        time.sleep(0.2)
        return whole(self, lot)

    monkeypatch.setattr(encoder, "encode_images", slow)
    job = client.post(f"{address}/pictures/0/map", json={}).json()
    assert client.post(f"{address}/jobs", json={}).status_code == 409  # one job at a time
    client.delete(f"/api/jobs/{job['id']}")
    assert finish(client, job)["state"] == "cancelled"
    assert client.get(f"{address}/pictures/0/map.jpg").status_code == 404
    monkeypatch.undo()
    drawn(client, address, 0)
    assert sorted(folder.rglob("*")) == before  # a map is held in memory only
    client.delete(address)
    assert not folder.exists()


def test_copies_of_a_picture_stay_small(tmp_path: Path) -> None:
    """A picture of any shape is shrunken before it is copied for every view, and refused where nothing is left."""
    from kpl.encoders import load_encoder
    from kpl.images import Instance

    encoder = load_encoder("mini")
    for size, expected in (((4000, 400), (64, 640)), ((100, 96), (96, 100))):
        Image.new("RGB", size).save(tmp_path / "a.png")
        plan = maps.plan_map(Instance("a", tmp_path / "a.png"), encoder, None, 0.5, Limits().views)
        assert plan.picture.shape[:2] == expected
    Image.new("RGB", (4000, 10)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="too narrow"):
        maps.plan_map(Instance("a", tmp_path / "a.png"), encoder, None, 0.5, Limits().views)


def test_the_page_says_which_kinds_of_pictures_it_takes(client: TestClient) -> None:
    page = client.get("/").text.replace("JPEG 2000", "JPEG2000").upper()
    assert [kind for kind in READ_FORMATS if kind not in page] == []


def test_the_pages_files_are_kept_by_the_browser(client: TestClient) -> None:
    first = client.get("/static/app.js")
    assert first.headers["cache-control"] == "no-cache"
    assert client.get("/static/app.js", headers={"if-none-match": first.headers["etag"]}).status_code == 304
