"""Connections: those that say nothing are closed, and those that are too many are told so."""

from __future__ import annotations

import json
import logging
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPResponse
from urllib.parse import urlsplit

import pytest
import uvicorn
from tests.server.test_running import started

from kpl.server.app import create_app
from kpl.server.connections import connection_of
from kpl.server.limits import Limits
from kpl.server.service import Service

GET = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@contextmanager
def listens(**limits: float) -> Iterator[tuple[str, int]]:
    """A server in this process, within such limits."""
    held = Limits(workers=1, **limits)  # type: ignore[arg-type] # numbers all
    made = socket.create_server(("127.0.0.1", 0), backlog=1024)
    app = create_app(Service(held))
    config = uvicorn.Config(app, http=connection_of(held, (), app.state.metrics), log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [made]})
    thread.start()
    try:
        yield made.getsockname()
    finally:
        server.should_exit = True
        thread.join(60)


@pytest.fixture(scope="module")
def listening() -> Iterator[tuple[str, int]]:
    """A server whose patience is short, and that takes three connections of one client."""
    with listens(connections=6, silent_seconds=0.2) as address:
        yield address


def all_of(connection: socket.socket) -> bytes:
    """What comes until the other side closes."""
    connection.settimeout(60)
    got = b""
    while part := connection.recv(1 << 16):
        got += part
    return got


@pytest.mark.parametrize(
    "sent",
    [b"", b"GET", b"GET /health HTTP/1.1\r\n", GET[:-2], GET + b"GET", GET + GET[:-1]],
    ids=["nothing", "a word", "a line", "no end", "one and a word", "one and no end"],
)
def test_half_a_head_is_not_waited_for(listening: tuple[str, int], sent: bytes) -> None:
    with socket.create_connection(listening) as connection:
        connection.sendall(sent)
        assert all_of(connection).count(b"HTTP/1.1 200") == sent.count(GET)


def test_who_falls_silent_within_a_body_has_gone(listening: tuple[str, int]) -> None:
    head = (
        b"POST /api/sessions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n"
    )
    with socket.create_connection(listening) as connection:
        connection.sendall(head + b"{")
        assert b"HTTP/1.1 408" in all_of(connection)


HEAD = b"POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n"


@pytest.mark.parametrize("kind", [b"application/json", b"multipart/form-data; boundary=x"])
def test_a_body_that_comes_too_slowly_as_a_whole_is_not_waited_for(kind: bytes) -> None:
    """However steadily its bytes come."""
    with listens(silent_seconds=0.5) as address, socket.create_connection(address) as connection:
        path = b"/api/sessions" if kind == b"application/json" else b"/classify"
        connection.sendall(HEAD % (path, kind, 1000) + b"--x\r\n")
        connection.settimeout(0.1)
        answer, sent = b"", 0
        while not answer and sent < 900:
            connection.sendall(b"a")
            sent += 1
            with suppress(TimeoutError):
                answer = connection.recv(1000)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"too slowly" in answer + all_of(connection)
        assert sent < 100


def test_a_large_body_at_an_honest_pace_is_waited_for_longer() -> None:
    """Each part that comes earns time for the next."""
    body = b'{"encoder": "mini"}' + b" " * 20_000
    with listens(silent_seconds=0.5, slowest=1000) as address, socket.create_connection(address) as connection:
        connection.sendall(HEAD % (b"/api/sessions", b"application/json", len(body)) + body[:3000])
        for first in range(3000, len(body), 3000):
            time.sleep(0.2)
            connection.sendall(body[first : first + 3000])
        assert connection.recv(13) == b"HTTP/1.1 201 "


def test_the_rest_of_what_is_answered_already_is_not_waited_for() -> None:
    """A body that is refused by its length alone could otherwise drip on for ever."""
    with listens(silent_seconds=0.5) as address, socket.create_connection(address) as connection:
        connection.sendall(HEAD % (b"/api/sessions", b"application/json", 1 << 30))
        assert connection.recv(13) == b"HTTP/1.1 413 "
        ended = False
        for _ in range(200):
            try:
                connection.sendall(b"a")
                time.sleep(0.05)
            except OSError:
                ended = True
                break
        assert ended


