"""A few seconds of the load test; `make load` runs the minute."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "serve.py"


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc, which is Linux's")
def test_eight_clients_are_answered(tmp_path: Path) -> None:
    out = tmp_path / "load.json"
    command = [sys.executable, str(SCRIPT), "--only", "load", "--load", "5", "--json", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=SCRIPT.parent, env={**os.environ})
    assert done.returncode == 0, done.stdout + done.stderr
    answers = json.loads(out.read_text(encoding="utf-8"))["load"]["answers"]
    assert answers["200"] > 20
    assert set(answers) <= {"200", "201", "202", "204", "503"}
