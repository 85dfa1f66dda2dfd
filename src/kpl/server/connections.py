"""One connection: how long it may take to say what it wants, and what becomes of one too many."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from kpl.server.clients import Networks, client_of, is_proxy
from kpl.server.guard import Metrics, refusal
from kpl.server.limits import Limits

_TOO_MANY = refusal("too many connections: close some, or try again in a moment")


def connection_of(limits: Limits, proxies: Networks = (), metrics: Metrics | None = None) -> type[asyncio.Protocol]:
    """Return uvicorn's HTTP protocol within limits that uvicorn does not know.

    Nobody waits any longer for a head that is not there in time, for the rest of a request that is answered already, or
    for someone to read an answer who takes nothing of it.
    A connection above the limit, of all or of its client, is told so at once, and takes no place of those served.
    """

    class Connection(_Connection):
        doors = _Doors(limits, proxies, metrics or Metrics())

    return Connection


@dataclass
class _Doors:
    """What the connections of one server know of each other: how many each client holds, and who was turned away."""

    limits: Limits
    proxies: Networks
    metrics: Metrics
    held: Counter[str] = field(default_factory=Counter)
    turned_away: set[asyncio.Protocol] = field(default_factory=set)

    def let_in(self, address: str) -> str | None:
        """Return whom a connection counts for, or None where it is one too many; a proxy may have all there are."""
        client, most = client_of(address), self.limits.connections
        each = most if is_proxy(address, self.proxies) else self.limits.each(most)
        if self.held.total() >= most or self.held[client] >= each:
            return None
        self.held[client] += 1
        return client

    def let_out(self, client: str) -> None:
        """Count no longer a connection that was let in."""
        self.held[client] -= 1
        if not self.held[client]:
            del self.held[client]


class _Connection(H11Protocol):
    doors: ClassVar[_Doors]
    _client: str | None = None  # whom it counts for; None where it is turned away
    _clock: asyncio.TimerHandle | None = None
    _phase = ""
    _reader: asyncio.TimerHandle | None = None
    _unread = False  # there was some at the last look, and none was taken since

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn says it
        client = self.doors.let_in((transport.get_extra_info("peername") or ("local",))[0])
        if client is None:
            self._turn_away(transport)
            return
        self._client = client
        super().connection_made(transport)
        self._mind()
        self._look()

    def data_received(self, data: bytes) -> None:
        if self._client is not None:
            super().data_received(data)
            self._mind()

    def send_400_response(self, msg: str) -> None:
        if self.cycle is not None and not self.cycle.response_complete:  # what is wrong is the body of what is served
            self.cycle.disconnected = True  # nobody answers it a second time
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:  # an answer has begun, or is given
            self.transport.close()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._mind()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._unread = False

    def connection_lost(self, exc: Exception | None) -> None:
        _stop(self._clock)
        _stop(self._reader)
        self.doors.turned_away.discard(self)
        if self._client is not None:
            self.doors.let_out(self._client)
            super().connection_lost(exc)

    def _turn_away(self, transport: asyncio.Transport) -> None:
        """Say so, and listen on for a moment: closed at once while it still speaks, it might never read it."""
        self.doors.metrics.add("other", "OTHER", 503, 0.0)
        transport.write(_TOO_MANY)
        if len(self.doors.turned_away) >= 2 * self.doors.limits.connections:
            transport.close()
            return
        self.doors.turned_away.add(self)
        transport.write_eof()
        self._clock = self.loop.call_later(self.doors.limits.refused_seconds, transport.close)

    def _look(self) -> None:
        """Let go of whoever reads nothing: a connection that is only closed would wait for that for ever."""
        waits = self.transport.get_write_buffer_size() > 0
        if waits and self._unread:
            self.transport.abort()
        else:
            self._unread = waits
            self._reader = self.loop.call_later(self.doors.limits.silent_seconds, self._look)

    def _mind(self) -> None:
        """Let the clock run while a head is awaited, and while the rest comes of what is answered already."""
        theirs, phase = self.conn.their_state, ""
        if not self.transport.is_closing():
            answered = self.conn.our_state is h11.DONE
            phase = "head" if theirs is h11.IDLE else "rest" if theirs is h11.SEND_BODY and answered else ""
        if phase != self._phase:
            self._phase = phase
            _stop(self._clock)
            if phase:
                self._clock = self.loop.call_later(self.doors.limits.silent_seconds, self.timeout_keep_alive_handler)


def _stop(clock: asyncio.TimerHandle | None) -> None:
    if clock is not None:
        clock.cancel()
