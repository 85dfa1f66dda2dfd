"""A language model behind a server that speaks the chat-completions protocol of OpenAI, as most servers do."""

from __future__ import annotations

import difflib
import email.utils
import json
import os
import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, NoReturn
from urllib.parse import urlsplit

from kpl.authoring.calls import Answer, Request
from kpl.errors import LanguageModelError, MissingExtraError

__all__ = ["KEY_VARIABLES", "TIMEOUT", "ChatServer", "find_key"]

KEY_VARIABLES = ("KPL_LLM_KEY", "OPENAI_API_KEY")
MAX_BYTES = 4 * 2**20  # a long answer is 50 kB
TIMEOUT = 180.0
"""Seconds for one answer: fifty phrases at 5 tokens a second."""
_HUNG_RETRIES = 1
MAX_WAIT = 600.0  # seconds that a server may ask us to wait
_HERE = ("localhost", "127.0.0.1", "::1")


def find_key(url: str) -> str | None:
    """Take the key for a server from the environment: KPL_LLM_KEY, or OPENAI_API_KEY where nobody can listen.

    Raises:
        LanguageModelError: a key that cannot be sent in a header; the message does not show it.
    """
    parts = urlsplit(url)
    safe = parts.scheme == "https" or parts.hostname in _HERE
    for name in KEY_VARIABLES if safe else KEY_VARIABLES[:1]:
        if key := os.environ.get(name, "").strip():
            if not key.isascii() or not key.isprintable() or " " in key:
                raise LanguageModelError(f"the key in {name} holds a space or another character that no key has")
            return key
    return None


