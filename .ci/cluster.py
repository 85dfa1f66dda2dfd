"""Two nodes of one processor each, in a network namespace that has nothing but loopback: what a cluster must keep.

    unshare -n python .ci/cluster.py [--cells 2000]

The folder of `kpl embed --on ray` has the bytes of one process; a node killed on the way costs its shard, a killed
driver nothing that was done, and Ctrl-C leaves one line.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
KPL = str(Path(sysconfig.get_path("scripts")) / "kpl")
SHARDS = 20


def draw(folder: Path, cells: int) -> None:
    """Draw cells, small, as only their number matters."""
    import numpy as np
    from PIL import Image

    from rendered import cell_of_class, draw_cell

    folder.mkdir()
    kinds = ("neutrophil", "normal_red_cell", "platelet")
    drawn = []
    for number in range(24):
        rng = np.random.default_rng([7, number])
        drawn.append(Image.fromarray(draw_cell(cell_of_class(kinds[number % 3], rng), rng)).resize((64, 64)))
    for number in range(cells):
        cell = drawn[number % len(drawn)].copy()
        cell.putpixel((number % 64, number // 64 % 64), (number % 256, number // 256, 9))
        cell.save(folder / f"{number:05}.png")


def files(folder: Path) -> dict[str, bytes]:
    """What a folder holds."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def started(work: Path, address: str, out: str, size: str) -> subprocess.Popen[str]:
    """Start `kpl embed --on ray`."""
    words = [KPL, "embed", "scans", "--out", out, "--shard-size", size, "--on", "ray", "--address", address]
    return subprocess.Popen(words, cwd=work, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str], code: int = 0) -> str:
    """Wait for it and return what it said."""
    out, err = process.communicate(timeout=300)
    said = out + err
    if process.returncode != code or "Traceback" in said:
        raise SystemExit(f"exit code {process.returncode}, not {code}: {said[-2000:]}")
    return said


def wait_for_shards(work: Path, out: str, count: int, process: subprocess.Popen[str]) -> None:
    """Wait until so many shards are done."""
    while len(list((work / f".{out}.parts" / "done").glob("*.json"))) < count and process.poll() is None:
        time.sleep(0.02)


def main() -> None:
    """Do it all and say how long each took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=2000)
    cells = parser.parse_args().cells
    subprocess.run([shutil.which("ip") or "ip", "link", "set", "lo", "up"], check=True)
    began, size = time.monotonic(), str(cells // SHARDS)

    def say(what: str) -> None:
        print(f"[{time.monotonic() - began:6.1f} s] {what}", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        draw(work / "scans", cells)
        subprocess.run([KPL, "embed", "scans", "--out", "one", "--shard-size", size], cwd=work, check=True)
        say(f"one process embedded {cells}")
        from ray.cluster_utils import Cluster

        cluster: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        second = cluster.add_node(num_cpus=1)
        say("two nodes")
        process = started(work, cluster.address, "ray", size)
        wait_for_shards(work, "ray", 4, process)
        cluster.remove_node(second, allow_graceful=False)
        say(ended(process).strip() + ", a node killed on the way")
        if files(work / "ray") != files(work / "one"):
            raise SystemExit("the bytes of a cluster are not those of one process")
        cluster.add_node(num_cpus=1)
        process = started(work, cluster.address, "again", size)
        wait_for_shards(work, "again", 4, process)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        done = len(list((work / ".again.parts" / "done").glob("*.json")))
        said = ended(started(work, cluster.address, "again", size))
        say(said.strip() + f", its driver killed with {done} shards done")
        if files(work / "again") != files(work / "one"):
            raise SystemExit("the bytes after a killed driver are not those of one process")
        process = started(work, cluster.address, "stopped", size)
        wait_for_shards(work, "stopped", 2, process)
        process.send_signal(signal.SIGINT)
        say(ended(process, 130).strip())
        cluster.shutdown()
    say("all as it must be")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1] / "training"))
    main()
