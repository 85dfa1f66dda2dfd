"""What stands in a reply with status 200: answers, refusals, and errors in the place of answers."""

from __future__ import annotations

import json
from contextlib import closing

import pytest
from tests.authoring.chat_server import phrases, serving

from kpl.authoring import ChatServer, Request
from kpl.authoring.replies import DamagedError, RefusedError, SilentError, read_reply, words_of
from kpl.errors import LanguageModelError

ASK = Request(model="tiny", system="s", prompt="p", form={"type": "object"})


def reply(message, finished="stop", **more):
    return {"choices": [{"index": 0, "message": message, "finish_reason": finished}], **more}


def read(data):
    return read_reply(data if isinstance(data, bytes) else json.dumps(data).encode(), (), ASK)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"error": "Unexpected endpoint or method. (POST /chat/completions)"}, "error: Unexpected endpoint or method"),
        ({"error": {"message": "no such model", "code": "model_not_found"}}, "error: no such model model_not_found"),
        ({"error": {"message": "upstream is down", "code": 502}, "choices": []}, "error: upstream is down 502"),
        ({"error": {"type": "overloaded_error", "message": "busy"}, "type": "error"}, "an error: busy"),
        ({"error": {"code": 503, "metadata": {"raw": "x"}, "message": "provider failed"}}, "provider failed 503"),
        ({"object": "error", "message": "max_tokens must be positive", "code": 400}, "error: max_tokens must be"),
        ({"errors": [{"message": "first"}, {"detail": "second"}]}, "an error: first second"),
        ({"detail": "Not Found"}, "no chat completion: Not Found"),
        ({"detail": [{"loc": ["body"], "msg": "field required"}]}, "no chat completion: field required"),
        ({"code": 40101, "msg": "quota used up"}, "no chat completion: quota used up 40101"),
        ({"message": {"role": "assistant", "content": "hi"}}, "no chat completion"),
        (reply({"content": ""}, "error", error={"message": "the GPU is out of memory"}), "the GPU is out of memory"),
        ({"choices": [{"error": {"message": "provider died"}, "message": {"content": "a"}}]}, "error: provider died"),
        ([{"error": {"message": "in a list"}}], "no chat completion: in a list"),
        ("only words", "no chat completion: only words"),
        ({}, "no chat completion: without a word"),
        (b"<!DOCTYPE html><script>x()</script><h1>Open WebUI</h1>", "a web page: Open WebUI"),
        (b"<html></html>", "a web page: without a word"),
        (b"upstream connect error or disconnect", "plain words: upstream connect error or disconnect"),
        (
            b'data: {"error": {"message": "no more places"}}\n\ndata: [DONE]\n',
            "a stream, which was not asked for: no more",
        ),
        (b'event: error\ndata: {"message": "no more places"}\n\n', "a stream, which was not asked for: no more places"),
        (reply({"content": ""}, error="slow down"), "an error: slow down"),
        (reply({"content": None}, error={"message": "the GPU is lost"}), "an error: the GPU is lost"),
        (reply(None, error={"message": "the GPU is lost"}), "an error: the GPU is lost"),
    ],
)
def test_an_error_inside_a_200_is_the_servers_error(data, says):
    with pytest.raises(RefusedError) as told:
        read(data)
    assert says in str(told.value)
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    with (
        serving("json", data=raw) as script,
        pytest.raises(LanguageModelError, match="the server answers with") as told,
        closing(ChatServer(script.url, timeout=5.0, retries=5, pause=30.0)) as client,
    ):
        client.answer(ASK)
    assert says in str(told.value)
    assert len(script.asked) == 1, "at the first call"
    assert "try" not in str(told.value), "this address has its /v1"


def test_a_missing_version_in_the_address_is_suggested():
    with (
        serving("json", data=b'{"error": "Unexpected endpoint"}', anywhere=True) as script,
        closing(ChatServer(script.url.removesuffix("v1"), timeout=5.0)) as client,
        pytest.raises(LanguageModelError, match=f"Unexpected endpoint: the .* ends in /v1, so try {script.url}$"),
    ):
        client.answer(ASK)


@pytest.mark.parametrize("data", [{"choices": []}, reply(None), {"choices": [{}]}, b"{", b'{"a": "\xe9"}'])
def test_what_is_damaged_may_pass(data):
    with pytest.raises(DamagedError):
        read(data)


@pytest.mark.parametrize(
    ("message", "finished", "says"),
    [
        (
            {"content": "", "reasoning_content": "hm"},
            "stop",
            r"only thought \(reasoning_content\) .*\(content\) is empty",
        ),
        ({"content": None, "reasoning": "hm"}, "stop", r"only thought \(reasoning\)"),
        ({"content": " ", "thinking": "hm"}, "length", r"only thought \(thinking\) .* cut at the limit"),
        ({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]}, "stop", "only thought"),
        ({"content": None, "tool_calls": [{"id": "1"}]}, "tool_calls", "calls a tool instead of answering"),
        ({"content": None, "function_call": {"name": "f"}}, "function_call", "calls a tool"),
        ({"content": ""}, "length", "cut at the limit of its length before its first word"),
    ],
)
def test_an_answer_without_words_says_which_setting_is_wrong(message, finished, says):
    with pytest.raises(SilentError, match=says) as told:
        read(reply(message, finished))
    assert told.value.answer.unusable == str(told.value)
    raw = json.dumps(reply(message, finished)).encode()
    with (
        serving("json", data=raw) as script,
        closing(ChatServer(script.url, timeout=5.0, pause=30.0)) as client,
        pytest.raises(LanguageModelError, match=says),
    ):
        client.answer(ASK)
    assert len(script.asked) == 1
    with serving(phrases, "json", data=raw) as script, closing(ChatServer(script.url, timeout=5.0)) as client:
        client.answer(ASK)
        assert client.answer(ASK).unusable, "one among good ones does not end the work"


@pytest.mark.parametrize(
    ("message", "finished", "says"),
    [
        ({"content": "a dark", "refusal": None}, "content_filter", "the server's content filter stopped the answer"),
        ({"content": None}, "content_filter", "the server's content filter"),
        (
            {"content": None, "refusal": "I can't help\nwith that."},
            "stop",
            "the model declines: I can't help with that.",
        ),
        ({"content": ""}, "stop", "the answer is empty"),
        ({"content": "a dark round ring", "tool_calls": [{"id": "1"}]}, "tool_calls", None),
        ({"content": "a ring", "reasoning_content": "hm"}, "stop", None),
        ({"content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "a ring"}]}, "stop", None),
    ],
)
def test_each_way_of_not_answering_has_its_message(message, finished, says):
    answer = read(reply(message, finished))
    assert (answer.unusable or "").startswith(says or "")
    assert (answer.unusable is None) == (says is None)
    assert "hm" not in answer.text


def test_words_are_short_on_one_line_and_without_the_key():
    said = words_of(
        b'{"error": "bad \\u001b[31m key sk-1 ' + b"x" * 500 + b'"}', lambda text: text.replace("sk-1", "***")
    )
    assert said.startswith("bad [31m key ***")
    assert len(said) == 200
    deep = b'{"error": ' * 900 + b'"x"' + b"}" * 900
    assert len(words_of(deep)) <= 200
