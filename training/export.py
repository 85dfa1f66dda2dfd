"""Write a trained run as the shipped encoder: two ONNX towers with fp16 weights, tokenizer, card."""

from __future__ import annotations

import argparse
import hashlib
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from pools import WORK
from towers import DIM, SHARE, ImageTower, TextTower
from views import FIELD, MEAN, STD
from words import CONTEXT

TARGET = Path(__file__).parents[1] / "src/kpl/encoders/mini"
CARD = Path(__file__).parent / "card.json"


def fuse(module: nn.Module) -> nn.Module:
    """Fold every batch normalisation into the convolution before it."""
    names = [name for name, _ in module.named_children()]
    for name, following in pairwise([*names, ""]):
        child = getattr(module, name)
        if isinstance(child, nn.Conv2d) and following and isinstance(getattr(module, following), nn.BatchNorm2d):
            setattr(module, name, fuse_conv_bn_eval(child, getattr(module, following)))
            setattr(module, following, nn.Identity())
        else:
            fuse(child)
    return module


def halve_weights(path: Path) -> None:
    """Store the weights as fp16; a Cast beside each gives fp32 back, which the runtime folds when it loads."""
    model = onnx.load(str(path))
    casts, kept = [], []
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < 32:
            kept.append(tensor)
            continue
        half = numpy_helper.from_array(values.astype(np.float16), tensor.name + "_half")
        kept.append(half)
        casts.append(helper.make_node("Cast", [half.name], [tensor.name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    del model.graph.value_info[:]
    del model.metadata_props[:]
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def _export(module: nn.Module, inputs: tuple[Tensor, ...], names: list[str], path: Path) -> None:
    axes: dict[str, Any] = {name: {0: "n", **({1: "length"} if name != "image" else {})} for name in names}
    torch.onnx.export(
        module, inputs, str(path), input_names=names, output_names=["rows"], dynamic_axes=axes | {"rows": {0: "n"}},
        opset_version=17, dynamo=False,
    )  # fmt: skip
    halve_weights(path)


def load_towers(folder: Path) -> tuple[ImageTower, TextTower, Tokenizer, float]:
    """The towers of a run, ready to use, its tokenizer and its logit scale."""
    state = torch.load(folder / "towers.pt", weights_only=True)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    image, text = ImageTower(), TextTower(tokenizer.get_vocab_size())
    image.load_state_dict(state["image"])
    text.load_state_dict(state["text"])
    return image.eval(), text.eval(), tokenizer, float((state["scale"].exp() / SHARE).clamp(max=100.0))


def export(folder: Path, target: Path) -> None:
    """Write card.json of a run to `target` and image.onnx, text.onnx and tokenizer.json to its folder `weights`."""
    image, text, tokenizer, scale = load_towers(folder)
    weights = target / "weights"
    weights.mkdir(parents=True, exist_ok=True)
    fuse(image)
    _export(image, (torch.zeros(2, 3, FIELD, FIELD),), ["image"], weights / "image.onnx")
    ids = torch.ones(2, 7, dtype=torch.int64)
    _export(text, (ids, torch.ones_like(ids)), ["ids", "mask"], weights / "text.onnx")
    tokenizer.save(str(weights / "tokenizer.json"), pretty=False)
    files = ("weights/image.onnx", "weights/text.onnx", "weights/tokenizer.json")
    card = json.loads(CARD.read_text(encoding="utf-8")) | {
        "files": {name: hashlib.sha256((target / name).read_bytes()).hexdigest() for name in files},
        "dim": DIM,
        "context_length": CONTEXT,
        "image_size": FIELD,
        "mean": MEAN,
        "std": STD,
        "logit_scale": round(scale, 3),
    }
    (target / "card.json").write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    sizes = {name: (target / name).stat().st_size for name in files}
    print(f"{target}: {sizes}, together {sum(sizes.values()) / 1e6:.2f} MB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", default="seed0", help="run under training/work")
    parser.add_argument("--target", type=Path, default=TARGET)
    arguments = parser.parse_args()
    export(WORK / arguments.name, arguments.target)
