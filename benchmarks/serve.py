"""How fast the service is and how it holds out: one-shot classification, a moved class prior, the page, a load.

A server in a process of its own, clients in this one. `--load SECONDS` sends a mix of requests by eight clients and
compares the server's memory before and after, while another fills the queue of jobs on purpose and two more misuse the
server in every way of `hostile.py`; no answer but success and 503 (too much to do) with Retry-After is allowed for
those who mean no harm, and the latter must be seen. The first paint of the page needs Chromium, and playwright-core in
the folder that KPL_NODE_MODULES names.
"""

from __future__ import annotations

import http.client
import io
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from common import parser, print_table, save
from hostile import CROWDED, SENT, faults, misuse
from kpl.runs import fit
from rendered import CELL_CLASSES, cell_of_class, draw_cell

MODEL_PICTURES, CLIENTS, MOVED = 60, 4, 5000
CROWD = 12  # jobs at once, where 8 may wait


def cells(count: int) -> list[bytes]:
    """Return drawn cells as PNG files."""
    rng, files = np.random.default_rng(0), []
    for number in range(count):
        buffer = io.BytesIO()
        kind = sorted(CELL_CLASSES)[number % len(CELL_CLASSES)]
        Image.fromarray(draw_cell(cell_of_class(kind, rng), rng)).save(buffer, "PNG")
        files.append(buffer.getvalue())
    return files


