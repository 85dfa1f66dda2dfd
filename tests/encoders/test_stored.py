"""Every kind of loader and adapter gives the stored features, which its own library computed (see `stored.py`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from tests.encoders.test_openvino import need_bfloat16
from tests.encoders.tiny_models import SENTENCES

from kpl.encoders import load_encoder
from kpl.encoders.golden import fixed_pictures
from kpl.encoders.protocol import LoaderName

GOLDEN = Path(__file__).parent / "golden"
LOADERS = {"mini": "onnx", "onnx-export": "onnx", "openvino-export": "openvino", "file-of-weights": "openclip"}
ROUNDED = {  # of pictures, and of sentences
    "tipsv2": (5e-3, 1e-4),  # its library resizes by torchvision alone
    "openvino-export": (1e-2, 1e-2),  # bfloat16 has eight bits
}


def loader_of(kind: str) -> str:
    given = LOADERS.get(kind) or next((name for name in ("openclip", "adapter") if kind.startswith(name)), None)
    return given or "transformers"


@pytest.mark.torch
@pytest.mark.parametrize("kind", sorted(path.stem for path in GOLDEN.glob("*.json")))
def test_features_are_the_stored_ones(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.encoders.stored import KINDS

    stored = json.loads((GOLDEN / f"{kind}.json").read_text(encoding="utf-8"))
    if kind == "openvino-export":
        need_bfloat16()
    made = KINDS[kind](tmp_path, monkeypatch)
    encoder = load_encoder(made.spec, device="cpu", **made.options)
    assert encoder.card.loader == loader_of(kind)
    allowed = ROUNDED.get(kind, (1e-4, 1e-4))
    np.testing.assert_allclose(encoder.encode_images(fixed_pictures()), stored["pictures"], atol=allowed[0])
    np.testing.assert_allclose(encoder.encode_texts(SENTENCES), stored["sentences"], atol=allowed[1])


@pytest.mark.torch
def test_every_kind_has_a_file() -> None:
    from tests.encoders.stored import KINDS

    assert {path.stem for path in GOLDEN.glob("*.json")} == set(KINDS)
    assert {loader_of(kind) for kind in KINDS} == set(get_args(LoaderName))
