"""Work that takes longer than a request should: a bounded queue, one thread, progress, and a way to stop it."""

from __future__ import annotations

import contextlib
import logging
import queue
import re
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from kpl.errors import KplError
from kpl.server.refusals import Busy, Conflict, Gone, said_to_strangers

JOB = re.compile(r"[0-9a-f]{32}")
"""The name of a job."""

State = Literal["queued", "running", "done", "failed", "cancelled"]
_log = logging.getLogger("kpl.server")
_REMEMBERED = 1000


class Cancelled(Exception):  # noqa: N818 - not an error
    """Raised inside a job that was told to stop."""


@dataclass
class Job:
    """One piece of work.

    Attributes:
        id: secret.
        session: that it works for.
        client: whose session that is.
        state: "queued", "running", then "done", "failed" or "cancelled".
        stage, done, total: how far it is.
        error: what failed, in one sentence.
    """

    session: str
    work: Callable[[Job], None] = field(repr=False)
    client: str = ""
    id: str = field(default_factory=lambda: secrets.token_hex(16))
    state: State = "queued"
    stage: str = "waiting"
    done: int = 0
    total: int = 0
    error: str = ""
    stop: threading.Event = field(default_factory=threading.Event, repr=False)

    @property
    def over(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in ("done", "failed", "cancelled")

    def tell(self, stage: str, done: int, total: int) -> None:
        """Say how far the work is; this is where a job that was cancelled stops.

        Raises:
            Cancelled: it was.
        """
        if self.stop.is_set():
            raise Cancelled
        self.stage, self.done, self.total = stage, done, total


class Jobs:
    """The queue and the thread that works it off.

    Args:
        places: for jobs that wait.
        each: of them, as many as one client may have; None for all.
    """

    def __init__(self, places: int, each: int | None = None) -> None:
        self._each = each or places
        self._queue: queue.Queue[Job | None] = queue.Queue(places)
        self._jobs: dict[str, Job] = {}
        self._closing = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="kpl-jobs", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many jobs wait."""
        return self._queue.qsize()

    def count(self) -> dict[State, int]:
        """How many jobs are in which state."""
        states = [job.state for job in list(self._jobs.values())]
        return {state: states.count(state) for state in ("queued", "running", "done", "failed", "cancelled")}

    def add(self, session: str, work: Callable[[Job], None], client: str = "") -> Job:
        """Put a job into the queue.

        Raises:
            Busy: the queue is full, of jobs of this client or of all, or the server stops.
            Conflict: the session has a job already.
        """
        with self._lock:
            if self._closing:
                raise Busy("the server is stopping: try again later")
            if any(job.session == session and not job.over for job in self._jobs.values()):
                raise Conflict("this session has a job already: wait for its end, or cancel it")
            job = Job(session, work, client)
            own = sum(known.state == "queued" and known.client == client for known in self._jobs.values())
            if own >= self._each:
                raise Busy(f"{own} jobs from this address are waiting already: try again in a moment")
            try:
                self._queue.put_nowait(job)
            except queue.Full as error:
                raise Busy(f"{self.waiting} jobs are waiting already: try again in a moment") from error
            for old in [known.id for known in self._jobs.values() if known.over][: -_REMEMBERED or None]:
                del self._jobs[old]
            self._jobs[job.id] = job
            return job

    def get(self, name: str) -> Job:
        """Return a job.

        Raises:
            Gone: there is none of this id.
        """
        found = self._jobs.get(name)
        if found is None:
            raise Gone("no such job")
        return found

    def cancel(self, name: str) -> Job:
        """Tell a job to stop; one that waits never begins."""
        job = self.get(name)
        job.stop.set()
        with self._lock:
            if job.state == "queued":
                job.state = "cancelled"
        return job

    def cancel_session(self, session: str) -> None:
        """Stop whatever works for a session."""
        for job in list(self._jobs.values()):
            if job.session == session and not job.over:
                self.cancel(job.id)

    def close(self, seconds: float) -> None:
        """Take nothing new, stop what waits, and finish what was begun, for so many seconds at most."""
        with self._lock:
            self._closing = True
        for job in list(self._jobs.values()):
            if job.state == "queued":
                self.cancel(job.id)
        with contextlib.suppress(queue.Full):
            self._queue.put(None, timeout=seconds)
        self._thread.join(seconds)

    def _run(self) -> None:
        while (job := self._queue.get()) is not None:
            with self._lock:
                if job.state != "queued":
                    continue
                job.state = "running"
            try:
                job.work(job)
                job.state = "done"
            except Cancelled:
                job.state = "cancelled"
            except KplError as error:
                job.error, job.state = said_to_strangers(error), "failed"
            except MemoryError:
                job.error, job.state = "not enough memory for this many pictures", "failed"
            except Exception as error:  # one job must not take the others with it
                _log.exception("a job failed")
                job.error, job.state = f"the server failed at it ({type(error).__name__}): its log says more", "failed"
            finally:
                job.work = _nothing


def _nothing(_: Job) -> None:
    """Stand in for the work of a job that is over, so that it holds on to nothing."""
