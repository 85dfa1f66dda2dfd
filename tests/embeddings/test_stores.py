"""Features in an object store: the bytes of a folder, whole at every moment; what the store refuses is one line."""

from __future__ import annotations

import builtins
import os
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from PIL import Image
from tests.embeddings.test_on_ray import pictures_of
from tests.stand_in_ray import DeadError, Ray
from typer.testing import CliRunner

from kpl.cli.main import app
from kpl.embeddings import Listed, Making, Part, embed_lots, embed_part, embed_to, join_parts, on_ray, open_features
from kpl.embeddings.stores import Store
from kpl.errors import AlreadyThereError, FeaturesError, InputError, KplError, MissingExtraError, OutputError
from kpl.images import Instance, find_pictures

pytest.importorskip("fsspec")


@pytest.fixture
def pictures(tmp_path: Path) -> list[Instance]:
    folder, rng = tmp_path / "scans", np.random.default_rng(0)
    folder.mkdir()
    for i in range(9):
        Image.fromarray(rng.integers(0, 256, (9, 7, 3), np.uint8)).save(folder / f"{i:02}.png")
        os.utime(folder / f"{i:02}.png", (time.time() - 60,) * 2)
    time.sleep(0.06)
    return find_pictures(folder).pictures


@pytest.fixture
def url() -> str:
    return f"memory://bucket/{uuid4().hex}/feat"


def lots(pictures: list[Instance]) -> Listed:
    return Listed(pictures, 3)


def folder_of(pictures: list[Instance], encoder: Any, out: Path) -> dict[str, bytes]:
    embed_lots(lots(pictures), Making(encoder), out)
    return {path.name: path.read_bytes() for path in out.iterdir()}


def there(url: str) -> dict[str, bytes]:
    store = Store(url)
    return {name: store.read(name) or b"" for name in store.sizes()}


def beside(url: str) -> list[str]:
    store = Store(url)
    return sorted(store._fs.find(store._root.rpartition("/")[0]))


def test_the_bytes_are_those_of_a_folder_and_are_read_again(pictures, fake_encoder, url, tmp_path):
    wanted = folder_of(pictures, fake_encoder, tmp_path / "one")
    fake_encoder.image_batches.clear()
    assert (embed_to(lots(pictures), Making(fake_encoder), url).n, there(url)) == (9, wanted)
    assert [path.rpartition("/")[2] for path in beside(url)] == [".feat.seen", *sorted(wanted)]
    assert embed_to(lots(pictures), Making(fake_encoder), url).reused == 9
    assert sum(fake_encoder.image_batches) == 9
    assert np.array_equal(open_features(url).load(), open_features(tmp_path / "one").load())


def test_any_split_gives_the_same_and_a_part_run_twice_embeds_nothing(pictures, fake_encoder, url, tmp_path):
    wanted = folder_of(pictures, fake_encoder, tmp_path / "one")
    how = Making(fake_encoder)
    assert embed_part(lots(pictures), how, url, Part(1, 2)).missing == 2
    with pytest.raises(FeaturesError, match=r"2 of 3 shards of .* are not there yet \(0, 2\): run --part 0/2 again"):
        join_parts(url)
    assert "index.json" not in there(url)
    embed_part(lots(pictures), how, url, Part(0, 3))
    embed_part(lots(pictures), how, url, Part(2, 3))
    fake_encoder.image_batches.clear()
    assert embed_part(lots(pictures), how, url, Part(0, 1)).reused == 9
    assert (fake_encoder.image_batches, join_parts(url, verify=True).n, there(url)) == ([], 9, wanted)
    with pytest.raises(AlreadyThereError):
        join_parts(url)
    assert embed_part(lots(pictures), how, url, Part(0, 2)).joined


@pytest.fixture
def on_cluster(monkeypatch: pytest.MonkeyPatch, fake_encoder: Any) -> Any:
    """Embed on a stand-in for Ray of two nodes."""
    monkeypatch.setattr(on_ray, "load_encoder", lambda _: fake_encoder)

    def embed(pictures: list[Instance], url: str, *deadly: Any) -> Any:
        ray = Ray(*deadly).instead(monkeypatch)
        try:
            return on_ray.embed_on_ray(lots(pictures), Making(fake_encoder), url, "fake")
        finally:
            assert ray.closed

    return embed


@pytest.mark.parametrize("dies_at", [None, "images-00001.npy", "images-00001.json", ".parts/done/00001.json"])
def test_workers_of_a_cluster_send_their_shards_whoever_dies(
    dies_at, pictures, fake_encoder, url, tmp_path, monkeypatch, on_cluster
):
    wanted, usual, left = folder_of(pictures, fake_encoder, tmp_path / "one"), Store.send, [dies_at]

    def send(store: Store, name: str, data: bytes) -> None:
        if name in left:
            left.remove(name)
            raise DeadError
        usual(store, name, data)

    monkeypatch.setattr(Store, "send", send)
    fake_encoder.image_batches.clear()
    assert (on_cluster(pictures, url).n, there(url)) == (9, wanted)
    embedded = sum(fake_encoder.image_batches)
    assert embedded == 9 if dies_at is None else embedded in (9, 12)
    assert [path.rpartition("/")[2] for path in beside(url)] == [".feat.seen", *sorted(wanted)]
    assert (on_cluster(pictures, url).reused, there(url)) == (9, wanted)
    assert sum(fake_encoder.image_batches) == embedded
    with pytest.raises(OutputError, match=r"4 of them not among these 5"):
        on_cluster(pictures[:5], url)


