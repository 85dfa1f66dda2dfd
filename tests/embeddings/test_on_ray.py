"""The queue of a cluster, with a stand-in for Ray whose actors die as they are told; .ci/cluster.py has Ray itself."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.stand_in_ray import Ray

from kpl import cluster
from kpl.embeddings import Listed, Making, embed_lots, on_ray
from kpl.errors import EncoderError, InputError, OutputError
from kpl.images import find_pictures


def pictures_of(name: str, given: Any) -> list[str]:
    """Say which pictures a worker is to read."""
    return [record.id for record in given[0].records if record.id not in given[0].left_out] if given else []


@pytest.fixture
def lots(tmp_path: Path) -> Listed:
    (tmp_path / "scans").mkdir()
    rng = np.random.default_rng(0)
    for i in range(11):
        Image.fromarray(rng.integers(0, 256, (9, 7, 3), np.uint8)).save(tmp_path / "scans" / f"{i:02}.png")
    return Listed(find_pictures(tmp_path / "scans").pictures, 4)


@pytest.fixture
def run(lots: Listed, fake_encoder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(on_ray, "load_encoder", lambda _: fake_encoder)

    def embed(deadly: dict[str, int], encoder: Any = None) -> tuple[Ray, Any, list[tuple[int, int]]]:
        ray, told = Ray(pictures_of, deadly).instead(monkeypatch), []
        how = Making(encoder or fake_encoder, batch_size=2)
        try:
            found = on_ray.embed_on_ray(lots, how, tmp_path / "out", "fake", progress=lambda *n: told.append(n))
        finally:
            assert ray.closed
        return ray, found, told

    return embed


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("deadly", [{}, {"05.png": 1}, {"00.png": 1, "10.png": 1}])
def test_the_bytes_are_those_of_one_process_whoever_dies(
    deadly: dict[str, int], run: Any, lots: Listed, fake_encoder: Any, tmp_path: Path
) -> None:
    ray, found, told = run(deadly)
    assert (ray.calls["make"], ray.started, found.reused) == (3, 2 + len(deadly), 0)
    assert told[-1] == (11, 11)
    embed_lots(lots, Making(fake_encoder, batch_size=2), tmp_path / "one")
    assert files(tmp_path / "out") == files(tmp_path / "one")
    assert run({})[1].reused == 11


@pytest.mark.parametrize(
    "poison", [["06.png"], ["04.png", "07.png"], ["08.png", "09.png", "10.png"], ["00.png", "05.png"]]
)
def test_pictures_that_end_their_process_are_found_and_set_aside(poison: list[str], run: Any) -> None:
    _, found, told = run(dict.fromkeys(poison, 99))
    assert [each.id for each in found.set_aside] == poison
    assert {each.reason for each in found.set_aside} == {on_ray._REASON}
    assert found.n == 11 - len(poison)
    assert told[-1] == (11, 11)


def test_a_worker_of_another_version_or_encoder_is_refused(
    run: Any, fake_encoder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(EncoderError, match=r"has fake:\w+, not other:\w+: install the same"):
        run({}, type(fake_encoder)("other"))
    shutil.rmtree(tmp_path / ".out.parts")
    said = iter(["0.2.0", "0.1.0", "0.1.0"])
    monkeypatch.setattr(cluster, "version", lambda _: next(said))
    with pytest.raises(EncoderError, match=r"has KPL 0\.1\.0, not 0\.2\.0: install the same"):
        run({})
    assert not (tmp_path / "out").exists()


def test_what_a_worker_cannot_write_is_told(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OutputError("cannot write 'x': No space left on device")

    monkeypatch.setattr("kpl.embeddings.shards.write_file", full)
    with pytest.raises(OutputError, match=r"on .*: cannot write 'x': No space left on device"):
        run({})


def test_a_worker_that_fails_is_one_line(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise MemoryError("no room for 9 GB\nof what")

    monkeypatch.setattr(on_ray.Worker, "make", fail)
    with pytest.raises(OutputError, match=r"^a worker failed: no room for 9 GB of what$"):
        run({})


@pytest.mark.parametrize(
    ("address", "said"),
    [("head", "write HOST:PORT"), ("127.0.0.1:1", "no head of a cluster answers"), (":1", "HOST:PORT")],
)
def test_a_head_that_is_none_is_one_line(address: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        cluster._connect(address, "this")
