"""What a cluster of Ray costs against one process, to embed or to learn: time, traffic, memory, and the same bits.

unshare -n python benchmarks/cluster.py --rows 300000 --json benchmarks/out/fit.json     (root, ip, the extra ray)
unshare -n python benchmarks/cluster.py --embed 5000 --json benchmarks/out/embed.json    drawn cells, by `kpl embed`

Nodes of one processor each in a network namespace that has nothing but loopback, with one thread of linear algebra. One
process is pinned to one processor, each node to its own as far as the machine has them, and the driver to those of the
nodes. On a machine that does other things too only processor seconds tell: the longest way is the driver and the worker
that takes longest, which is what the wall would show on idle processors. `--nodes 0 2` is one process and two nodes;
without 0 they are compared with the one process in `--json`, and `--data FOLDER` keeps what is read between runs.
"""

from __future__ import annotations

import os
import subprocess

os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

import hashlib
import importlib.util
import json
import pickle
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common import parser, save
from kpl.embeddings import open_features
from kpl.embeddings.folder import FeatureFolder
from kpl.embeddings.layout import EmbeddedPicture, Index, Shard, ShardEntry, json_bytes, shard_names
from kpl.methods import KPL
from kpl.proxies.arrays import Floats
from kpl.proxies.passes import Exact, Work
from kpl.runs.spread import SpreadFeatures, spread

DIM = 512
SHARD = 16384
CORES = sorted(os.sched_getaffinity(0))


def write(path: Path, n: int, text: NDArray[np.float64]) -> FeatureFolder:
    """Write a feature folder of n float16 rows around the text, its list last."""
    path.mkdir(exist_ok=True)
    rng, entries = np.random.default_rng(1), []
    centres = (rng.normal(size=DIM) / np.sqrt(DIM) + 0.5 * text).astype(np.float32)
    for number, first in enumerate(range(0, n, SHARD)):
        size = min(SHARD, n - first)
        rows = rng.standard_normal((size, DIM), np.float32) * np.float32(0.6 / np.sqrt(DIM))
        rows += centres[rng.integers(len(text), size=size)]
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