def test_a_picture_that_ends_its_worker_is_set_aside_in_a_store_too(pictures, url, on_cluster):
    found = on_cluster(pictures, url, pictures_of, {"04.png": 99})
    assert (found.n, [each.id for each in found.set_aside]) == (8, ["04.png"])


@pytest.mark.parametrize(("moment", "call"), [("begin", "cat_file"), ("make", "pipe_file")])
def test_what_a_store_refuses_a_worker_is_one_line(moment, call, pictures, url, on_cluster, monkeypatch):
    from fsspec.implementations.memory import MemoryFileSystem

    def expired(*_: Any, **__: Any) -> None:
        raise PermissionError("The provided token has expired.")

    def spoil(name: str, _: Any) -> list[str]:
        if name == moment:
            monkeypatch.setattr(MemoryFileSystem, call, expired)
        return []

    with pytest.raises(KplError, match=r"^[^\n]*on \S+: 'memory://\S+ cannot be .*: The provided token has[^\n]*$"):
        on_cluster(pictures, url, spoil)
    assert "index.json" not in Store(url).sizes()


def test_more_pictures_embed_only_these(pictures, fake_encoder, url, tmp_path):
    how = Making(fake_encoder)
    embed_to(lots(pictures[:7]), how, url)
    fake_encoder.image_batches.clear()
    assert embed_to(lots(pictures), how, url).reused == 7
    assert sum(fake_encoder.image_batches) == 2
    assert there(url) == folder_of(pictures, fake_encoder, tmp_path / "one")
    with pytest.raises(OutputError, match=r"'memory://.*' holds features of 9 pictures, 4 of them not among these 5"):
        embed_to(lots(pictures[:5]), how, url)
    assert embed_to(lots(pictures[:5]), how, url, overwrite=True).n == 5
    assert there(url) == folder_of(pictures[:5], fake_encoder, tmp_path / "few")


def test_without_what_was_noted_down_contents_are_compared(pictures, fake_encoder, url):
    embed_to(lots(pictures), Making(fake_encoder), url)
    Store(url).remove([".seen"])
    fake_encoder.image_batches.clear()
    assert embed_to(lots(pictures), Making(fake_encoder), url).reused == 9
    assert embed_to(lots(pictures), Making(fake_encoder, verify=True), url).reused == 9
    assert fake_encoder.image_batches == []
    pictures[4].path.write_bytes(pictures[3].path.read_bytes())
    assert embed_to(lots(pictures), Making(fake_encoder), url).reused == 9, "the content is known, so the row is"


def test_stopped_at_any_change_it_is_whole_or_unfinished_and_the_same_command_ends_it(
    pictures, fake_encoder, tmp_path, monkeypatch
):
    """Whoever reads the list finds all that it lists, as it was then."""
    how, new = Making(fake_encoder), folder_of(pictures, fake_encoder, tmp_path / "new")
    rng = np.random.default_rng(1)
    old_pictures = [Instance(each.id, tmp_path / each.id) for each in pictures]
    for each in old_pictures:
        Image.fromarray(rng.integers(0, 256, (9, 7, 3), np.uint8)).save(each.path)
    old = folder_of(old_pictures, fake_encoder, tmp_path / "old")
    for at in range(40):
        url, left = f"memory://bucket/{uuid4().hex}/feat", at
        embed_to(lots(old_pictures), how, url)

        def ending(usual: Any) -> Any:
            def change(*given: Any) -> Any:
                nonlocal left
                if left == 0:
                    raise KeyboardInterrupt
                left -= 1
                return usual(*given)

            return change

        with monkeypatch.context() as patch:
            for name in ("send", "remove", "remove_beside"):
                patch.setattr(Store, name, ending(getattr(Store, name)))
            try:
                embed_to(lots(pictures), how, url, overwrite=True)
                break
            except KeyboardInterrupt:
                held = there(url)
        if "index.json" in held:
            assert held in (old, new)
        embed_to(lots(pictures), how, url, overwrite=True)
        assert there(url) == new
    assert 12 < at < 39


