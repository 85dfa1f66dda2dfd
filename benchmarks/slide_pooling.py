"""Which pooling finds a smear slide with parasites, from half of its red cells down to one in a thousand?

    python benchmarks/slide_pooling.py --json benchmarks/results/slide_pooling.json        (four minutes)

A slide is a smear of 300 to 1500 drawn cells, a tile each, with its own share of white cells and platelets. In a slide
with the finding a stated share of the red cells holds a parasite, at least one. Cells of a slide are drawn without
repeats from 6000 healthy and 900 parasitised red cells and 600 others, so that a healthy cell that looks like a
parasite is in some slides only. `mini` reads the cells with the shipped pack `blood-cells`, `kpl` is fitted on all
tiles of the slides without labels, each slide counted once, and the AUROC is that of the finding's odds, as
`predictions.csv` has them. Intervals (95 %) are percentiles of a bootstrap over slides.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from common import parser, print_table, save
from kpl.embeddings import embed_texts
from kpl.encoders import Encoder, load_encoder
from kpl.knowledge import load_knowledge
from kpl.methods import make_method
from kpl.proxies.arrays import Floats, log_odds
from kpl.proxies.pooling import SLIDE_POOL, Pool, centred
from pooling import areas
from rendered import cell_of_class, draw_cell

SEED = 20261129
FINDING = "parasitised_red_cell"
DRAWN = {"normal_red_cell": 6000, FINDING: 900, "platelet": 200, "neutrophil": 200, "lymphocyte": 200}
OTHERS = ("platelet", "neutrophil", "lymphocyte")
SHARES = (0.5, 0.1, 0.03, 0.01, 0.003, 0.001)
POOLS = ("mean", "top-20%", "top-5%", "top-1%", "top-100", "top-30", "top-10", "top-5", "top-3", "max")
SLIDES = 45  # with the finding, and as many without
CELLS = (300, 1500)
SIDE = 72
LOT = 256


def drawn_cells(encoder: Encoder) -> dict[str, Floats]:
    """Draw and read cells of each kind: features (n, d) of unit rows."""
    found = {}
    for stream, (kind, count) in enumerate(DRAWN.items()):
        rows = []
        for start in range(0, count, LOT):
            pictures = []
            for number in range(start, min(start + LOT, count)):
                rng = np.random.default_rng([SEED, stream, number])
                pictures.append(draw_cell(cell_of_class(kind, rng), rng, SIDE))
            rows.append(encoder.encode_images(pictures))
        found[kind] = np.concatenate(rows).astype(np.float64)
    return found


def smear(cells: dict[str, Floats], share: float, rng: np.random.Generator) -> Floats:
    """Put a slide together: features of its cells (n, d), a share of the red ones with a parasite."""
    count = int(rng.integers(CELLS[0], CELLS[1] + 1))
    other = rng.binomial(count, rng.uniform(0.005, 0.05))
    sick = max(1, round(share * (count - other))) if share else 0
    wanted = {FINDING: sick, "normal_red_cell": count - other - sick}
    parts = dict(zip(OTHERS, rng.multinomial(other, [0.5, 0.3, 0.2]).tolist(), strict=True))
    rows = [cells[kind][rng.permutation(len(cells[kind]))[:many]] for kind, many in (wanted | parts).items()]
    return np.concatenate(rows)


def measured(cells: dict[str, Floats], share: float, encoder: Encoder, texts: Any, place: int) -> dict[str, Any]:  # noqa: ANN401
    """AUROC of each pool for slides of which half have this share of parasites."""
    slides = [
        smear(cells, share * (number < SLIDES), np.random.default_rng([SEED, round(1e4 * share), number]))
        for number in range(2 * SLIDES)
    ]
    rows, sizes = np.concatenate(slides), [len(slide) for slide in slides]
    weights: NDArray[np.float64] = np.repeat(1 / np.array(sizes), sizes)
    method = make_method("kpl", temperature=1 / encoder.logit_scale).fit(rows, texts, weights=weights)
    logits = centred(method.logits(rows))
    pools = areas({name: log_odds(Pool(name)(logits, sizes))[:, place] for name in POOLS}, SLIDES)
    return {"share": share, "pools": pools}


def main() -> None:
    """Measure, print and write."""
    asked = parser(__doc__ or "").parse_args()
    encoder, base = load_encoder("mini"), load_knowledge("blood-cells")
    report(asked.json, drawn_cells(encoder), encoder, base)


def report(path: Any, cells: dict[str, Floats], encoder: Encoder, base: Any) -> None:  # noqa: ANN401
    """Measure of drawn cells, print and write."""
    texts, place = embed_texts(base.prompts(), encoder), base.resolve(FINDING)
    settings = [measured(cells, share, encoder, texts, place) for share in SHARES]
    behind = {
        reference: {
            name: max(each["pools"][reference]["auroc"] - each["pools"][name]["auroc"] for each in settings)
            for name in POOLS
        }
        for reference in POOLS
    }
    worst = {name: max(each["pools"][name]["behind_best"] for each in settings) for name in POOLS}
    lines = [[f"{each['share']:.1%}", *(f"{each['pools'][name]['auroc']:.3f}" for name in POOLS)] for each in settings]
    lines.append(["furthest behind the best", *(f"{worst[name]:.3f}" for name in POOLS)])
    print_table("AUROC of a slide with parasites, by the share of red cells that hold one", ["share", *POOLS], lines)
    save(
        path,
        {"slides": 2 * SLIDES, "cells": CELLS, "default": SLIDE_POOL, "settings": settings, "worst": worst,
         "behind": behind},
    )  # fmt: skip


if __name__ == "__main__":
    main()
