"""Which pooling finds a volume with a finding, in all of its slices, in some, in one?

    python benchmarks/pooling.py --json benchmarks/results/pooling.json        (two minutes)

A volume is a stack of 24 drawn cells of three common kinds, in a mix of its own. In a volume with the finding, all
slices, 6 or 1 of them show a cell of a fourth kind instead; the three settings share their cells. `mini` reads them
with the shipped pack `blood-cells`, `kpl` is fitted on all slices of the volumes without labels, and the AUROC is that
of the finding's odds, as `predictions.csv` has them. Intervals (95 %) are percentiles of a bootstrap over volumes.
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
from kpl.proxies.arrays import log_odds
from kpl.proxies.pooling import DEFAULT_POOL, Pool, centred
from rendered import cell_of_class, draw_cell

SEED = 20261130
COMMON = ("neutrophil", "lymphocyte", "monocyte")
FINDINGS = ("basophil", "erythroblast", "ig")
POOLS = ("mean", "top-10", "top-5", "top-3", "top-2", "max")  # top-1 is max
SLICES = 24
SHOWN = {"all": SLICES, "some": 6, "one": 1}
VOLUMES = 45  # with the finding, and as many without
SIDE = 72  # pixels of a picture; the encoder reads 64
REPLICATES = 2000

Floats = NDArray[np.floating[Any]]


def stacks(encoder: Encoder, kinds: list[list[str]], stream: int) -> Floats:
    """Draw and read a cell of each kind: features (volumes, slices, d)."""
    rows = []
    for number, slices in enumerate(kinds):
        rng = np.random.default_rng([SEED, stream, number])
        rows.append(encoder.encode_images([draw_cell(cell_of_class(kind, rng), rng, SIDE) for kind in slices]))
    return np.stack(rows)


def common_kinds(volumes: int) -> list[list[str]]:
    """Kinds of the slices of each volume without a finding, mixed anew in each."""
    rng = np.random.default_rng(SEED)
    return [rng.choice(COMMON, SLICES, p=rng.dirichlet(np.ones(len(COMMON)))).tolist() for _ in range(volumes)]


def areas(pooled: dict[str, Floats], half: int = VOLUMES) -> dict[str, dict[str, Any]]:
    """AUROC of each pool, and how far it is behind the best, from odds of units, the half with the finding first."""
    rng = np.random.default_rng(SEED)
    draws = [(rng.integers(half, size=half), rng.integers(half, size=half)) for _ in range(REPLICATES)]
    wins = {}
    for name, odds in pooled.items():
        there, absent = odds[:half, None], odds[None, half:]
        wins[name] = (there > absent) + 0.5 * (there == absent)
    drawn = {name: np.array([won[np.ix_(*draw)].mean() for draw in draws]) for name, won in wins.items()}
    best = max(wins, key=lambda name: float(wins[name].mean()))
    return {
        name: {
            "auroc": float(won.mean()),
            "interval": np.quantile(drawn[name], [0.025, 0.975]).tolist(),
            "behind_best": float(wins[best].mean() - won.mean()),
            "behind_interval": np.quantile(drawn[best] - drawn[name], [0.025, 0.975]).tolist(),
        }
        for name, won in wins.items()
    }


def main() -> None:
    """Measure, print and write."""
    asked = parser(__doc__ or "").parse_args()
    encoder, base = load_encoder("mini"), load_knowledge("blood-cells")
    texts = embed_texts(base.prompts(), encoder)
    ordinary = stacks(encoder, common_kinds(2 * VOLUMES), 0)
    settings: list[dict[str, Any]] = []
    for stream, finding in enumerate(FINDINGS, start=1):
        own = stacks(encoder, [[finding] * SLICES] * VOLUMES, stream)
        place = base.resolve(finding)
        for shown, count in SHOWN.items():
            volumes = ordinary.copy()
            volumes[:VOLUMES, :count] = own[:, :count]
            rows = volumes.reshape(-1, volumes.shape[-1])
            method = make_method("kpl", temperature=1 / encoder.logit_scale).fit(rows, texts)
            logits, sizes = centred(method.logits(rows)), [SLICES] * len(volumes)
            pools = areas({name: log_odds(Pool(name)(logits, sizes))[:, place] for name in POOLS})
            settings.append({"finding": finding, "shown": shown, "slices": count, "pools": pools})
    worst = {name: max(each["pools"][name]["behind_best"] for each in settings) for name in POOLS}
    lines = [
        [each["finding"], each["shown"], *(f"{each['pools'][name]['auroc']:.3f}" for name in POOLS)]
        for each in settings
    ]
    lines.append(["furthest behind the best", "", *(f"{worst[name]:.3f}" for name in POOLS)])
    print_table("AUROC of the finding", ["finding", "slices", *POOLS], lines)
    save(
        asked.json,
        {"volumes": 2 * VOLUMES, "slices": SLICES, "default": DEFAULT_POOL, "settings": settings, "worst": worst},
    )


if __name__ == "__main__":
    main()
