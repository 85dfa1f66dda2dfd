"""Connections: those that say nothing are closed, and those that are too many are told so."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest
import uvicorn
from tests.server.test_running import started

from kpl.server.app import create_app
from kpl.server.connections import connection_of
from kpl.server.limits import Limits
from kpl.server.service import Service

GET = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@pytest.fixture(scope="module")
def listening() -> Iterator[tuple[str, int]]:
    """A server whose patience is short, and that takes three connections."""
    limits = Limits(workers=1, connections=3, silent_seconds=0.2)
    made = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(create_app(Service(limits)), http=connection_of(limits), log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [made]})
    thread.start()
    yield made.getsockname()
    server.should_exit = True
    thread.join(60)


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
        assert b"HTTP/1.1 400" in all_of(connection)


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
