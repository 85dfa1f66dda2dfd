"""Nodes of one processor each, in a network namespace that has nothing but loopback: what a cluster must keep.

    unshare -n python .ci/cluster.py [--cells 2000] [--whole]

`kpl embed` to a disk and to a store, `fit` and `classify` with `--on ray` write the bytes of one process, though a node
is killed while each is at work, and so do `update` and `classify --multi-label`; `--whole` tries one, two and three
nodes, a killed driver, the same commands again, and Ctrl-C too.
"""

from __future__ import annotations

import argparse
import logging
import os
import resource
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ |= {
    "RAY_USAGE_STATS_ENABLED": "0",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",  # linear algebra rounds as its threads divide it
}
KPL = str(Path(sysconfig.get_path("scripts")) / "kpl")
SHARDS = 20
PATIENCE = 600
HEAD = {
    "num_cpus": 1,
    "include_dashboard": False,
    # five checks that fail, and a node is dead; workers of the usual niceness wait for all else that a machine does
    "_system_config": {"health_check_period_ms": 1000, "worker_niceness": 0},
}


def draw(folder: Path, cells: int) -> None:
    """Draw cells, small, as only their number matters; beside them a table of all."""
    import numpy as np
    import pyarrow
    from PIL import Image
    from pyarrow.parquet import write_table

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
    write_table(
        pyarrow.table({"image": [f"{folder.name}/{number:05}.png" for number in range(cells)]}),
        folder.parent / "MANIFEST.parquet",
    )


def files(place: Path) -> dict[str, bytes]:
    """What a folder or a file holds, without the times that a run took."""
    found = [place] if place.is_file() else [path for path in sorted(place.rglob("*")) if path.is_file()]
    return {str(path.relative_to(place)): path.read_bytes() for path in found if path.name != "log.json"}


def is_there(title: str) -> bool:
    """Say whether a process of this title is in this namespace, as Ray names its workers by their class."""
    own = Path("/proc/self/ns/net").readlink()
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if process.read_bytes().startswith(title.encode()) and (process.parent / "ns" / "net").readlink() == own:
                return True
        except OSError:
            continue
    return False


