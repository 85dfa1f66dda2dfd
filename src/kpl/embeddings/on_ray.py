"""The parts of a feature folder made by a cluster of Ray: this process keeps the queue, an actor on each node works.

A shard goes to whoever is free. Where an actor dies its shard goes to another; a shard that two have died of is halved
until the one picture is found that does it, which is set aside. What is done lies on the disk that all nodes share, as
`kpl.embeddings.parts` has it, so that nothing but the shards that were worked on is lost with a node or with this
process, and the folder has the bytes of one process.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from kpl.embeddings.done import Header
from kpl.embeddings.folder import FeatureFolder
from kpl.embeddings.lots import Lot, Lots
from kpl.embeddings.making import Making
from kpl.embeddings.parts import Parts
from kpl.embeddings.target import check_folder
from kpl.encoders import load_encoder
from kpl.errors import EncoderError, InputError, KplError, OutputError, from_extra
from kpl.progress import Counted

_PACKAGE: Final = "knowledge-proxy-learning"
_DEATHS: Final = 2  # of actors with the same shard, before one of its pictures is looked for
_SECONDS: Final = 5.0  # for a head to answer
_REASON: Final = "ends the process that reads it, twice: look at it by itself"


@dataclass(frozen=True)
class _Task:
    """What an actor is to be: the same as this process, or it refuses."""

    version: str
    header: Header
    encoder: str
    out: Path
    folder: Path
    home: str | None
    batch_size: int | None
    workers: int | None
    verify: bool


class Worker:
    """Makes shards on a node. What the user can mend comes back as text, since errors travel badly."""

    def __init__(self, task: _Task) -> None:
        self._task = task

    def begin(self) -> str:
        """Get ready; say what stands in the way, or nothing."""
        task, own = self._task, version(_PACKAGE)
        if own != task.version:
            return f"a worker on {socket.gethostname()} has KPL {own}, not {task.version}: install the same"
        try:
            os.chdir(task.folder)  # names of pictures are paths from there
        except OSError as error:
            return f"a worker on {socket.gethostname()} does not see {str(task.folder)!r} ({error.strerror}): share it"
        if task.home is not None:
            os.environ["KPL_HOME"] = task.home
        try:
            how = Making(load_encoder(task.encoder), task.header.dtype, task.batch_size, task.workers, task.verify)
        except KplError as error:
            return f"a worker on {socket.gethostname()}: {error}"
        parts = Parts(task.out)
        self._shards = how.shards(parts.features, task.out, task.header.plan, parts.receipts, shared=True)
        found = (self._shards.identity, how.settings.content_hash())
        if found != (task.header.encoder, task.header.settings):
            return f"a worker on {socket.gethostname()} has {found[0]}, not {task.header.encoder}: install the same"
        return ""

    def make(self, lot: Lot) -> tuple[str, int]:
        """Make a shard; say what stands in the way, or nothing, and how many pictures were there already."""
        try:
            self._shards.make(lot)
        except KplError as error:
            return f"on {socket.gethostname()}: {error}", 0
        return "", self._shards.reused[lot.number]

    def read(self, lot: Lot) -> None:
        """Read and encode pictures, for nothing but to see whether this process lives on."""
        for _ in self._shards.rows(lot):
            pass


@dataclass
class _Cluster:
    """The queue, and who works on what."""

    ray: Any
    task: _Task
    waiting: Iterator[Lot]
    again: deque[Lot] = field(default_factory=deque)
    busy: dict[Any, tuple[str, Lot, bool]] = field(default_factory=dict)
    """By what will come back: the node, the lot, and whether it is only read."""
    actors: dict[str, Any] = field(default_factory=dict)
    deaths: Counter[int] = field(default_factory=Counter)
    suspects: dict[int, tuple[Lot, list[Any]]] = field(default_factory=dict)
    """Of a lot that ends its processes, the pictures of which one does it."""
    reused: int = 0

    def run(self, tell: Callable[[int], None]) -> None:
        """Work until nothing waits.

        Raises:
            OutputError, EncoderError: a worker cannot write, or is another.
        """
        idle_since = time.monotonic()
        while True:
            self._hire()
            self._give()
            if not self.busy:
                if self.actors:
                    return
                if time.monotonic() - idle_since > 60:
                    raise InputError("the cluster has no node with a processor for a minute: start workers, run again")
                time.sleep(0.5)
                continue
            idle_since = time.monotonic()
            done, _ = self.ray.wait(list(self.busy), timeout=1)
            for reference in done:
                self._take(reference, tell)

    def _hire(self) -> None:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        for node in self.ray.nodes():
            name, resources = node["NodeID"], node.get("Resources", {})
            if not node["Alive"] or name in self.actors or not resources.get("CPU"):
                continue
            there = NodeAffinitySchedulingStrategy(node_id=name, soft=False)
            gpus = min(1, resources.get("GPU", 0))
            actor = self.ray.remote(Worker).options(num_cpus=1, num_gpus=gpus, scheduling_strategy=there)
            self.actors[name] = actor.remote(self.task)
            self.busy[self.actors[name].begin.remote()] = (name, Lot(-1, 0, ()), True)

    def _give(self) -> None:
        at_work = {name for name, *_ in self.busy.values()}
        for name in [each for each in self.actors if each not in at_work]:
            if (lot := self.again.popleft() if self.again else next(self.waiting, None)) is None:
                return
            number = lot.number
            if number in self.suspects:
                whole, among = self.suspects[number]
                half = replace(whole, records=among[: len(among) // 2])
                self.busy[self.actors[name].read.remote(half)] = (name, half, True)
            else:
                self.busy[self.actors[name].make.remote(lot)] = (name, lot, False)

    def _take(self, reference: Any, tell: Callable[[int], None]) -> None:  # noqa: ANN401 - ray is untyped
        name, lot, only_read = self.busy.pop(reference)
        try:
            said = self.ray.get(reference)
        except self.ray.exceptions.RayActorError:
            self.actors.pop(name, None)  # another takes its place, if the node is there
            if lot.number >= 0:
                self._died(lot, only_read)
            return
        if lot.number < 0:
            if said:
                raise EncoderError(said)
        elif only_read:
            whole, among = self.suspects[lot.number]
            self._narrow(whole, among[len(among) // 2 :])
        else:
            wrong, reused = said
            if wrong:
                raise OutputError(wrong)
            self.reused += reused
            tell(len(lot.records))

    def _died(self, lot: Lot, only_read: bool) -> None:
        self.deaths[lot.number] += 1
        if only_read:
            whole, among = self.suspects[lot.number]
            self._narrow(whole, among[: len(among) // 2])
        elif self.deaths[lot.number] < _DEATHS:
            self.again.append(lot)
        else:
            self._narrow(lot, [record for record in lot.records if record.id not in lot.left_out])

    def _narrow(self, lot: Lot, among: list[Any]) -> None:
        """Look for the picture in fewer, until it is found and left out."""
        if len(among) > 1:
            self.suspects[lot.number] = (lot, among)
            self.again.append(lot)
            return
        self.suspects.pop(lot.number, None)
        self.deaths[lot.number] = _DEATHS - 1
        self.again.append(replace(lot, left_out={**lot.left_out, **{each.id: _REASON for each in among}}))


def embed_on_ray(
    lots: Lots,
    how: Making,
    out: str | Path,
    encoder: str,
    *,
    address: str | None = None,
    overwrite: bool = False,
    progress: Counted | None = None,
) -> FeatureFolder:
    """Embed pictures as `embed_lots` does, by an actor on each node of a cluster; all nodes see the same files.

    Args:
        lots, how, out, overwrite, progress: as for `embed_lots`.
        encoder: how the workers load the encoder; theirs must be this one.
        address: of the cluster's head, host:port; None starts Ray on this machine alone.

    Raises:
        MissingExtraError: Ray is not installed.
        InputError: no head answers there.
        EncoderError: a worker has another version, encoder or settings.
        OutputError: as `embed_lots`, here or on a node.
    """
    ray = _connect(address)
    out, header = Path(out).absolute(), how.header(lots, overwrite=overwrite)
    parts = Parts(out)
    total, done = lots.total, 0

    def tell(more: int) -> None:
        nonlocal done
        done += more
        if progress is not None:
            progress(done, total)

    try:
        check_folder(out, header, lots.ids(), overwrite=overwrite)
        parts.begin(header, 1)
        home = os.environ.get("KPL_HOME")
        where = (out, Path.cwd(), home)
        task = _Task(version(_PACKAGE), header, encoder, *where, how.batch_size, how.workers, how.verify)
        cluster = _Cluster(ray, task, lots.lots(range(lots.count)))
        cluster.run(tell)
    finally:
        ray.shutdown()
    folder = parts.join(verify=False, tell=lambda *_: None)
    return FeatureFolder(folder.path, folder.index, reused=cluster.reused)


def _connect(address: str | None) -> Any:  # noqa: ANN401 - ray is untyped
    if address is not None:
        host, _, port = address.rpartition(":")
        mend = "start one with `ray start --head`, or correct --address"
        if not host or not port.isdecimal():
            raise InputError(f"--address {address!r} cannot be read: write HOST:PORT, such as 10.0.0.1:6379")
        try:
            socket.create_connection((host, int(port)), timeout=_SECONDS).close()
        except (OSError, OverflowError) as error:
            raise InputError(f"no head of a cluster answers at {address}: {mend}") from error
    with from_extra("ray", "embedding on a cluster"):
        import ray
    own = {} if address else {"include_dashboard": False}
    try:
        with _hushed():
            ray.init(address=address or "local", log_to_driver=False, logging_level="CRITICAL", **own)
    except Exception as error:  # whatever Ray raises where what answers is no head, or one of another version
        ray.shutdown()
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"the cluster at {address or 'this machine'} cannot be joined: {said}") from error
    return ray


@contextmanager
def _hushed() -> Iterator[None]:
    """Keep what Ray's own code in C++ writes from the terminal, as that it found no way to a public server."""
    sys.stderr.flush()
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)