class _AgainError(Exception):
    """The call failed in a way that may pass; `wait` is what the server asked for, in seconds."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


class _HungError(_AgainError):
    """No answer in time: each further try takes as long again."""


class ChatServer:
    """Asks a server such as OpenAI, vLLM, Ollama, llama.cpp or LM Studio at `url`, which mostly ends in /v1.

    Args:
        url: the address to which /chat/completions is added.
        timeout: seconds for one answer, from the question to its last byte.
        retries: how often a call is repeated after 429, 5xx, a broken connection, or a damaged answer; after no answer
            in time once at most.
        pause: seconds at least before the first repetition; doubled each time. Jitter of up to as much comes on top,
            so that calls that failed together do not come back together.

    Raises:
        LanguageModelError: an address that is none, or one that holds a key.
        MissingExtraError: httpx2 is not installed.
    """

    def __init__(self, url: str, *, timeout: float = TIMEOUT, retries: int = 5, pause: float = 1.0) -> None:
        try:
            import httpx2 as httpx
        except ImportError as error:
            raise MissingExtraError("asking a language model's server", "llm") from error
        self._httpx = httpx
        self.url = _checked(url)
        self._key = find_key(self.url)
        self._timeout, self._retries, self._pause = timeout, retries, pause
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        self._client = httpx.Client(headers=headers, timeout=httpx.Timeout(timeout, connect=min(20.0, timeout)))
        self._left_out: set[str] = set()
        self._reached = False
        self._stop = threading.Event()
        self._troubles: dict[int, str] = {}

    @property
    def trouble(self) -> str:
        """What went wrong last among the calls that are tried again; empty when there is none."""
        return next(reversed(list(self._troubles.values())), "")

    def answer(self, request: Request) -> Answer:
        """Ask, and ask again after a pause while there is hope.

        Raises:
            LanguageModelError: what the server said, without the key.
        """
        failed = hung = 0
        thread = threading.get_ident()
        try:
            while True:
                try:
                    return self._ask(request)
                except _AgainError as trouble:
                    failed, hung = failed + 1, hung + isinstance(trouble, _HungError)
                    wait = self._wait_after(trouble, failed, hung)
                    self._troubles.pop(thread, None)  # so that the last one stands last
                    self._troubles[thread] = f"trying again in {wait:.0f} s: {trouble}"
                if self._stop.wait(wait):
                    raise LanguageModelError("stopped")
        finally:
            self._troubles.pop(thread, None)

    def _wait_after(self, trouble: _AgainError, failed: int, hung: int) -> float:
        """Return for how many seconds to wait: what the server asks, or more; give up after the last try."""
        if failed > self._retries or hung > _HUNG_RETRIES:
            tries = f"{failed} tries" if failed > 1 else "1 try"
            slow = " if it is only slow, give a larger --timeout or a smaller --concurrency;" if hung else ""
            raise LanguageModelError(
                f"{self.url}: {trouble} ({tries}):{slow} look at the server, then give the same command again"
            ) from None
        if trouble.wait > MAX_WAIT:
            raise LanguageModelError(
                f"{self.url}: {trouble} and asks to wait {trouble.wait:.0f} s: give the same command again later"
            ) from None
        pause: float = min(60.0, self._pause * 2 ** (failed - 1))
        return max(pause, trouble.wait) + random.uniform(0, pause)  # noqa: S311 - no secret

    def close(self) -> None:
        """Close the connections; a pause between two tries ends at once."""
        self._stop.set()
        self._client.close()

    def _ask(self, request: Request) -> Answer:
        """Ask once, leaving out what the server has shown that it does not take."""
        while True:
            left_out = frozenset(self._left_out)
            status, headers, body = self._send("POST", "/chat/completions", _body(request, left_out))
            self._reached = True
            if status == 200:
                return _parse(body, tuple(sorted(left_out)), request, self._hide)
            if status in (400, 422) and (refused := _refused(self._says(body), left_out)):
                self._left_out.add(refused)
                continue
            self._explain(status, headers, body, request)

    def _read(self, pieces: Callable[[], Iterator[bytes]]) -> bytes:
        """Read a body of bounded size in bounded time; a server that drips does not hold us for ever."""
        deadline = time.monotonic() + self._timeout
        held = bytearray()
        for piece in pieces():
            held += piece
            if len(held) > MAX_BYTES:
                raise LanguageModelError(
                    f"{self.url}: answers with more than {MAX_BYTES // 2**20} MB: this is no language model's answer"
                )
            if time.monotonic() > deadline:
                raise _HungError(f"no whole answer within {self._timeout:g} s (--timeout)")
        return bytes(held)

    def _send(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, Any, bytes]:
        """Return status, headers and body; turn the errors of the connection into one line or into another try."""
        httpx = self._httpx
        try:
            with self._client.stream(method, self.url + path, json=body) as response:
                return response.status_code, response.headers, self._read(response.iter_bytes)
        except httpx.TimeoutException as error:
            if isinstance(error, httpx.ConnectTimeout) and not self._reached:
                raise self._unreachable("no connection in time") from None
            raise _HungError(f"no answer within {self._timeout:g} s (--timeout)") from None
        except httpx.ConnectError as error:
            if not self._reached:  # a wrong address does not become right by waiting
                raise self._unreachable(self._hide(str(error))) from None
            raise _AgainError("the connection is refused") from None
        except httpx.DecodingError:
            raise _AgainError("the answer is damaged (its compression)") from None
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise _AgainError(f"the connection broke before the answer was whole ({type(error).__name__})") from None
        except (httpx.InvalidURL, ValueError) as error:
            reason = self._hide(str(error))
            raise LanguageModelError(f"{self.url}: not an address that can be asked ({reason})") from None

    def _unreachable(self, reason: str) -> LanguageModelError:
        return LanguageModelError(
            f"{self.url}: nobody answers ({reason}): is the server started, is the address right?"
        )

    def _explain(self, status: int, headers: Any, body: bytes, request: Request) -> NoReturn:  # noqa: ANN401
        """Say what a status means, or that it may pass."""
        says = self._says(body)
        if status in (401, 403):
            sent = "refuses the key" if self._key else "wants a key"
            names = " or ".join(KEY_VARIABLES)
            raise LanguageModelError(f"{self.url}: the server {sent} ({status}): set {names} in the environment")
        if status == 404:
            raise LanguageModelError(self._not_found(request.model, says))
        if status == 429 and "insufficient_quota" not in says:
            wait = _retry_after(headers.get("retry-after"))
            raise _AgainError(f"too many requests (429{': ' + says if says else ''})", wait)
        if status in (408, 409, 425) or status >= 500:
            wait = _retry_after(headers.get("retry-after"))
            raise _AgainError(f"the server fails ({status}{': ' + says if says else ''})", wait)
        if 300 <= status < 400:
            raise LanguageModelError(f"{self.url}: leads elsewhere ({status}): give the address of the server itself")
        raise LanguageModelError(f"{self.url}: the server refuses the request ({status}): {says or 'without a word'}")

    def _not_found(self, model: str, says: str) -> str:
        """Tell an unknown model from a wrong address, and name the models that there are."""
        try:
            status, _headers, body = self._send("GET", "/models")
            known = sorted(str(entry["id"]) for entry in json.loads(body)["data"]) if status == 200 else []
        except (LanguageModelError, _AgainError, ValueError, KeyError, TypeError):
            known = []
        if not known and "model" not in says.lower():
            return f"{self.url}: no language model here (404): the address mostly ends in /v1"
        near = difflib.get_close_matches(model, known, n=1, cutoff=0.5)
        hint = f": did you mean {near[0]!r}?" if near else ""
        names = f" Known: {self._hide(', '.join(known[:20]))}" if known else ""
        return f"{self.url}: the server does not know the model {model!r} (404){hint}{names}"

    def _says(self, body: bytes) -> str:
        """Find the message in an error's body, on one line, short, and without the key."""
        text = body[:5000].decode("utf-8", "replace")
        try:
            error = json.loads(text)
            error = error.get("error", error) if isinstance(error, dict) else error
            if isinstance(error, dict):
                parts = [error.get(key) for key in ("message", "detail", "code", "param")]
                text = " ".join(str(part) for part in parts if part)
            else:
                text = str(error)
        except ValueError:
            text = re.sub(r"<[^>]*>", " ", text)
        text = "".join(c if c.isprintable() else " " for c in self._hide(text))
        text = " ".join(text.split())
        return text if len(text) <= 200 else text[:199] + "…"

    def _hide(self, text: str) -> str:
        """Blot out the key, should a server send it back."""
        return text.replace(self._key, "***") if self._key else text


