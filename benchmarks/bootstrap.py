"""How long do bootstrap intervals of every metric take?

    python benchmarks/bootstrap.py --json benchmarks/out/bootstrap.json        (under a minute)

The naive way, for comparison: each replicate draws images, and scikit-learn's definitions are computed on the draw.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from common import parser, print_table, save
from kpl.evaluation import Resampling, bootstrap_intervals, evaluate_predictions
from kpl.evaluation.weighted import FloatArray, IntArray

SIZES = ((5_000, 10), (5_000, 40), (50_000, 10))


def case(n: int, n_classes: int) -> tuple[IntArray, IntArray, FloatArray]:
    """Return truth, predictions and probabilities of a classifier that is right on about seven of ten images."""
    rng = np.random.default_rng(0)
    truth = rng.integers(n_classes, size=n)
    logits = rng.normal(size=(n, n_classes)) + 2.5 * np.eye(n_classes)[truth]
    odds = np.exp(logits)
    return truth, logits.argmax(axis=1), odds / odds.sum(axis=1, keepdims=True)


def measured(n: int, n_classes: int, replicates: int, *, groups: bool) -> dict[str, Any]:
    """Time the intervals of all metrics, over images or over groups of five."""
    truth, predictions, probabilities = case(n, n_classes)
    names = [str(at // 5) for at in range(n)] if groups else None
    start = time.perf_counter()
    found = bootstrap_intervals(
        truth, predictions, probabilities, groups=names, resampling=Resampling(replicates), ordered=True
    )
    seconds = time.perf_counter() - start
    return {
        "n": n, "C": n_classes, "replicates": replicates, "over": "groups of 5" if groups else "images",
        "metrics": sorted(found), "seconds": seconds,
    }  # fmt: skip


def naive(n: int, n_classes: int, replicates: int = 10) -> float:
    """Time a replicate of drawing images and scoring the draw anew."""
    truth, predictions, probabilities = case(n, n_classes)
    rng = np.random.default_rng(0)
    start = time.perf_counter()
    for _ in range(replicates):
        drawn = rng.integers(n, size=n)
        evaluate_predictions(
            truth[drawn], predictions[drawn], probabilities[drawn], ordered=True, resampling=Resampling(0)
        )
    return (time.perf_counter() - start) / replicates


def main() -> None:
    """Print the table."""
    options = parser(__doc__ or "")
    options.add_argument("--replicates", type=int, default=2000)
    args = options.parse_args()
    runs = [
        measured(n, c, args.replicates, groups=groups)
        for n, c in SIZES
        for groups in (False, True)
        if n < 50_000 or not groups
    ]
    anew = naive(*SIZES[0]) * args.replicates
    rows = [
        [f"{run['n']}", f"{run['C']}", run["over"], f"{len(run['metrics'])}", f"{run['seconds']:.1f} s"] for run in runs
    ]
    print_table(f"{args.replicates} replicates", ["images", "classes", "over", "metrics", "time"], rows)
    print(f"\nScoring each draw anew would take {anew:.0f} s for the first row.")
    save(args.json, {"runs": runs, "drawing_anew_seconds": anew})


if __name__ == "__main__":
    main()
