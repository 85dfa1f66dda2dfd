"""Exporting small models of every kind, and reading them without torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.encoders.test_kinds import siglip_2_by_openclip
from tests.encoders.tiny_models import MODELS

import kpl.encoders.export as export_module
from kpl.encoders import check_encoder, load_encoder
from kpl.encoders.export import SENTENCES, Parity, export_onnx
from kpl.encoders.golden import make_golden
from kpl.encoders.registry import describe
from kpl.encoders.store import write_card
from kpl.errors import EncoderError, OutputError

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore")]
PICTURES = [np.random.default_rng(k).integers(0, 256, (40 + k, 50, 3), np.uint8) for k in range(11)]


@pytest.mark.parametrize("kind", sorted(MODELS))
def test_every_kind_of_model_is_the_same_without_torch(kind: str, tmp_path: Path) -> None:
    folder = MODELS[kind](tmp_path / "model")
    (folder / "LICENSE").write_text("terms")
    encoder = load_encoder(str(folder), device="cpu")
    made = export_onnx(encoder, tmp_path / "out", source=folder)
    assert [p.tower for p in made.parity] == ["image", "text"]
    assert all(p.least > 0.9999 for p in made.parity)
    assert (tmp_path / "out" / "LICENSE").read_text() == "terms"
    found = load_encoder(str(made.folder))
    assert found.card.loader == "onnx"
    np.testing.assert_allclose(found.encode_images(PICTURES), encoder.encode_images(PICTURES), atol=1e-5)
    for sentence in filter(lambda s: encoder.count_tokens(s) <= encoder.context_length, SENTENCES):
        assert found.count_tokens(sentence) == encoder.count_tokens(sentence)
        np.testing.assert_allclose(found.encode_texts([sentence]), encoder.encode_texts([sentence]), atol=1e-5)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "out"]


def test_what_is_done_to_a_sentence_before_its_tokenizer_is_exported(tmp_path: Path) -> None:
    encoder = load_encoder(str(siglip_2_by_openclip(tmp_path / "model", "canonicalize")), device="cpu")
    found = load_encoder(str(export_onnx(encoder, tmp_path / "out").folder))
    many = ["An MRI,  of the Brain.", "an mri of the brain", "a na\u00efve_T-cell \u201cx\u201d (2 cm)", *SENTENCES[:2]]
    many = [sentence for sentence in many if encoder.count_tokens(sentence) <= encoder.context_length]
    together = found.encode_texts(many)
    np.testing.assert_allclose(together, encoder.encode_texts(many), atol=1e-5)
    np.testing.assert_array_equal(together, np.concatenate([found.encode_texts([sentence]) for sentence in many]))


def test_eight_bits_by_command(tmp_path: Path) -> None:
    folder = MODELS["clip"](tmp_path / "model")
    card = describe(folder)
    write_card(folder, card)
    make_golden(folder, card)
    command = [
        sys.executable,
        "-c",
        "from kpl.cli import main; main()",
        "encoders",
        "export",
        str(folder),
        "--onnx",
        "--int8",
        "-o",
    ]
    done = subprocess.run([*command, str(tmp_path / "out")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "image tower, int8: mean cosine 0.99" in done.stdout
    whole = [load_encoder(str(folder), device="cpu"), load_encoder(str(tmp_path / "out"))]
    rows = [encoder.encode_images(PICTURES) for encoder in whole]
    assert 0.99 < float((rows[0] * rows[1]).sum(axis=1).mean()) < 1 - 1e-7
    checked = check_encoder(str(tmp_path / "out"))  # against the golden vectors of the original
    assert checked.hashed == 3
    assert checked.golden is not None
    assert 1e-7 < checked.golden <= checked.card.tolerance < 0.5


def test_an_export_that_is_not_close_enough_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = load_encoder(str(MODELS["clip"](tmp_path / "model")), device="cpu")

    def far(tower: str, precision: str, *_: Any) -> Parity:
        return Parity(tower, precision, 0.98, 0.9, 3)

    monkeypatch.setattr(export_module, "_measure", far)
    with pytest.raises(EncoderError, match=r"mean cosine 0\.980000.*at least 0\.9999 is needed"):
        export_onnx(encoder, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]


def test_what_cannot_be_exported_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="only an encoder of the loaders openclip and transformers"):
        export_onnx(load_encoder("mini"), tmp_path / "out")
    encoder = load_encoder(str(MODELS["clip"](tmp_path / "model")), device="cpu")
    (tmp_path / "out").mkdir()
    with pytest.raises(OutputError, match="exists"):
        export_onnx(encoder, tmp_path / "out")
