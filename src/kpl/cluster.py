"""A cluster of Ray: how it is joined, who works there, and what comes back, whatever dies on the way."""

from __future__ import annotations

import atexit
import os
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Protocol

from kpl.errors import EncoderError, InputError, OutputError, from_extra

DIED: Final = object()
"""The answer of a worker that is no more."""
_PACKAGE: Final = "knowledge-proxy-learning"
_STARTS: Final = 3  # of a worker that dies of them
_SECONDS: Final = 5.0  # for a head to answer
_PATIENCE: Final = 60.0  # seconds without any worker
_SILENCE: Final = 15.0  # seconds without the head: after 60 Ray ends this process


@dataclass(frozen=True)
class Place:
    """Where this process works, so that a worker can work as if it were there."""

    version: str
    folder: Path | None
    """None where nothing is read by its path."""
    home: str | None

    @classmethod
    def here(cls) -> Place:
        """Return that of this process."""
        return cls(version(_PACKAGE), Path.cwd(), os.environ.get("KPL_HOME"))

    def enter(self) -> str:
        """Go there; say what stands in the way, or nothing."""
        if (own := version(_PACKAGE)) != self.version:
            return f"a worker on {socket.gethostname()} has KPL {own}, not {self.version}: install the same"
        try:
            if self.folder is not None:
                os.chdir(self.folder)  # names of pictures are paths from there
        except OSError as error:
            where = str(self.folder)
            return f"a worker on {socket.gethostname()} does not see {where!r} ({error.strerror}): share it"
        if self.home is not None:
            os.environ["KPL_HOME"] = self.home
        return ""


class HeadLostError(OutputError):
    """The head of the cluster is no more, so that nothing can be asked of Ray, not even to end."""


def _knock(address: str) -> None:
    host, _, port = address.rpartition(":")
    socket.create_connection((host, int(port)), timeout=_SECONDS).close()


class Worker(Protocol):
    """Works on a node. What a user can mend comes back as text, since errors travel badly."""

    def begin(self) -> str:
        """Get ready; say what stands in the way, or nothing."""


