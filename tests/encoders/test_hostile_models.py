"""Models for torch that somebody made to fill the memory: one line, and the process is as it was."""

from __future__ import annotations

import json
import resource
import sys
import zipfile

import pytest

from kpl.bounded import bounded_memory
from kpl.encoders.files import check_pickle, weight_file
from kpl.encoders.tokenizer_limits import check_words
from kpl.errors import EncoderError

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux bounds the memory of a process so")


@linux
def test_memory_is_bounded_for_a_while_and_as_before_afterwards():
    before = resource.getrlimit(resource.RLIMIT_DATA)
    with bounded_memory(1 << 30):
        assert len(bytearray(256 << 20)) == 256 << 20
        with bounded_memory(64 << 30), pytest.raises(MemoryError):
            bytearray(4 << 30)
    assert resource.getrlimit(resource.RLIMIT_DATA) == before


def test_a_pickle_that_unpacks_to_far_more_is_not_read(tmp_path):
    path = tmp_path / "model.bin"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("archive/data.pkl", b"")
        file.writestr("archive/data/0", bytes(64 << 20))
    for read in (lambda: check_pickle(path), lambda: weight_file(tmp_path, ["model.bin"], allow_pickle=True)):
        with pytest.raises(EncoderError, match="unpack to more"):
            read()
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", b"")
    check_pickle(path)


@pytest.mark.parametrize("name", ["vocab.txt", "merges.txt", "spiece.model", "preprocessor_config.json"])
def test_words_beyond_all_measure_are_not_read(tmp_path, name):
    (tmp_path / "tokenizer.json").write_text(json.dumps({"padding": {"strategy": {"Fixed": 512}}, "model": {}}))
    check_words(tmp_path)
    with (tmp_path / name).open("ab") as file:
        file.truncate((128 << 20) + 1)
    with pytest.raises(EncoderError, match=f"{name}: it has more than 128 MiB"):
        check_words(tmp_path)


@pytest.mark.torch
@linux
@pytest.mark.parametrize(
    ("kind", "file", "place", "value"),
    [
        ("openclip_vit", "open_clip_config.json", ("model_cfg", "text_cfg", "vocab_size"), 1 << 27),
        ("openclip_vit", "open_clip_config.json", ("model_cfg", "vision_cfg", "width"), 1 << 15),
        ("clip", "config.json", ("text_config", "vocab_size"), 1 << 27),
        ("clip", "config.json", ("vision_config", "hidden_size"), 1 << 15),
    ],
)
def test_a_configuration_cannot_ask_for_all_memory(kind, file, place, value, tmp_path):
    from tests.encoders import tiny_models

    from kpl.encoders import load_encoder

    folder = getattr(tiny_models, kind)(tmp_path)
    path = next(folder.rglob(file))
    told = json.loads(path.read_text())
    inner = told
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = value
    path.write_text(json.dumps(told))
    before = resource.getrlimit(resource.RLIMIT_DATA)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(EncoderError) as said:
        load_encoder(str(folder), device="cpu")
    assert "\n" not in str(said.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < 5 << 20
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