@dataclass
class Trial:
    """A folder to work in, a cluster, and what its commands have to come to."""

    work: Path
    size: str
    cluster: Any = None
    began: float = field(default_factory=time.monotonic)

    def say(self, what: str) -> None:
        """Print it, with the time."""
        print(f"[{time.monotonic() - self.began:6.1f} s] {what}", flush=True)

    def another_node(self) -> Any:  # noqa: ANN401 - ray is untyped
        """Start a node; Ray gives it half a minute, which a busy machine may not have the first time."""
        for attempt in range(4):
            try:
                return self.cluster.add_node(num_cpus=1)
            except Exception as error:
                if attempt == 3:
                    raise SystemExit(f"a node does not start: {error}") from error
                self.say("a node did not start in time: again")
        return None

    def started(self, words: list[str], on_ray: bool = True) -> subprocess.Popen[str]:
        """Start a command, on the cluster or in one process."""
        words = [KPL, *words, *(["--on", "ray", "--address", self.cluster.address] if on_ray else [])]
        return subprocess.Popen(words, cwd=self.work, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def ended(self, process: subprocess.Popen[str], code: int = 0) -> str:
        """Wait for it and return what it said."""
        out, err = process.communicate(timeout=PATIENCE)
        if process.returncode != code or "Traceback" in out + err or (code and len(err.splitlines()) != 1):
            raise SystemExit(f"exit code {process.returncode}, not {code}: {(out + err)[-3000:]}")
        return next(line for line in (err if code else out).splitlines() if line and not line.startswith("Note: "))

    def commands(self, name: str) -> dict[str, list[str]]:
        """The three commands, by what they make, and what each is to be equal to."""
        return {
            f"{name}-features": ["embed", "MANIFEST.parquet", "--shard-size", self.size],
            f"{name}.kpl": ["fit", f"{name}-features", "--knowledge", "blood-cells"],
            f"{name}-run": ["classify", f"{name}-features", "--model", f"{name}.kpl", "--predictions", "parquet"],
        }

    def once(self, name: str, *, on_ray: bool = True, meanwhile: Callable[..., None] = lambda *_: None) -> None:
        """Type all commands; `meanwhile` is told which has been started, what it makes, and its process."""
        for made, words in self.commands(name).items():
            process = self.started([*words, "--out", made], on_ray)
            meanwhile(words[0], made, process)
            said = self.ended(process)
            if on_ray:
                self.compare(made, made.replace(name, "one"))
            self.say(f"{made}: {said}" + (", the bytes of one process" if on_ray else ""))

    def compare(self, made: str, wanted: str) -> None:
        """Refuse what has not the bytes of one process."""
        found, other = files(self.work / made), files(self.work / wanted)
        if found != other:
            differing = sorted(name for name in {*found, *other} if found.get(name) != other.get(name))
            raise SystemExit(f"{made} has not the bytes of one process: {differing[:9]}")

    def wait_for(self, command: str, made: str, process: subprocess.Popen[str]) -> None:
        """Wait until something of a command is done, or at least somebody there to do it."""
        while (
            process.poll() is None
            and not {
                "embed": any((self.work / f".{made}.parts" / "done").glob("*.json")),
                "fit": command == "fit" and is_there("ray::Holder"),
                "classify": any((self.work / f".{made}.partial" / ".said").glob("*.npy")),
            }[command]
        ):
            time.sleep(0.02)
        if process.returncode is not None:
            raise SystemExit(f"{command} was over before it began: {self.ended(process)}")


def with_a_node_killed(trial: Trial) -> None:
    """Kill a node while each command is at work, and bring another."""

    node = trial.another_node()

    def kill(command: str, made: str, process: subprocess.Popen[str]) -> None:
        nonlocal node
        trial.wait_for(command, made, process)
        trial.cluster.remove_node(node, allow_graceful=False)
        node = trial.another_node()
        trial.say(f"a node killed while it was to {command}")

    trial.once("killed", meanwhile=kill)
    trial.cluster.remove_node(node)


def with_the_driver_killed(trial: Trial) -> None:
    """Kill each command itself, and type it again: what was embedded is not embedded twice."""
    for made, words in trial.commands("again").items():
        process = trial.started([*words, "--out", made])
        trial.wait_for(words[0], made, process)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        done = len(list((trial.work / f".{made}.parts" / "done").glob("*.json"))) * int(trial.size)
        said = trial.ended(trial.started([*words, "--out", made]))
        kept = int(said.partition("(")[2].split(" ")[0]) if "(" in said and words[0] == "embed" else 0
        if kept < done:
            raise SystemExit(f"{done} pictures were done, and {said}")
        trial.compare(made, made.replace("again", "one"))
        trial.say(f"{made}: {said}, its driver killed before" + (f" with {done} done" if done else ""))
        said = trial.ended(trial.started([*words, "--out", made]))
        trial.compare(made, made.replace("again", "one"))
        trial.say(f"{made} again: {said}")


def serve_a_store() -> None:
    """Serve what speaks as S3 does, with one bucket; nodes that start later find it by their environment."""
    from moto.server import ThreadedMotoServer
    from s3fs import S3FileSystem

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1"}
    os.environ |= {**keys, "AWS_ENDPOINT_URL": "http://{}:{}".format(*server.get_host_and_port())}
    S3FileSystem().mkdir("bucket")


def of_more_kinds(trial: Trial) -> None:
    """Teach a model more, and say several labels a picture: in one process, then on the cluster."""
    trial.ended(trial.started(["embed", "scans/00000.png", "scans/00001.png", "--out", "more-features"], on_ray=False))
    kinds = {
        "taught.kpl": ["update", "one.kpl", "more-features"],
        "labels-run": ["classify", "one-features", "--knowledge", "blood-cells", "--multi-label"],
    }
    for made, words in kinds.items():
        trial.ended(trial.started([*words, "--out", f"one-{made}"], on_ray=False))
        said = trial.ended(trial.started([*words, "--out", made]))
        trial.compare(made, f"one-{made}")
        trial.say(f"{made}: {said}, the bytes of one process")


def in_parts(trial: Trial) -> None:
    """Embed in two processes and join what they made."""
    words = ["embed", "MANIFEST.parquet", "--shard-size", trial.size, "--out", "parts-features", "--part"]
    for process in [trial.started([*words, f"{part}/2"], on_ray=False) for part in range(2)]:
        trial.ended(process)
    said = trial.ended(trial.started(["embed", "--join", "parts-features"], on_ray=False))
    trial.compare("parts-features", "one-features")
    trial.say(f"two parts and join: {said}, the bytes of one process")


def into_a_store(trial: Trial) -> None:
    """Embed into a store while a node is killed, and again with all contents compared."""
    from s3fs import S3FileSystem

    store, node, url = S3FileSystem(use_listings_cache=False), trial.another_node(), "s3://bucket/features"
    words = ["embed", "MANIFEST.parquet", "--shard-size", trial.size, "--out", url]
    process = trial.started(words)
    while process.poll() is None and not store.find("bucket/.features.parts/done"):
        time.sleep(0.2)  # the server is a thread of this process
    trial.cluster.remove_node(node, allow_graceful=False)
    trial.say(f"{trial.ended(process)}, a node killed")
    trial.say(trial.ended(trial.started([*words, "--verify"])))
    (trial.work / "stored-features").mkdir()
    for path in store.find("bucket/features"):
        store.get_file(path, str(trial.work / "stored-features" / path.rpartition("/")[2]))
    trial.ended(trial.started(["fit", url, "--knowledge", "blood-cells", "--out", "stored.kpl"]))
    for made in ("stored-features", "stored.kpl"):
        trial.compare(made, made.replace("stored", "one"))
    trial.say(f"features and what is learnt from {url}: the bytes of one process")


def with_ctrl_c(trial: Trial) -> None:
    """Press Ctrl-C while each command is at work: one line, and no worker is left."""
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # what a shell starts in the background inherits that it is ignored
    for made, words in trial.commands("one").items():
        stopped = made.replace("one", "stopped")
        process = trial.started([*words, "--out", stopped])
        trial.wait_for(words[0], stopped, process)
        process.send_signal(signal.SIGINT)
        trial.say(trial.ended(process, 130))
        until = time.monotonic() + PATIENCE
        while is_there("ray::Worker") or is_there("ray::Holder"):
            if time.monotonic() > until:
                raise SystemExit("workers are left")
            time.sleep(0.1)


def main() -> None:
    """Do it all and say how long each took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=2000)
    parser.add_argument("--whole", action="store_true", help="everything that is promised")
    asked = parser.parse_args()
    subprocess.run([shutil.which("ip") or "ip", "link", "set", "lo", "up"], check=True)
    with tempfile.TemporaryDirectory() as folder:
        trial = Trial(Path(folder), str(asked.cells // SHARDS))
        draw(trial.work / "scans", asked.cells)
        trial.once("one", on_ray=False)
        spent = resource.getrusage(resource.RUSAGE_CHILDREN)
        trial.say(f"one process: {spent.ru_utime + spent.ru_stime:.1f} processor seconds")
        in_parts(trial)
        serve_a_store()
        from ray.cluster_utils import Cluster

        trial.cluster = Cluster(initialize_head=True, head_node_args=HEAD)
        trial.say("a cluster of one node")
        if asked.whole:
            trial.once("n1")
            trial.another_node()
            trial.once("n2")
            extra = trial.another_node()
            trial.once("n3")
            trial.cluster.remove_node(extra)
            with_the_driver_killed(trial)
            with_ctrl_c(trial)
        with_a_node_killed(trial)
        of_more_kinds(trial)
        into_a_store(trial)
        trial.cluster.shutdown()
        spent = resource.getrusage(resource.RUSAGE_CHILDREN)
        trial.say(f"all as it must be; {spent.ru_utime + spent.ru_stime:.0f} processor seconds of the commands")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1] / "training"))
    main()