def _checked(url: str) -> str:
    """Refuse what is no plain address, and one that carries a secret."""
    mend = "give an address such as http://localhost:11434/v1"
    try:
        parts = urlsplit(url)
        port_is_right = parts.port is None or parts.port > 0
    except ValueError:
        raise LanguageModelError(f"--llm: not an address: {mend}") from None
    if parts.username or parts.password or parts.query or parts.fragment:
        raise LanguageModelError(f"--llm: holds a user, a key or a question: {mend}, and the key in the environment")
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_right:
        raise LanguageModelError(f"--llm {url!r:.100}: not an address: {mend}, or the .gguf file of a model")
    return url.rstrip("/").removesuffix("/chat/completions")


def _body(request: Request, left_out: frozenset[str]) -> dict[str, Any]:
    form = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": request.form}}
    body = {
        "model": request.model,
        "messages": [{"role": "system", "content": request.system}, {"role": "user", "content": request.prompt}],
        "temperature": request.temperature,
        "seed": None if request.seed is None else request.seed + request.sample,
        "response_format": form,
        "stream": False,
    }
    return {key: value for key, value in body.items() if value is not None and key not in left_out}


def _refused(says: str, left_out: frozenset[str]) -> str | None:
    """Find the optional parameter that the server does not take: the one it names, else the likeliest one."""
    words = says.lower()
    if any(hint in words for hint in ("context length", "context_length", "too long", "maximum context")):
        return None
    if "seed" in words and "seed" not in left_out:
        return "seed"
    return "response_format" if "response_format" not in left_out else None


def _retry_after(value: str | None) -> float:
    """Read the header Retry-After: seconds, or a date; 0 where it says nothing."""
    if value is None:
        return 0.0
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, (email.utils.parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return 0.0


def _parse(body: bytes, left_out: tuple[str, ...], request: Request, hide: Callable[[str], str]) -> Answer:
    """Read a chat completion."""
    try:
        data = json.loads(body.decode("utf-8"))
    except UnicodeDecodeError:
        raise _AgainError("the answer is damaged (not UTF-8)") from None
    except (ValueError, RecursionError):
        raise _AgainError("the answer is damaged (not whole JSON)") from None
    try:
        choice = data["choices"][0]
        text = choice["message"].get("content") or ""
        if isinstance(text, list):  # parts, as some servers send them
            text = "".join(part.get("text", "") for part in text if isinstance(part, dict))
        text = hide(str(text)).encode("utf-8", "replace").decode()
        finished, model = choice.get("finish_reason"), data.get("model")
    except (KeyError, IndexError, TypeError, AttributeError):
        raise _AgainError("the answer is not a chat completion") from None
    usage = data.get("usage") if isinstance(data.get("usage"), dict) else {}
    counts: list[Any] = [usage.get(key) for key in ("prompt_tokens", "completion_tokens")]
    counted = all(isinstance(count, int) for count in counts)
    if not counted:
        counts = [(len(request.system) + len(request.prompt)) // 4, len(text) // 4]
    return Answer(
        text=text,
        model=hide(model) if isinstance(model, str) else None,
        finished=finished if isinstance(finished, str) else None,
        prompt_tokens=counts[0],
        answer_tokens=counts[1],
        estimated=not counted,
        left_out=left_out,
    )
