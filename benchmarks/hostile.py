"""What those do who mean a server harm, or whose programs are broken, all from addresses of their own on this machine.

Each kind of misuse is a function of an address that does it once and says what it was told. Nothing of it may be
answered with a fault of the server (500), end the server, make it grow, or cost others more than a moment.
"""

from __future__ import annotations

import io
import itertools
import json
import re
import socket
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress

import numpy as np

MISUSER, CROWDS = "127.0.1.1", "127.0.1.2"
"""Whoever sends what is wrong, and whoever opens connections."""
HELD = 200
FLOOD = 1500

Where = tuple[str, int]


def _open(where: Where, address: str = MISUSER) -> socket.socket:
    return socket.create_connection(where, timeout=60, source_address=(address, 0))


def _rest(connection: socket.socket) -> bytes:
    """What comes until the other side has done, or resets."""
    told = b""
    with suppress(OSError):
        while part := connection.recv(1 << 16):
            told += part
    return told


def _statuses(told: bytes) -> list[str]:
    """The statuses of answers to requests that were sent in one go."""
    return [line.split()[1].decode() for line in told.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")] or ["closed"]


def _request(method: str, path: str, body: bytes = b"", *heads: str) -> bytes:
    head = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "Connection: close", *heads]
    length = [] if any("content-length" in one.lower() or "chunked" in one for one in heads) else [len(body)]
    return "\r\n".join([*head, *(f"Content-Length: {n}" for n in length), "", ""]).encode() + body


def _ask(where: Where, request: bytes) -> tuple[list[str], bytes]:
    with _open(where) as connection:
        with suppress(OSError):  # it may be answered before it is sent
            connection.sendall(request)
        told = _rest(connection)
    return _statuses(told), told.partition(b"\r\n\r\n")[2]


def _upload(name: str, data: bytes, kind: str = "image/png", *, whole: bool = True) -> tuple[bytes, str]:
    head = f'--edge\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\nContent-Type: {kind}\r\n\r\n'
    body = head.encode("utf-8", "surrogatepass") + data + (b"\r\n--edge--\r\n" if whole else b"")
    return body, "Content-Type: multipart/form-data; boundary=edge"


def _as_json(where: Where, method: str, path: str, body: str) -> tuple[list[str], bytes]:
    return _ask(where, _request(method, path, body.encode(), "Content-Type: application/json"))


def _session(where: Where) -> str:
    _, told = _as_json(where, "POST", "/api/sessions", "{}")
    with suppress(ValueError, KeyError):
        return f"/api/sessions/{json.loads(told)['id']}"
    return "/api/sessions/none-was-free"


def damaged_pictures(where: Where, rng: np.random.Generator, files: list[bytes]) -> Iterator[str]:
    """Pictures cut off or changed, under names that nobody has."""
    names = ("a" * 5000, "..%2f..%2fetc%2fpasswd", "\x1b[2J.png", "\udcff.png", "=1+1.png", "")
    for number in range(20):
        data = bytearray(files[number % len(files)][: rng.integers(1, 4000)])
        for place in rng.integers(0, len(data), 8):
            data[place] = rng.integers(256)
        yield from _ask(where, _request("POST", "/classify", *_upload(names[number % len(names)], bytes(data))))[0]


def wrong_json(where: Where, *_: object) -> Iterator[str]:
    """Surrogates, depth, numbers beyond all bounds, other types."""
    session = _session(where)
    deep, wide = "[" * 100_000, json.dumps({"classes": [{"key": "a"}] * 30_000})
    for body in ('{"pack": "\\ud800"}', '{"pack": ["blood-cells"]}', '{"pack": 1e999}', deep, wide, "", "\0", "nul"):
        yield from _as_json(where, "PUT", f"{session}/knowledge", body)[0]
        yield from _as_json(where, "POST", f"{session}/jobs", body)[0]
        yield from _as_json(where, "POST", f"{session}/predictions", body)[0]
    yield from _ask(where, _request("DELETE", session))[0]


