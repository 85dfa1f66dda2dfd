"""What learning on a cluster of Ray costs against one process: processor seconds, traffic, memory, and the same bits.

unshare -n python benchmarks/cluster.py --rows 300000 --json benchmarks/out/cluster.json     (root, ip, the extra ray)

Nodes of one processor each in a network namespace that has nothing but loopback, with one thread of linear algebra.
On a machine that does other things too only processor seconds tell, so they are what is printed: the longest way is the
driver and the worker that takes longest, which is what the wall would show on idle processors.
"""

from __future__ import annotations

import os
import subprocess

os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

import hashlib
import pickle
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common import parser, print_table, save
from kpl.embeddings import open_features
from kpl.embeddings.folder import FeatureFolder
from kpl.embeddings.layout import EmbeddedPicture, Index, Shard, ShardEntry, json_bytes, shard_names
from kpl.methods import KPL
from kpl.proxies.arrays import Floats
from kpl.proxies.passes import Exact, Work
from kpl.runs.spread import SpreadFeatures, spread

DIM = 512
SHARD = 16384


def write(path: Path, n: int, text: NDArray[np.float64]) -> FeatureFolder:
    """Write a feature folder of n float16 rows around the text."""
    path.mkdir()
    rng, entries = np.random.default_rng(1), []
    gap = rng.normal(size=DIM) / np.sqrt(DIM)
    for number, first in enumerate(range(0, n, SHARD)):
        size = min(SHARD, n - first)
        rows = gap + 0.5 * text[rng.integers(len(text), size=size)] + rng.normal(size=(size, DIM)) * 0.6 / np.sqrt(DIM)
        array, pictures = shard_names(number)
        np.save(path / array, (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16))
        hashed = hashlib.sha256((path / array).read_bytes()).hexdigest()
        listed = tuple(EmbeddedPicture(id=f"{first + k}", sha256=f"{first + k}") for k in range(size))
        lot = json_bytes(Shard(encoder="drawn:1", settings="none", array_sha256=hashed, pictures=listed))
        (path / pictures).write_bytes(lot)
        own = hashlib.sha256(lot).hexdigest()
        entries.append(ShardEntry(array=array, array_sha256=hashed, pictures=pictures, pictures_sha256=own, rows=size))
    index = Index(
        encoder_name="drawn", encoder="drawn:1", settings="none", dtype="float16", rows=n, dim=DIM,
        pictures_sha256="drawn", shards=tuple(entries),
    )  # fmt: skip
    (path / "index.json").write_bytes(json_bytes(index))
    return open_features(path)


def workers() -> dict[int, tuple[float, float]]:
    """Of each worker its processor seconds, and the most memory in MB that was its own or mapped."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cmdline").read_bytes().startswith(b"ray::Holder"):
                spent = (process / "stat").read_text().rpartition(")")[2].split()
                peak = next(line for line in (process / "status").read_text().splitlines() if line.startswith("VmHWM"))
                ticks = (int(spent[11]) + int(spent[12])) / os.sysconf("SC_CLK_TCK")
                found[int(process.name)] = ticks, int(peak.split()[1]) / 1024
        except (OSError, StopIteration):
            continue
    return found


class Counted(SpreadFeatures):
    """Counts what goes over the wire in each pass of the rounds."""

    sent: list[int]

    def add_up(self, work: Work, step: object, weights: Floats | None, grains: tuple[int, ...]) -> Exact:
        """Do so, and weigh the step and a sum, as they are sent to and by each worker."""
        found = super().add_up(work, step, weights, grains)
        if step is not None:
            self.sent.append(len(self._crew.actors) * (len(pickle.dumps(step)) + len(pickle.dumps(found))))
        return found


def bits(method: KPL) -> str:
    """Hash all that was learnt."""
    return hashlib.sha256(b"".join(array.tobytes() for _, array in sorted(method.state().items()))).hexdigest()


def main() -> None:
    """Print the costs of one process, and of one, two and three nodes."""
    options = parser(__doc__ or "")
    options.add_argument("--rows", type=int, default=10_000_000)
    options.add_argument("--classes", type=int, default=100)
    options.add_argument("--nodes", type=int, nargs="+", default=[1, 2, 3])
    asked = options.parse_args()
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    rng = np.random.default_rng(0)
    text = rng.normal(size=DIM) + 0.5 * rng.normal(size=(asked.classes, DIM))
    text /= np.linalg.norm(text, axis=1, keepdims=True)
    descriptions = [np.stack([row, row + 0.3 * rng.normal(size=DIM) / np.sqrt(DIM)]) for row in text]
    descriptions = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in descriptions]
    with tempfile.TemporaryDirectory() as folder:
        features = write(Path(folder) / "features", asked.rows, text)
        began = time.process_time()
        wanted = bits(KPL().fit(features, descriptions))
        alone = time.process_time() - began
        figures: dict[str, Any] = {"rows": asked.rows, "classes": asked.classes, "alone_seconds": alone}
        table = [["one process", f"{alone:.0f}", "", f"{alone:.0f}", "1", "", ""]]
        from ray.cluster_utils import Cluster

        cluster: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        there = 1
        for nodes in asked.nodes:
            while there < nodes:
                cluster.add_node(num_cpus=1)
                there += 1
            with spread(features, cluster.address) as plain:
                held = Counted(features, plain._crew)
                held.sent = []
                held._ready()
                before, began = workers(), time.process_time()
                found = bits(KPL().fit(held, descriptions))
                driver, after = time.process_time() - began, workers()
            if found != wanted:
                raise SystemExit(f"{nodes} nodes have not learnt the bits of one process")
            spent = [after[each][0] - before[each][0] for each in after]
            way, memory = driver + max(spent), max(peak for _, peak in after.values())
            share = max(held.sent) / (nodes * asked.classes * DIM * 8)
            figures[f"nodes_{nodes}"] = {
                "driver_seconds": driver, "worker_seconds": spent, "overhead": (driver + sum(spent)) / alone - 1,
                "way": way / alone, "traffic": share, "worker_mb": memory,
            }  # fmt: skip
            row = [f"{driver:.1f}", f"{max(spent):.0f}", f"{driver + sum(spent):.0f}", f"{way / alone:.2f}"]
            table.append([f"{nodes} nodes", *row, f"{share:.2f}", f"{memory:.0f}"])
        cluster.shutdown()
    heads = [
        "",
        "driver, s",
        "longest worker, s",
        "all, s",
        "longest way",
        "traffic a round / (w C d 8)",
        "MB a worker",
    ]
    print_table(f"{asked.rows} x {DIM} float16, {asked.classes} classes: processor seconds of a fit", heads, table)
    save(asked.json, figures)


if __name__ == "__main__":
    main()
