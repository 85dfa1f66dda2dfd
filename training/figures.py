"""Accuracy of trained towers on real pictures, with descriptions composed of wordings kept out of training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from tokenizers import Tokenizer

from captions import Bank, load_bank
from controls import invented_bank
from kpl.knowledge import load_knowledge
from kpl.methods import make_method
from labels import KINDS
from pools import load_pictures, validation_rows
from towers import ImageTower, TextTower
from views import FIELD, standardise
from wordings import descriptions

if TYPE_CHECKING:
    from train import Plan

__all__ = ["encode_pictures", "encode_sentences", "measure_towers"]

Floats = NDArray[np.float32]
SECOND_AUTHOR = Path(__file__).parents[1] / "benchmarks/knowledge/blood-cells-second-author.yaml"


def encode_pictures(tower: ImageTower, pictures: list[NDArray[np.uint8]]) -> Floats:
    """Unit rows (n, d) of pictures, prepared as the shipped encoder does."""
    tower.eval()
    rows = []
    for start in range(0, len(pictures), 100):
        small = [
            np.asarray(Image.fromarray(p).resize((FIELD, FIELD), Image.Resampling.BICUBIC))
            for p in pictures[start : start + 100]
        ]
        x = standardise(torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2).float() / 255)
        with torch.no_grad():
            rows.append(tower(x.contiguous(memory_format=torch.channels_last)).float().numpy())
    return np.concatenate(rows)


def encode_sentences(tower: TextTower, tokenizer: Tokenizer, sentences: list[str]) -> Floats:
    """Unit rows (m, d) of sentences."""
    tower.eval()
    rows = [encoding.ids[:64] or [1] for encoding in tokenizer.encode_batch(sentences)]
    length = max(map(len, rows))
    ids = torch.tensor([row + [0] * (length - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (length - len(row)) for row in rows])
    with torch.no_grad():
        return np.asarray(tower(ids, mask).numpy(), dtype=np.float32)


def _unit(x: Floats) -> Floats:
    return np.asarray(x / np.linalg.norm(x, axis=-1, keepdims=True), dtype=np.float32)


def _by_wording(
    x: Floats, y: NDArray[np.int64], tower: TextTower, tokenizer: Tokenizer, bank: Bank, classes: list[int]
) -> dict[str, float]:
    """Accuracy among `classes`: one description a class, and the mean of twenty."""
    inside = np.isin(y, classes)
    x, y = x[inside], np.searchsorted(classes, y[inside])
    single, many = [], []
    for draw in range(5):
        texts = descriptions(bank, np.random.default_rng([draw, 1]), 20)
        flat = encode_sentences(tower, tokenizer, [s for k in classes for s in texts[k]])
        features = flat.reshape(len(classes), 20, -1)
        many.append(float((np.argmax(x @ _unit(features.mean(1)).T, 1) == y).mean()))
        single += [float((np.argmax(x @ features[:, j].T, 1) == y).mean()) for j in range(20)]
    return {"one_sentence": float(np.mean(single)), "twenty_sentences": float(np.mean(many))}


def _second_author(x: Floats, truth: NDArray[np.int64], tower: TextTower, tokenizer: Tokenizer) -> dict[str, float]:
    """Accuracy with somebody else's descriptions of the eight kinds, and with their bare names."""
    base = load_knowledge(SECOND_AUTHOR)
    found_at = [base.resolve("immature granulocyte" if kind == "ig" else kind) for kind in KINDS]
    places = [c for c in found_at if c is not None]
    prompts, names = base.prompts(), base.name_prompts()
    texts = [encode_sentences(tower, tokenizer, prompts[c]) for c in places]
    found = {name: float((make_method(name).fit(x, texts).predict(x) == truth).mean()) for name in ("cupl", "kpl")}
    scores = x @ encode_sentences(tower, tokenizer, [names[c] for c in places]).T
    scores += 1e-6 * np.random.default_rng(0).random(scores.shape)  # names that read the same share at random
    return {"names": float((scores.argmax(axis=1) == truth).mean()), **found}


def _ridge_probe(x: Floats, y: NDArray[np.int64], tests: Floats, truth: NDArray[np.int64]) -> float:
    design = np.c_[x, np.ones(len(x))].astype(np.float64)
    weights = np.linalg.solve(design.T @ design + 0.1 * np.eye(design.shape[1]), design.T @ np.eye(len(KINDS))[y])
    return float((np.argmax(np.c_[tests, np.ones(len(tests))] @ weights, 1) == truth).mean())


def measure_towers(image: ImageTower, text: TextTower, tokenizer: Tokenizer, plan: Plan, data: Path) -> dict[str, Any]:
    """Figures on the pictures kept out: the `test` pictures, or with `plan.validate` a tenth of `train`."""
    pictures, kinds = load_pictures(data / "train")
    x = encode_pictures(image, pictures)
    if plan.validate:
        kept = validation_rows(len(kinds))
        tests, truth, x, kinds = x[kept], kinds[kept], x[~kept], kinds[~kept]
    else:
        shown, truth = load_pictures(data / "test")
        tests = encode_pictures(image, shown)
    everything = list(range(len(KINDS)))
    bank = load_bank(plan.banks, held_out=True)
    if plan.control == "invented":
        bank = invented_bank(load_bank(plan.banks, held_out=False), held_out=True)
    result: dict[str, Any] = {
        "held_out_wordings": _by_wording(tests, truth, text, tokenizer, bank, everything),
        "second_author": _second_author(tests, truth, text, tokenizer),
        "linear_probe": _ridge_probe(x, kinds, tests, truth),
    }
    for name in sorted({"textbook", "bench", "annotator", "atlas"} - set(plan.banks)):
        stranger = load_bank([name], held_out=False)
        result[f"stranger_{name}"] = _by_wording(tests, truth, text, tokenizer, stranger, everything)
    if plan.left_out:
        pair = sorted(KINDS.index(kind) for kind in plan.left_out)
        inside = np.isin(truth, pair)
        result["left_out_two_way"] = _by_wording(tests, truth, text, tokenizer, bank, pair)
        result["left_out_eight_way"] = _by_wording(tests[inside], truth[inside], text, tokenizer, bank, everything)
    return result
