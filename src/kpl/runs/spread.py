"""Features that a cluster of Ray holds: each worker maps shards of its own, for as long as something is learnt.

What goes over the wire in a pass is the step and, of each worker, one sum. Where a worker dies its shards go to the
others; as the sums are exact, who adds up what changes nothing (`kpl.proxies.passes`). Of features in a store each
worker brings those that it holds to its own disk, and removes them in the end.
"""

from __future__ import annotations

import hashlib
import shutil
import socket
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from kpl.cluster import DIED, Crew, Place, fetched, joined
from kpl.embeddings import FeatureFolder, FeatureRows
from kpl.embeddings.folder import verify_file
from kpl.embeddings.layout import INDEX_NAME, Index, ShardEntry, json_bytes, read_model
from kpl.embeddings.stores import Store, stored
from kpl.errors import FeaturesError, InputError, KplError, OutputError
from kpl.proxies.arrays import Floats
from kpl.proxies.passes import Exact, Work, added_up

_DEATHS: Final = 3  # waves of one pass in which workers died, or of one shard, before it is told
_AGAIN: Final = "workers of the cluster die again and again: look for memory on their nodes"


class Answering(Protocol):
    """What answers for a shard, and writes what it says."""

    def answer(self, rows: FeatureRows, place: int) -> None:
        """Do so."""


@dataclass(frozen=True)
class _Task:
    """What a worker holds."""

    place: Place
    folder: Path | str
    """That all nodes see, or its address in a store."""
    index: str
    """Hash of what the folder says that it holds."""


@dataclass(frozen=True)
class _Held:
    """What stays the same over the passes of a work."""

    work: Work
    weights: Floats | None


class Holder:
    """A worker that holds shards."""

    def __init__(self, task: _Task) -> None:
        self._task = task
        self._held: tuple[int, Any] = (-1, None)
        self._here: set[str] = set()

    def begin(self) -> str:
        """Look whether the folder is there; say what stands in the way, or nothing."""
        if said := self._task.place.enter():
            return said
        folder, where = self._task.folder, f"a worker on {socket.gethostname()}"
        try:
            index = stored(folder).index if isinstance(folder, str) else read_model(Index, folder / INDEX_NAME)
        except KplError as error:
            if isinstance(folder, str):
                return f"{where}: {error}"
            return f"{where} does not see {str(folder)!r}: share it under this name"
        if _hash(index) != self._task.index:
            mend = "share it" if isinstance(folder, Path) else "run again, or give all nodes the same endpoint"
            return f"{where} sees another folder as {str(folder)!r}: {mend}"
        self._shards = list(_shards(index))
        return ""

    @cached_property
    def _brought(self) -> Path:
        return Path(mkdtemp(prefix="kpl-features-"))

    def _rows(self, shard: ShardEntry) -> FeatureRows:
        """Return the rows of a shard; from a store it is brought here, once."""
        folder = self._task.folder
        if isinstance(folder, Path):
            return FeatureRows([folder / shard.array])
        path = self._brought / shard.array
        if shard.array not in self._here:
            Store(folder).fetch([shard.array], self._brought)
            verify_file(path, shard.array_sha256)
            self._here.add(shard.array)
        return FeatureRows([path])

    def end(self) -> None:
        """Remove what was brought here."""
        shutil.rmtree(self._brought, ignore_errors=True)

    def add_up(
        self,
        number: int,
        held: list[Any],
        step: Any,  # noqa: ANN401 - each work has its own
        shards: Sequence[range],
        grains: tuple[int, ...],
    ) -> Exact | str:
        """Return the sums of some shards; or say what stands in the way.

        Args:
            number: of the work, fetched from `held` if it is another than before.
            step: of the work.
            shards: which.
            grains: of the sums.
        """
        if self._held[0] != number:
            self._held = number, fetched(held[0])
        own: _Held = self._held[1]
        found = Exact(grains)
        try:
            for place in (place for some in shards for place in some):
                shard, first = self._shards[place]
                weights = None if own.weights is None else own.weights[first : first + shard.rows]
                found.merge(added_up(self._rows(shard), own.work, step, weights, grains, first=first))
        except KplError as error:
            return f"on {socket.gethostname()}: {error}"
        return found

    def answer(self, number: int, held: list[Any], place: int) -> str:
        """Let what is held answer for a shard; say what stands in the way, or nothing."""
        if self._held[0] != number:
            self._held = number, fetched(held[0])
        try:
            self._held[1].answer(self._rows(self._shards[place][0]), place)
        except KplError as error:
            return f"on {socket.gethostname()}: {error}"
        return ""


def _hash(index: Index) -> str:
    return hashlib.sha256(json_bytes(index)).hexdigest()


def _shards(index: Index) -> Iterator[tuple[ShardEntry, int]]:
    """Yield the shards that have rows, each with its first row."""
    first = 0
    for shard in index.shards:
        if shard.rows:
            yield shard, first
        first += shard.rows


