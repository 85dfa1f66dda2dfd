"""The command, many times, without starting an interpreter for each: a process that has all modules forks for every one.

What is forked runs the same `main` in a process of its own and ends as a process ends; only the imports are already
there. `test_killed.py` compares its calls with those of a process that was started from nothing.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ALONE = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "COLUMNS": "200"}


class Forking:
    """`run(...)` runs a command; with `strace` options it is traced, and the trace written to a file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # Coverage would write its own files, and thousands of them.
        kept = {k: v for k, v in os.environ.items() if not k.startswith("COV") and k not in ("FORCE_COLOR", "NO_COLOR")}
        self._env = {**kept, **ALONE, "HF_HOME": str(folder / "hf")}
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=self._env
        )
        self.errors = folder / "stderr"
        self.trace = folder / "trace"

    def run(self, arguments: list[str], cwd: Path, home: Path, *strace: str, stdin: str = os.devnull) -> int:
        """Run a command to its end; the exit code, or minus the number of the signal that ended it."""
        told = {"arguments": arguments, "cwd": str(cwd), "errors": str(self.errors), "stdin": stdin}
        pid = self._ask(
            told | {"traced": bool(strace), "env": {"KPL_HOME": str(home), "MPLCONFIGDIR": str(self.folder / "fonts")}}
        )
        if not strace:
            return self._answer()
        command = ["strace", "-f", "-y", "-qq", "-s", "0", "-o", str(self.trace), *strace, "-p", str(pid)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        code = self._answer()
        assert self.trace.exists(), done.stderr
        return code

    def start(self, arguments: list[str], cwd: Path, home: Path) -> subprocess.Popen[str]:
        """Start the command from nothing."""
        from tests.cli.conftest import start

        return start(*arguments, cwd=cwd, env={"KPL_HOME": str(home), **ALONE})

    def close(self) -> None:
        """End the process that forks."""
        with self._process:
            self._process.stdin.close()

    def _ask(self, told: dict[str, Any]) -> int:
        self._process.stdin.write(json.dumps(told) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> int:
        return int(self._process.stdout.readline())


def _load() -> None:
    """Import all that a command may, and draw one figure: fonts and styles are read once."""
    import importlib
    import pkgutil

    import kpl

    for module in pkgutil.walk_packages(kpl.__path__, "kpl."):
        try:
            importlib.import_module(module.name)
        except ImportError:  # an extra that is not installed
            continue
    from matplotlib.backends import backend_svg  # noqa: F401
    from PIL import Image

    Image.init()


def _trace_me() -> None:
    import ctypes

    ctypes.CDLL(None).prctl(0x59616D61, -1, 0, 0, 0)  # PR_SET_PTRACER: whoever of this user wants
    while "TracerPid:\t0" in Path("/proc/self/status").read_text():  # noqa: ASYNC110
        time.sleep(0.001)
    time.sleep(0.02)  # the tracer takes hold in this sleep


def _become(told: dict[str, Any]) -> None:
    os.chdir(told["cwd"])
    os.environ.update(told["env"])
    sys.argv = ["kpl", *told["arguments"]]
    given, nothing = os.open(told["stdin"], os.O_RDWR), os.open(os.devnull, os.O_RDWR)
    errors = os.open(told["errors"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for target, source in enumerate((given, nothing, errors)):
        os.dup2(source, target)
    if told["traced"]:
        _trace_me()


def _serve() -> None:
    from kpl.cli.main import main

    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        told = json.loads(line)
        if not (pid := os.fork()):
            answers.close()
            _become(told)
            main()
            return
        for answer in (pid, lambda: os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])):  # noqa: B023
            answers.write(f"{answer() if callable(answer) else answer}\n")
            answers.flush()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _load()
    _serve()
