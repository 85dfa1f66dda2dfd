"""Encoders that somebody made to do harm: bundles that unpack to far more, graphs and tokenizers that reach further."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import random
import shutil
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from kpl.encoders import load_encoder, registry
from kpl.encoders.bundles import SUMS, read_bundle, sum_files, unpacked, write_bundle
from kpl.encoders.onnx_files import external_files
from kpl.encoders.store import read_card
from kpl.errors import EncoderError, KplError

MINI = Path(registry.__file__).parent / "mini"
TRIES = int(os.environ.get("KPL_FUZZ", "40"))


def field(number: int, content: bytes) -> bytes:
    """One field of a protocol buffer, with a length."""
    size, head = (
        len(content),
        bytearray([number << 3 | 2]) if number < 16 else bytearray([(number << 3 | 2) & 127 | 128, 1]),
    )
    while size > 127:
        head.append(size & 127 | 128)
        size >>= 7
    return bytes([*head, size]) + content


def graph_with(location: str) -> bytes:
    """A model of one initializer that lies in another file."""
    entry = field(1, b"location") + field(2, location.encode())
    tensor = field(8, b"weights") + field(13, entry)
    return field(7, field(5, tensor))


@pytest.fixture
def mini(tmp_path: Path) -> Path:
    """A copy of the embedded encoder that may be changed."""
    return Path(shutil.copytree(MINI, tmp_path / "mini"))


def changed(folder: Path, name: str, content: bytes) -> Path:
    """Change a file of an encoder and say so in its card."""
    (folder / name).write_bytes(content)
    card = json.loads((folder / "card.json").read_text())
    card["files"][name] = hashlib.sha256(content).hexdigest()
    (folder / "card.json").write_text(json.dumps(card))
    return folder


@pytest.mark.parametrize("location", ["../../outside", "/etc/passwd", "beside.bin", "a/../../b", "\x1b[31m"])
def test_a_graph_reads_no_weights_that_its_card_does_not_name(mini, location):
    (mini / "weights" / "beside.bin").write_bytes(bytes(64))
    with pytest.raises(EncoderError, match="which its card does not name"):
        load_encoder(str(changed(mini, "weights/image.onnx", graph_with(location))))


def test_weights_are_found_wherever_a_graph_can_have_them(tmp_path):
    entry = field(13, field(1, b"location") + field(2, b"w"))
    inner = field(5, field(6, field(5, entry)))  # a node's attribute that is a graph
    for graph in (field(5, entry), field(15, field(1, entry)), field(1, field(5, field(5, entry))), field(1, inner)):
        (tmp_path / "x.onnx").write_bytes(field(7, graph))
        assert external_files(tmp_path / "x.onnx") == {"w"}
    (tmp_path / "x.onnx").write_bytes(field(25, field(7, field(5, field(5, entry)))))
    assert external_files(tmp_path / "x.onnx") == {"w"}
    assert external_files(MINI / "weights" / "image.onnx") == set()


def test_a_graph_nested_without_end_is_no_crash(mini):
    content = b""
    for _ in range(3000):
        content = field(1, field(5, field(6, content)))
    with pytest.raises(EncoderError, match="nested too deeply"):
        load_encoder(str(changed(mini, "weights/image.onnx", field(7, content))))


@pytest.mark.parametrize(
    "padding",
    [{"strategy": {"Fixed": 10**12}}, {"strategy": "BatchLongest", "pad_to_multiple_of": 10**9}],
)
def test_a_tokenizer_cannot_ask_for_all_memory(mini, padding):
    told = json.loads((mini / "weights" / "tokenizer.json").read_text())
    told["padding"] = {"direction": "Right", "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]", **padding}
    with pytest.raises(EncoderError, match="pads to"):
        load_encoder(str(changed(mini, "weights/tokenizer.json", json.dumps(told).encode())))


@pytest.mark.parametrize("content", [b"", b"[]", b"[" * 100_000, b'{"model": null}', b"\xff\xfe"])
@pytest.mark.parametrize("name", ["weights/tokenizer.json", "weights/text.onnx"])
def test_what_is_no_tokenizer_and_no_graph_is_refused_in_a_line(mini, name, content):
    with pytest.raises(EncoderError, match="cannot be loaded") as told:
        load_encoder(str(changed(mini, name, content)))
    assert "\n" not in str(told.value)


def test_towers_that_are_exchanged_are_refused(mini):
    with pytest.raises(EncoderError, match="a tower takes"):
        load_encoder(str(changed(mini, "weights/image.onnx", (mini / "weights" / "text.onnx").read_bytes())))


@pytest.mark.parametrize("name", ["../outside", "/dev/zero", "weights/../../x", "C:x", "a\\b", "a\0b", ""])
def test_a_card_names_no_file_outside_its_folder(mini, name):
    card = json.loads((mini / "card.json").read_text())
    card["files"][name] = "0" * 64
    (mini / "card.json").write_text(json.dumps(card))
    with pytest.raises(EncoderError, match="leads out of the encoder's folder"):
        read_card(mini)


@pytest.mark.parametrize(
    "change",
    [{"dim": -1}, {"dim": 10**30}, {"std": [0, 1, 1]}, {"loader": "pickle"}, {"more": 1}],
)
def test_a_changed_card_is_refused(mini, change):
    card = json.loads((mini / "card.json").read_text()) | change
    (mini / "card.json").write_text(json.dumps(card))
    with pytest.raises(EncoderError):
        load_encoder(str(mini)).encode_texts(["a cell"])


def test_a_card_of_any_length_and_a_pipe_are_not_read(mini, tmp_path):
    (mini / "card.json").write_bytes(b" " * (17 << 20))
    with pytest.raises(EncoderError, match="longer than"):
        read_card(mini)
    if hasattr(os, "mkfifo"):
        shutil.copyfile(MINI / "card.json", mini / "card.json")
        (mini / "weights" / "text.onnx").unlink()
        os.mkfifo(mini / "weights" / "text.onnx")
        with pytest.raises(EncoderError, match="is no file"):
            load_encoder(str(mini))


def compressed(path: Path, size: int) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bundle:
        bundle.writestr("card.json", "{}")
        with bundle.open(SUMS, "w") as file:
            for _ in range(size >> 20):
                file.write(bytes(1 << 20))
    return path


def test_a_list_that_unpacks_to_much_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setenv("KPL_HOME", str(tmp_path / "home"))
    path = compressed(tmp_path / "x.kplenc", 200 << 20)
    tracemalloc.start()
    try:
        for read in (unpacked, lambda path: read_bundle(path, tmp_path / "in")):
            with pytest.raises(EncoderError, match="compressed"):
                read(path)
        assert tracemalloc.get_traced_memory()[1] < 20 << 20
    finally:
        tracemalloc.stop()
    (tmp_path / SUMS).write_bytes(bytes(5 << 20))
    with pytest.raises(EncoderError, match="no list of hashes"):
        sum_files(tmp_path)


def test_files_that_share_their_bytes_are_no_bundle(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.kplenc", "w") as bundle:
        bundle.writestr("card.json", bytes(10_000))
        bundle.writestr(SUMS, f"{'0' * 64}  card.json\n")
        for number in range(50):
            again = copy.copy(bundle.getinfo("card.json"))
            again.filename = f"card-{number}.json"
            bundle.filelist.append(again)
    with pytest.raises(EncoderError, match="more than its own size"):
        read_bundle(tmp_path / "x.kplenc", tmp_path / "in")


def test_a_damaged_bundle_is_refused_and_nothing_else_happens(tmp_path, monkeypatch):
    """Whatever is changed in it: the encoder, or one line that says why not."""
    monkeypatch.setenv("KPL_HOME", str(tmp_path / "home"))
    whole = tmp_path / "whole.kplenc"
    write_bundle(MINI, whole)
    data, rng = whole.read_bytes(), random.Random(7)  # noqa: S311 - the same damage every time
    heads = [at for at in range(len(data) - 4) if data[at : at + 2] == b"PK"]
    refused = 0
    for number in range(TRIES):
        bad = bytearray(data)
        for _ in range(rng.randint(1, 4)):
            at = min(len(bad) - 1, max(0, rng.choice([*heads, len(bad) - 30]) + rng.randint(-40, 60)))
            bad[at] = rng.randrange(256)
        if number % 5 == 0:
            del bad[rng.randrange(len(bad)) :]
        path = tmp_path / "bad.kplenc"
        path.write_bytes(bad)
        try:
            read_card(unpacked(path))
        except KplError:
            refused += 1
        shutil.rmtree(tmp_path / "home", ignore_errors=True)
    assert refused > TRIES // 2