class SpreadFeatures:
    """The rows of a feature folder, held by the workers of a cluster; what `Method.fit` takes.

    Args:
        features: that all nodes see under the same name, or from a store that all of them read.
        crew: workers of the kind `Holder`.

    Attributes:
        n: rows.
    """

    def __init__(self, features: FeatureFolder, crew: Crew) -> None:
        self.n = features.n
        self._features, self._crew = features, crew
        self._ends = np.cumsum([shard.rows for shard in features.index.shards if shard.rows])
        self._number = 0
        self._work: Work | None = None
        self._held: list[Any] = []

    def __iter__(self) -> Iterator[NDArray[np.floating]]:
        """Refuse.

        Raises:
            InputError: the method wants the images themselves, not sums over them.
        """
        raise InputError("this method reads the pictures one after the other: leave out --on, or fit with --method kpl")

    def rows_at(self, places: NDArray[np.intp]) -> NDArray[np.float32]:
        """Read a few rows by their places, here."""
        return self._features.rows_at(places)

    def add_up(self, work: Work, step: Any, weights: Floats | None, grains: tuple[int, ...]) -> Exact:  # noqa: ANN401 - each work has its own
        """Return the sums over all rows.

        Raises:
            OutputError: workers die of it again and again.
            FeaturesError: a shard cannot be read.
            KplError: as `Crew.answers`.
        """
        ray = self._crew.ray
        if self._work is not work:
            self._number, self._work = self._number + 1, work
            self._held = [ray.put(_Held(work, weights))]
        sent, found, deaths = ray.put(step), Exact(grains), 0
        waiting = [range(len(self._ends))]
        while waiting:
            names = self._ready()
            for name, own in zip(names, self._split(waiting, len(names)), strict=True):
                if own:
                    self._crew.ask(name, "add_up", own, self._number, self._held, sent, own, grains)
            waiting = []
            while self._crew.asked:
                for own, answer in self._crew.answers():
                    if answer is DIED:
                        waiting += own
                    elif isinstance(answer, str):
                        raise FeaturesError(answer)
                    else:
                        found.merge(answer)
            deaths += bool(waiting)
            if deaths == _DEATHS:
                raise OutputError(_AGAIN)
        return found

    @property
    def shards(self) -> int:
        """Shards that have rows."""
        return len(self._ends)

    def each(self, answering: Answering) -> None:
        """Let workers answer for each shard, whoever is free for the next.

        Raises:
            OutputError: a worker cannot write or fails, or workers die of a shard again and again.
            KplError: as `Crew.answers`.
        """
        self._number += 1
        self._work, held = None, [self._crew.ray.put(answering)]
        waiting, deaths, left = deque(range(self.shards)), Counter[int](), self.shards
        while left:
            self._crew.hire()
            for name in self._crew.free[: len(waiting)]:
                place = waiting.popleft()
                self._crew.ask(name, "answer", place, self._number, held, place)
            for place, answer in self._crew.answers():
                if answer is not DIED:
                    if answer:
                        raise OutputError(answer)
                    left -= 1
                    continue
                waiting.append(place)
                deaths[place] += 1
                if deaths[place] == _DEATHS:
                    raise OutputError(_AGAIN)

    def _ready(self) -> list[str]:
        """Return the names of all workers, new ones too, in a fixed order, once they are ready."""
        self._crew.hire()
        while self._crew.asked or not self._crew.actors:
            for _ in self._crew.answers():
                pass
            self._crew.hire()
        return sorted(self._crew.actors)

    def _split(self, waiting: Sequence[range], parts: int) -> list[list[range]]:
        """Share out shards, each part about as many rows, and the same to everyone as before where it can be."""
        places = [place for some in waiting for place in some]
        sizes = np.diff(self._ends, prepend=0)[places]
        middles = np.cumsum(sizes) - sizes / 2
        owners = np.minimum(middles * parts / max(sizes.sum(), 1), parts - 1).astype(int)
        found: list[list[range]] = [[] for _ in range(parts)]
        for place, owner in zip(places, owners.tolist(), strict=True):
            own = found[owner]
            if own and own[-1].stop == place:
                own[-1] = range(own[-1].start, place + 1)
            else:
                own.append(range(place, place + 1))
        return found


@contextmanager
def spread(
    features: FeatureFolder, address: str | None, what: str = "learning on a cluster"
) -> Iterator[SpreadFeatures]:
    """Give the rows of a folder to the workers of a cluster, one on each processor, until the end.

    Raises:
        KplError: as `kpl.cluster.joined`.
    """
    place = replace(Place.here(), folder=None) if features.url else Place.here()
    task = _Task(place, features.url or features.path.absolute(), _hash(features.index))
    with joined(address, what) as ray:
        crew = Crew(ray, Holder, task, everywhere=True)
        try:
            yield SpreadFeatures(features, crew)
        finally:
            if features.url:
                crew.dismiss("end")
