"""The client against a server that does everything wrong that servers do."""

from __future__ import annotations

import builtins
import re
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from tests.authoring.chat_server import KEY, phrases, serving

from kpl.authoring import ChatServer, LanguageModel, Request, addresses
from kpl.authoring import server as server_module
from kpl.authoring.addresses import find_key
from kpl.errors import LanguageModelError, MissingExtraError

ASK = Request(model="tiny", system="s", prompt="p 'x'", form={"type": "object"}, seed=3, sample=2, temperature=0.5)


@pytest.fixture(autouse=True)
def no_key(monkeypatch):
    for name in addresses.KEY_VARIABLES:
        monkeypatch.delenv(name, raising=False)


def ask(script, request=ASK, **options):
    client: LanguageModel = ChatServer(script.url, **{"timeout": 5.0, "retries": 2, "pause": 0.01, **options})
    try:
        return client.answer(request)
    finally:
        client.close()


def test_a_good_answer():
    with serving(phrases) as script:
        answer = ask(script)
    assert answer.text.count("a shape, ") == 15
    assert (answer.prompt_tokens, answer.answer_tokens, answer.estimated) == (100, 50, False)
    assert (answer.model, answer.finished, answer.left_out) == ("qwen3:8b-q4", "stop", ())
    (sent,) = script.asked
    assert (sent["seed"], sent["temperature"], sent["stream"]) == (5, 0.5, False)
    assert sent["response_format"]["json_schema"]["schema"] == {"type": "object"}


def test_what_the_server_does_not_take_is_left_out():
    with serving(phrases, takes=("temperature",)) as script:
        client = ChatServer(script.url, timeout=5.0)
        assert client.answer(ASK).left_out == ("response_format", "seed")
        assert client.answer(ASK).left_out == ("response_format", "seed")
        client.close()
    assert len(script.keys) == 4, "what was learnt is not learnt again"
    with (
        serving(phrases, takes=()) as script,
        pytest.raises(LanguageModelError, match=r"refuses the request \(400\): unsu"),
    ):
        ask(script)


@pytest.mark.parametrize("step", ["busy", "broken", "page", "cut", "half_json", "latin", "no_choices"])
def test_what_may_pass_is_asked_again(step):
    with serving(step, step, phrases) as script:
        assert "shape" in ask(script).text
    assert len(script.asked) == 3


@pytest.mark.parametrize(
    ("step", "says"),
    [
        ("busy", r"too many requests \(429: slow down\) \(3 tries\)"),
        ("broken", r"the server fails \(500: something failed for"),
        ("page", r"the server fails \(502: Bad +\[31m Gateway\)"),
        ("cut", "the connection broke before the answer was whole"),
        ("half_json", r"damaged \(not whole JSON\)"),
        ("latin", r"damaged \(not UTF-8\)"),
        ("no_choices", "not a chat completion"),
        ("enormous", "answers with more than 4 MB: this is no language model's answer"),
        ("moved", r"leads elsewhere \(301\)"),
        ("too_long", r"refuses the request \(400\): This model's maximum context length"),
        ("busy_for_an_hour", "asks to wait 3600 s: give the same command again later"),
    ],
)
def test_what_does_not_pass_is_one_line(step, says):
    with serving(step) as script, pytest.raises(LanguageModelError, match=says) as told:
        ask(script)
    assert "\n" not in str(told.value)
    assert "\x1b" not in str(told.value)


@pytest.mark.parametrize("step", ["hang", "drip"])
def test_a_server_that_hangs_is_left(step):
    with serving(step) as script, pytest.raises(LanguageModelError, match=r"within 0.4 s \(--timeout\) \(2 tries\)"):
        ask(script, timeout=0.4, retries=1)


def test_a_wrong_key_an_unknown_model_a_wrong_address(monkeypatch):
    with serving(needs_key=True) as script:
        with pytest.raises(LanguageModelError, match=r"wants a key \(401\): set KPL_LLM_KEY or OPENAI_API_KEY"):
            ask(script)
        monkeypatch.setenv("KPL_LLM_KEY", "sk-wrong-key")
        with pytest.raises(LanguageModelError, match="refuses the key") as told:
            ask(script)
        assert "sk-wrong" not in str(told.value)
        monkeypatch.setenv("KPL_LLM_KEY", f" {KEY}\n")
        assert ask(script).text
        with pytest.raises(
            LanguageModelError, match=r"know the model 'qwen3' \(404\): did you mean 'qwen3:8b'\? Known: qwen3:8b, tin"
        ):
            ask(script, ASK.model_copy(update={"model": "qwen3"}))
    with serving() as script:
        script.url = script.url.removesuffix("/v1")
        with pytest.raises(LanguageModelError, match=r"no language model here \(404\): the address mostly ends in /v1"):
            ask(script)
    with pytest.raises(LanguageModelError, match=r"nobody answers .*: is the server started, is the address right\?"):
        ask(script)


