"""Why the service says no, each with the status that says so over HTTP."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from kpl.errors import InputError

__all__ = ["Busy", "Conflict", "Gone", "Refused", "TooLarge", "hold"]


class Refused(InputError):  # noqa: N818 - what its names say is a status, not a failure
    """A request that cannot be done as it stands."""

    status = 422


class Gone(Refused):
    """What is asked for is not there, or not there yet."""

    status = 404


class Conflict(Refused):
    """Something else must end or be done first."""

    status = 409


class TooLarge(Refused):
    """More than a limit allows."""

    status = 413


class Busy(Refused):
    """Nothing is wrong with the request; there is too much to do. It may be sent again after `RETRY_SECONDS`."""

    status = 503
    RETRY_SECONDS = 2


@contextmanager
def hold(places: threading.Semaphore, reason: str) -> Iterator[None]:
    """Hold one of a few places for as long as something takes.

    Raises:
        Busy: all are taken.
    """
    if not places.acquire(blocking=False):
        raise Busy(f"{reason}: try again in a moment")
    try:
        yield
    finally:
        places.release()