@dataclass
class Crew:
    """Workers, one on each node or on each processor, and what is asked of them.

    Attributes:
        ray: joined.
        kind, task: the class of a worker and what makes one.
        everywhere: one on each processor; else one on each node, with its GPU if it has one.
        actors: those that are ready or get ready, by name.
        asked: by what will come back, the name of who was asked, and for what; None while it gets ready.
    """

    ray: Any
    kind: type[Worker]
    task: Any
    everywhere: bool = False
    actors: dict[str, Any] = field(default_factory=dict)
    asked: dict[Any, tuple[str, Any]] = field(default_factory=dict)
    _idle_since: float | None = None
    _heard: float = field(default_factory=time.monotonic)
    _stillborn: Counter[str] = field(default_factory=Counter)

    def hire(self) -> None:
        """Start workers where there are none: on new nodes, and in the place of those that died.

        Raises:
            HeadLostError: as `answers`.
        """
        if not self._hears():  # to ask it for its nodes would be to wait for it
            return
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        for node in self.ray.nodes():
            resources = node.get("Resources", {})
            if not node["Alive"]:
                continue
            places = int(resources.get("CPU", 0))
            for place in range(places if self.everywhere else min(places, 1)):
                name = f"{node['NodeID']} {place}"
                if name in self.actors:
                    continue
                there = NodeAffinitySchedulingStrategy(node_id=node["NodeID"], soft=False)
                gpus = 0 if self.everywhere else min(1, resources.get("GPU", 0))
                actor = self.ray.remote(self.kind).options(num_cpus=1, num_gpus=gpus, scheduling_strategy=there)
                self.actors[name] = actor.remote(self.task)
                self.ask(name, "begin", None)

    @property
    def free(self) -> list[str]:
        """Names of those that have nothing to do."""
        at_work = {name for name, _ in self.asked.values()}
        return [name for name in self.actors if name not in at_work]

    def ask(self, name: str, method: str, what: Any, *given: Any) -> None:  # noqa: ANN401 - whoever asks knows
        """Ask a worker for `what`."""
        self.asked[getattr(self.actors[name], method).remote(*given)] = name, what

    def dismiss(self, method: str) -> None:
        """Let each remove what it has on its node, if it comes to it within a few seconds."""
        until = time.monotonic() + _SECONDS
        for last in [getattr(actor, method).remote() for actor in self.actors.values()]:
            with suppress(Exception):  # it is dead, or at work for longer
                self.ray.get(last, timeout=max(0, until - time.monotonic()))

    def answers(self) -> Iterator[tuple[Any, Any]]:
        """Yield what was asked for, and the answer or `DIED`, as far as there are any within a second.

        Raises:
            EncoderError: a worker is another than this process.
            OutputError: one failed, or dies as soon as it starts, again and again.
            InputError: for a minute there was none.
            HeadLostError: the head does not answer any more.
        """
        self._hears()
        if not self.asked:
            self._idle_since = self._idle_since or time.monotonic()
            if time.monotonic() - self._idle_since > _PATIENCE:
                raise InputError("the cluster has no node with a processor for a minute: start workers, run again")
            time.sleep(0.5)
            return
        self._idle_since = None
        done, _ = self.ray.wait(list(self.asked), timeout=1)
        for reference in done:
            name, what = self.asked.pop(reference)
            answer = self._answer(reference, name)
            if what is not None:
                yield what, answer
            elif answer is DIED:
                self._stillborn[name] += 1
                if self._stillborn[name] == _STARTS:
                    raise OutputError(
                        "a worker dies as soon as it starts: install the same KPL, with the extra ray, on all nodes, "
                        "or look for memory there"
                    )
            elif answer:
                raise EncoderError(answer)

    def _hears(self) -> bool:
        """Say whether the head answers."""
        head = self.ray.get_runtime_context().gcs_address
        try:
            _knock(head)
        except OSError as error:
            if time.monotonic() - self._heard > _SILENCE:
                mend = "what is done is kept: start it, then run the same command again"
                raise HeadLostError(f"the head of the cluster at {head} answers no more; {mend}") from error
            return False
        self._heard = time.monotonic()
        return True

    def _answer(self, reference: Any, name: str) -> Any:  # noqa: ANN401 - whatever was asked for
        errors = self.ray.exceptions
        try:
            return self.ray.get(reference)
        except (errors.RayActorError, errors.ObjectLostError):  # another takes its place, if the node is there
            if (gone := self.actors.pop(name, None)) is not None:
                with suppress(Exception):  # it may be there and only out of reach: nothing runs on
                    self.ray.kill(gone)
            return DIED
        except errors.RayTaskError as error:
            said = " ".join(str(error.cause or "").split()) or type(error.cause).__name__
            raise OutputError(f"a worker failed: {said[:300]}") from error


def fetched(reference: Any) -> Any:  # noqa: ANN401 - whatever was put there
    """Return, in a worker, what another process put into the cluster."""
    import ray

    return ray.get(reference)


@contextmanager
def joined(address: str | None, what: str) -> Iterator[Any]:
    """Join a cluster and leave it again; gives Ray.

    Args:
        address: of its head, host:port; None starts Ray on this machine alone.
        what: is to be done, for the sentence that Ray is missing.

    Raises:
        MissingExtraError: Ray is not installed.
        InputError: no head answers there.
    """
    ray = _connect(address, what)
    try:
        yield ray
    except HeadLostError:
        atexit.unregister(ray.shutdown)  # it would wait for the head
        ray = None
        raise
    finally:
        if ray is not None:
            with _hushed():
                ray.shutdown()


def _connect(address: str | None, what: str) -> Any:  # noqa: ANN401 - ray is untyped
    if address is not None:
        host, _, port = address.rpartition(":")
        mend = "start one with `ray start --head`, or correct --address"
        if not host or not port.isdecimal():
            raise InputError(f"--address {address!r} cannot be read: write HOST:PORT, such as 10.0.0.1:6379")
        try:
            _knock(address)
        except (OSError, OverflowError) as error:
            raise InputError(f"no head of a cluster answers at {address}: {mend}") from error
    os.environ["RAY_DEDUP_LOGS_SKIP_REGEX"] = "."  # read when it loads: else it prints a page where a node dies
    with from_extra("ray", what):
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
