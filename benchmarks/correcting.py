"""What corrections are worth: accuracy on pictures that nobody corrected, by how the corrected ones were chosen.

    python benchmarks/correcting.py --json benchmarks/results/correcting.json

5 C pictures by each reason of `kpl queue`, and 5 C and 10 C at random, are given their true class; `kpl learn`'s method
learns on from them. Grounds: the eight kinds of blood cells and three attributes of the white cells (training pictures,
every second one, read by `mini`), and aerial scenes by the one of six encoders with which `kpl` is below 95 %. Beside
each gain stands the 95 % interval over the draws; what a reason chooses without a draw (doubt, disagreement) has none.
"""

from __future__ import annotations

import csv
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import yaml

from common import SHARED, parser, print_table, save
from kpl.curation.learning import CorrectedKPL
from kpl.curation.queue import queue
from kpl.embeddings import embed_texts, open_bundle
from kpl.encoders import load_encoder
from kpl.images import decode_many, find_pictures
from kpl.knowledge import load_knowledge
from kpl.methods import KPL
from kpl.proxies.arrays import Floats, chunks
from kpl.runs import Predictions

DRAWS = 20
ATTRIBUTES = ("granule_colour", "cytoplasm_texture", "nucleus_shape")
WAYS = (("coverage", 5), ("doubt", 5), ("disagreement", 5), ("random", 5), ("random", 10))


def grounds() -> dict[str, tuple[Floats, list[Floats], np.ndarray[Any, np.dtype[np.intp]]]]:
    """Features, texts and true classes of every ground."""
    encoder = load_encoder("mini")
    root = SHARED / "images" / "pbc_blood_cells" / "train"
    records = find_pictures(root).pictures[::2]
    pixels: list[Any] = [picture for _, picture in decode_many(records, shrink_to=512)]
    images = np.concatenate([encoder.encode_images(pixels[at : at + 64]) for at in range(0, len(pixels), 64)])
    images = images.astype(np.float64)
    base, names = load_knowledge("blood-cells"), [record.id for record in records]
    truth = np.array([base.resolve(name.split("/")[0]) for name in names], dtype=np.intp)
    found = {"blood cells (8 of 10)": (images, _texts(base.prompts(), encoder), truth)}
    with (SHARED / "attributes" / "pbc_train.csv").open(encoding="utf-8") as file:
        said = {row["image"]: row for row in csv.DictReader(file)}
    described = yaml.safe_load(
        (Path(__file__).parent / "knowledge" / "white-cell-attributes.yaml").read_text(encoding="utf-8")
    )
    for attribute in ATTRIBUTES:
        values = list(described[attribute])
        rows = [row for row, name in enumerate(names) if name in said and said[name][attribute] in values]
        own = np.array([values.index(said[names[row]][attribute]) for row in rows], dtype=np.intp)
        found[attribute] = (images[rows], _texts([described[attribute][value] for value in values], encoder), own)
    return found | {"aerial scenes (ViT-B/32)": _aerial()}


def _aerial() -> tuple[Floats, list[Floats], np.ndarray[Any, np.dtype[np.intp]]]:
    bundle = open_bundle(SHARED / "features" / "whurs19-clip-vit-b-32")
    if bundle.labels is None:
        raise SystemExit("the aerial scenes have no labels")
    texts = [rows.astype(np.float64) for rows in bundle.descriptions]
    return bundle.images.load().astype(np.float64), texts, bundle.labels.astype(np.intp)


def _texts(prompts: Any, encoder: Any) -> list[Floats]:  # noqa: ANN401 - lists of sentences, an encoder
    return [rows.astype(np.float64) for rows in embed_texts(prompts, encoder)]


def _as_run(images: Floats, method: KPL) -> Any:  # noqa: ANN401 - what `queue` asks of a run
    ids, keys = tuple(map(str, range(len(images)))), tuple(map(str, method.classes_))
    text = np.concatenate([method.text_logits(chunk) for chunk in chunks(images)])
    return SimpleNamespace(
        ids=ids,
        keys=keys,
        images=images,
        predictions=Predictions.of_logits(ids, keys, method.logits(images)),
        text=Predictions.of_logits(ids, keys, text),
    )


def main() -> None:
    """Measure, print and write."""
    asked = parser(__doc__ or "").parse_args()
    told: dict[str, Any] = {}
    for name, (images, texts, truth) in grounds().items():
        before = KPL().fit(images, texts)
        right = before.predict(images) == truth
        told[name] = {"kpl": float(right.mean()), "pictures": len(images), "classes": len(texts), "gains": {}}
        run = _as_run(images, before)
        for way, times in WAYS:
            gains = []
            for seed in range(DRAWS if way in ("random", "coverage") else 1):
                n = times * len(texts)
                if way == "random":
                    rows = np.random.default_rng(seed).permutation(len(images))[:n]
                else:
                    rows = np.array([each.row for each in queue(run, n, by=(way,), seed=seed)])
                rest = np.setdiff1d(np.arange(len(images)), rows)
                said = {int(row): int(truth[row]) for row in rows}
                after = CorrectedKPL().fit_corrected(images, texts, said).predict(images[rest]) == truth[rest]
                gains.append(float(after.mean() - right[rest].mean()))
            half = 1.96 * float(np.std(gains, ddof=1)) / len(gains) ** 0.5 if len(gains) > 1 else None
            told[name]["gains"][f"{times} C {way}"] = {"gain": float(np.mean(gains)), "half": half}
        print(name, told[name], flush=True)
    print_table(
        "What corrections gain on the pictures that nobody corrected, in points",
        ["ground", "kpl", *(f"{times} C {way}" for way, times in WAYS)],
        [[name, f"{100 * each['kpl']:.1f}", *map(_cell, each["gains"].values())] for name, each in told.items()],
    )
    save(asked.json, told)


def _cell(gain: dict[str, float | None]) -> str:
    half = "" if gain["half"] is None else f" ± {100 * gain['half']:.1f}"
    return f"{100 * (gain['gain'] or 0):+.1f}{half}"


if __name__ == "__main__":
    main()