@contextmanager
def served(*options: str) -> Iterator[tuple[str, int, int]]:
    """Start a server and give its host, port and process id."""
    command = [sys.executable, "-c", "from kpl.cli import main; main()", "serve", "--port", "0", *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        found = re.search(r"http://([\d.]+):(\d+)", process.stdout.readline() if process.stdout else "")
        if found is None:
            raise SystemExit("the server does not start: pip install 'knowledge-proxy-learning[serve]'")
        try:
            yield found[1], int(found[2]), process.pid
        finally:
            process.terminate()
            process.wait(timeout=90)


def multipart(files: list[bytes]) -> tuple[bytes, dict[str, str]]:
    """Return the body of an upload and its headers."""
    edge = secrets.token_hex(8)
    head = 'content-disposition: form-data; name="files"; filename="a.png"\r\ncontent-type: image/png'
    parts = b"".join(f"--{edge}\r\n{head}\r\n\r\n".encode() + data + b"\r\n" for data in files)
    return parts + f"--{edge}--\r\n".encode(), {"content-type": f"multipart/form-data; boundary={edge}"}


class Client:
    """One connection that is kept; with a number above zero, from an address of its own on this machine."""

    def __init__(self, host: str, port: int, number: int = 0) -> None:
        self.told: Counter[str] = Counter()
        """Answers by status; a 503 that does not say when to come again is counted for itself."""
        own = (f"127.0.0.{number + 1}", 0) if number else None
        self._connect = partial(http.client.HTTPConnection, host, port, timeout=120, source_address=own)
        self._open = self._connect()

    def send(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        """Send a request, on a new connection where the server closed the old one; return status and body."""
        if body is not None and not isinstance(body, bytes):
            body, headers = json.dumps(body).encode(), {"content-type": "application/json"}
        for attempt in range(2):
            try:
                self._open.request(method, path, body, headers or {})
                answer = self._open.getresponse()
                body_told = answer.read()
                rude = answer.status == 503 and answer.getheader("retry-after") is None
                self.told[f"{answer.status}{' without Retry-After' if rude else ''}"] += 1
                return answer.status, body_told
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                self._open.close()
                self._open = self._connect()
                if attempt:
                    raise
        raise AssertionError

    def json(self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None) -> Any:  # noqa: ANN401 - JSON
        """Send a request that must succeed and return what it said."""
        status, said = self.send(method, path, body, headers)
        if status >= 400:
            raise SystemExit(f"{method} {path}: {status} {said[:300]!r}")
        return json.loads(said)


def one_shot(
    host: str, port: int, files: list[bytes], clients: int, seconds: float, at_once: int = 1
) -> dict[str, float]:
    """Send pictures from some clients, each as fast as it is answered."""
    times: list[float] = []
    until = time.perf_counter() + seconds

    def run(offset: int) -> None:
        client, number = Client(host, port), offset
        while time.perf_counter() < until:
            lot = [files[(number + n) % len(files)] for n in range(at_once)]
            body, headers = multipart(lot)
            began = time.perf_counter()
            client.json("POST", "/classify", body, headers)
            times.append(time.perf_counter() - began)
            number += at_once

    began = time.perf_counter()
    _together(run, clients)
    took = time.perf_counter() - began
    milliseconds = 1000 * np.array(times)
    return {
        "clients": clients,
        "pictures_a_request": at_once,
        "pictures_a_second": len(times) * at_once / took,
        "p50_ms": float(np.percentile(milliseconds, 50)),
        "p99_ms": float(np.percentile(milliseconds, 99)),
    }


def _together(run: Callable[[int], None], count: int) -> None:
    with ThreadPoolExecutor(count) as pool:
        for ended in [pool.submit(run, number) for number in range(count)]:
            ended.result()  # a client that failed fails the measurement


def classified(client: Client, files: list[bytes], count: int) -> tuple[str, list[str]]:
    """Begin a session, classify pictures in it, and return its address and its classes."""
    address = f"/api/sessions/{client.json('POST', '/api/sessions', {})['id']}"
    client.json("PUT", f"{address}/knowledge", {"pack": "blood-cells"})
    for first in range(0, count, 100):
        body, headers = multipart([files[n % len(files)] for n in range(first, min(count, first + 100))])
        client.json("POST", f"{address}/pictures", body, headers)
    job = client.json("POST", f"{address}/jobs", {})
    client.send("GET", f"/api/jobs/{job['id']}/events")
    return address, client.json("GET", f"{address}/predictions")["classes"]


def moved(host: str, port: int, files: list[bytes]) -> dict[str, float]:
    """Move the class prior of many pictures a few times."""
    client = Client(host, port)
    began = time.perf_counter()
    address, classes = classified(client, files, MOVED)
    loaded = time.perf_counter() - began
    times, rng = [], np.random.default_rng(1)
    for _ in range(20):
        prior = dict(zip(classes, (rng.random(len(classes)) + 0.01).tolist(), strict=True))
        began = time.perf_counter()
        client.json("POST", f"{address}/predictions", {"prior": prior})
        times.append(1000 * (time.perf_counter() - began))
    client.send("DELETE", address)
    return {
        "pictures": MOVED,
        "upload_and_classify_s": loaded,
        "prior_ms_median": float(np.median(times)),
        "prior_ms_largest": float(np.max(times)),
    }


def painted(host: str, port: int, times: int = 21) -> dict[str, float]:
    """Open the page in headless Chromium a few times, and beside it what Chromium needs for almost nothing."""
    environment = {"KPL_CHROMIUM": shutil.which("chromium") or "", **os.environ}
    command = ["node", str(Path(__file__).with_name("paint.mjs")), f"http://{host}:{port}/", str(times)]
    told = json.loads(subprocess.run(command, capture_output=True, check=True, env=environment).stdout)
    figures = {"bytes": told["bytes"]}
    for name, paints in told["paints"].items():
        figures[f"{name}_ms_median"] = float(np.median(paints))
        figures[f"{name}_ms_least"] = float(np.min(paints))
    return figures


def memory(pid: int) -> int:
    """Return the resident memory of a process and its children in bytes."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return (int(found[1]) << 10 if found else 0) + sum(memory(int(child)) for child in children)


def load(host: str, port: int, pid: int, files: list[bytes], seconds: float, clients: int = 8) -> dict[str, Any]:
    """Let clients do all that they can, and say what they were told and what it cost in memory."""
    told: Counter[str] = Counter()
    harm: Counter[str] = Counter()
    sizes: list[tuple[float, int]] = []
    crowd(Client(host, port), files)  # what the server loads once is no growth
    begun = time.perf_counter()
    until = begun + seconds

    def run(number: int) -> None:
        if number > clients + 1:
            kinds = SENT if number == clients + 2 else CROWDED if seconds >= 60 else CROWDED[:1]
            harm.update(misuse((host, port), kinds, files, lambda: time.perf_counter() < until))
            return
        if number == clients + 1:
            while time.perf_counter() < until:
                sizes.append((time.perf_counter() - begun, memory(pid)))
                time.sleep(min(0.5, seconds / 20))
            return
        client, turn = Client(host, port, number + 1), number
        while time.perf_counter() < until:
            turn += 1
            if number == clients:
                crowd(client, files)
            else:
                body, kind = multipart([files[turn % len(files)]])
                client.send("POST", "/classify", body, kind)
                if turn % 8 == 0:
                    story(client, files[number : number + 3])
        told.update(client.told)

    _together(run, clients + 4)
    late = [size for at, size in sizes if at > seconds / 2]
    third = max(1, len(late) // 3)
    first, last = float(np.median(late[:third])), float(np.median(late[-third:]))
    return {
        "clients": clients,
        "seconds": seconds,
        "answers": dict(sorted(told.items())),
        "misuse": dict(sorted(harm.items())),
        "memory_mb_middle": first / 1e6,
        "memory_mb_end": last / 1e6,
        "memory_growth": last / first - 1,
    }


def story(client: Client, files: list[bytes]) -> None:
    """Do what a user of the page does, in a session of its own; go on without what the server has no room for."""
    status, said = client.send("POST", "/api/sessions", {})
    if status != 201:
        return
    address = f"/api/sessions/{json.loads(said)['id']}"
    client.send("PUT", f"{address}/knowledge", {"pack": "blood-cells"})
    client.send("POST", f"{address}/pictures", *multipart(files))
    status, said = client.send("POST", f"{address}/jobs", {})
    if status == 202:
        client.send("GET", f"/api/jobs/{json.loads(said)['id']}/events")
        for what in ("predictions", "predictions.csv", "pictures/0/evidence", "pictures/0/map"):
            client.send("GET", f"{address}/{what}")
    client.send("DELETE", address)


def crowd(client: Client, files: list[bytes]) -> None:
    """Start more jobs at once than may wait, and wait for the end of those that were taken."""
    addresses = []
    for _ in range(CROWD):
        status, said = client.send("POST", "/api/sessions", {})
        if status == 201:
            addresses.append(f"/api/sessions/{json.loads(said)['id']}")
            client.send("PUT", f"{addresses[-1]}/knowledge", {"pack": "blood-cells"})
            client.send("POST", f"{addresses[-1]}/pictures", *multipart(files))
    begun = [client.send("POST", f"{address}/jobs", {}) for address in addresses]
    for status, said in begun:
        if status == 202:
            client.send("GET", f"/api/jobs/{json.loads(said)['id']}/events")
    for address in addresses:
        client.send("DELETE", address)


def wrong(load: dict[str, Any]) -> list[str]:
    """Say what may not come of a load: another answer than success or 503, none of the latter, or growing memory.

    What misuse may be told is more, but no fault of the server either.
    """
    answers = load["answers"]
    found = [f"{count} answers {status}" for status, count in answers.items() if not re.fullmatch("2..|503", status)]
    found += faults(Counter(load["misuse"]))
    if "503" not in answers:
        found.append("the queue was never full")
    if load["memory_growth"] > 0.1:
        found.append(f"memory {load['memory_growth']:+.0%}")
    return found


def main() -> None:
    """Measure, print and save."""
    made = parser(__doc__ or "")
    made.add_argument("--seconds", type=float, default=10, help="for each one-shot figure")
    made.add_argument("--load", type=float, default=60, help="seconds of load; 0 leaves it out")
    made.add_argument("--only", choices=("all", "load", "paint"), default="all", help="leave the other figures out")
    options = made.parse_args()
    files, figures = cells(MODEL_PICTURES), dict[str, Any]()
    with tempfile.TemporaryDirectory() as folder:
        pictures = Path(folder) / "cells"
        pictures.mkdir()
        for number, data in enumerate(files):
            (pictures / f"{number}.png").write_bytes(data)
        fit(pictures, knowledge="blood-cells", out=Path(folder) / "cells.kpl")
        with served("--model", f"{folder}/cells.kpl") as (host, port, pid):
            one_shot(host, port, files, CLIENTS, 1)
            if options.only == "all":
                figures["one_shot"] = [
                    one_shot(host, port, files, CLIENTS, options.seconds, at_once) for at_once in (1, 16)
                ]
                figures["prior"] = moved(host, port, files)
            if options.only != "load" and "KPL_NODE_MODULES" in os.environ:
                figures["first_paint"] = painted(host, port)
            if options.only != "paint" and options.load:
                figures["load"] = load(host, port, pid, files, options.load)
    rows = [[f"{name}: {key}", f"{value:.1f}"] for name, key, value in _flat(figures)]
    print_table("The service", ("figure", "value"), rows)
    if "load" in figures:
        print("answers under load:", figures["load"]["answers"])
        print("misuse meanwhile was told:", figures["load"]["misuse"])
    save(options.json, figures)
    if "load" in figures and (found := wrong(figures["load"])):
        raise SystemExit(f"under load: {', '.join(found)}")


def _flat(figures: dict[str, Any]) -> Iterator[tuple[str, str, float]]:
    for name, part in figures.items():
        for number, found in enumerate(part if isinstance(part, list) else [part]):
            for key, value in found.items():
                if isinstance(value, int | float):
                    yield f"{name} {number + 1}" if isinstance(part, list) else name, key, value


if __name__ == "__main__":
    main()
