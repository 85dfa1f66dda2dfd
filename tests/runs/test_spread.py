"""What workers of a cluster learn, with a stand-in for Ray; .ci/cluster.py has Ray itself."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from tests.runs.conftest import be_every_encoder, tree
from tests.stand_in_ray import Ray

from kpl import cluster
from kpl.embeddings import Listed, Making, embed_lots, embed_to
from kpl.embeddings.stores import Store
from kpl.errors import EncoderError, FeaturesError, InputError, KplError, OutputError
from kpl.images import find_pictures
from kpl.runs import classify, classify_multi_label, fit, spread, update


@pytest.fixture
def world(job: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    be_every_encoder(monkeypatch, job.encoder)
    lots = Listed(find_pictures(job.pictures).pictures, 2)
    embed_lots(lots, Making(job.encoder), job.folder / "features")
    return job


def learn(world: Any, name: str, **changes: Any) -> bytes:
    given = {"knowledge": world.knowledge, "out": world.folder / name, **changes}
    fit(world.folder / "features", **given)
    return Path(world.folder / name).read_bytes()


@pytest.mark.parametrize("deadly", [{}, {"1": 1}])
def test_features_in_a_store_are_brought_by_the_workers_that_hold_them(
    deadly: dict[str, int], world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("fsspec")
    url, alone = f"memory://bucket/{uuid4().hex}/feat", learn(world, "one.kpl")
    embed_to(Listed(find_pictures(world.pictures).pictures, 2), Making(world.encoder), url)
    said = tree(classify(url, model=world.folder / "one.kpl", out=world.folder / "alone").path)
    temporary, fetched = world.folder / "temporary", []
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    usual = Store.fetch

    def fetch(store: Store, names: Any, folder: Path) -> None:
        names = list(names)
        fetched.append(names)
        usual(store, names, folder)

    monkeypatch.setattr(Store, "fetch", fetch)
    ray = Ray(shards_of, deadly).instead(monkeypatch)
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(cluster.os, "chdir", None)  # nodes need not see the folder that this process works in
        fit(url, knowledge=world.knowledge, out=world.folder / "ray.kpl", on="ray")
    assert (world.folder / "ray.kpl").read_bytes() == alone
    assert (len(fetched[0]), {len(each) for each in fetched[1:]}) == (10, {1})
    assert len(fetched[1:]) == 5 or deadly
    assert ray.calls["end"] == 2
    assert len(list(temporary.iterdir())) == 1, "this process's own"
    model = world.folder / "one.kpl"
    assert tree(classify(url, model=model, out=world.folder / "ray", on="ray").path) == said


@pytest.mark.parametrize("name", ["images-00001.npy", "index.json"])
def test_features_in_a_store_that_change_meanwhile_are_told(
    name: str, world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("fsspec")
    url = f"memory://bucket/{uuid4().hex}/feat"
    embed_to(Listed(find_pictures(world.pictures).pictures, 2), Making(world.encoder), url)

    def changed(*_: Any) -> list[str]:
        data = Store(url).read(name) or b""
        other = json.dumps({**json.loads(data), "encoder": "other"}).encode() if name == "index.json" else data[:-1]
        Store(url).send(name, other)
        return []

    ray = Ray(changed).instead(monkeypatch)
    with pytest.raises(KplError, match=r"^[^\n]*on \S+[^\n]*(hash differs|sees another folder as 'mem)[^\n]*$"):
        fit(url, knowledge=world.knowledge, out=world.folder / "ray.kpl", on="ray")
    assert ray.closed


def shards_of(name: str, given: Any) -> list[str]:
    return [str(place) for some in given[3] for place in some] if name == "add_up" else []


@pytest.mark.parametrize(("nodes", "deadly"), [(1, {}), (2, {}), (3, {}), (2, {"1": 1}), (3, {"0": 1, "2": 1})])
def test_a_model_has_the_bytes_of_one_process_whoever_dies(
    nodes: int, deadly: dict[str, int], world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = learn(world, "one.kpl")
    ray = Ray(shards_of, deadly, nodes).instead(monkeypatch)
    assert learn(world, "ray.kpl", on="ray") == alone
    assert (ray.started, ray.closed) == (nodes + sum(deadly.values()), True)
    assert ray.calls["add_up"] >= 4 * min(nodes, 2)


def test_workers_that_die_of_everything_end_the_run(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ray = Ray(shards_of, {"1": 99}).instead(monkeypatch)
    with pytest.raises(OutputError, match="die again and again"):
        learn(world, "ray.kpl", on="ray")
    assert ray.closed
    assert not (world.folder / "ray.kpl").exists()


def test_workers_that_die_as_they_start_end_the_run(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ray = Ray(lambda name, _: [name], {"begin": 99}).instead(monkeypatch)
    with pytest.raises(OutputError, match="dies as soon as it starts: install the same KPL"):
        learn(world, "ray.kpl", on="ray")
    assert ray.closed
    assert ray.started <= 6


_VERSIONS = iter("988")  # of this process, then of its workers


def _damaged(_: Any) -> None:
    raise FeaturesError("row 3 is zero")


def _full(_: Any) -> None:
    raise MemoryError("no room for 9 GB")


@pytest.mark.parametrize(
    ("spoil", "error", "said"),
    [
        (("kpl.cluster.version", lambda _: next(_VERSIONS)), EncoderError, "has KPL 8, not 9"),
        (("kpl.runs.spread.INDEX_NAME", "none.json"), EncoderError, "does not see .*features'"),
        (("kpl.runs.spread.FeatureRows", _damaged), FeaturesError, r"^on \S+: row 3 is zero"),
        (("kpl.runs.spread.FeatureRows", _full), OutputError, r"^a worker failed: no room for 9 GB$"),
    ],
)
def test_what_stands_in_the_way_is_one_line(
    spoil: Any, error: type[KplError], said: str, world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = Ray().instead(monkeypatch)
    with monkeypatch.context() as spoilt:
        spoilt.setattr(*spoil)
        with pytest.raises(error, match=said):
            learn(world, "ray.kpl", on="ray")
    assert ray.closed


def test_what_a_cluster_cannot_learn_is_told(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    Ray().instead(monkeypatch)
    with pytest.raises(InputError, match="embed first"):
        fit(world.pictures, knowledge=world.knowledge, out=world.folder / "ray.kpl", on="ray")
    with pytest.raises(InputError, match="leave out --on, or fit with --method kpl"):
        learn(world, "ray.kpl", on="ray", method="kpl-closed")
    learn(world, "text.kpl", on="ray", method="text")
    with pytest.raises(InputError, match="embed first"):
        update(world.folder / "text.kpl", world.pictures, on="ray")
    with pytest.raises(InputError, match="reads features"):
        classify_multi_label(world.pictures, knowledge=world.knowledge, out=world.folder / "run", on="ray")


@pytest.mark.parametrize("method", ["kpl", "text"])
def test_an_update_has_the_bytes_of_one_process_whoever_dies(
    method: str, world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = find_pictures(world.pictures).pictures
    embed_lots(Listed(found[:4], 2), Making(world.encoder), world.folder / "earlier")
    embed_lots(Listed(found[4:], 2), Making(world.encoder), world.folder / "later")
    given = {"knowledge": world.knowledge, "method": method}
    fit(world.folder / "earlier", out=world.folder / "one.kpl", **given)
    update(world.folder / "one.kpl", world.folder / "later", out=world.folder / "alone.kpl")
    ray = Ray(shards_of, {"1": 1}).instead(monkeypatch)
    fit(world.folder / "earlier", out=world.folder / "ray.kpl", on="ray", **given)
    assert (world.folder / "ray.kpl").read_bytes() == (world.folder / "one.kpl").read_bytes()
    update(world.folder / "ray.kpl", world.folder / "later", on="ray")
    assert (world.folder / "ray.kpl").read_bytes() == (world.folder / "alone.kpl").read_bytes()
    assert ray.calls["add_up"] >= 4


@pytest.mark.parametrize("threshold", [0.6, "auto"])
def test_a_run_of_several_labels_has_the_bytes_of_one_process_whoever_dies(
    threshold: Any, world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"knowledge": world.knowledge, "threshold": threshold}
    alone = tree(classify_multi_label(world.folder / "features", out=world.folder / "alone", **given).path)
    ray = Ray(lambda name, given: [str(given[2])] if name == "answer" else [], {"1": 1}).instead(monkeypatch)
    made = classify_multi_label(world.folder / "features", out=world.folder / "ray", on="ray", **given)
    assert tree(made.path) == alone
    assert ray.calls["answer"] >= 5


def predict(world: Any, name: str, **changes: Any) -> dict[str, bytes]:
    given = {"model": world.folder / "one.kpl", "out": world.folder / name, **changes}
    return tree(classify(world.folder / "features", **given).path)


@pytest.mark.parametrize("deadly", [{}, {"1": 1}, {"0": 2, "2": 1}])
def test_a_run_has_the_bytes_of_one_process_whoever_dies(
    deadly: dict[str, int], world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    learn(world, "one.kpl")
    alone = predict(world, "alone")
    ray = Ray(lambda name, given: [str(given[2])] if name == "answer" else [], deadly).instead(monkeypatch)
    assert predict(world, "ray", on="ray") == alone
    assert ray.closed
    assert len(alone) > 5


def test_a_cluster_that_cannot_predict_leaves_nothing(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    learn(world, "one.kpl")

    def full(*_: Any) -> None:
        raise OutputError("cannot write 'x': No space left on device")

    monkeypatch.setattr("kpl.runs.answers.write_file", full)
    ray = Ray().instead(monkeypatch)
    with pytest.raises(OutputError, match=r"^on \S+: cannot write 'x': No space left on device"):
        predict(world, "ray", on="ray")
    assert ray.closed
    assert not list(world.folder.rglob("*said*"))
    for wrong in ({"model": None, "knowledge": world.knowledge}, {"out": None}):
        with pytest.raises(InputError, match="by a model: kpl embed, kpl fit"):
            predict(world, "ray", on="ray", **wrong)


def test_shards_are_shared_out_by_rows_and_to_the_same_workers_again(world: Any) -> None:
    held = spread.SpreadFeatures.__new__(spread.SpreadFeatures)
    held._ends = np.cumsum([4, 4, 4, 1, 1, 1, 1])
    assert held._split([range(7)], 2) == [[range(2)], [range(2, 7)]]
    assert held._split([range(1, 2), range(5, 6)], 3) == [[], [range(1, 2)], [range(5, 6)]]
    assert held._split([range(1)], 3) == [[], [range(1)], []]


def test_a_head_that_dies_is_one_line_and_ray_is_asked_nothing_more(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[str] = []

    def dies(_: str) -> None:
        raise ConnectionRefusedError

    def at_work(name: str, _: Any) -> list[str]:
        if name == "add_up":
            monkeypatch.setattr(cluster, "_knock", dies)
        return []

    ray = Ray(at_work).instead(monkeypatch)
    monkeypatch.setattr(cluster, "_SILENCE", -1.0)
    monkeypatch.setattr(cluster.atexit, "unregister", lambda what: left.append(what.__name__))
    with pytest.raises(
        OutputError, match=r"^the head of the cluster at 127\.0\.0\.1:6379 answers no more; [^\n]*again$"
    ):
        learn(world, "ray.kpl", on="ray")
    assert (ray.closed, left) == (False, ["shutdown"])
