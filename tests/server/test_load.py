"""A few seconds of the load test; `make load` runs the minute."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "serve.py"


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc, which is Linux's")
def test_eight_clients_are_answered(tmp_path: Path) -> None:
    out = tmp_path / "load.json"
    command = [sys.executable, str(SCRIPT), "--only", "load", "--load", "5", "--json", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=SCRIPT.parent, env={**os.environ})
    assert done.returncode == 0, done.stdout + done.stderr
    load = json.loads(out.read_text(encoding="utf-8"))["load"]
    answers = load["answers"]
    assert any(kind.startswith("flood ") for kind in load["misuse"])
    assert answers["200"] > 20
    assert answers["503"] > 0
    assert set(answers) <= {"200", "201", "202", "204", "503"}


@pytest.mark.parametrize(
    ("answers", "misuse", "growth", "said"),
    [
        ({"200": 9, "503": 1}, {"wrong_json 422": 3, "flood 503": 500}, 0.0, []),
        ({"200": 9}, {}, 0.0, ["the queue was never full"]),
        ({"200": 9, "503": 1, "503 without Retry-After": 2}, {}, 0.0, ["2 answers 503 without Retry-After"]),
        ({"200": 9, "404": 1, "500": 3, "503": 1}, {}, 0.0, ["1 answers 404", "3 answers 500"]),
        ({"200": 9, "503": 1}, {}, 0.2, ["memory +20%"]),
        ({"200": 9, "503": 1}, {"wrong_json 500": 3}, 0.0, ["3 x wrong_json 500"]),
    ],
)
def test_what_may_not_come_of_a_load_is_named(
    monkeypatch: pytest.MonkeyPatch, answers: dict[str, int], misuse: dict[str, int], growth: float, said: list[str]
) -> None:
    monkeypatch.syspath_prepend(SCRIPT.parent)
    serve = importlib.import_module("serve")
    assert serve.wrong({"answers": answers, "misuse": misuse, "memory_growth": growth}) == said
