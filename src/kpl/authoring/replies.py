"""What a server's reply is: a chat completion, or an error in its place."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from kpl.authoring.calls import Answer, Request

_THOUGHTS = ("reasoning_content", "reasoning", "thinking")
_NO_THINKING = (
    'turn thinking off, often with --extra \'{"chat_template_kwargs": {"enable_thinking": false}}\' or '
    '--extra \'{"reasoning_effort": "none"}\', or raise the limit of an answer\'s length at the server'
)


class DamagedError(Exception):
    """The reply is not whole, which may pass."""


class RefusedError(Exception):
    """The reply is an error, although its status says that all is well."""


class SilentError(Exception):
    """The model said nothing, and a setting is the reason; if it is the first answer, the next will be no better."""

    def __init__(self, reason: str, answer: Answer) -> None:
        super().__init__(reason)
        self.answer = answer


def read_reply(
    body: bytes, left_out: tuple[str, ...], request: Request, hide: Callable[[str], str] = lambda text: text
) -> Answer:
    """Read a chat completion; `hide` blots out the key.

    Raises:
        DamagedError: not whole, or no chat completion.
        RefusedError: an error of the server, a web page, or another protocol, with its words.
        SilentError: an answer without words because of a setting.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise DamagedError("the answer is damaged (not UTF-8)") from None
    if text.lstrip().startswith("<"):
        raise RefusedError(f"the server answers with a web page: {words_of(body, hide) or 'without a word'}")
    if event := re.match(r"\s*(?:event:.*\s+)?data:\s*(.*)", text):
        says = words_of(event[1].encode(), hide)
        raise RefusedError(f"the server answers with a stream, which was not asked for: {says}")
    if re.match(r"\s*[^\s{\[\"\d-]", text) and text.strip() not in ("null", "true", "false"):
        raise RefusedError(f"the server answers with plain words: {words_of(body, hide)}")
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise DamagedError("the answer is damaged (not whole JSON)") from None
    choice = _choice(data, body, hide)
    try:
        message = choice["message"]
        said = hide(_joined(message.get("content"))).encode("utf-8", "replace").decode()
        finished, model = choice.get("finish_reason"), data.get("model")
    except (KeyError, TypeError, AttributeError):
        raise DamagedError("the answer is not a chat completion") from None
    counts, counted = _counts(data, request, said)
    silent = _silence(message, finished) if not said.strip() and not message.get("refusal") else None
    unusable = silent or _fault(message, said, finished)
    answer = Answer(
        text=said,
        model=hide(model) if isinstance(model, str) else None,
        finished=finished if isinstance(finished, str) else None,
        prompt_tokens=counts[0],
        answer_tokens=counts[1],
        estimated=not counted,
        left_out=left_out,
        unusable=hide(unusable) if unusable else None,
    )
    if silent:
        raise SilentError(silent, answer)
    return answer


def words_of(body: bytes, hide: Callable[[str], str] = lambda text: text) -> str:
    """Find the message in an error's body, on one line, short, and without the key.

    Example:
        >>> words_of(b'{"error": {"message": "no such model", "code": 5}}')
        'no such model 5'
    """
    text = body[:5000].decode("utf-8", "replace")
    try:
        text = _message(json.loads(text))
    except (ValueError, RecursionError):
        text = re.sub(r"<(script|style)\b.*?(</\1>|\Z)", " ", text, flags=re.S | re.I)
        text = re.sub(r"<[^>]*>", " ", text)
    text = "".join(c if c.isprintable() else " " for c in hide(text))
    text = " ".join(text.split())
    return text if len(text) <= 200 else text[:199] + "…"


_WORDS = ("message", "msg", "detail", "error_description", "title", "type", "code", "status", "param", "metadata")


def _message(data: Any, depth: int = 0) -> str:  # noqa: ANN401 - whatever the server wrote
    """Put together what an error says, in whichever of its usual shapes."""
    if isinstance(data, list) and depth < 4:
        return " ".join(_message(each, depth + 1) for each in data[:3])
    if not isinstance(data, dict) or depth == 4:
        return str(data)
    for key in ("error", "errors"):
        if data.get(key) and not isinstance(data[key], bool):
            return _message(data[key], depth + 1)
    parts = [data[key] for key in _WORDS if data.get(key) and (key != "type" or not data.get("message"))]
    return " ".join(_message(part, depth + 1) for part in parts) or (json.dumps(data)[:200] if data else "")


def _choice(data: Any, body: bytes, hide: Callable[[str], str]) -> Any:  # noqa: ANN401 - whatever the server wrote
    """Take the first choice; an error may stand beside the choices, in their place, or in one of them."""
    error = isinstance(data, dict) and (data.get("error") or data.get("errors") or data.get("object") == "error")
    choices = data.get("choices") if isinstance(data, dict) else None
    if choices and isinstance(choices, list):
        choice = choices[0]
        message = choice.get("message") if isinstance(choice, dict) else None
        silent = error and not (isinstance(message, dict) and message.get("content"))
        if isinstance(choice, dict) and (choice.get("error") or choice.get("finish_reason") == "error" or silent):
            inner = choice.get("error") or error or "without a word"
            says = words_of(json.dumps(inner).encode(), hide)
            raise RefusedError(f"the server answers with an error: {says}")
        return choice
    if error:
        raise RefusedError(f"the server answers with an error: {words_of(body, hide)}")
    if choices is None:
        raise RefusedError(f"the server answers with no chat completion: {words_of(body, hide) or 'without a word'}")
    raise DamagedError("the answer is not a chat completion")


def _joined(content: object) -> str:
    """Put together the parts in which some servers send an answer, without those that are thoughts."""
    if not isinstance(content, list):
        return str(content or "")
    parts = [part for part in content if isinstance(part, dict) and part.get("type") in (None, "text", "output_text")]
    return "".join(str(part.get("text") or "") for part in parts)


def _counts(data: dict[str, Any], request: Request, said: str) -> tuple[list[int], bool]:
    usage = data.get("usage")
    counts = [usage.get(key) if isinstance(usage, dict) else None for key in ("prompt_tokens", "completion_tokens")]
    if all(isinstance(count, int) for count in counts):
        return [int(count or 0) for count in counts], True
    return [(len(request.system) + len(request.prompt)) // 4, len(said) // 4], False


def _fault(message: dict[str, Any], said: str, finished: object) -> str | None:
    """Say why the server's own marks make an answer unusable; None if they do not."""
    if finished == "content_filter":
        return "the server's content filter stopped the answer: ask another model, or have the filter changed"
    if message.get("refusal"):
        return f"the model declines: {' '.join(str(message['refusal']).split())[:200]}"
    return None if said.strip() else "the answer is empty"


def _silence(message: dict[str, Any], finished: object) -> str | None:
    """Say which setting leaves an answer without words; None if none is known to."""
    if message.get("tool_calls") or message.get("function_call") or finished in ("tool_calls", "function_call"):
        return "the model calls a tool instead of answering: turn tools off at the server, or with --extra"
    cut = "; it was cut at the limit of its length" if finished == "length" else ""
    if any(message.get(key) for key in _THOUGHTS) or (message.get("content") and isinstance(message["content"], list)):
        name = next((key for key in _THOUGHTS if message.get(key)), "content")
        return f"the model only thought ({name}) and its answer (content) is empty{cut}: {_NO_THINKING}"
    return "the answer was cut at the limit of its length before its first word: raise that limit" if cut else None
