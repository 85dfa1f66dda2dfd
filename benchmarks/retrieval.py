"""Does retrieving descriptions per image, or per cluster of images, beat retrieving them per data set?

    python benchmarks/retrieval.py --json benchmarks/results/retrieval.json

Text proxies only, so that nothing else differs. Every figure is an accuracy; "against" is the paired difference to
retrieval per data set with the same k, with a 95 % interval from 2000 bootstraps over images. A control keeps k
descriptions of each class at random (five seeds); another puts random words in the place of every description.
Labels serve only to score.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common import SHARED, parser, print_table, save
from kpl.embeddings import is_bundle, open_bundle
from kpl.encoders import load_encoder
from kpl.knowledge import load_knowledge
from kpl.proxies.arrays import checked_descriptions, unit_rows
from kpl.proxies.retrieval import image_scores, retrieve

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "training"))

from mini import invented_name, kinds_of, knowledge_texts, read  # noqa: E402 - the neighbour's reading of pictures

Floats = NDArray[np.float64]
SEEDS = 5
WAYS = ("data set", "cluster", "image", "random")


def hits(images: Floats, texts: list[Floats], truth: NDArray[np.intp], k: int | None) -> dict[str, Floats]:
    """Whether each image is right (n,), or how often over seeds, for each way to retrieve k descriptions a class."""
    mean = images.mean(axis=0)
    found = {"data set": (images @ retrieve(mean, texts, k).proxies.T).argmax(axis=1) == truth}
    # Clusters without labels: the images that all descriptions together send to the same class.
    cluster = (images @ retrieve(mean, texts).proxies.T).argmax(axis=1)
    said = np.zeros(len(images), dtype=np.intp)
    for c in np.unique(cluster):
        own = images[cluster == c]
        said[cluster == c] = (own @ retrieve(own.mean(axis=0), texts, k).proxies.T).argmax(axis=1)
    found["cluster"] = said == truth
    found["image"] = image_scores(images, texts, k).argmax(axis=1) == truth
    drawn = []
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        proxies = unit_rows(np.stack([rows[rng.permutation(len(rows))[:k]].mean(axis=0) for rows in texts]))
        drawn.append((images @ proxies.T).argmax(axis=1) == truth)
    found["random"] = np.mean(drawn, axis=0)
    return {way: np.asarray(value, dtype=np.float64) for way, value in found.items()}


def summary(by_way: dict[str, Floats]) -> dict[str, Any]:
    """Accuracies, and differences to retrieval per data set with intervals over images."""
    rng = np.random.default_rng(0)
    n = len(by_way["data set"])
    weights = rng.multinomial(n, np.full(n, 1 / n), size=2000) / n
    out: dict[str, Any] = {}
    for way, right in by_way.items():
        gap = right - by_way["data set"]
        low, high = np.quantile(weights @ gap, [0.025, 0.975])
        out[way] = {
            "accuracy": float(right.mean()),
            "against": float(gap.mean()),
            "interval": [float(low), float(high)],
        }
    return out


def on_bundles(folder: Path) -> dict[str, Any]:
    """The aerial scenes: hits averaged over encoders image by image, so that images are what is resampled."""
    bundles = [open_bundle(path) for path in sorted(folder.iterdir()) if is_bundle(path)]
    out = {}
    for k in (5, 20, 40, None):
        each = []
        for bundle in bundles:
            if bundle.labels is None:
                raise SystemExit(f"{folder} has a bundle without labels to score with")
            texts = checked_descriptions(bundle.descriptions)
            each.append(hits(unit_rows(bundle.images.load()), texts, bundle.labels, k))
        out[str(k or "all")] = summary({way: np.mean([h[way] for h in each], axis=0) for way in WAYS})
    return out


def on_cells(folder: Path) -> dict[str, Any]:
    """Stained blood cells with `mini`: two authors' knowledge, and random words in place of the descriptions."""
    encoder = load_encoder("mini")
    x, truth, _ = read(folder, encoder)
    images = unit_rows(x)
    out: dict[str, Any] = {}
    paths: dict[str, str | Path] = {
        "shipped": "blood-cells",
        "second author": ROOT / "benchmarks/knowledge/blood-cells-second-author.yaml",
    }
    for author, path in paths.items():
        base = load_knowledge(path)
        rows, keys = knowledge_texts(base, encoder, ten=False)
        texts = checked_descriptions([rows[keys.index(kind)] for kind in range(len(rows))])
        for k in (3, 5, 10, None):
            out[f"{author}, k = {k or 'all'}"] = summary(hits(images, texts, truth, k))
    base = load_knowledge("blood-cells")
    names = {key: base.classes[c].name for c, key in enumerate(kinds_of(base))}
    for k in (3, 5, 10, None):
        draws = []
        for seed in range(SEEDS):
            rng = np.random.default_rng(seed)
            prompts = [
                [f"a photo of a {names[kind]}, which has {invented_name(rng)}" for _ in range(15)] for kind in range(8)
            ]
            texts = checked_descriptions([encoder.encode_texts(sentences) for sentences in prompts])
            draws.append(hits(images, texts, truth, k))
        out[f"random words, k = {k or 'all'}"] = summary({w: np.mean([d[w] for d in draws], axis=0) for w in WAYS})
    return out


def main() -> None:
    """Print both tables."""
    options = parser(__doc__ or "")
    options.add_argument("--features", type=Path, default=SHARED / "features", help="folder of bundles")
    options.add_argument("--pictures", type=Path, default=SHARED / "images" / "pbc_blood_cells" / "test")
    args = options.parse_args()
    figures = {"aerial scenes": on_bundles(args.features), "blood cells": on_cells(args.pictures)}

    def cell(way: str, found: dict[str, Any]) -> str:
        if way == "data set":
            return f"{100 * found['accuracy']:.1f}"
        low, high = found["interval"]
        return f"{100 * found['accuracy']:.1f} ({100 * low:+.1f} to {100 * high:+.1f})"

    for name, table in figures.items():
        rows = [[key, *(cell(way, found[way]) for way in WAYS)] for key, found in table.items()]
        print_table(f"{name}: accuracy, percent (interval of the difference to per data set)", ["k", *WAYS], rows)
    save(args.json, figures)


if __name__ == "__main__":
    main()
