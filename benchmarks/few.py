"""How many pictures KPL needs: accuracy of runs of a few pictures, beside averaged descriptions.

    python benchmarks/few.py --json benchmarks/results/few.json

Pictures are drawn at random, without replacement, from the held-out blood cells (8 kinds, read by `mini` with the
shipped pack of 10) and from the aerial scenes (19 classes, CLIP ViT-B/32). Each method is fitted on those
pictures alone. The interval is a normal one over the draws. Labels serve only to score.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common import SHARED, parser, print_table, save
from knowledge_value import real
from kpl.embeddings import embed_texts
from kpl.encoders import load_encoder
from kpl.knowledge import load_knowledge
from kpl.methods import make_method

AERIAL = "whurs19-clip-vit-b-32"
METHODS = ("cupl", "kpl")
SIZES = (4, 16, 64, 256)
DRAWS = 40


def score(
    images: NDArray[np.floating[Any]], descriptions: Sequence[NDArray[np.floating[Any]]], truth: NDArray[np.intp]
) -> dict[str, dict[str, dict[str, float]]]:
    """Mean accuracy of every method over the draws of every size, with the half width of its 95 % interval."""
    rng, told = np.random.default_rng(20261122), {}
    for size in SIZES:
        right: dict[str, list[float]] = {name: [] for name in METHODS}
        for _ in range(DRAWS):
            rows = rng.choice(len(images), size, replace=False)
            for name in METHODS:
                said = make_method(name).fit(images[rows], descriptions).predict(images[rows])
                right[name].append(float((said == truth[rows]).mean()))
        told[str(size)] = {
            name: {"accuracy": float(np.mean(each)), "half": 1.96 * float(np.std(each, ddof=1)) / DRAWS**0.5}
            for name, each in right.items()
        }
    return told


def aerial(name: str) -> tuple[NDArray[np.float64], list[NDArray[np.float64]], NDArray[np.intp]]:
    """Features of the scenes, of the descriptions of each class, and the classes."""
    folder = SHARED / "features" / name
    images, texts = (np.load(folder / part).astype(np.float64) for part in ("images.npy", "descriptions.npy"))
    images /= np.linalg.norm(images, axis=-1, keepdims=True)
    texts /= np.linalg.norm(texts, axis=-1, keepdims=True)
    return images, list(texts), np.load(folder / "labels.npy").astype(np.intp)


def main() -> None:
    """Measure, print and write."""
    asked = parser(__doc__ or "").parse_args()
    encoder, base = load_encoder("mini"), load_knowledge("blood-cells")
    images, kinds = real(encoder)
    truth = np.array([base.resolve(kind) for kind in kinds], dtype=np.intp)
    figures = {"blood cells": score(images, embed_texts(base.prompts(), encoder), truth)}
    figures[AERIAL] = score(*aerial(AERIAL))
    for name, told in figures.items():
        rows = [
            [size, *(f"{100 * each[m]['accuracy']:.1f} ± {100 * each[m]['half']:.1f}" for m in METHODS)]
            for size, each in told.items()
        ]
        print_table(name, ["pictures", *METHODS], rows)
    save(asked.json, {"draws": DRAWS, **figures})


if __name__ == "__main__":
    main()