class Spent(threading.Thread):
    """Looks, until it is asked, at the processor seconds of all processes in this namespace, but for this one."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._first, self._last, self._over = self._now(), dict[int, float](), threading.Event()
        self.start()

    @staticmethod
    def _now() -> dict[int, float]:
        found, own = {}, Path("/proc/self/ns/net").readlink()
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if int(process.name) != os.getpid() and (process / "ns" / "net").readlink() == own:
                    spent = (process / "stat").read_text().rpartition(")")[2].split()
                    found[int(process.name)] = (int(spent[11]) + int(spent[12])) / os.sysconf("SC_CLK_TCK")
            except OSError:
                continue
        return found

    def run(self) -> None:
        """Look four times a second."""
        while not self._over.wait(0.25):
            self._last |= self._now()

    def seconds(self) -> float:
        """Return what was spent since it was made."""
        self._over.set()
        self.join()
        self._last |= self._now()
        return sum(spent - self._first.get(process, 0.0) for process, spent in self._last.items())


class Figures:
    """What was measured, in a file too after each step: unattended, nothing is lost."""

    def __init__(self, path: Path | None, asked: dict[str, int]) -> None:
        self._path = path
        before = json.loads(path.read_text(encoding="utf-8")) if path is not None and path.exists() else {}
        self.known: dict[str, Any] = before if {key: before.get(key) for key in asked} == asked else asked

    def add(self, nodes: int, **figures: object) -> None:
        """Say it and write it."""
        self.known[f"nodes_{nodes}"] = figures
        print(f"{nodes or 'no'} nodes: {figures}", flush=True)
        save(self._path, self.known)

    def one(self) -> dict[str, Any]:
        """Return those of one process."""
        if "nodes_0" not in self.known:
            raise SystemExit("nothing is known of one process with as much to do: --nodes 0, or --json of that run")
        return dict(self.known["nodes_0"])


class Nodes:
    """A cluster that grows; each node on a processor of its own, and this process where the nodes are."""

    def __init__(self) -> None:
        self.there = 0
        self._cluster: Any = None

    def grow(self, nodes: int) -> str:
        """Bring it to some nodes, and return the address of its head."""
        from ray.cluster_utils import Cluster

        while self.there < nodes:
            os.sched_setaffinity(0, {CORES[self.there % len(CORES)]})
            if self._cluster is None:
                how = {
                    "worker_niceness": 0
                }  # what else the machine does takes as much from a worker as from one process
                head = {"num_cpus": 1, "include_dashboard": False, "_system_config": how}
                self._cluster = Cluster(initialize_head=True, head_node_args=head)
            else:
                self._cluster.add_node(num_cpus=1)
            self.there += 1
        os.sched_setaffinity(0, CORES[:nodes])
        return str(self._cluster.address)

    def end(self) -> None:
        """End it."""
        if self._cluster is not None:
            self._cluster.shutdown()


def embed(asked: Any, figures: Figures, work: Path) -> None:  # noqa: ANN401 - what argparse has read
    """Type `kpl embed` in one process and on nodes."""
    spec: Any = importlib.util.spec_from_file_location("trials", Path(__file__).parents[1] / ".ci" / "cluster.py")
    trials = importlib.util.module_from_spec(spec)
    sys.modules["trials"] = trials
    spec.loader.exec_module(trials)
    if not (work / "scans").exists():
        trials.draw(work / "scans", asked.embed)
        print(f"{asked.embed} cells drawn", flush=True)
    cluster = Nodes()
    for nodes in asked.nodes:
        words = [trials.KPL, "embed", "scans", "--out", f"features-{nodes}"]
        words += ["--on", "ray", "--address", cluster.grow(nodes)] if nodes else []
        shutil.rmtree(work / words[4], ignore_errors=True)
        os.sched_setaffinity(0, CORES[: max(nodes, 1)])
        time.sleep(5 if nodes else 0)  # the nodes come to rest
        spent, began = Spent(), time.perf_counter()
        done = subprocess.run(words, cwd=work, capture_output=True, text=True)
        wall, seconds = time.perf_counter() - began, spent.seconds()
        if done.returncode:
            raise SystemExit(f"{' '.join(words)} ended with {done.returncode}: {done.stderr[-2000:]}")
        hashed = hashlib.sha256(json.dumps([*map(repr, sorted(trials.files(work / words[4]).items()))]).encode())
        one: dict[str, Any] = figures.one() if nodes else {"bits": hashed.hexdigest(), "wall": wall, "seconds": seconds}
        if hashed.hexdigest() != one["bits"]:
            raise SystemExit(f"{nodes} nodes have not the bytes of one process")
        more = {"faster": one["wall"] / wall, "overhead": seconds / one["seconds"] - 1} if nodes else {}
        figures.add(nodes, wall=wall, seconds=seconds, bits=hashed.hexdigest(), **more)
    cluster.end()


def fit(asked: Any, figures: Figures, work: Path) -> None:  # noqa: ANN401 - what argparse has read
    """Learn in one process and on nodes, after these have started."""
    rng = np.random.default_rng(0)
    text = rng.normal(size=DIM) + 0.5 * rng.normal(size=(asked.classes, DIM))
    text /= np.linalg.norm(text, axis=1, keepdims=True)
    descriptions = [np.stack([row, row + 0.3 * rng.normal(size=DIM) / np.sqrt(DIM)]) for row in text]
    descriptions = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in descriptions]
    place = work / "features"
    features = open_features(place) if (place / "index.json").exists() else write(place, asked.rows, text)
    print(f"{features.n} rows", flush=True)
    cluster = Nodes()
    for nodes in asked.nodes:
        if not nodes:
            began, wall = time.process_time(), time.perf_counter()
            found = bits(KPL().fit(features, descriptions))
            seconds = time.process_time() - began
            figures.add(0, wall=time.perf_counter() - wall, seconds=seconds, bits=found)
            continue
        one = figures.one()
        with spread(features, cluster.grow(nodes)) as plain:
            held = Counted(features, plain._crew)
            held.sent = []
            held._ready()
            before, began, wall = workers(), time.process_time(), time.perf_counter()
            found = bits(KPL().fit(held, descriptions))
            wall, driver, after = time.perf_counter() - wall, time.process_time() - began, workers()
        if found != one["bits"]:
            raise SystemExit(f"{nodes} nodes have not learnt the bits of one process")
        spent = [after[each][0] - before[each][0] for each in after]
        figures.add(
            nodes, wall=wall, wall_share=wall / one["wall"], driver_seconds=driver, worker_seconds=spent,
            overhead=(driver + sum(spent)) / one["seconds"] - 1, way=(driver + max(spent)) / one["seconds"],
            traffic=max(held.sent) / (nodes * asked.classes * DIM * 8),
            worker_mb=max(peak for _, peak in after.values()), bits=found,
        )  # fmt: skip
    cluster.end()


@contextmanager
def kept(data: Path | None) -> Iterator[Path]:
    """Give a folder, which is removed in the end if no other is asked for."""
    if data is None:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)
    else:
        data.mkdir(parents=True, exist_ok=True)
        yield data.resolve()


def main() -> None:
    """Measure one process, and one, two and three nodes."""
    options = parser(__doc__ or "")
    options.add_argument("--rows", type=int, default=10_000_000)
    options.add_argument("--classes", type=int, default=100)
    options.add_argument("--embed", type=int, metavar="CELLS", help="embed so many drawn cells, and learn nothing")
    options.add_argument("--nodes", type=int, nargs="*", default=[0, 1, 2, 3], help="0 is one process")
    options.add_argument("--data", type=Path, help="keep what is read here, and read it again")
    asked = options.parse_args()
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    os.sched_setaffinity(0, {CORES[0]})
    size = {"cells": asked.embed} if asked.embed else {"rows": asked.rows, "classes": asked.classes}
    with kept(asked.data) as work:
        (embed if asked.embed else fit)(asked, Figures(asked.json, size), work)


if __name__ == "__main__":
    main()
