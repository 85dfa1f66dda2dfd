"""Knowledge files that users open, and encoders and knowledge that who runs the server names by their place."""

from __future__ import annotations

import shutil
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.encoders.test_adapters import PLAIN
from tests.server.conftest import finish, parts

import kpl.encoders
from kpl.encoders import write_bundle
from kpl.errors import EncoderError, InputError, KnowledgeError
from kpl.knowledge import KnowledgeBase
from kpl.server.brought import Brought
from kpl.server.views import encoders

TEXT = """kpl_knowledge: 1
task: {name: shapes, modality: blood smear}
classes:
  - key: disc
    descriptions: [a round outline]
  - key: box
    descriptions: [four corners, straight sides]
"""


def opened(client: TestClient, data: bytes, name: str = "mine.yaml") -> Any:
    return client.post("/api/knowledge", files={"file": (name, data)})


def test_a_knowledge_file_is_read_and_can_be_used(client: TestClient, session: str) -> None:
    told = opened(client, TEXT.encode()).json()
    assert [entry["key"] for entry in KnowledgeBase.model_validate(told).model_dump()["classes"]] == ["disc", "box"]
    assert client.put(f"{session}/knowledge", json={"knowledge": told}).status_code == 200
    plain = opened(client, b'{"disc": ["a round outline"], "box": ["four corners"]}', "mine.json")
    assert [entry["key"] for entry in plain.json()["classes"]] == ["disc", "box"]


@pytest.mark.parametrize(
    ("data", "name", "said"),
    [
        (TEXT.replace("disc", "box").encode(), "a/../mine.yaml", "mine.yaml, line"),
        (b"\xff\xfe", "mine.yaml", "not UTF-8"),
        (b"{", "mine.json", "mine.json"),
        (b"", "mine.yaml", "mine.yaml"),
        (b"classes: [", "mine.yml", "mine.yml"),
        (b"a: &a [*a]", "mine.yaml", "mine.yaml"),
        (b"x" * (5 << 20), "mine.yaml", "at most 4 MiB"),
    ],
)
def test_a_knowledge_file_that_is_none_is_one_line(client: TestClient, data: bytes, name: str, said: str) -> None:
    told = opened(client, data, name)
    assert told.status_code in (413, 422)
    detail = told.json()["detail"]
    assert said in detail
    assert "\n" not in detail


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The shipped encoder in a folder of its own, under another name."""
    place = shutil.copytree(Path(kpl.encoders.__file__).parent / "mini", tmp_path / "ours")
    card = place / "card.json"
    card.write_text(card.read_text(encoding="utf-8").replace('"name": "mini"', '"name": "ours"'), encoding="utf-8")
    return place


@pytest.mark.parametrize("bundled", [False, True])
def test_encoders_and_knowledge_of_the_operator_are_chosen_by_name(
    copy: Path, tmp_path: Path, serving: Any, cells: dict[str, bytes], *, bundled: bool
) -> None:
    if bundled:
        write_bundle(copy, tmp_path / "carried.kplenc")
        copy = tmp_path / "carried.kplenc"
    (tmp_path / "shapes.yaml").write_text(TEXT, encoding="utf-8")
    client = serving(brought=Brought([copy], [tmp_path / "shapes.yaml"]))
    names = [each["name"] for each in client.get("/api/encoders").json() if each["here"]]
    assert {"ours", "mini"} <= set(names)
    assert (
        client.get("/api/packs").json()[0] | {"own": True, "classes": 2, "descriptions": 3}
        == (client.get("/api/packs").json()[0])
    )
    assert client.get("/api/packs/shapes").json()["task"]["name"] == "shapes"
    assert client.post("/api/sessions", json={"encoder": str(copy)}).status_code == 404, "never by its place"
    address = f"/api/sessions/{client.post('/api/sessions', json={'encoder': 'ours'}).json()['id']}"
    assert client.put(f"{address}/knowledge", json={"pack": "shapes"}).status_code == 200
    client.post(f"{address}/pictures", files=parts(cells))
    assert finish(client, client.post(f"{address}/jobs", json={}).json())["state"] == "done"
    assert str(tmp_path) not in client.get(f"{address}/report.html").text


def test_what_the_operator_names_is_looked_at_before_the_server_starts(copy: Path, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for place in (tmp_path / "shapes.yaml", tmp_path / "a" / "shapes.yaml"):
        place.write_text(TEXT, encoding="utf-8")
    with pytest.raises(InputError, match="same name: shapes"):
        Brought((), [tmp_path / "shapes.yaml", tmp_path / "a" / "shapes.yaml"])
    with pytest.raises(InputError, match="same name: ours"):
        Brought([copy, copy])
    with pytest.raises(EncoderError, match="no folder and no file"):
        Brought([tmp_path / "none.kplenc"])
    with pytest.raises(KnowledgeError, match="no such knowledge file"):
        Brought((), [tmp_path / "none.yaml"])


def test_what_an_installed_package_offers_can_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "theirs_served.py").write_text(PLAIN, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    named = {"of-theirs": "theirs_served:build", "broken": "theirs_served:broken"}
    points = [EntryPoint(name, value, "kpl.encoders") for name, value in named.items()]
    monkeypatch.setattr("kpl.encoders.registry.offered", lambda _group: points)
    listed = {info.name: info.here for info in encoders(Brought())}
    assert listed["of-theirs"]
    assert "broken" not in listed, "what does not work is not offered"
    assert Brought().place("of-theirs") == "of-theirs"
