"""What every request passes: host, origin, token, rate, size; and what every answer carries."""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient
from tests.server.conftest import cell, parts

from kpl.server import guard
from kpl.server.limits import Limits

TOKEN = "a-token-of-more-than-16-characters"  # noqa: S105 - of a test


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "", "[", "::"])
def test_another_host_name_is_refused(client: TestClient, host: str) -> None:
    assert client.get("/health", headers={"host": host}).status_code == 421


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST:8321", "[::1]:8321"])
def test_the_own_names_are_not(client: TestClient, host: str) -> None:
    assert client.get("/health", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9"},
        {"origin": "http://["},
        {"origin": ""},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_other_sites_are_refused(client: TestClient, headers: dict[str, str]) -> None:
    assert client.post("/api/sessions", json={}, headers=headers).status_code == 403
    assert client.get("/api/packs", headers=headers).status_code == 403
    assert client.options("/api/sessions", headers=headers).status_code == 403
    assert "access-control-allow-origin" not in client.get("/health", headers=headers).headers


_ODD = st.one_of(
    st.binary(max_size=40), st.text("htp:/[]@%?#.,;=012789 \t\xe9", max_size=30).map(lambda t: t.encode("latin-1"))
)


@given(
    headers=st.lists(
        st.tuples(
            st.sampled_from(
                [b"host", b"origin", b"sec-fetch-site", b"authorization", b"content-length", b"content-type"]
            ),
            st.one_of(
                _ODD,
                _ODD.map(lambda odd: b"http://" + odd),
                _ODD.map(lambda odd: b"Bearer " + odd),
                st.sampled_from(
                    [b"127.0.0.1", b"http://127.0.0.1", b"same-origin", b"Bearer " + TOKEN.encode(), b"12"]
                ),
            ),
        ),
        max_size=8,
    ),
    method=st.sampled_from(["GET", "HEAD", "POST"]),
    path=st.sampled_from(["/", "/health", "/api/packs", "/classify"]),
)
def test_whatever_the_headers_say_they_are_judged(headers: list[tuple[bytes, bytes]], method: str, path: str) -> None:
    said: list[int] = []

    async def inner(*_: object) -> None:
        said.append(200)

    async def send(message: guard.Message) -> None:
        said.append(message.get("status", 0))

    async def receive() -> guard.Message:
        return {"type": "http.disconnect"}

    gate = guard.Guard(
        inner, limits=Limits(workers=1), hosts=frozenset({"127.0.0.1"}), token=TOKEN, metrics=guard.Metrics()
    )
    scope = {"type": "http", "method": method, "path": path, "headers": headers, "client": ("127.0.0.1", 1)}
    asyncio.run(gate(scope, receive, send))
    assert said[0] in (200, 401, 403, 413, 421)
    if said[0] == 200:
        first = dict(reversed(headers))
        assert b"127.0.0.1" in first[b"host"]
        if path not in guard.Guard.OPEN:
            assert first[b"authorization"].split()[1] == TOKEN.encode()
            assert first.get(b"origin", b"//" + first[b"host"]).partition(b"//")[2].startswith(first[b"host"].strip())


def test_the_own_page_is_not_another_site(client: TestClient) -> None:
    headers = {"origin": "http://127.0.0.1", "sec-fetch-site": "same-origin"}
    assert client.get("/api/packs", headers=headers).status_code == 200


@pytest.mark.parametrize("path", ["/", "/static/app.js", "/health", "/api/packs", "/api/sessions/none", "/nothing"])
def test_every_answer_carries_the_policy(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert "server" not in headers


def test_the_page_asks_for_nothing_from_elsewhere(client: TestClient) -> None:
    page = client.get("/").text
    assert "://" not in page
    assert "Not a medical device" in page
    assert "<script>" not in page
    assert " style=" not in page
    assert " on" + "click=" not in page


@pytest.fixture(scope="module")
def guarded(serving: Callable[..., TestClient]) -> TestClient:
    return serving(token=TOKEN)


@pytest.mark.parametrize(
    "given", [None, "", TOKEN, f"Basic {TOKEN}", "Bearer", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Bearer ä"]
)
def test_without_the_token_nothing_is_told(guarded: TestClient, given: str | None) -> None:
    headers = {} if given is None else {"authorization": given.encode()}
    for path in ("/api/packs", "/metrics", "/openapi.json", "/api/sessions/x", "/nothing"):
        answer = guarded.get(path, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"


def test_with_the_token_all_is_told_and_without_it_the_page_that_asks_for_it(guarded: TestClient) -> None:
    assert guarded.get("/api/packs", headers={"authorization": f"bearer {TOKEN}"}).status_code == 200
    assert guarded.get("/openapi.json", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200
    for path in ("/", "/static/style.css", "/health"):
        assert guarded.get(path).status_code == 200


def test_tokens_are_compared_in_constant_time(guarded: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    compared, real = [], hmac.compare_digest

    def compare(given: bytes, expected: bytes) -> bool:
        compared.append((given, expected))
        return real(given, expected)

    monkeypatch.setattr(guard.hmac, "compare_digest", compare)
    guarded.get("/api/packs", headers={"authorization": "Bearer wrong"})
    assert compared == [(b"wrong", TOKEN.encode())]


def test_too_large_a_body_is_refused_whether_it_says_so_or_not(serving: Callable[..., TestClient]) -> None:
    small = serving(body_bytes=20_000)
    session = f"/api/sessions/{small.post('/api/sessions', json={}).json()['id']}"
    answer = small.post(f"{session}/pictures", files=parts({"a.png": bytes(30_000)}))
    assert answer.status_code == 413

    def stream():
        yield b'--x\r\ncontent-disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
        for _ in range(30):
            yield bytes(1000)
        yield b"\r\n--x--\r\n"

    kind = {"content-type": "multipart/form-data; boundary=x"}
    assert small.post(f"{session}/pictures", content=stream(), headers=kind).status_code == 413
    assert small.get("/health", headers={"content-length": "nonsense"}).status_code == 413
    assert small.post(f"{session}/pictures", files=parts({"a.png": cell(0)[:9000]})).status_code == 200


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "multipart/form-data; boundary=x"])
def test_what_is_no_upload_must_be_small(serving: Callable[..., TestClient], kind: str) -> None:
    small = serving(json_bytes=20_000)
    session = f"/api/sessions/{small.post('/api/sessions', json={}).json()['id']}"

    def stream():
        for _ in range(100):
            yield b" " * 1000

    headers = {"content-type": kind}
    assert small.put(f"{session}/knowledge", content=b" " * 20_001, headers=headers).status_code == 413
    assert small.put(f"{session}/knowledge", content=stream(), headers=headers).status_code == 413
    assert small.post(f"{session}/pictures", content=b" " * 20_001, headers=headers).status_code == (
        400 if kind.startswith("multipart") else 413
    )
    assert small.post(f"{session}/pictures", files=parts({"a.png": bytes(30_000)})).status_code == 200
    assert small.post("/classify", files=parts({"a.png": bytes(30_000)})).status_code == 404  # there is no model


def test_too_many_files_are_refused(serving: Callable[..., TestClient]) -> None:
    few = serving(files=2)
    session = f"/api/sessions/{few.post('/api/sessions', json={}).json()['id']}"
    assert few.post(f"{session}/pictures", files=parts({f"{n}.png": b"x" for n in range(3)})).status_code == 413


def test_a_rate_is_kept_for_each_address() -> None:
    rates = guard.Rates(rate=2.0, burst=3)
    assert [rates.allows("a", 0.0) for _ in range(4)] == [True, True, True, False]
    assert rates.allows("b", 0.0)
    assert [rates.allows("a", 1.0) for _ in range(3)] == [True, True, False]


def test_too_many_requests_are_told_when_to_come_again(serving: Callable[..., TestClient]) -> None:
    slow = serving(rate=0.001, burst=2)
    assert [slow.get("/health").status_code for _ in range(3)] == [200, 200, 429]
    assert slow.get("/health").headers["retry-after"] == "1"


def test_neither_logs_nor_metrics_name_what_a_user_brought(
    client: TestClient, session: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, logger="kpl.server"):
        client.post(f"{session}/pictures", files=parts({"Mustermann-Erika.png": cell(0), "Doe-Jane.png": b"x"}))
        client.get("/Mustermann-Erika.png")
    told = client.get("/metrics").text
    assert "Mustermann" not in caplog.text + told
    assert "Doe-Jane" not in caplog.text + told
    assert session.rsplit("/", 1)[1] not in caplog.text + told  # who knows a session's id may use it
    assert 'route="/api/sessions/{session_id}/pictures",method="POST",status="200"' in told
    assert "POST /api/sessions/{session_id}/pictures 200" in caplog.text


@pytest.mark.parametrize("path", ["/", "/health", "/metrics", "/api/packs"])
def test_head_is_answered_as_get_is(client: TestClient, path: str) -> None:
    asked, got = client.head(path), client.get(path)
    assert asked.status_code == got.status_code == 200
    assert asked.headers["content-type"] == got.headers["content-type"]


def test_paths_of_the_page_lead_nowhere_else(client: TestClient) -> None:
    for path in ("/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py", "/static//etc/hosts"):
        assert client.get(path).status_code == 404
