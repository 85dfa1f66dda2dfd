"""Exports that compute in bfloat16: close to the original, the same in every batch, refused where they cannot be."""

from __future__ import annotations

import json
import os
import shutil
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from tests.encoders.test_hostile_encoders import changed, filling
from tests.encoders.tiny_models import MODELS

import kpl.encoders.openvino as module
from kpl.embeddings.encoding import card_identity
from kpl.encoders import check_encoder, load_card, load_encoder, registry
from kpl.encoders.export import export_onnx
from kpl.encoders.golden import fixed_pictures, make_golden
from kpl.encoders.registry import describe
from kpl.encoders.store import write_card
from kpl.errors import EncoderError, InputError, MissingExtraError

PICTURES = [np.random.default_rng(k).integers(0, 256, (40 + k, 50, 3), np.uint8) for k in range(11)]
SENTENCES = ["a large cell", "a cell", "a small cell with a folded nucleus"]


@pytest.fixture
def mini(tmp_path: Path) -> Path:
    """The embedded encoder, asked to compute in bfloat16."""
    folder = Path(shutil.copytree(Path(registry.__file__).parent / "mini", tmp_path / "mini"))
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps(card | {"loader": "openvino"}))
    return folder


@pytest.fixture
def bfloat16() -> None:
    need_bfloat16()


def need_bfloat16() -> None:
    """Skip where the library is absent and may be, or the processor has no such numbers."""
    try:
        module.require_bfloat16("this test")
    except MissingExtraError as error:
        (pytest.fail if os.environ.get("KPL_REQUIRE_EXTRAS") == "1" else pytest.skip)(f"not installed: {error}")
    except EncoderError as error:
        pytest.skip(str(error))


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("bfloat16")
@pytest.mark.parametrize("kind", sorted(MODELS))
def test_every_kind_of_model_is_close_and_the_same_in_every_batch(kind: str, tmp_path: Path) -> None:
    folder = MODELS[kind](tmp_path / "model")
    write_card(folder, describe(folder))
    make_golden(folder, load_card(str(folder)))
    encoder = load_encoder(str(folder), device="cpu")
    made = export_onnx(encoder, tmp_path / "out", source=folder, precision="bf16")
    assert all(0.9999 < tower.mean < 1 - 1e-7 for tower in made.parity)
    found = load_encoder(made.folder)
    rows = found.encode_images(PICTURES)
    assert 1e-7 < np.abs(rows - encoder.encode_images(PICTURES)).max() < 0.05
    np.testing.assert_array_equal(rows, np.concatenate([found.encode_images([picture]) for picture in PICTURES]))
    texts = found.encode_texts(SENTENCES)
    np.testing.assert_array_equal(texts, found.encode_texts(SENTENCES[::-1])[::-1])
    checked = check_encoder(str(made.folder))  # against the golden vectors of the original
    assert checked.golden is not None
    assert 1e-7 < checked.golden < 0.05


@pytest.mark.torch
@pytest.mark.usefixtures("bfloat16")
@pytest.mark.parametrize("tower", ["image", "text"])
def test_a_small_graph_cannot_fill_the_memory(mini: Path, tower: str) -> None:
    def encode(*shape: int) -> np.ndarray:
        graph = filling("image" if tower == "image" else "ids", *shape)
        encoder = load_encoder(str(changed(mini, f"weights/{tower}.onnx", graph)))
        return encoder.encode_images(fixed_pictures()[:1]) if tower == "image" else encoder.encode_texts(["a cell"])

    for shape in ((1 << 30, 1 << 30), (1 << 20, 1 << 16)):
        with pytest.raises(EncoderError, match="does not fit into half of the memory"):
            encode(*shape)


def test_its_features_are_other_features(mini: Path) -> None:
    assert card_identity(load_card(str(mini))) != card_identity(load_card("mini"))


def test_what_it_needs_is_said_in_one_line(mini: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="leave --device cuda out"):
        load_encoder(str(mini), device="cuda")
    told = {"OPTIMIZATION_CAPABILITIES": ["FP32"], "FULL_DEVICE_NAME": "An old one "}
    core = types.SimpleNamespace(get_property=lambda _, name: told[name])
    monkeypatch.setattr(module, "_library", lambda: types.SimpleNamespace(Core=lambda: core))
    with pytest.raises(EncoderError, match=r"encoder 'mini': the processor, An old one, has no bfloat16"):
        load_encoder(str(mini))
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingExtraError, match=r"encoder 'mini' needs .*\[openvino\]"):
        load_encoder(str(mini))
