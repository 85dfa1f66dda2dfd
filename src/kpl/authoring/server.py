"""A language model behind a server that speaks the chat-completions protocol of OpenAI, as most servers do."""

from __future__ import annotations

import difflib
import email.utils
import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, NoReturn

from kpl.authoring.addresses import KEY_VARIABLES, checked_address, find_key, is_here, is_safe, wants_version
from kpl.authoring.calls import Answer, Request
from kpl.authoring.replies import DamagedError, RefusedError, SilentError, read_reply, words_of
from kpl.errors import LanguageModelError, from_extra

MAX_BYTES = 4 * 2**20  # a long answer is 50 kB
TIMEOUT = 180.0
"""Seconds for one answer: fifty phrases at 5 tokens a second."""
_HUNG_RETRIES = 1
MAX_WAIT = 600.0  # seconds that a server may ask us to wait


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
        with from_extra("llm", "asking a language model's server"):
            import httpx2 as httpx
        self._httpx = httpx
        self.url = checked_address(url)
        self._key = find_key(self.url)
        self._timeout, self._retries, self._pause = timeout, retries, pause
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        try:
            self._client = httpx.Client(
                headers=headers,
                timeout=httpx.Timeout(timeout, connect=min(20.0, timeout)),
                # A transport of its own reads no proxy from the environment.
                transport=httpx.HTTPTransport() if is_here(self.url) else None,
                follow_redirects=False,  # they would take the question and the key elsewhere
            )
        except (ValueError, ImportError, httpx.InvalidURL) as error:
            raise LanguageModelError(
                f"{self.url}: the proxy that the environment names cannot be used ({type(error).__name__}): mend "
                "HTTPS_PROXY, HTTP_PROXY or ALL_PROXY, or name the server in NO_PROXY"
            ) from None
        self._left_out: set[str] = set()
        self._reached = False
        self._useful = False
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
                return self._read_answer(body, tuple(sorted(left_out)), request)
            if status in (400, 422) and (refused := _refused(words_of(body, self._hide), left_out, request)):
                self._left_out.add(refused)
                continue
            self._explain(status, headers, body, request)

    def _read_answer(self, body: bytes, left_out: tuple[str, ...], request: Request) -> Answer:
        """Read a reply; before the first usable answer, what asking again cannot mend ends the work."""
        try:
            answer = read_reply(body, left_out, request, self._hide)
        except DamagedError as error:
            raise _AgainError(str(error)) from None
        except RefusedError as error:
            if self._useful:
                raise _AgainError(str(error)) from None
            raise LanguageModelError(f"{self.url}: {error}{wants_version(self.url)}") from None
        except SilentError as error:
            if not self._useful:
                raise LanguageModelError(f"{self.url}: {error}") from None
            return error.answer
        self._useful |= answer.unusable is None
        return answer

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
        except httpx.ProxyError as error:
            if not self._reached:
                reason = self._hide(" ".join(str(error).split())[:100])
                raise LanguageModelError(
                    f"{self.url}: the proxy that the environment names does not lead there ({reason}): mend "
                    "HTTPS_PROXY, HTTP_PROXY or ALL_PROXY, or name the server in NO_PROXY"
                ) from None
            raise _AgainError("the proxy fails") from None
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
        says = words_of(body, self._hide)
        if status in (401, 403):
            if not is_safe(self.url):
                raise LanguageModelError(
                    f"{self.url}: the server wants a key ({status}), and none is sent over http to another machine, "
                    "where anybody on the way can read it: use https, or a tunnel to this machine"
                )
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
        hint = wants_version(self.url) if status in (405, 501) else ""
        raise LanguageModelError(
            f"{self.url}: the server refuses the request ({status}): {says or 'without a word'}{hint}"
        )

    def _not_found(self, model: str, says: str) -> str:
        """Tell an unknown model from a wrong address, and name the models that there are."""
        try:
            status, _headers, body = self._send("GET", "/models")
            known = sorted(str(entry["id"]) for entry in json.loads(body)["data"]) if status == 200 else []
        except (LanguageModelError, _AgainError, ValueError, KeyError, TypeError):
            known = []
        if not known and "model" not in says.lower():
            return f"{self.url}: no language model here (404){wants_version(self.url) or ': is the address right?'}"
        near = difflib.get_close_matches(model, known, n=1, cutoff=0.5)
        hint = f": did you mean {near[0]!r}?" if near else ""
        names = f" Known: {self._hide(', '.join(known[:20]))}" if known else ""
        return f"{self.url}: the server does not know the model {model!r} (404){hint}{names}"

    def _hide(self, text: str) -> str:
        """Blot out the key, should a server send it back."""
        return text.replace(self._key, "***") if self._key else text


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
    held = {key: value for key, value in body.items() if value is not None and key not in left_out}
    return {**held, **request.extra}


def _refused(says: str, left_out: frozenset[str], request: Request) -> str | None:
    """Find the optional parameter that the server does not take: the one it names, else the likeliest one."""
    words = says.lower()
    if any(name.lower() in words for name in request.extra):  # asked for by hand: the server's words tell
        return None
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