def test_a_key_that_the_server_sends_back_is_blotted_out(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with (
        serving("broken", "broken", "broken") as script,
        pytest.raises(LanguageModelError, match=r"for Bearer \*\*\*") as told,
    ):
        ask(script)
    assert KEY not in str(told.value)
    with serving(lambda _request: f"the key is {KEY}") as script:
        assert ask(script).text == "the key is ***"


@pytest.mark.parametrize(
    "url",
    [
        "localhost:11434", "ftp://x/v1", "http://", "http://user:pw@x/v1", "https://x/v1?key=abc", "http://x:99999/v1",
        "http://x/v1#abc", "", "http://[::1/v1",
    ],
)  # fmt: skip
def test_addresses_that_are_none_or_carry_a_secret(url):
    with pytest.raises(LanguageModelError, match="--llm") as told:
        ChatServer(url)
    assert "pw@" not in str(told.value)
    assert "abc" not in str(told.value)


def test_the_whole_address_is_taken_too():
    assert ChatServer("http://localhost:1/v1/chat/completions").url == "http://localhost:1/v1"
    with pytest.raises(LanguageModelError, match=r"not an address that can be asked|nobody answers"):
        ChatServer(f"http://{'a' * 80}.invalid/v1", timeout=2.0).answer(ASK)


def test_whose_key_goes_where(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai")
    assert find_key("https://api.openai.com/v1") == "sk-openai"
    assert find_key("http://localhost:8000/v1") == "sk-openai"
    assert find_key("http://somewhere.example/v1") is None, "anybody on the way could read it"
    monkeypatch.setenv("KPL_LLM_KEY", "sk-own")
    assert find_key("http://somewhere.example/v1") is None, "of neither name"
    assert find_key("http://localhost:8000/v1") == "sk-own"
    monkeypatch.setenv("KPL_LLM_KEY", "sk own\x07")
    with pytest.raises(LanguageModelError, match="the key in KPL_LLM_KEY holds a space") as told:
        find_key("https://somewhere.example/v1")
    assert "own" not in str(told.value)


def test_retry_after_is_seconds_or_a_date():
    read = server_module._retry_after
    assert (read("7"), read("0.5"), read("-3"), read("soon"), read(None)) == (7, 0.5, 0, 0, 0)
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    assert 90 < read(later) <= 100
    assert read("Mon, 01 Jan 2001 00:00:00 GMT") == 0


@pytest.mark.parametrize(("step", "asked"), [("broken", 0.0), ("busy", 0.0), ("busy_for_a_while", 5.0)])
def test_pauses_grow_and_vary_whatever_the_server_asks(monkeypatch, step, asked):
    pauses = []
    with serving(step) as script:
        client = ChatServer(script.url, timeout=5.0, retries=4, pause=1.0)
        monkeypatch.setattr(client._stop, "wait", lambda seconds: pauses.append(seconds))
        with pytest.raises(LanguageModelError):
            client.answer(ASK)
        client.close()
    assert len(pauses) == 4
    assert all(max(2**n, asked) <= pause <= max(2**n, asked) + 2**n for n, pause in enumerate(pauses))
    assert len({pause % 1 for pause in pauses}) == 4, "workers that failed together do not come back together"


def test_a_call_that_is_tried_again_says_so_meanwhile(monkeypatch):
    with serving("broken", phrases) as script:
        client = ChatServer(script.url, timeout=5.0, pause=4.0)
        heard = []
        monkeypatch.setattr(client._stop, "wait", lambda _seconds: heard.append(client.trouble))
        client.answer(ASK)
        client.close()
    (trouble,) = heard
    assert re.match(r"trying again in [4-8] s: the server fails \(500: something failed", trouble)
    assert client.trouble == ""


def test_a_hung_server_is_tried_once_more_and_no_more():
    with serving("hang") as script, pytest.raises(LanguageModelError, match=r"\(2 tries\): if it is only slow, give a"):
        ask(script, timeout=0.3, retries=5)
    assert server_module.TIMEOUT * 2 <= 600, "a dead server is reported within minutes"


def test_closing_ends_a_pause():
    with serving("broken") as script:
        client = ChatServer(script.url, timeout=5.0, pause=60.0)
        threading.Timer(0.3, client.close).start()
        with pytest.raises(LanguageModelError, match="stopped"):
            client.answer(ASK)


def test_tokens_are_estimated_where_the_server_does_not_count():
    with serving("uncounted") as script:
        answer = ask(script)
    assert answer.estimated
    assert answer.answer_tokens == len(answer.text) // 4
    assert answer.text.startswith('{"descriptions"'), "an answer in parts is put together"


def test_the_extra_is_named_when_it_is_missing(monkeypatch):
    real = builtins.__import__

    def refuse(name, *rest):
        if name == "httpx2":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingExtraError, match=r"pip install 'knowledge-proxy-learning\[llm\]'"):
        ChatServer("http://localhost:1/v1")


def test_further_parameters_go_as_they_are_and_are_not_left_out():
    extra = {"reasoning_effort": "none", "temperature": 0.1, "top_k": 5}
    with serving(phrases) as script:
        ask(script, ASK.model_copy(update={"extra": extra}))
    assert {name: script.asked[0][name] for name in extra} == extra
    with (
        serving(phrases, takes=("response_format", "seed")) as script,
        pytest.raises(LanguageModelError, match=r"refuses the request \(400\): unsupported parameter: temperature"),
    ):
        ask(script, ASK.model_copy(update={"extra": extra}))
    assert len(script.keys) == 1, "nothing else is left out for it"
