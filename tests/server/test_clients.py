"""Whom a request comes from, how much one client may take, and what a client may not say."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient
from tests.server.conftest import cell, finish, parts

from kpl.errors import InputError
from kpl.server.clients import Places, client_of, is_proxy, read_networks
from kpl.server.jobs import Job, Jobs
from kpl.server.limits import Limits
from kpl.server.refusals import Busy
from kpl.server.sessions import Sessions

PROXIES = read_networks(["127.0.0.1", "10.0.0.0/8", "fd00::/16"])


@pytest.mark.parametrize(
    ("peer", "forwarded", "whose"),
    [
        ("192.0.2.1", [], "192.0.2.1"),
        ("192.0.2.1", ["6.6.6.6"], "192.0.2.1"),  # who is no proxy may say what it likes
        ("127.0.0.1", [], "127.0.0.1"),
        ("127.0.0.1", ["192.0.2.1"], "192.0.2.1"),
        ("127.0.0.1", ["6.6.6.6, 192.0.2.1"], "192.0.2.1"),  # the first was said by the client itself
        ("127.0.0.1", ["6.6.6.6", "192.0.2.1"], "192.0.2.1"),
        ("127.0.0.1", ["192.0.2.1, 10.1.2.3"], "192.0.2.1"),
        ("127.0.0.1", ["6.6.6.6, 192.0.2.1, 10.1.2.3"], "192.0.2.1"),
        ("127.0.0.1", ["10.1.2.3"], "10.1.2.3"),
        ("127.0.0.1", ["nonsense"], "127.0.0.1"),
        ("127.0.0.1", ["192.0.2.1, nonsense"], "127.0.0.1"),
        ("127.0.0.1", ["", ","], "127.0.0.1"),
        ("127.0.0.1", ["192.0.2.1:4711"], "192.0.2.1:4711"),
        ("127.0.0.1", ["[2001:db8:1:2:3::4]:4711"], "2001:db8:1:2::/64"),
        ("::ffff:127.0.0.1", ["192.0.2.1"], "192.0.2.1"),
        ("::ffff:192.0.2.1", ["6.6.6.6"], "192.0.2.1"),
        ("fd00::7", ["2001:db8::1"], "2001:db8::/64"),
        ("2001:db8::1", [], "2001:db8::/64"),
        ("2001:db8::2", [], "2001:db8::/64"),  # the same, with another address of its own
        ("testclient", ["6.6.6.6"], "testclient"),
    ],
)
def test_forwarded_addresses_are_believed_only_of_trusted_proxies(peer: str, forwarded: list[str], whose: str) -> None:
    assert client_of(peer, forwarded, PROXIES) == whose.removesuffix(":4711")


@given(st.text(max_size=40), st.lists(st.text(max_size=60), max_size=4))
def test_whatever_is_said_somebody_asked(peer: str, forwarded: list[str]) -> None:
    assert client_of(peer, forwarded) == client_of(peer)
    assert isinstance(client_of("127.0.0.1", forwarded, PROXIES), str)
    assert not is_proxy("192.0.2.1", PROXIES)


@pytest.mark.parametrize("said", ["proxy.example", "", "10.0.0.0/99", "10.0.0.1/8", "*"])
def test_a_proxy_is_an_address_or_a_network(said: str) -> None:
    with pytest.raises(InputError, match="is no address and no network"):
        read_networks([said])


def test_one_client_gets_only_a_part_of_the_places() -> None:
    places = Places(4, 2, "too much")
    with ExitStack() as held:
        for client in ("a", "a", "b"):
            held.enter_context(places.hold(client))
        with pytest.raises(Busy, match="too much"), places.hold("a"):
            pass
        held.enter_context(places.hold("c"))
        with pytest.raises(Busy, match="too much"), places.hold("d"):
            pass
    for _ in range(3):
        with places.hold("a"), places.hold("a"):
            pass
    assert places._held == {}
    assert (Limits().each(8), Limits().each(1)) == (4, 1)


def test_sixty_new_sessions_push_out_nobody_elses() -> None:
    sessions = Sessions(Limits(sessions=8))
    try:
        mine = sessions.create("mini", "me")
        for _ in range(60):
            sessions.create("mini", "crowd")
        assert sessions.get(mine.id) is mine
        assert len(sessions) == 5  # of eight, one client has half at most
        for number in range(10):  # they do not keep others out either
            sessions.create("mini", f"other {number}" if number < 4 else "me")
            assert sessions.get(mine.id) is mine or number >= 4
    finally:
        sessions.close()


def test_who_has_few_sessions_with_pictures_is_told_so() -> None:
    sessions = Sessions(Limits(sessions=4))
    try:
        for _ in range(2):
            sessions.create("mini", "me").working += 1
        with pytest.raises(Busy, match="this address has 2 sessions"):
            sessions.create("mini", "me")
        for name in ("a", "b"):
            sessions.create("mini", name).working += 1
        with pytest.raises(Busy, match="there are 4 sessions"):
            sessions.create("mini", "c")
    finally:
        sessions.close()


def test_one_client_may_not_fill_the_queue() -> None:
    jobs = Jobs(4, 2)
    try:
        begun = []

        def work(job: Job) -> None:
            begun.append(job)
            job.stop.wait(30)

        first = jobs.add("0", work, "me")
        while not begun:
            pass
        waiting = [jobs.add(str(number), work, "me") for number in (1, 2)]
        with pytest.raises(Busy, match="2 jobs from this address"):
            jobs.add("3", work, "me")
        waiting.append(jobs.add("4", work, "other"))
        for job in (*waiting, first):
            jobs.cancel(job.id)
    finally:
        jobs.close(30)


@pytest.mark.parametrize(
    ("method", "route", "body"),
    [
        ("POST", "", r'{"encoder": "%s"}'),
        ("PUT", "/knowledge", r'{"pack": "%s"}'),
        ("PUT", "/knowledge", r'{"%s": 1}'),
        (
            "PUT",
            "/knowledge",
            r'{"knowledge": {"kpl_knowledge": 2, "task": {"name": "x"}, "classes": [{"key": "a", '
            r'"descriptions": ["round %s"]}, {"key": "b", "descriptions": ["square"]}]}}',
        ),
        ("POST", "/predictions", r'{"prior": {"a%s": 1}}'),
        ("POST", "/jobs", r'{"k": "%s"}'),
    ],
)
@pytest.mark.parametrize("half", [r"\ud800", r"x\udfff", r"\udc00\ud800"])
def test_half_a_character_cannot_be_read(
    client: TestClient, session: str, method: str, route: str, body: str, half: str
) -> None:
    address = f"{session}{route}" if route else "/api/sessions"
    answer = client.request(method, address, content=body % half, headers={"content-type": "application/json"})
    assert (answer.status_code, "half a character" in answer.json()["detail"]) == (400, True)
    whole = client.request(
        method, address, content=body % r"\ud83d\ude00", headers={"content-type": "application/json"}
    )
    assert (whole.status_code != 400, "half a character" in whole.text) == (True, False)


@pytest.mark.parametrize(
    "encoder", ["/models/clip", "../clip", "clip.onnx/", "hf:org/model", "https://x.example/a/b", "C:\\m", "~me", "."]
)
def test_an_encoder_that_a_client_may_not_name(client: TestClient, encoder: str) -> None:
    answer = client.post("/api/sessions", json={"encoder": encoder})
    said = answer.json()["detail"]
    assert answer.status_code == 404
    assert "only those known by name" in said
    assert "mini" in said
    assert repr(encoder) in said


def test_what_was_asked_is_repeated_even_if_it_looks_like_a_path(client: TestClient, session: str) -> None:
    answer = client.post("/api/sessions", json={"encoder": "minni"})
    assert (answer.status_code, "did you mean 'mini'" in answer.json()["detail"]) == (404, True)
    answer = client.put(f"{session}/knowledge", json={"pack": "/etc/packs/blood.yaml"})
    assert (answer.status_code, "unknown knowledge pack '/etc/packs" in answer.json()["detail"]) == (404, True)
    classes = [{"key": "a", "descriptions": ["/etc/passwd/x " * 60]}, {"key": "b", "descriptions": ["square"]}]
    base = {"kpl_knowledge": 2, "task": {"name": "x", "modality": "blood smear"}, "classes": classes}
    answer = client.put(f"{session}/knowledge", json={"knowledge": base})
    assert "failed at files of its own" not in answer.text


def test_a_client_is_known_through_a_trusted_proxy(serving: Callable[..., TestClient]) -> None:
    served = serving(sessions=4, door={"proxies": read_networks(["127.0.0.1"])})
    for peer, each in (("127.0.0.1", 4), ("192.0.2.1", 2)):
        through = TestClient(served.app, base_url="http://127.0.0.1", client=(peer, 1))
        begun = []
        for number in range(4):
            answer = through.post("/api/sessions", json={}, headers={"x-forwarded-for": f"198.51.100.{number}"})
            begun.append(f"/api/sessions/{answer.json()['id']}")
        assert sum(through.get(address).status_code == 200 for address in begun) == each
        for address in begun:
            through.delete(address)


def test_a_job_goes_on_when_its_decoders_are_killed(client: TestClient, session: str) -> None:
    client.put(f"{session}/knowledge", json={"pack": "blood-cells"})
    decoders = client.app.state.service.decoders  # type: ignore[attr-defined]
    for number in range(3):
        for worker in list(decoders._idle.queue):
            worker._process.kill()
        assert client.post(f"{session}/pictures", files=parts({"a.png": cell(number)})).json()["added"] == [number]
    assert finish(client, client.post(f"{session}/jobs", json={}).json())["state"] == "done"
