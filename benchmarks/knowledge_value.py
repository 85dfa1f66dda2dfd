"""What knowledge brings: over class names, over Waffle's random words, and over the mean of all descriptions.

    python benchmarks/knowledge_value.py --json benchmarks/results/knowledge_value.json

Real blood cells (480 pictures of 8 kinds, none of which trained `mini`) and rendered ones (1000 of 10 kinds, from the
generator that also drew the training pictures: easy by design), read by `mini` with the shipped pack `blood-cells`.
Labels serve only to score. Intervals are percentile bootstraps over pictures; differences are paired. How much hangs on
the sentences that happen to be in the pack is seen by leaving a random half of each class's out, 200 times.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common import SHARED, parser, print_table, save
from kpl.embeddings import embed_pictures
from kpl.encoders import Encoder, load_encoder
from kpl.evaluation import bootstrap_intervals, paired_difference
from kpl.images import find_pictures
from kpl.knowledge import KnowledgeBase, load_knowledge
from kpl.methods import make_method
from kpl.runs.texts import wanted_prompts
from rendered import CELL_CLASSES, cell_of_class, draw_cell

METHODS = ("names", "waffle", "cupl", "text", "kpl")
"""Names alone; names with random words; the mean of the descriptions; the text side of KPL; KPL."""

HALVES = 200
"""How often half of the sentences are left out."""


def real(encoder: Encoder) -> tuple[NDArray[np.float32], list[str]]:
    """Read the held-out real cells: features (n, d) and the folder of each."""
    found = find_pictures([SHARED / "images" / "pbc_blood_cells" / "test"]).pictures
    with tempfile.TemporaryDirectory() as out:
        features = embed_pictures(found, encoder, Path(out) / "features")
        return features.load(), [Path(name).parts[-2] for name in features.ids]


def rendered(encoder: Encoder) -> tuple[NDArray[np.float32], list[str]]:
    """Draw and read a hundred cells of every kind: features (n, d) and the kind of each."""
    kinds = [name for name in CELL_CLASSES for _ in range(100)]
    rngs = [np.random.default_rng([20261122, number]) for number in range(len(kinds))]
    pictures = [draw_cell(cell_of_class(kind, rng), rng) for kind, rng in zip(kinds, rngs, strict=True)]
    rows = [encoder.encode_images(pictures[start : start + 50]) for start in range(0, len(pictures), 50)]
    return np.concatenate(rows), kinds


def score(images: NDArray[np.float32], kinds: list[str], encoder: Encoder, base: KnowledgeBase) -> dict[str, Any]:
    """Accuracy of every method with its interval, and how far KPL is ahead of each."""
    truth = np.array([base.resolve(kind) for kind in kinds], dtype=np.intp)
    said = {}
    halves = {}
    for name in METHODS:
        method = make_method(name)
        texts = [encoder.encode_texts(prompts) for prompts in wanted_prompts(method, base)]
        said[name] = np.asarray(method.fit(images, texts).predict(images))
        if name in ("cupl", "kpl"):
            halves[name] = halved(name, images, texts, truth)
    figures: dict[str, Any] = {"pictures": len(truth), "classes": len(base.classes)}
    for name, predictions in said.items():
        interval = bootstrap_intervals(truth, predictions)["accuracy"]
        ahead = paired_difference(truth, said["kpl"], predictions)
        figures[name] = {
            "accuracy": float((truth == predictions).mean()),
            "interval": interval,
            "kpl_ahead": {"difference": ahead.accuracy, "interval": ahead.interval, "p": ahead.p_value},
        }
    figures["sentences"] = sum(len(entry.descriptions) for entry in base.classes)
    figures["half_of_the_sentences"] = {"draws": HALVES, **halves}
    return figures


def halved(
    name: str, images: NDArray[np.float32], texts: list[NDArray[np.float32]], truth: NDArray[np.intp]
) -> dict[str, Any]:
    """Accuracy with a random half of each class's sentences: the mean, and the middle 95 % of the draws."""
    rng = np.random.default_rng(20261122)
    found = []
    for _ in range(HALVES):
        kept = [each[rng.permutation(len(each))[: len(each) // 2]] for each in texts]
        found.append(float((truth == make_method(name).fit(images, kept).predict(images)).mean()))
    low, high = np.percentile(found, [2.5, 97.5])
    return {"mean": float(np.mean(found)), "middle": [float(low), float(high)], "lowest": min(found)}


def main() -> None:
    """Print the table and write the JSON."""
    args = parser(__doc__ or "").parse_args()
    encoder = load_encoder("mini")
    base = load_knowledge("blood-cells")
    figures = {"real": score(*real(encoder), encoder, base), "rendered": score(*rendered(encoder), encoder, base)}

    def cell(share: float, interval: Any) -> str:  # noqa: ANN401 - a pair, or None
        low, high = interval
        return f"{100 * share:.1f} ({100 * low:.1f} to {100 * high:.1f})"

    for data, found in figures.items():
        rows = [
            [
                name,
                cell(found[name]["accuracy"], found[name]["interval"]),
                cell(found[name]["kpl_ahead"]["difference"], found[name]["kpl_ahead"]["interval"]),
            ]
            for name in METHODS
        ]
        print_table(f"{data}: {found['pictures']} pictures", ["method", "accuracy, %", "KPL is ahead by, %"], rows)
    save(args.json, figures)


if __name__ == "__main__":
    main()
