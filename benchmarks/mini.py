"""What the embedded encoder `mini` does on real pictures of stained blood cells, and what it does not.

    python benchmarks/mini.py --json benchmarks/results/mini.json

Labels serve only to score. The linear probe, which is trained on labelled pictures, is there as a yardstick.
The spread over training seeds and the controls are read from what `training/train.py` wrote (training/results).
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common import SHARED, parser, print_table, save
from kpl.embeddings import embed_pictures
from kpl.encoders import Encoder, load_encoder
from kpl.evaluation import bootstrap_intervals
from kpl.images import find_pictures
from kpl.knowledge import KnowledgeBase, load_knowledge
from kpl.methods import make_method

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "training"))

from captions import load_bank  # noqa: E402 - training/ is no package
from labels import KINDS  # noqa: E402
from wordings import descriptions  # noqa: E402

Floats = NDArray[np.float32]
INVENTED_DRAWS = 200
METHODS = ("cupl", "text", "kpl-official", "kpl")
BANKS = ("textbook", "bench", "annotator", "atlas")


def read(folder: Path, encoder: Encoder) -> tuple[Floats, NDArray[np.intp], float]:
    """Features (n, d) and kinds (n,) of a folder of one folder a kind, and pictures per second of `embed_pictures`."""
    found = find_pictures([folder]).pictures
    with tempfile.TemporaryDirectory() as out:
        embed_pictures(found[:64], encoder, Path(out) / "warm")
        start = time.perf_counter()
        features = embed_pictures(found, encoder, Path(out) / "features")
        pace = len(found) / (time.perf_counter() - start)
        kinds = [KINDS.index(Path(name).parts[-2]) for name in features.ids]
        return features.load(), np.array(kinds), pace


def scored(truth: NDArray[np.intp], said: NDArray[np.intp], draws: int = 1) -> dict[str, Any]:
    """Accuracy and its bootstrap interval over pictures; `truth` and `said` may hold several draws in a row."""
    pictures = [str(k) for k in range(len(truth) // draws)] * draws
    interval = bootstrap_intervals(truth, said, groups=pictures)["accuracy"]
    return {"accuracy": float((truth == said).mean()), "interval": interval}


Classes = tuple[list[Floats], list[int]]
"""Features of the descriptions, class by class, and which kind each class is (8: none of the eight)."""


def by_method(images: Floats, truth: NDArray[np.intp], draws: Sequence[Classes]) -> dict[str, Any]:
    """Score the methods on one or several draws of descriptions."""
    figures = {}
    for name in METHODS:
        said = [np.asarray(keys)[make_method(name).fit(images, texts).predict(images)] for texts, keys in draws]
        figures[name] = scored(np.tile(truth, len(draws)), np.concatenate(said), len(draws))
    return figures


def kinds_of(base: KnowledgeBase) -> list[int]:
    """Which kind each class of the knowledge is (8: none of the eight)."""
    place = {base.resolve("immature granulocyte" if kind == "ig" else kind): k for k, kind in enumerate(KINDS)}
    return [place.get(c, len(KINDS)) for c in range(len(base.classes))]


def knowledge_texts(base: KnowledgeBase, encoder: Encoder, *, ten: bool) -> Classes:
    """Features of every prompt, class by class, and the kind that each class is."""
    keys = kinds_of(base)
    chosen = [c for c in range(len(base.classes)) if ten or keys[c] < len(KINDS)]
    prompts = base.prompts()
    return [encoder.encode_texts(prompts[c]) for c in chosen], [keys[c] for c in chosen]


def held_out_texts(encoder: Encoder) -> list[Classes]:
    """Five draws of twenty descriptions a kind, composed of wordings that training never saw."""
    bank = load_bank(BANKS, held_out=True)
    draws = []
    for seed in range(5):
        texts = descriptions(bank, np.random.default_rng([seed, 1]), 20)
        named = [[s.replace("[UNK]", KINDS[c]) for s in texts[c]] for c in range(len(KINDS))]
        draws.append(([encoder.encode_texts(t) for t in named], list(range(len(KINDS)))))
    return draws


def names_only(
    images: Floats, truth: NDArray[np.intp], encoder: Encoder, base: KnowledgeBase, *, ten: bool
) -> dict[str, Any]:
    """Score bare class names, and the band (2.5 % to 97.5 %) of invented words in their place.

    Names that read the same share their pictures at random.
    """
    rng = np.random.default_rng(0)
    place = kinds_of(base)
    chosen = [c for c in range(len(base.classes)) if ten or place[c] < len(KINDS)]
    keys = np.array([place[c] for c in chosen])

    def say(prompts: Sequence[str]) -> NDArray[np.intp]:
        scores = images @ encoder.encode_texts(prompts).T
        return np.asarray(keys[np.argmax(scores + 1e-6 * rng.random(scores.shape), axis=1)])

    prompts = base.name_prompts()
    found = scored(truth, say([prompts[c] for c in chosen]))
    invented = [
        (say([f"a photo of a {invented_name(rng)}." for _ in chosen]) == truth).mean() for _ in range(INVENTED_DRAWS)
    ]
    return found | {"invented_words_band": [float(q) for q in np.quantile(invented, [0.025, 0.975])]}


def invented_name(rng: np.random.Generator) -> str:
    """One to three words that mean nothing."""
    words = []
    for _ in range(rng.integers(1, 4)):
        words.append("".join(rng.choice(list("bdfgklmnprstvz"), 2)) + "o" + "".join(rng.choice(list("aeiurnt"), 4)))
    return " ".join(words)


def probe(x: Floats, y: NDArray[np.intp], tests: Floats, truth: NDArray[np.intp]) -> dict[str, Any]:
    """Ridge regression onto the labels of the training pictures; the ridge is chosen on a fifth of those."""

    def fit(rows: NDArray[np.bool_], ridge: float) -> NDArray[np.float64]:
        design = np.c_[x[rows], np.ones(rows.sum())].astype(np.float64)
        target = np.eye(len(KINDS))[y[rows]]
        return np.asarray(np.linalg.solve(design.T @ design + ridge * np.eye(design.shape[1]), design.T @ target))

    def say(rows: Floats, weights: NDArray[np.float64]) -> NDArray[np.intp]:
        return np.asarray(np.argmax(np.c_[rows, np.ones(len(rows))] @ weights, axis=1))

    fifth = np.arange(len(x)) % 5 == 0
    ridges = [0.001, 0.01, 0.1, 1.0]
    best = max(ridges, key=lambda ridge: float((say(x[fifth], fit(~fifth, ridge)) == y[fifth]).mean()))
    return scored(truth, say(tests, fit(np.ones(len(x), dtype=bool), best)))


def training_runs() -> dict[str, Any]:
    """What the training runs wrote: seeds, controls, left-out kinds."""
    folder = ROOT / "training" / "results"
    return {
        path.stem: json.loads(path.read_text(encoding="utf-8"))["figures"] for path in sorted(folder.glob("*.json"))
    }


def main() -> None:
    """Print the figures of the shipped weights."""
    options = parser(__doc__ or "")
    options.add_argument("--pictures", type=Path, default=SHARED / "images" / "pbc_blood_cells")
    args = options.parse_args()
    encoder = load_encoder("mini")
    x, truth, pace = read(args.pictures / "test", encoder)
    train, kinds, _ = read(args.pictures / "train", encoder)
    figures: dict[str, Any] = {"pictures": len(x), "pictures_per_second": pace}
    shipped = load_knowledge("blood-cells")
    second = load_knowledge(ROOT / "benchmarks" / "knowledge" / "blood-cells-second-author.yaml")
    figures["names_only"] = names_only(x, truth, encoder, shipped, ten=False)
    figures["names_only_10"] = names_only(x, truth, encoder, shipped, ten=True)
    figures["linear_probe"] = probe(train, kinds, x, truth)
    sources = {
        "held_out_wordings": held_out_texts(encoder),
        "shipped_knowledge_8": [knowledge_texts(shipped, encoder, ten=False)],
        "shipped_knowledge_10": [knowledge_texts(shipped, encoder, ten=True)],
        "second_author_8": [knowledge_texts(second, encoder, ten=False)],
        "second_author_10": [knowledge_texts(second, encoder, ten=True)],
    }
    for label, draws in sources.items():
        figures[label] = by_method(x, truth, draws)
    figures["training_runs"] = training_runs()
    report(figures)
    save(args.json, figures)


def report(figures: dict[str, Any]) -> None:
    """Print the tables."""

    def cell(figure: dict[str, Any]) -> str:
        low, high = figure["interval"]
        return f"{100 * figure['accuracy']:.1f} ({100 * low:.1f}-{100 * high:.1f})"

    rows = [
        [key.replace("_", " "), *(cell(value[m]) for m in METHODS)]
        for key, value in figures.items()
        if isinstance(value, dict) and "kpl" in value
    ]
    header = ["descriptions", *METHODS]
    print_table(f"Accuracy on {figures['pictures']} held-out pictures, percent (95 % interval)", header, rows)
    for key in ("names_only", "names_only_10"):
        low, high = figures[key]["invented_words_band"]
        print(f"{key.replace('_', ' ')} {cell(figures[key])}; invented words {100 * low:.1f} to {100 * high:.1f}")
    print(f"linear probe of the same features {cell(figures['linear_probe'])}")
    print(f"{figures['pictures_per_second']:.0f} pictures a second, from JPEG file to feature")
    for name, run in figures["training_runs"].items():
        print(f"training run {name}: {json.dumps(run)}")


if __name__ == "__main__":
    main()
