"""A language model's server in miniature: the chat-completions protocol, and everything that goes wrong with it.

What it answers is scripted: a list of steps, each used once, then the last for ever. A step is the name of a failure,
or a function from the request to the text of the answer.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = "sk-test-0123456789abcdef"
MODELS = ("qwen3:8b", "tiny")

Step = str | Callable[[dict], str]


@dataclass
class Script:
    """The steps, and what was asked."""

    steps: Sequence[Step]
    needs_key: bool = False
    takes: tuple[str, ...] = ("response_format", "seed", "temperature")
    wait: float = 0.0
    finished: str = "stop"
    asked: list[dict] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    url: str = ""
    data: bytes = b""
    anywhere: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next(self, request: dict) -> Step:
        with self.lock:
            self.asked.append(request)
            return self.steps[min(len(self.asked), len(self.steps)) - 1]


def phrases(request: dict) -> str:
    """A good answer: fifteen phrases that no other question gets, in JSON, or judgements that drop the first."""
    prompt = request["messages"][1]["content"]
    system = request["messages"][0]["content"]
    if '"items"' in system:
        if "must be dropped" in prompt:
            return json.dumps({"items": [{"number": 1, "text": "only names the class"}]})
        return json.dumps({"items": [{"number": n, "text": f"a plain ground, {picture(n)}"} for n in listed(prompt)]})
    if '"numbers"' in system:
        return json.dumps({"numbers": [1, 2, 3]})
    first = hash_of(prompt + str(request.get("seed")))
    if '"passage"' in system:
        numbers = [int(line[1:].partition("]")[0]) for line in prompt.splitlines() if line.startswith("[")]
        said = [f"a nodular shape, {picture(first + 37 * n)}" for n in range(15)]
        cited = [{"text": text, "passage": numbers[n % len(numbers)]} for n, text in enumerate(said)]
        return json.dumps({"descriptions": cited})
    return json.dumps({"descriptions": [f"a shape, {picture(first + 37 * n)}" for n in range(15)]})


COLOURS = ["black", "white", "green", "yellow", "purple", "silver", "crimson", "turquoise", "amber", "olive"]
FORMS = ["round", "oval", "square", "conical", "hooked", "tapered", "flat", "twisted", "hollow", "lobed"]
SURFACES = ["smooth", "bumpy", "wrinkled", "furry", "scaly", "ribbed", "grainy", "mottled", "striped", "spotted"]
PARTS = ["edges", "rings", "bands", "spots", "ridges", "folds", "corners", "strands", "layers", "patches"]
PLACES = ["above", "below", "left", "right", "inside", "outside", "upwards", "downwards", "centrally", "laterally"]


def picture(number: int) -> str:
    """Words for something to be seen; those of another number below 100 000 are others."""
    words = [kind[number // 10**place % 10] for place, kind in enumerate((COLOURS, FORMS, SURFACES, PARTS, PLACES))]
    return "{} and {}, {} {} {}".format(*words)


def listed(prompt: str) -> list[int]:
    """The numbers of the sentences in a question."""
    return [int(head) for line in prompt.splitlines() if (head := line.partition(". ")[0]).isdigit()]


def hash_of(text: str) -> int:
    """A hash that is the same in every process."""
    value = 7
    for character in text:
        value = (value * 31 + ord(character)) % 1_000_003
    return value


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def script(self) -> Script:
        return self.server.script  # type: ignore[attr-defined]

    def log_message(self, *_args: object) -> None:
        """Say nothing."""

    def send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def fail(self, status: int, message: str, **headers: str) -> None:
        self.send(status, json.dumps({"error": {"message": message}}).encode(), **headers)

    def do_GET(self) -> None:
        if self.path != "/v1/models":
            self.fail(404, "nothing here")
            return
        self.send(200, json.dumps({"data": [{"id": name} for name in MODELS]}).encode())

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/v1/chat/completions" and not self.script.anywhere:
            self.send(404, b"<html><h1>404 page not found</h1></html>")
            return
        key = self.headers.get("Authorization")
        self.script.keys.append(key)
        if self.script.needs_key and key != f"Bearer {KEY}":
            self.fail(401, f"Incorrect API key provided: {key}")
            return
        if request["model"] not in MODELS:
            self.fail(404, f"model '{request['model']}' not found")
            return
        for name in ("response_format", "seed", "temperature"):
            if name in request and name not in self.script.takes:
                self.fail(400, f"unsupported parameter: {name}")
                return
        time.sleep(self.script.wait)
        step = self.script.next(request)
        if callable(step):
            self.complete(step(request))
        else:
            getattr(self, f"step_{step}")()

    def complete(self, text: str) -> None:
        self.send(200, self.completion(text))

    def completion(self, text: str, **more: object) -> bytes:
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": self.script.finished}
        usage = {"prompt_tokens": 100, "completion_tokens": 50}
        return json.dumps({"model": "qwen3:8b-q4", "choices": [choice], "usage": usage, **more}).encode()

    def step_busy(self) -> None:
        self.fail(429, "slow down", Retry_After="0")

    def step_busy_for_a_while(self) -> None:
        self.fail(429, "slow down", Retry_After="5")

    def step_busy_for_an_hour(self) -> None:
        self.fail(429, "slow down", Retry_After="3600")

    def step_no_money(self) -> None:
        self.fail(429, "You exceeded your quota", Retry_After="0")

    def step_broken(self) -> None:
        self.fail(500, f"something failed for {self.headers.get('Authorization')}")

    def step_page(self) -> None:
        self.send(502, b"<html><body>Bad\x1b[31m Gateway</body></html>")

    def step_hang(self) -> None:
        time.sleep(3)
        self.close_connection = True

    def step_drip(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        for _ in range(30):
            self.wfile.write(b" ")
            self.wfile.flush()
            time.sleep(0.1)
        self.close_connection = True

    def step_cut(self) -> None:
        body = self.completion("a whole answer")
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2])
        self.close_connection = True

    def step_half_json(self) -> None:
        self.send(200, self.completion("a whole answer")[:60])

    def step_latin(self) -> None:
        self.send(200, self.completion("x").replace(b'"x"', b'"caf\xe9"'))

    def step_enormous(self) -> None:
        self.complete("a " * 3_000_000)

    def step_no_choices(self) -> None:
        self.send(200, b'{"choices": []}')

    def step_moved(self) -> None:
        self.send(301, b"", Location="http://127.0.0.1:9/v1/chat/completions")

    def step_moved_to(self) -> None:
        status, _, place = self.script.data.decode().partition(" ")
        self.send(int(status), b"", Location=place)

    def step_json(self) -> None:
        self.send(200, self.script.data)

    def step_too_long(self) -> None:
        self.fail(400, "This model's maximum context length is 4096 tokens")

    def step_uncounted(self) -> None:
        body = json.loads(self.completion('{"descriptions": ["a dark round nucleus", "a pale ring around it"]}'))
        del body["usage"]
        body["choices"][0]["message"]["content"] = [{"type": "text", "text": body["choices"][0]["message"]["content"]}]
        self.send(200, json.dumps(body).encode())


@contextmanager
def serving(*steps: Step, **options: object) -> Iterator[Script]:
    """Serve a script on this machine for as long as the block lasts."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    script = Script(steps or (phrases,), **options)  # type: ignore[arg-type]
    script.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    server.script = script  # type: ignore[attr-defined]
    server.handle_error = lambda *_args: None  # type: ignore[method-assign] - a client that leaves is no news
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield script
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