@pytest.mark.parametrize(
    "head", [HEAD % (b"/api/nothing", b"application/json", 2), HEAD % (b"/classify", b"text/x", 2)]
)
@pytest.mark.parametrize("beside", [b"", b"Origin: http://evil.example\r\n"], ids=["by a route", "at the gate"])
def test_a_small_body_is_taken_in_before_it_is_refused(head: bytes, beside: bytes) -> None:
    """Proxies send a head first; one that is answered before the body went may lose the answer."""
    with listens() as address, socket.create_connection(address) as connection:
        for _ in range(2):  # the connection is still good
            connection.sendall(head[:-2] + beside + b"\r\n")
            connection.settimeout(0.2)
            with pytest.raises(TimeoutError):
                connection.recv(1)
            connection.sendall(b"{}")
            connection.settimeout(60)
            answer = HTTPResponse(connection)
            answer.begin()
            assert 400 <= answer.status < 500
            assert answer.read()


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (b"/classify", b"multipart/form-data; boundary=x"),  # refused by what has come already
        (b"/api/sessions", b"application/json"),  # waits for the rest
        (b"/health", b"application/json"),  # answered
    ],
)
def test_a_body_that_is_no_http_is_a_wrong_request(
    listening: tuple[str, int], path: bytes, kind: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """Told so once, though the request is served already; nobody tries to answer it a second time."""
    logging.getLogger("uvicorn.error").addHandler(caplog.handler)  # it hands nothing on
    head = HEAD % (path, kind, 0)
    with socket.create_connection(listening) as connection:
        connection.sendall(head.replace(b"Content-Length: 0", b"Transfer-Encoding: chunked") + b"3\r\nabc\r\n")
        time.sleep(0.1)
        connection.sendall(b"zz\r\n")
        with suppress(ConnectionResetError):  # of what it still said when it was answered
            assert all_of(connection).count(b"HTTP/1.1 ") == 1
    with socket.create_connection(listening) as connection:
        connection.sendall(GET)
        assert connection.recv(13) == b"HTTP/1.1 200 "
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_who_never_reads_an_answer_is_let_go() -> None:
    """Its place is free again, though its answers lie unread; the buffers of both systems hold the first megabytes."""
    page = b"GET /static/evidence.js HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    with listens(connections=2, silent_seconds=0.3, refused_seconds=0.1) as address, socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(address)
        deaf.sendall(page * 900)
        time.sleep(0.1)
        answers = []
        while not answers or answers[-1] != b"HTTP/1.1 200 ":
            with socket.create_connection(address, timeout=10) as other:  # a client may have one connection here
                other.sendall(GET)
                answers.append(other.recv(13))
        assert len(answers) > 1, "it never held the place"


def source(number: int) -> tuple[str, int]:
    """An address of another client: all of 127.0.0.0/8 is this machine."""
    return (f"127.0.0.{number}", 0)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems have one loopback address only")
def test_six_hundred_that_say_nothing_stop_nobody_else() -> None:
    """Each above the limit of its client is told so at once, and none is reset."""
    with listens(refused_seconds=0.5) as address, ExitStack() as stack:
        crowd = []
        for number in range(600):
            crowd.append(stack.enter_context(socket.create_connection(address, source_address=source(2))))
            crowd[-1].sendall(b"GET" if number % 2 else b"")
            if number % 100 == 99:  # meanwhile
                with socket.create_connection(address, source_address=source(3), timeout=10) as other:
                    other.sendall(GET)
                    assert other.recv(13) == b"HTTP/1.1 200 "
        told = [all_of(one) for one in crowd[200:]]
        assert {answer[:13] for answer in told} == {b"HTTP/1.1 503 "}
        with socket.create_connection(address, source_address=source(3), timeout=10) as other:
            other.sendall(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            assert b'route="other",method="OTHER",status="503"} 472' in all_of(other)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems have one loopback address only")
def test_more_than_can_be_listened_to_are_told_so_too() -> None:
    """Of those turned away only some are heard out; the rest are closed at once, and others are served meanwhile."""
    with listens(connections=6, refused_seconds=60) as address, ExitStack() as stack:
        crowd = [
            stack.enter_context(socket.create_connection(address, source_address=source(2), timeout=10))
            for _ in range(300)
        ]
        assert {one.recv(13) for one in crowd[3:]} == {b"HTTP/1.1 503 "}
        for one in crowd[3 + 2 * 6 :]:
            assert one.recv(1000)
            with suppress(ConnectionResetError):
                assert not all_of(one).startswith(b"HTTP")
        with socket.create_connection(address, source_address=source(3), timeout=10) as other:
            other.sendall(GET)
            assert other.recv(13) == b"HTTP/1.1 200 "


def test_the_place_of_a_connection_that_ends_is_free_again(listening: tuple[str, int]) -> None:
    for _ in range(20):
        with socket.create_connection(listening, timeout=10) as connection:
            connection.sendall(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            assert all_of(connection).startswith(b"HTTP/1.1 200 ")


def test_connections_that_are_too_many_are_told_to_come_again() -> None:
    process, address = started()
    try:
        at = urlsplit(address)
        with ExitStack() as stack:
            for _ in range(Limits().connections):
                stack.enter_context(socket.create_connection((at.hostname, at.port))).sendall(b"GET")
            one_more = stack.enter_context(socket.create_connection((at.hostname, at.port)))
            one_more.sendall(GET)
            head, _, body = all_of(one_more).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nretry-after: 2\r\n" in head.lower() + b"\r\n"
        assert b"\r\ncontent-security-policy: default-src 'none'" in head.lower()
        assert "too many connections" in json.loads(body)["detail"]
        answer = b""
        while answer != b"HTTP/1.1 200":  # once the server has noticed that the others are closed
            with socket.create_connection((at.hostname, at.port)) as later:
                later.sendall(GET)
                answer = later.recv(12)
            assert answer in (b"HTTP/1.1 200", b"HTTP/1.1 503")
    finally:
        process.terminate()
        process.communicate(timeout=60)
