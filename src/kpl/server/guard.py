"""What every request passes before anything looks at it, and what every answer carries."""

from __future__ import annotations

import hmac
import json
import logging
import threading
import time
from collections import OrderedDict, defaultdict
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, urlsplit

import anyio
from starlette.exceptions import HTTPException

from kpl.server.limits import Limits
from kpl.server.refusals import Busy

__all__ = ["CROWDED", "Guard", "Metrics", "Rates"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = (
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
)
_BESIDE = {
    401: [(b"www-authenticate", b"Bearer")],
    429: [(b"retry-after", b"1")],
    Busy.status: [(b"retry-after", str(Busy.RETRY_SECONDS).encode()), (b"connection", b"close")],
}
CROWDED = "kpl.crowded"
"""Key in a request's `state` that says that its connection is one too many."""
_ADDRESSES = 10_000  # whose rate is remembered
_log = logging.getLogger("kpl.server")


class Rates:
    """A bucket of requests for each address, filled at a steady rate."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate, self._burst = rate, burst
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def allows(self, address: str, now: float) -> bool:
        """Take one request out of the bucket of an address, if there is one."""
        left, last = self._left.pop(address, (float(self._burst), now))
        left = min(self._burst, left + (now - last) * self._rate)
        self._left[address] = (left - 1 if left >= 1 else left, now)
        if len(self._left) > _ADDRESSES:
            self._left.popitem(last=False)
        return left >= 1


@dataclass
class Metrics:
    """Requests by route, method and status, with the seconds they took."""

    counts: dict[tuple[str, str, int], int] = field(default_factory=lambda: defaultdict(int))
    seconds: dict[tuple[str, str, int], float] = field(default_factory=lambda: defaultdict(float))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one request."""
        with self._lock:
            self.counts[route, method, status] += 1
            self.seconds[route, method, status] += seconds

    def text(self, gauges: dict[str, float]) -> str:
        """Return all in Prometheus' text format."""
        with self._lock:
            lines = ["# TYPE kpl_requests_total counter"]
            for (route, method, status), count in sorted(self.counts.items()):
                labels = f'route="{route}",method="{method}",status="{status}"'
                lines.append(f"kpl_requests_total{{{labels}}} {count}")
            lines.append("# TYPE kpl_request_seconds_total counter")
            for (route, method, status), seconds in sorted(self.seconds.items()):
                labels = f'route="{route}",method="{method}",status="{status}"'
                lines.append(f"kpl_request_seconds_total{{{labels}}} {seconds:.6f}")
        for name, value in gauges.items():
            lines += [f"# TYPE kpl_{name} gauge", f"kpl_{name} {value:g}"]
        return "\n".join(lines) + "\n"


class _TooMuch(HTTPException):
    """The body is larger than allowed; frameworks pass this kind of error on."""


class Guard:
    """The gate: host, origin, rate, token and size are checked here, once for all routes.

    Args:
        app: what is guarded.
        limits: of size and rate.
        hosts: names by which the server may be called; any other is a rebound DNS name.
        token: asked for on every route that touches data; None asks for none.
        metrics: counts every request.
    """

    OPEN = ("/", "/health")
    """Routes without a token, and everything under /static/: they hold no data."""
    UPLOADS = ("/classify", "/pictures")
    """Ends of the routes that take files; what is sent to any other is parsed in memory, so it must be small."""

    def __init__(self, app: App, *, limits: Limits, hosts: frozenset[str], token: str | None, metrics: Metrics) -> None:
        self._app, self._limits, self._hosts, self._metrics = app, limits, hosts, metrics
        self._token = token.encode() if token else None
        self._rates = Rates(limits.rate, limits.burst)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it here."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # there are no web sockets: closing without an answer refuses them
        started, status, method = time.perf_counter(), 500, _known_method(scope["method"])
        if method == "HEAD":  # answered as GET is; the server leaves the body out
            scope = {**scope, "method": "GET"}

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                given = {name.lower() for name, _ in message.get("headers", [])}
                message["headers"] = [*message.get("headers", []), *(h for h in _HEADERS if h[0] not in given)]
                if b"cache-control" not in given:
                    message["headers"].append((b"cache-control", b"no-store"))
            await send(message)

        try:
            allowed = self._allowed(scope)
            refused = self._refusal(scope, allowed)
            if refused is not None:
                await _say(answer, *refused)
            else:
                await self._app(scope, self._bounded(receive, allowed), answer)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            seconds = time.perf_counter() - started
            self._metrics.add(route, method, status, seconds)
            _log.info("%s %s %d %.0f ms", method, route, status, 1000 * seconds)

    def _refusal(self, scope: Scope, allowed: int) -> tuple[int, str] | None:
        if CROWDED in scope.get("state", ()):
            return Busy.status, "too many connections: close some, or try again in a moment"
        headers = dict(reversed(scope["headers"]))
        host = _split(b"//" + headers.get(b"host", b""))
        if host is None or host.hostname not in self._hosts:
            return 421, "this server does not answer to that host name: see `kpl serve --host-name`"
        origin = _split(headers.get(b"origin", b""))
        own = b"origin" not in headers or (origin is not None and origin.netloc.lower() == host.netloc.lower())
        foreign = not own or headers.get(b"sec-fetch-site") in (b"cross-site", b"same-site")
        if foreign and (scope["method"] != "GET" or scope["path"] not in self.OPEN):
            return 403, "requests from other sites are refused"
        address = (scope.get("client") or ("local", 0))[0]
        if not self._rates.allows(address, time.monotonic()):
            return 429, "too many requests: slow down"
        if self._token is not None and not self._is_open(scope["path"]):
            kind, _, given = headers.get(b"authorization", b"").partition(b" ")
            if not hmac.compare_digest(given.strip(), self._token) or kind.lower() != b"bearer":
                return 401, "a token is needed: Authorization: Bearer TOKEN"
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length[:20]) > allowed:
            return 413, _too_large(allowed)
        return None

    def _is_open(self, path: str) -> bool:
        return path in self.OPEN or path.startswith("/static/")

    def _allowed(self, scope: Scope) -> int:
        """Bytes that the body of a request may have."""
        kind = dict(reversed(scope["headers"])).get(b"content-type", b"").lower()
        upload = kind.startswith(b"multipart/form-data") and scope["path"].endswith(self.UPLOADS)
        return self._limits.body_bytes if upload else min(self._limits.json_bytes, self._limits.body_bytes)

    def _bounded(self, receive: Receive, allowed: int) -> Receive:
        """Count the bytes of the body, whatever its header said; who falls silent before its end has gone."""
        seen, whole = 0, False

        async def counted() -> Message:
            nonlocal seen, whole
            if whole:
                return await receive()
            message: Message = {"type": "http.disconnect"}
            with anyio.move_on_after(self._limits.silent_seconds):
                message = await receive()
            whole = not message.get("more_body", False)
            seen += len(message.get("body", b""))
            if seen > allowed:
                raise _TooMuch(413, _too_large(allowed))
            return message

        return counted


def _too_large(allowed: int) -> str:
    return f"at most {allowed / (1 << 20):.3g} MiB are taken in such a request: send less at once"


def _split(url: bytes) -> SplitResult | None:
    """Take an address apart; None if it is none."""
    try:
        return urlsplit(url.decode("latin-1"))
    except ValueError:
        return None


def _known_method(method: str) -> str:
    return method if method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH") else "OTHER"


async def _say(send: Send, status: int, reason: str) -> None:
    body = json.dumps({"detail": reason}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    headers += _BESIDE.get(status, [])
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
