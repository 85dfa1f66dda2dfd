"""How much faster is the closed form than the published loop, and how does KPL scale?

    python benchmarks/speed.py --json benchmarks/out/speed.json        (about 10 minutes; --steps 50 for a quick look)

The loop is timed for `--steps` of its 2000 steps and scaled, unless --steps 2000 runs it whole.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common import parser, print_table, save
from kpl.methods import KPL
from kpl.proxies import closed_proxies, official_proxies
from kpl.proxies.arrays import unit_rows

STEPS = 2000
SEVERAL = 4  # sentences of a class
LARGE = ("closed", "kpl", "kpl_several")


def features(
    n: int, n_classes: int, d: int, dtype: type[np.floating] = np.float64
) -> tuple[NDArray[np.floating], NDArray[np.float64]]:
    """Return (n, d) images and (C, d) text proxies with CLIP's geometry: a shared cone, a gap, close classes."""
    rng = np.random.default_rng(0)
    text = unit_rows(rng.normal(size=d) + 0.5 * rng.normal(size=(n_classes, d)))
    gap = rng.normal(size=d) / np.sqrt(d)
    images = np.empty((n, d), dtype)
    for block in np.array_split(images, max(1, n // 5000)):  # views: filled in place, so that the peak stays low
        noise = 0.6 * rng.normal(size=block.shape) / np.sqrt(d)
        block[:] = unit_rows(gap + 0.5 * text[rng.integers(n_classes, size=len(block))] + noise)
    return images, text


def timed(work: Callable[[], object]) -> float:
    """Return the seconds of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def loop_against_closed(steps: int) -> dict[str, Any]:
    """Time both at n = 10 000, C = 37, d = 512, in float64 and float32."""
    images, text = features(10_000, 37, 512)
    closed = min(timed(lambda: closed_proxies(images, text)) for _ in range(3))
    found: dict[str, Any] = {"n": 10_000, "C": 37, "d": 512, "steps_run": steps, "closed_seconds": closed}
    for dtype in (np.float64, np.float32):
        rows = images.astype(dtype)
        loop = timed(lambda rows=rows: official_proxies(rows, text, steps=steps)) * STEPS / steps  # type: ignore[misc]
        found[f"official_seconds_{dtype.__name__}"] = loop
        found[f"ratio_{dtype.__name__}"] = loop / closed
    return found


def large(method: str) -> dict[str, Any]:
    """Fit on 50 000 images, 1000 classes, 768 dimensions; meant to run in a process of its own for its peak memory.

    Processor seconds of the process, all its threads together: what a machine is busy with does not change them much.
    """
    images, text = features(50_000, 1000, 768, np.float32)
    rng = np.random.default_rng(1)
    noise = rng.normal(size=(len(text), SEVERAL, text.shape[1])) / np.sqrt(text.shape[1])
    several = [unit_rows(row + 0.5 * own) for row, own in zip(text, noise, strict=True)]
    work: dict[str, Callable[[], object]] = {
        "closed": lambda: closed_proxies(images, text),
        "kpl": lambda: KPL().fit(images, [row[None] for row in text]),
        "kpl_several": lambda: KPL().fit(images, several),
    }
    begun = time.process_time()
    work[method]()
    seconds = time.process_time() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return {"processor_seconds": seconds, "peak_gb": peak}


def main() -> None:
    """Print the table."""
    options = parser(__doc__ or "")
    options.add_argument("--steps", type=int, default=STEPS)
    options.add_argument("--large", choices=LARGE, help="used by the benchmark itself")
    args = options.parse_args()
    if args.large:
        print(json.dumps(large(args.large)))
        return
    figures = {"loop_against_closed": loop_against_closed(args.steps)}
    for method in LARGE:
        done = subprocess.run(
            [sys.executable, str(Path(__file__)), "--large", method],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        )
        figures[f"large_{method}"] = json.loads(done.stdout)
    first = figures["loop_against_closed"]
    rows = [
        ["published loop, float64", f"{first['official_seconds_float64']:.1f} s", f"{first['ratio_float64']:.0f} x"],
        ["published loop, float32", f"{first['official_seconds_float32']:.1f} s", f"{first['ratio_float32']:.0f} x"],
        ["closed form", f"{first['closed_seconds']:.3f} s", "1 x"],
    ]
    print_table("10 000 images, 37 classes, 512 dimensions, 2000 steps", ["", "time", "to the closed form"], rows)
    rows = [
        [
            name,
            f"{(own := figures[f'large_{name}'])['processor_seconds']:.1f} s",
            f"{own['processor_seconds'] / figures['large_closed']['processor_seconds']:.1f} x",
            f"{own['peak_gb']:.2f} GB",
        ]
        for name in LARGE
    ]
    print_table(
        "50 000 images, 1000 classes, 768 dimensions",
        ["method", "processor time", "to the closed form", "peak memory"],
        rows,
    )
    save(args.json, figures)


if __name__ == "__main__":
    main()
