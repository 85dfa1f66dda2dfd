"""A loaded encoder is tested, compared with golden vectors of the library's own making, and refused with the reason."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.encoders.tiny_models import MODELS

from kpl.encoders import Encoder, load_card, load_encoder
from kpl.encoders.golden import Golden, fixed_pictures, has_golden, make_golden, read_golden, write_golden
from kpl.encoders.registry import describe
from kpl.encoders.selftest import check_golden, self_test
from kpl.errors import EncoderError


class Broken:
    """`mini`, spoilt on its way out."""

    def __init__(self, spoil: Any) -> None:
        self._mini = load_encoder("mini")
        self._spoil = spoil

    def __getattr__(self, name: str) -> Any:
        return getattr(self._mini, name)

    def encode_images(self, pictures: Sequence[NDArray[np.uint8]]) -> Any:
        return self._spoil(self._mini.encode_images(pictures))

    def encode_texts(self, sentences: Sequence[str]) -> Any:
        return self._mini.encode_texts(sentences)


def test_mini_passes() -> None:
    self_test(load_encoder("mini"))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda rows: rows[:, :-1], "not .6, 128. float32"),
        (lambda rows: rows.astype(np.float64), "float64"),
        (lambda rows: rows * np.nan, "not finite"),
        (lambda rows: rows * np.float32(1.1), "unit length"),
        (lambda rows: np.roll(rows, len(rows) // 2, axis=0), "depend on the batch"),
        (lambda rows: np.tile(np.eye(1, 128, dtype=np.float32), (len(rows), 1)), "same features"),
    ],
)
def test_what_breaks_the_contract_is_refused(spoil: Any, words: str) -> None:
    with pytest.raises(EncoderError, match=words):
        self_test(Broken(spoil))


def test_an_encoder_that_counts_wrongly_is_refused() -> None:
    broken = Broken(lambda rows: rows)
    broken.count_tokens = lambda _sentence: 1000
    with pytest.raises(EncoderError, match="tokens in short sentences"):
        self_test(broken)


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    mini, pictures = load_encoder("mini"), fixed_pictures()
    sentences = ("a dark nucleus",)
    write_golden(Golden(pictures, sentences, mini.encode_images(pictures), mini.encode_texts(sentences), {}), tmp_path)
    return tmp_path


def test_golden_vectors_come_back(golden: Path) -> None:
    assert has_golden(golden)
    assert check_golden(load_encoder("mini"), golden) < 1e-5
    read = read_golden(golden)
    for picture, drawn in zip(read.pictures, fixed_pictures(), strict=True):
        np.testing.assert_array_equal(picture, drawn)


def test_other_features_are_refused(golden: Path) -> None:
    with pytest.raises(EncoderError, match="pictures differ from the golden vectors"):
        check_golden(Broken(lambda rows: np.roll(rows, 1, axis=1)), golden)
    with pytest.raises(EncoderError, match=r"golden \(6, 128\)"):
        check_golden(Broken(lambda rows: rows[:, :5]), golden)


def test_damaged_golden_vectors_are_refused(golden: Path) -> None:
    (golden / "golden.safetensors").write_bytes(b"nonsense")
    with pytest.raises(EncoderError, match="cannot be read"):
        check_golden(load_encoder("mini"), golden)


@pytest.mark.torch
def test_no_library_makes_golden_vectors_of_onnx(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="no library"):
        make_golden(tmp_path, load_card("mini"))


@pytest.mark.torch
@pytest.mark.parametrize("kind", sorted(MODELS))
def test_every_kind_passes_against_its_own_library(kind: str, tmp_path: Path) -> None:
    folder = MODELS[kind](tmp_path / kind)
    card = describe(folder)
    (folder / "card.json").write_text(card.model_dump_json(), encoding="utf-8")
    make_golden(folder, card)
    encoder = load_encoder(str(folder), device="cpu")
    self_test(encoder)
    assert check_golden(encoder, folder) < 1e-5


@pytest.mark.torch
def test_golden_vectors_catch_a_wrong_activation_that_nothing_else_knows(tmp_path: Path) -> None:
    folder = MODELS["openclip-vit"](tmp_path / "vit")
    make_golden(folder, describe(folder))
    path = folder / "weights" / "open_clip_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["model_cfg"]["quick_gelu"] = True
    path.write_text(json.dumps(config), encoding="utf-8")
    encoder: Encoder = load_encoder(str(folder), device="cpu")
    self_test(encoder)
    with pytest.raises(EncoderError, match="differ from the golden vectors"):
        check_golden(encoder, folder)