def test_an_object_that_is_missing_or_changed_is_told(pictures, fake_encoder, url):
    how = Making(fake_encoder)
    embed_part(lots(pictures), how, url, Part(0, 1))
    whole = Store(url).read("images-00001.npy")
    Store(url).send("images-00001.npy", whole[:-1] + b"x")
    with pytest.raises(FeaturesError, match=r"shard 1 of .* is not as it was written: run --part 0/1 again"):
        join_parts(url, verify=True)
    Store(url).remove(["images-00001.npy"])
    with pytest.raises(FeaturesError, match=r"shard 1 of .* is not as it was written: run --part 0/1 again"):
        join_parts(url)
    embed_part(lots(pictures), how, url, Part(0, 1))
    join_parts(url)
    Store(url).send("images-00001.npy", whole[:-1] + b"x")
    with pytest.raises(FeaturesError, match="its hash differs"):
        open_features(url)
    Store(url).send("index.json", b"{}")
    with pytest.raises(FeaturesError, match="is damaged or of another version"):
        open_features(url)


def test_what_cannot_be_is_one_line(pictures, url, tmp_path, monkeypatch):
    scans = str(pictures[0].path.parent)
    for given, said in (
        (["s3://bucket/"], "names no folder in a bucket"),
        (["nosuch://bucket/feat"], "no kind of store is called so"),
    ):
        result = CliRunner().invoke(app, ["embed", scans, "--out", *given])
        assert isinstance(result.exception, InputError)
        assert said in str(result.exception)
    with pytest.raises(FeaturesError, match="holds no finished features"):
        open_features(url)
    with pytest.raises(InputError, match=r"no parts of .* are there"):
        join_parts(url)
    usual = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.partition(".")[0] == "fsspec":
            raise ImportError("No module named 'fsspec'")
        return usual(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"\[cloud\]"):
        Store(url)


def test_the_commands_take_an_address(pictures, url, tmp_path, monkeypatch):
    scans, run = str(pictures[0].path.parent), CliRunner()
    for command in (
        ["embed", scans, "--out", url, "--part", "0/1"],
        ["embed", "--join", url],
        ["fit", url, "--knowledge", "blood-cells", "--out", str(tmp_path / "m.kpl")],
        ["classify", url, "--model", str(tmp_path / "m.kpl"), "--out", str(tmp_path / "run")],
    ):
        result = run.invoke(app, command)
        assert result.exit_code == 0, result.output
    assert len((tmp_path / "run" / "predictions.csv").read_text().splitlines()) == 10


class _Expired(BaseHTTPRequestHandler):
    def answer(self) -> None:
        said = b"<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"
        self.send_response(400)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(said)

    do_GET = do_PUT = do_HEAD = do_POST = answer  # noqa: N815 - names of the base

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server of moto with one bucket."""
    from moto.server import ThreadedMotoServer

    for name, value in (("ACCESS_KEY_ID", "a"), ("SECRET_ACCESS_KEY", "b"), ("DEFAULT_REGION", "us-east-1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    address = "http://{}:{}".format(*server.get_host_and_port())
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    forget()
    from s3fs import S3FileSystem

    S3FileSystem().mkdir("bucket")
    yield address
    forget()
    server.stop()


def forget() -> None:
    from s3fs import S3FileSystem

    S3FileSystem.clear_instance_cache()


@pytest.mark.cloud
def test_a_store_that_speaks_as_s3_does(pictures, fake_encoder, s3, tmp_path, monkeypatch, on_cluster):
    how, url = Making(fake_encoder), "s3://bucket/deep/feat"
    wanted = folder_of(pictures, fake_encoder, tmp_path / "one")
    embed_part(lots(pictures), how, url, Part(1, 2))
    embed_part(lots(pictures), how, url, Part(0, 2))
    join_parts(url)
    assert there(url) == wanted
    assert embed_to(lots(pictures), how, url).reused == 9
    assert np.array_equal(open_features(url).load(), open_features(tmp_path / "one").load())
    assert [path.rpartition("/")[2] for path in beside(url)] == [".feat.seen", *sorted(wanted)]
    assert on_cluster(pictures, "s3://bucket/ray").n == 9
    assert (there("s3://bucket/ray"), on_cluster(pictures, "s3://bucket/ray").reused) == (wanted, 9)
    with pytest.raises(OutputError, match="bucket does not exist"):
        embed_to(lots(pictures), how, "s3://none/feat")
    with pytest.raises(OutputError, match="bucket does not exist"):
        on_cluster(pictures, "s3://none/feat")
    server = HTTPServer(("127.0.0.1", 0), _Expired)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    elsewhere = "http://{}:{}".format(*server.server_address[:2])

    def lead_away(name: str, _: Any) -> list[str]:
        """What a worker asks goes elsewhere than what this process asked before."""
        if name == "begin":
            monkeypatch.setenv("AWS_ENDPOINT_URL", elsewhere)
            forget()
        return []

    for said in ("token has expired", "Could not connect to the endpoint"):
        monkeypatch.setenv("AWS_ENDPOINT_URL", s3)
        forget()
        with pytest.raises(KplError, match=rf"^a worker on \S+: 's3://[^\n]*{said}[^\n]*$"):
            on_cluster(pictures, "s3://bucket/more", lead_away)
        with pytest.raises(OutputError, match=said):
            embed_to(lots(pictures), how, url)
        server.shutdown()
        server.server_close()
