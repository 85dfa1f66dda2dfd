"""A key reaches its server and nobody else: no proxy, no other machine, no place that a server leads to."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager

import pytest
from tests.authoring.chat_server import KEY, phrases, serving

from kpl.authoring import ChatServer, Request
from kpl.authoring.addresses import KEY_VARIABLES, find_key, is_here, is_safe, wants_version
from kpl.errors import LanguageModelError

ASK = Request(model="tiny", system="s", prompt="p", form={"type": "object"})
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    for name in (*PROXIES, *map(str.lower, PROXIES), *KEY_VARIABLES, "REQUEST_METHOD"):
        monkeypatch.delenv(name, raising=False)


@contextmanager
def proxy(answer=b"HTTP/1.1 502 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"):
    """A proxy that forwards nothing and remembers every byte that it was sent."""
    heard: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def work():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5)
                heard.append(connection.recv(65536))
                connection.sendall(answer)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", heard
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def ask(url, **options):
    client = ChatServer(url, **{"timeout": 5.0, "retries": 0, "pause": 0.01, **options})
    try:
        return client.answer(ASK)
    finally:
        client.close()


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "127.1"])
def test_this_machine_is_asked_directly(monkeypatch, name, host):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "")
    with proxy() as (address, heard), serving(phrases, needs_key=True) as script:
        monkeypatch.setenv(name, address)
        assert ask(script.url.replace("127.0.0.1", host)).text
    assert heard == []


@pytest.mark.parametrize("value", ["socks5h://127.0.0.1:9", "nonsense", "ftp://127.0.0.1:9", "http://[::1"])
def test_a_proxy_that_cannot_be_used_does_not_keep_from_this_machine(monkeypatch, value):
    monkeypatch.setenv("ALL_PROXY", value)
    with serving(phrases) as script:
        assert ask(script.url).text
    with pytest.raises(LanguageModelError, match=r"PROXY|nobody answers|the connection"):
        ask("https://models.example/v1")


@pytest.mark.parametrize("key", KEY_VARIABLES)
@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
def test_a_plain_address_elsewhere_gets_no_key_with_a_proxy_or_without(monkeypatch, key, name):
    monkeypatch.setenv(key, KEY)
    with proxy() as (address, heard):
        monkeypatch.setenv(name, address)
        with pytest.raises(LanguageModelError):
            ask("http://models.example/v1")
    assert b"POST http://models.example/v1/chat/completions" in heard[0]
    assert KEY.encode() not in b"".join(heard)


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
def test_over_https_a_proxy_hears_a_name_and_no_key(monkeypatch, name):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with proxy() as (address, heard):
        monkeypatch.setenv(name, address)
        with pytest.raises(LanguageModelError, match=r"the proxy .* does not lead there .*NO_PROXY"):
            ask("https://models.example/v1")
    assert heard[0].startswith(b"CONNECT models.example:443")
    assert KEY.encode() not in b"".join(heard)


def test_a_proxy_that_plays_the_server_learns_no_key(monkeypatch):
    """It lets the connection through and answers in plain text, where the server's certificate is due."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with proxy(b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n") as (address, heard):
        monkeypatch.setenv("HTTPS_PROXY", address)
        with pytest.raises(LanguageModelError):
            ask("https://models.example/v1")
    assert KEY.encode() not in b"".join(heard)


@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_who_is_named_in_no_proxy_is_asked_directly(monkeypatch, name):
    monkeypatch.setenv(name, "models.invalid")
    with proxy() as (address, heard):
        monkeypatch.setenv("HTTP_PROXY", address)
        with pytest.raises(LanguageModelError, match="nobody answers"):
            ask("http://models.invalid/v1", timeout=10.0)
    assert heard == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_nobody_is_followed_elsewhere(monkeypatch, status):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with proxy() as (elsewhere, heard), serving("moved_to") as script:
        script.data = f"{status} {elsewhere}/v1/chat/completions".encode()
        with pytest.raises(LanguageModelError, match=rf"leads elsewhere \({status}\)"):
            ask(script.url)
    assert heard == []


def test_a_server_that_wants_a_key_over_plain_http_is_told_why_it_gets_none(monkeypatch):
    monkeypatch.setenv("KPL_LLM_KEY", KEY)
    refusal = b"HTTP/1.1 401 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    with proxy(refusal) as (address, _heard):
        monkeypatch.setenv("HTTP_PROXY", address)
        with pytest.raises(LanguageModelError, match=r"wants a key \(401\), and none is sent over http to another"):
            ask("http://models.example/v1")


@pytest.mark.parametrize(
    "host",
    ["localhost", "LocalHost:8000", "localhost.", "127.0.0.1", "127.255.0.9:1", "127.1", "0x7f000001", "2130706433",
     "[::1]", "[::1]:9", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "0.0.0.0"],  # noqa: S104 - nothing is bound
)  # fmt: skip
def test_this_machine_however_it_is_spelled(host):
    assert is_here(f"http://{host}/v1")
    assert is_safe(f"http://{host}/v1")


@pytest.mark.parametrize(
    "host",
    ["localhost.example", "notlocalhost", "127.0.0.1.nip.io", "128.0.0.1", "10.0.0.1", "[::2]", "[::ffff:10.0.0.1]",
     "xn--lcalhost-m1a", "face", "models.localhost", "1.2.3.4.5"],
)  # fmt: skip
def test_what_only_looks_like_this_machine_gets_no_key(monkeypatch, host):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert not is_here(f"http://{host}/v1")
    assert find_key(f"http://{host}/v1") is None
    assert find_key(f"https://{host}/v1") == KEY


def test_the_version_is_suggested_only_where_there_is_none():
    assert wants_version("http://localhost:1/v1") == wants_version("https://x/openai/v1beta") == ""
    assert "try http://localhost:1/v1" in wants_version("http://localhost:1")
