"""One connection: how long it may take to say what it wants, and what becomes of one too many."""

from __future__ import annotations

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from kpl.server.guard import CROWDED
from kpl.server.limits import Limits

__all__ = ["connection_of"]


def connection_of(limits: Limits) -> type[asyncio.Protocol]:
    """Return uvicorn's HTTP protocol within limits that uvicorn does not know.

    A request whose head is not there in time is not waited for any longer. On a connection above the limit, the guard
    answers in the place of the application; above twice the limit, nobody listens at all.
    """

    class Connection(H11Protocol):
        _clock: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn says it
            super().connection_made(transport)
            if len(self.connections) > 2 * limits.connections:
                transport.abort()
            elif len(self.connections) > limits.connections:
                self.app_state = {**self.app_state, CROWDED: True}
            self._mind()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._mind()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            self._mind()

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            self._stop()

        def _mind(self) -> None:
            """Let the clock run from the moment on which a request may come until its head is there."""
            if self.conn.their_state is not h11.IDLE or self.transport.is_closing():
                self._stop()
            elif self._clock is None:
                self._clock = self.loop.call_later(limits.silent_seconds, self.timeout_keep_alive_handler)

        def _stop(self) -> None:
            if self._clock is not None:
                self._clock.cancel()
                self._clock = None

    return Connection