def wrong_heads(where: Where, rng: np.random.Generator, *_: object) -> Iterator[str]:
    """What is no HTTP, or contradicts itself."""
    for sent in (
        rng.bytes(3000) + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
        _request("POST", "/classify", b"zz\r\n", "Transfer-Encoding: chunked"),
        _request("POST", "/classify", b"abc", "Content-Length: 3", "Content-Length: 4"),
        _request("POST", "/classify", b"abc", "Content-Length: -3"),
        _request("POST", "/classify", b"abc", f"Content-Length: {1 << 70}"),
        _request("GET", "/", b"").replace(b"127.0.0.1", b"elsewhere.example"),
        _request("BREW", "/classify"),
        _request("GET", "/api/sessions/" + "a" * 20_000),
        _request("GET", "/static/..%2f..%2fapp.py"),
    ):
        yield from _ask(where, sent)[0]


def archives(where: Where, *_: object) -> Iterator[str]:
    """A bomb, a name that leads outside, files that are none."""
    session = _session(where)
    for name, data in (("a.png", bytes(50 << 20)), ("../../a.png", b"x"), ("b.zip", b"PK\3\4" * 99)):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(name, data)
        body, kind = _upload("a.zip", packed.getvalue(), "application/zip")
        yield from _ask(where, _request("POST", f"{session}/pictures", body, kind))[0]
    yield from _ask(where, _request("DELETE", session))[0]


def broken_off(where: Where, rng: np.random.Generator, files: list[bytes]) -> Iterator[str]:
    """Uploads, jobs and their events that nobody waits for, and sessions that are deleted under them, or never."""
    for whole in (False, True, False, True):
        body, kind = _upload("a.png", files[0], whole=whole)
        with _open(where) as connection:
            connection.sendall(_request("POST", "/classify", body, kind, f"Content-Length: {len(body) + 1000}"))
    for number in range(6):
        session = _session(where)
        yield from _as_json(where, "PUT", f"{session}/knowledge", '{"pack": "blood-cells"}')[0]
        yield from _ask(where, _request("POST", f"{session}/pictures", *_upload("a.png", files[0])))[0]
        begun, told = _as_json(where, "POST", f"{session}/jobs", "{}")
        yield from begun
        with suppress(ValueError, KeyError), _open(where) as connection:
            connection.sendall(_request("GET", f"/api/jobs/{json.loads(told)['id']}/events"))
        if number or rng.random() > 0.01:  # a few stay: all that one client may have would end the misuse
            yield from _ask(where, _request("DELETE", session))[0]


def never_read(where: Where, *_: object) -> Iterator[str]:
    """Questions without end, and no answer read."""
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.bind((MISUSER, 0))
        deaf.settimeout(90)
        deaf.connect(where)
        request = b"GET /static/app.js HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        try:
            while True:  # until the server lets go
                deaf.sendall(request * 100)
        except TimeoutError:
            yield "a place held for 90 s by somebody who reads nothing"
        except OSError:
            yield "closed"


def hold(where: Where, *_unused: object) -> Iterator[str]:
    """Half a head on many connections, until the server closes them."""
    with ExitStack() as stack:
        crowd = [stack.enter_context(_open(where, CROWDS)) for _ in range(HELD)]
        for one in crowd:
            with suppress(OSError):
                one.sendall(b"GET /health HTTP/1.1\r\n")
        for one in crowd:
            yield from _statuses(_rest(one))


def flood(where: Where, *_: object) -> Iterator[str]:
    """More connections at once than anybody may have, or even be told about; of these some are reset."""
    with ExitStack() as stack:
        crowd: list[socket.socket] = []
        with suppress(OSError):
            while len(crowd) < FLOOD:
                crowd.append(stack.enter_context(_open(where, CROWDS)))
        for one in crowd[::50]:
            yield from _statuses(_rest(one))


SENT = (damaged_pictures, wrong_json, wrong_heads, archives, broken_off)
CROWDED = (flood, hold, never_read)
"""Each but the first waits until the server has had enough: longer than half a minute."""


def misuse(
    where: Where, kinds: Sequence[Callable[..., Iterator[str]]], files: list[bytes], goes_on: Callable[[], bool]
) -> Counter[str]:
    """Do one kind after the other as long as it goes on; what was told, by kind and status."""
    told: Counter[str] = Counter()
    rng = np.random.default_rng(len(kinds))
    for kind in itertools.cycle(kinds):
        if not goes_on():
            break
        told.update(f"{kind.__name__} {status}" for status in kind(where, rng, files))
    return told


def faults(told: Counter[str]) -> list[str]:
    """Of what misuse was told, what it may not be: a fault of the server, or a place held for ever."""
    bad = re.compile("held| 5(?!03)")
    return [f"{count} x {kind}" for kind, count in told.items() if bad.search(kind)]
