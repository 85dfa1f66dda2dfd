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

from kpl.server.clients import Networks, client_of
from kpl.server.limits import Limits
from kpl.server.refusals import Busy

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
_TOO_SLOW = "the rest of the request did not come, or came too slowly: send less at once, or by a faster connection"
_ADDRESSES = 10_000  # whose rate is remembered
_DRAINED = 256 << 10  # bytes of a body that nobody reads
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


class Guard:
    """The gate: host, origin, rate, token and size are checked here, once for all routes.

    Args:
        app: what is guarded.
        limits: of size and rate.
        hosts: names by which the server may be called; any other is a rebound DNS name.
        token: asked for on every route that touches data; None asks for none.
        metrics: counts every request.
        root: path under which a proxy serves all this; the proxy may hand it on or leave it out.
        proxies: believed when they say for whom they ask.
    """

    OPEN = ("/", "/health")
    """Routes without a token, and everything under /static/: they hold no data."""
    UPLOADS = ("/classify", "/pictures")
    """Ends of the routes that take files; what is sent to any other is parsed in memory, so it must be small."""

    def __init__(
        self,
        app: App,
        *,
        limits: Limits,
        hosts: frozenset[str],
        token: str | None,
        metrics: Metrics,
        root: str = "",
        proxies: Networks = (),
    ) -> None:
        self._app, self._limits, self._hosts, self._metrics = app, limits, hosts, metrics
        self._root, self._proxies = root, proxies
        self._home = f"{root}/".encode()
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
        scope, path = self._placed(scope)
        if method == "HEAD":  # answered as GET is; the server leaves the body out
            scope["method"] = "GET"

        body = _Body(receive, self._limits)

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                await body.drain(scope)
                status = message["status"]
                given = {name.lower() for name, _ in message.get("headers", [])}
                message["headers"] = [*message.get("headers", []), *(h for h in _HEADERS if h[0] not in given)]
                if b"cache-control" not in given:
                    message["headers"].append((b"cache-control", b"no-store"))
            await send(message)

        try:
            allowed = self._allowed(scope, path)
            refused = self._refusal(scope, path, allowed)
            if refused is not None:
                await _say(answer, *refused)
            elif not path:  # the page's own addresses are relative to the folder that it is in
                await answer({"type": "http.response.start", "status": 308, "headers": [(b"location", self._home)]})
                await answer({"type": "http.response.body", "body": b""})
            else:
                body.allowed = allowed
                await self._app(scope, body.receive, answer)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            seconds = time.perf_counter() - started
            self._metrics.add(route, method, status, seconds)
            _log.info("%s %s %d %.0f ms", method, route, status, 1000 * seconds)

    def _placed(self, scope: Scope) -> tuple[Scope, str]:
        """Return a request with its client and the path under which all this is served, and its path below that."""
        forwarded = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
        client = client_of((scope.get("client") or ("local", 0))[0], forwarded, self._proxies)
        path: str = scope["path"]
        if self._root and (path + "/").startswith(self._root + "/"):
            path = path[len(self._root) :]
        return {**scope, "client": (client, 0), "root_path": self._root, "path": self._root + path}, path

    def _refusal(self, scope: Scope, path: str, allowed: int) -> tuple[int, str] | None:
        headers = dict(reversed(scope["headers"]))
        host = _split(b"//" + headers.get(b"host", b""))
        if host is None or host.hostname not in self._hosts:
            return 421, "this server does not answer to that host name: see `kpl serve --host-name`"
        origin = _split(headers.get(b"origin", b""))
        own = b"origin" not in headers or (origin is not None and origin.netloc.lower() == host.netloc.lower())
        foreign = not own or headers.get(b"sec-fetch-site") in (b"cross-site", b"same-site")
        if foreign and (scope["method"] != "GET" or path not in self.OPEN):
            return 403, "requests from other sites are refused"
        if not self._rates.allows(scope["client"][0], time.monotonic()):
            return 429, "too many requests: slow down"
        if self._token is not None and not self._is_open(path):
            kind, _, given = headers.get(b"authorization", b"").partition(b" ")
            if not hmac.compare_digest(given.strip(), self._token) or kind.lower() != b"bearer":
                return 401, "a token is needed: Authorization: Bearer TOKEN"
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length[:20]) > allowed:
            return 413, _too_large(allowed)
        return None

    def _is_open(self, path: str) -> bool:
        return path in self.OPEN or path.startswith("/static/")

    def _allowed(self, scope: Scope, path: str) -> int:
        """Bytes that the body of a request may have."""
        kind = dict(reversed(scope["headers"])).get(b"content-type", b"").lower()
        upload = kind.startswith(b"multipart/form-data") and path.endswith(self.UPLOADS)
        return self._limits.body_bytes if upload else min(self._limits.json_bytes, self._limits.body_bytes)


class _Body:
    """The body of one request: its bytes counted, whatever its header said, and the time that its sender took.

    What is raised here is of the kind that frameworks pass on.
    """

    def __init__(self, receive: Receive, limits: Limits) -> None:
        self._receive, self._limits = receive, limits
        self.allowed = 0
        self._seen, self._waited, self._whole = 0, 0.0, False

    async def receive(self) -> Message:
        """Return the next part, as the server gives it."""
        if self._whole:
            return await self._receive()
        message: Message | None = None
        began = time.monotonic()
        left = self._limits.silent_seconds + self._seen / self._limits.slowest - self._waited
        with anyio.move_on_after(min(self._limits.silent_seconds, left)):
            message = await self._receive()
        self._waited += time.monotonic() - began
        if message is None:
            self._whole = True  # nothing of it is waited for any more
            raise HTTPException(408, _TOO_SLOW, {"connection": "close"})
        self._whole = not message.get("more_body", False)
        self._seen += len(message.get("body", b""))
        if self._seen > self.allowed:
            raise HTTPException(413, _too_large(self.allowed))
        return message

    async def drain(self, scope: Scope) -> None:
        """Take in the rest of a small body before the answer goes, or a proxy that still sends may lose it."""
        headers = dict(scope["headers"])
        length = headers.get(b"content-length", str(_DRAINED).encode() if b"transfer-encoding" in headers else b"0")
        if self._whole or not length.isdigit() or not 0 < int(length[:20]) <= _DRAINED:
            return
        left = _DRAINED
        with anyio.move_on_after(min(self._limits.refused_seconds, self._limits.silent_seconds)):
            while not self._whole and left > 0:
                message = await self._receive()
                self._whole = not message.get("more_body", False)
                left -= len(message.get("body", b""))


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


def _words(status: int, reason: str) -> tuple[list[tuple[bytes, bytes]], bytes]:
    body = json.dumps({"detail": reason}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    return headers + _BESIDE.get(status, []), body


async def _say(send: Send, status: int, reason: str) -> None:
    headers, body = _words(status, reason)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def refusal(reason: str) -> bytes:
    """Return the whole answer to a connection that is one too many, as it goes over the wire."""
    headers, body = _words(Busy.status, reason)
    lines = [b"HTTP/1.1 503 Service Unavailable", b"cache-control: no-store"]
    lines += [name + b": " + value for name, value in (*headers, *_HEADERS)]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body
