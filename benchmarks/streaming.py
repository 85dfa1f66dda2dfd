"""Fit and predict over a million images on disk within a gigabyte, and to the same proxies as in memory.

python benchmarks/streaming.py --json benchmarks/out/streaming.json        (needs 1 GB of disk; some minutes)
"""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from pathlib import Path

import numpy as np

from common import parser, print_table, save
from kpl.embeddings import FeatureRows
from kpl.methods import KPL, ClosedKPL


def write_features(path: Path, n: int, text: np.ndarray) -> None:
    """Write n float16 rows around the text, block by block."""
    rng = np.random.default_rng(1)
    d = text.shape[1]
    gap = rng.normal(size=d) / np.sqrt(d)
    rows = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=(n, d))
    for start in range(0, n, 50_000):
        size = min(50_000, n - start)
        block = gap + 0.5 * text[rng.integers(len(text), size=size)] + rng.normal(size=(size, d)) * 0.6 / np.sqrt(d)
        rows[start : start + size] = block / np.linalg.norm(block, axis=1, keepdims=True)
    del rows


def peak_gb() -> float:
    """Return this process's own peak of resident memory."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1e6
    return float("nan")


def main() -> None:
    """Print times, the peak, and the largest difference between streamed and in-memory proxies."""
    options = parser(__doc__ or "")
    options.add_argument("--n", type=int, default=1_000_000)
    args = options.parse_args()
    rng = np.random.default_rng(0)
    text = rng.normal(size=512) + 0.5 * rng.normal(size=(100, 512))
    text /= np.linalg.norm(text, axis=1, keepdims=True)
    descriptions = [row[None] for row in text]
    figures: dict[str, float] = {"n": args.n}
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "images.npy"
        # In a process of its own: the pages of the file being written would count as this one's memory.
        writer = multiprocessing.get_context("spawn").Process(target=write_features, args=(path, args.n, text))
        writer.start()
        writer.join()
        source = FeatureRows([path])
        streamed = {}
        for method in (ClosedKPL(k=None), KPL(k=None)):
            start = time.perf_counter()
            method.fit(source, descriptions)
            fitted = time.perf_counter()
            predictions = method.predict(source)
            ended = time.perf_counter()
            streamed[method.name] = method
            figures |= {f"{method.name}_fit_seconds": fitted - start, f"{method.name}_predict_seconds": ended - fitted}
            rows.append([method.name, f"{fitted - start:.0f} s", f"{ended - fitted:.0f} s", str(len(predictions))])
        figures["peak_gb"] = peak_gb()  # before anything is held whole
        part = source.load()[: min(args.n, 100_000)]
        np.save(Path(folder) / "part.npy", part)
        from_disk = FeatureRows([Path(folder) / "part.npy"])
        for method in (ClosedKPL(k=None), KPL(k=None)):
            whole = method.fit(from_disk.load(), descriptions).model_.proxies
            again = type(method)(k=None).fit(from_disk, descriptions).model_.proxies
            figures[f"{method.name}_difference"] = float(np.abs(whole - again).max() / np.abs(whole).max())
    print_table(f"{args.n} x 512 float16 on disk, 100 classes", ["method", "fit", "predict", "predictions"], rows)
    print(
        f"\nPeak memory {figures['peak_gb']:.2f} GB; streamed against in-memory proxies (100 000 images), largest "
        f"relative difference: closed {figures['kpl-closed_difference']:.1e}, kpl {figures['kpl_difference']:.1e}"
    )
    save(args.json, figures)


if __name__ == "__main__":
    main()
