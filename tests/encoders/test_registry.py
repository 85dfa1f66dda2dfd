"""Encoders are found by name, checked by hash, and damaged ones are refused with the mend."""

import json
import shutil
from pathlib import Path

import pytest

from kpl.encoders import Encoder, encoder_names, load_card, load_encoder, registry
from kpl.errors import EncoderError, UnknownNameError

SHIPPED = Path(registry.__file__).parent


@pytest.fixture
def copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of encoders with a copy of `mini` that a test may damage."""
    shutil.copytree(SHIPPED / "mini", tmp_path / "mini")
    monkeypatch.setattr(registry, "_SHIPPED", tmp_path)
    return tmp_path / "mini"


def test_mini_is_there_and_keeps_the_protocol() -> None:
    assert "mini" in encoder_names()
    encoder = load_encoder("mini")
    assert isinstance(encoder, Encoder)
    assert encoder.card == load_card("mini")
    assert encoder.logit_bias == 0
    assert 0 < encoder.logit_scale <= 100
    assert encoder.context_length == encoder.card.context_length


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'mini'"):
        load_encoder("minny")


def test_a_card_that_cannot_be_read_is_named(copies: Path) -> None:
    (copies / "card.json").write_text("{}", encoding="utf-8")
    with pytest.raises(EncoderError, match=r"card\.json"):
        load_card("mini")


@pytest.mark.parametrize("name", ["weights/image.onnx", "weights/text.onnx", "weights/tokenizer.json"])
def test_a_changed_file_is_refused(copies: Path, name: str) -> None:
    with (copies / name).open("ab") as file:
        file.write(b" ")
    with pytest.raises(EncoderError, match="its card says"):
        load_encoder("mini")


def test_a_missing_file_is_refused(copies: Path) -> None:
    (copies / "weights/text.onnx").unlink()
    with pytest.raises(EncoderError, match=r"text\.onnx"):
        load_encoder("mini")


def change_card(folder: Path, **changes: object) -> None:
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    (folder / "card.json").write_text(json.dumps(card | changes), encoding="utf-8")


def test_an_unknown_loader_is_refused(copies: Path) -> None:
    change_card(copies, loader="magic")
    with pytest.raises(
        EncoderError, match=r"not a readable encoder card.*'onnx', 'openvino', 'openclip', 'transformers' or 'adapter'"
    ):
        load_encoder("mini")


def test_a_card_without_a_needed_file_is_refused(copies: Path) -> None:
    change_card(copies, files={"weights/text.onnx": load_card("mini").files["weights/text.onnx"]})
    with pytest.raises(EncoderError, match=r"names no file 'weights/image\.onnx'"):
        load_encoder("mini")


def test_a_file_that_is_no_network_is_refused(copies: Path) -> None:
    import hashlib

    (copies / "weights/image.onnx").write_bytes(b"nonsense")
    files = dict(load_card("mini").files) | {"weights/image.onnx": hashlib.sha256(b"nonsense").hexdigest()}
    change_card(copies, files=files)
    with pytest.raises(EncoderError, match="cannot be loaded"):
        load_encoder("mini")
