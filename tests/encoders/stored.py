"""Golden vectors in files: for each kind of loader and adapter the features that its own library gave, once.

The weights are numbers drawn from their names, so that a model is the same whatever version of its library makes it.
What is stored was computed by the library (or, of an adapter, by the stand-in itself), never by KPL:
`python -m tests.encoders.stored` writes it anew, all kinds or those that are named.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from PIL import Image
from tests.encoders import test_adapters, test_kinds, test_layouts, test_loaders, tiny_models
from tests.encoders.tiny_models import SENTENCES, settled

from kpl.encoders.golden import fixed_pictures

FOLDER = Path(__file__).parent / "golden"
Rows = tuple[Any, Any]


@dataclass(frozen=True)
class Made:
    """A model that is there.

    Attributes:
        spec: what names it to `load_encoder`.
        features: what its own library makes of the fixed pictures and sentences, computed when it is asked for.
        options: of `load_encoder`.
    """

    spec: str
    features: Callable[[], Rows]
    options: dict[str, Any] = field(default_factory=dict)


def images() -> list[Image.Image]:
    return [Image.fromarray(each) for each in fixed_pictures()]


def by_library(make: Callable[[Path], Path]) -> Callable[[Path, pytest.MonkeyPatch], Made]:
    def made(folder: Path, _patch: pytest.MonkeyPatch) -> Made:
        place = settled(make(folder / "model"))
        return Made(str(place), lambda: test_loaders.by_the_library(place, images(), list(SENTENCES)))

    return made


def by_forward(make: Callable[[Path], Path]) -> Callable[[Path, pytest.MonkeyPatch], Made]:
    def made(folder: Path, _patch: pytest.MonkeyPatch) -> Made:
        place = settled(make(folder / "model"))
        return Made(str(place), lambda: test_kinds.by_forward(place, list(fixed_pictures()), list(SENTENCES)))

    return made


def siglip_2(folder: Path, _patch: pytest.MonkeyPatch) -> Made:
    """Gemma's tokenizer beside it; its library's own class lowers the letters."""
    place = settled(test_kinds.siglip_2(folder / "model"))

    def features() -> Rows:
        import torch
        from transformers import AutoImageProcessor, AutoModel, Siglip2Tokenizer

        model, tokenizer = AutoModel.from_pretrained(place).eval(), Siglip2Tokenizer.from_pretrained(place)
        tokens = tokenizer(list(SENTENCES), padding="max_length", max_length=64, return_tensors="pt")
        pixels = AutoImageProcessor.from_pretrained(place, backend="pil")(images(), return_tensors="pt")
        with torch.inference_mode():
            whole = model(input_ids=tokens.input_ids, pixel_values=pixels.pixel_values)
        return whole.image_embeds, whole.text_embeds

    return Made(str(place), features)


def own_code(folder: Path, _patch: pytest.MonkeyPatch) -> Made:
    """Code beside the weights that speaks `encode_image` and `encode_text`."""
    place = settled(test_layouts.own_code(folder / "model"))

    def features() -> Rows:
        import torch
        from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

        model = AutoModel.from_pretrained(place, trust_remote_code=True).eval()
        tokenizer = AutoTokenizer.from_pretrained(place, trust_remote_code=True)
        pixels = AutoImageProcessor.from_pretrained(place, backend="pil", trust_remote_code=True)(
            images(), return_tensors="pt"
        ).pixel_values
        rows = [model.encode_text(tokenizer(each, return_tensors="pt").input_ids) for each in SENTENCES]
        return model.encode_image(pixels), torch.cat(rows)

    return Made(str(place), features, {"trust_remote_code": True})


def file_of_weights(folder: Path, patch: pytest.MonkeyPatch) -> Made:
    """One pickle of a trainer's, and the name of its architecture."""
    import open_clip
    import torch

    from kpl.encoders import pull

    patch.setenv("KPL_HOME", str(folder / "home"))
    config = json.loads(json.dumps(open_clip.get_model_config("RN50")))
    config |= {"embed_dim": 16, "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8}}
    config["text_cfg"] |= {"width": 32, "heads": 2, "layers": 1}
    patch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny", config)
    model, _, preprocess = open_clip.create_model_and_transforms("tiny")
    model.load_state_dict(tiny_models.named_numbers(model.state_dict()))
    model.eval()
    state = {f"module.{name}": tensor for name, tensor in model.state_dict().items()}
    torch.save({"epoch": 50, "state_dict": state}, folder / "epoch_50.pt")
    card = pull(str(folder / "epoch_50.pt"), architecture="tiny", allow_pickle=True)
    tokens = open_clip.get_tokenizer("tiny")(list(SENTENCES))
    pixels = torch.stack([preprocess(each) for each in images()])
    return Made(card.name, lambda: (model.encode_image(pixels), model.encode_text(tokens)))


def mini(_folder: Path, _patch: pytest.MonkeyPatch) -> Made:
    """The embedded encoder by ONNX Runtime and Pillow alone, as its card describes it."""
    import onnxruntime
    from tokenizers import Tokenizer

    import kpl.encoders

    place = Path(kpl.encoders.__file__).parent / "mini"
    card = json.loads((place / "card.json").read_text(encoding="utf-8"))

    def features() -> Rows:
        image, text = (onnxruntime.InferenceSession(place / "weights" / f"{name}.onnx") for name in ("image", "text"))
        tokenizer = Tokenizer.from_file(str(place / "weights" / "tokenizer.json"))
        assert (card["resize"], card["interpolation"]) == ("squash", "bicubic")
        small = [each.resize((card["image_size"],) * 2, Image.Resampling.BICUBIC) for each in images()]
        pixels = (np.stack([np.asarray(each) / 255 for each in small]) - card["mean"]) / card["std"]
        rows = []
        for sentence in SENTENCES:
            ids = np.array([tokenizer.encode(sentence).ids])
            rows.append(text.run(None, {"ids": ids, "mask": np.ones_like(ids)})[0])
        return image.run(None, {"image": pixels.transpose(0, 3, 1, 2).astype(np.float32)})[0], np.concatenate(rows)

    return Made("mini", features)


def export(precision: Literal["fp32", "bf16"]) -> Callable[[Path, pytest.MonkeyPatch], Made]:
    """CLIP written as ONNX gives what CLIP itself gives in its own library."""

    def made(folder: Path, _patch: pytest.MonkeyPatch) -> Made:
        from kpl.encoders import load_encoder
        from kpl.encoders.export import export_onnx

        place = settled(tiny_models.clip(folder / "model"))
        encoder = load_encoder(str(place), device="cpu")
        written = export_onnx(encoder, folder / "out", source=place, precision=precision)
        return Made(str(written.folder), lambda: test_loaders.by_the_library(place, images(), list(SENTENCES)))

    return made


def adapter(kind: str) -> Callable[[Path, pytest.MonkeyPatch], Made]:
    def made(folder: Path, patch: pytest.MonkeyPatch) -> Made:
        own = tiny_models.openclip_vit
        patch.setattr(tiny_models, "openclip_vit", lambda place: settled(own(place)))
        rows = test_adapters.KINDS[kind](folder, patch, images())
        code = (test_adapters.EXAMPLES / f"{kind}.py").read_text(encoding="utf-8")
        (folder / f"{kind}.py").write_text(code, encoding="utf-8")
        return Made(f"{folder / kind}.py:build", lambda: rows, {"trust_remote_code": True})

    return made


def entry_point(folder: Path, patch: pytest.MonkeyPatch) -> Made:
    """An adapter that an installed package offers."""
    made = adapter("conch")(folder, patch)
    (folder / "conch.py").rename(folder / "offering.py")
    patch.syspath_prepend(str(folder))
    point = EntryPoint("someones-conch", "offering:build", "kpl.encoders")
    patch.setattr("kpl.encoders.registry.offered", lambda _group: [point])
    return Made("someones-conch", made.features)


KINDS: dict[str, Callable[[Path, pytest.MonkeyPatch], Made]] = {
    **{kind: by_library(make) for kind, make in tiny_models.MODELS.items()},
    "openclip-timm": by_library(tiny_models.openclip_timm),
    **{kind.replace("_", "-"): by_forward(make) for kind, make in test_kinds.KINDS.items()},
    "siglip-2": siglip_2,
    "own-code": own_code,
    "file-of-weights": file_of_weights,
    "mini": mini,
    "onnx-export": export("fp32"),
    "openvino-export": export("bf16"),
    **{f"adapter-{kind.replace('_', '-')}": adapter(kind) for kind in test_adapters.KINDS},
    "adapter-entry-point": entry_point,
}


def unit(rows: Any) -> Any:
    found = np.asarray(rows.detach().numpy() if hasattr(rows, "detach") else rows, np.float64)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def write(kind: str) -> None:
    """Let a kind's own library compute its features, and store them."""
    with tempfile.TemporaryDirectory() as place, pytest.MonkeyPatch.context() as patch:
        rows = [unit(each).round(6).tolist() for each in KINDS[kind](Path(place), patch).features()]
    lines = [",\n  ".join(json.dumps(row) for row in each) for each in rows]
    by = ", ".join(f"{name} {version(name)}" for name in ("torch", "open-clip-torch", "transformers", "onnxruntime"))
    text = f'{{"with": "{by}",\n "pictures": [\n  {lines[0]}],\n "sentences": [\n  {lines[1]}]}}\n'
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{kind}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    for asked in sys.argv[1:] or KINDS:
        write(asked)
