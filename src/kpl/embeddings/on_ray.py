"""The parts of a feature folder made by a cluster of Ray: this process keeps the queue, an actor on each node works.

A shard goes to whoever is free. Where an actor dies its shard goes to another; a shard that two have died of is halved
until the one picture is found that does it, which is set aside. What is done lies on the disk that all nodes share, as
`kpl.embeddings.parts` has it, so that nothing but the shards that were worked on is lost with a node or with this
process, and the folder has the bytes of one process. In the place of the disk there may be a store, to which each
worker sends what it made; this process writes the list of all when they are done.
"""

from __future__ import annotations

import socket
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from kpl.cluster import DIED, Crew, Place, joined
from kpl.embeddings.done import Header
from kpl.embeddings.encoding import encoder_identity
from kpl.embeddings.folder import FeatureFolder
from kpl.embeddings.lots import Lot, Lots
from kpl.embeddings.making import Making
from kpl.embeddings.parts import parts_at
from kpl.embeddings.stores import StoredFeatures, is_store
from kpl.encoders import load_encoder
from kpl.errors import KplError, OutputError
from kpl.progress import Counted, silent

_DEATHS: Final = 2  # of actors with the same shard, before one of its pictures is looked for
_REASON: Final = "ends the process that reads it, twice: look at it by itself"


@dataclass(frozen=True)
class _Task:
    """What an actor is to be: the same as this process, or it refuses."""

    place: Place
    header: Header
    encoder: str
    out: str | Path
    batch_size: int | None
    workers: int | None
    verify: bool


class Worker:
    """Makes shards on a node. What the user can mend comes back as text, since errors travel badly."""

    def __init__(self, task: _Task) -> None:
        self._task = task

    def begin(self) -> str:
        """Get ready; say what stands in the way, or nothing."""
        task = self._task
        if said := task.place.enter():
            return said
        try:
            how = Making(load_encoder(task.encoder), task.header.dtype, task.batch_size, task.workers, task.verify)
            self._shards = parts_at(task.out).shards(how, task.header)
            self._reader = how.shards(Path(), None, task.header.plan)
        except KplError as error:
            return f"a worker on {socket.gethostname()}: {error}"
        found = (encoder_identity(how.encoder), how.settings.content_hash())
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
        for _ in self._reader.rows(lot):
            pass


@dataclass
class _Queue:
    """What is to be made, and what is known of lots that end who makes them."""

    crew: Crew
    waiting: Iterator[Lot]
    again: deque[Lot] = field(default_factory=deque)
    deaths: Counter[int] = field(default_factory=Counter)
    suspects: dict[int, tuple[Lot, list[Any]]] = field(default_factory=dict)
    """Of a lot that ends its processes, the pictures of which one does it."""
    reused: int = 0

    def run(self, tell: Callable[[int], None]) -> None:
        """Work until nothing waits.

        Raises:
            OutputError, EncoderError: a worker cannot write, or is another.
        """
        while True:
            self.crew.hire()
            self._give()
            if self.crew.actors and not self.crew.asked:
                return
            for (lot, only_read), answer in self.crew.answers():
                self._take(lot, answer, tell, only_read=only_read)

    def _give(self) -> None:
        for name in self.crew.free:
            if (lot := self.again.popleft() if self.again else next(self.waiting, None)) is None:
                return
            if lot.number in self.suspects:
                whole, among = self.suspects[lot.number]
                half = replace(whole, records=among[: len(among) // 2])
                self.crew.ask(name, "read", (half, True), half)
            else:
                self.crew.ask(name, "make", (lot, False), lot)

    def _take(self, lot: Lot, answer: Any, tell: Callable[[int], None], *, only_read: bool) -> None:  # noqa: ANN401 - as asked
        if answer is DIED:
            self._died(lot, only_read)
        elif only_read:
            whole, among = self.suspects[lot.number]
            self._narrow(whole, among[len(among) // 2 :])
        else:
            wrong, reused = answer
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
) -> FeatureFolder | StoredFeatures:
    """Embed pictures as `embed_to` does, by an actor on each node of a cluster; all nodes see the same files.

    Args:
        lots, how, out, overwrite, progress: as for `embed_to`; each node has its own keys of a store.
        encoder: how the workers load the encoder; theirs must be this one.
        address: of the cluster's head, host:port; None starts Ray on this machine alone.

    Raises:
        MissingExtraError: Ray is not installed.
        InputError: no head answers there.
        EncoderError: a worker has another version, encoder or settings.
        OutputError: as `embed_lots`, here or on a node.
    """
    out, header = out if is_store(out) else Path(out).absolute(), how.header(lots, overwrite=overwrite)
    parts = parts_at(out)
    total, done = lots.total, 0

    def tell(more: int) -> None:
        nonlocal done
        done += more
        if progress is not None:
            progress(done, total)

    with joined(address, "embedding on a cluster") as ray:
        parts.check(header, lots, overwrite=overwrite)
        parts.begin(header, 1)
        task = _Task(Place.here(), header, encoder, out, how.batch_size, how.workers, how.verify)
        queue = _Queue(Crew(ray, Worker, task), lots.lots(range(lots.count)))
        queue.run(tell)
    made = parts.join(verify=False, tell=silent)
    if isinstance(made, StoredFeatures):
        return StoredFeatures(made.index, queue.reused)
    return FeatureFolder(made.path, made.index, reused=queue.reused)
