"""The command, many times, without an interpreter started for each: a process that has all modules forks for every one.

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
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ALONE = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "COLUMNS": "200"}


class Forking:
    """`run(...)` runs a command, traced where it is given options of strace; `together(...)` runs several at once."""

    def __init__(self, folder: Path, *under: str) -> None:
        """Start the process that forks, by another command where one is given."""
        self.folder, self.trace = folder, folder / "trace"
        # Coverage would write its own files, and thousands of them.
        kept = {k: v for k, v in os.environ.items() if not k.startswith("COV") and k not in ("FORCE_COLOR", "NO_COLOR")}
        self._env = {**kept, **ALONE, "HF_HOME": str(folder / "hf"), "MPLCONFIGDIR": str(folder / "fonts")}
        self._process = subprocess.Popen(
            [*under, sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=self._env
        )

    def run(
        self,
        arguments: Sequence[str],
        cwd: Path,
        home: Path,
        *strace: str,
        stdin: str = os.devnull,
        meanwhile: Callable[[int], None] | None = None,
    ) -> int:
        """Run a command to its end; the exit code, or minus the number of the signal that ended it.

        `meanwhile` is called with the process's number when its trace has begun.
        """
        (pid,) = self._ask([self._told(0, arguments, cwd, home) | {"traced": bool(strace), "stdin": stdin}])
        if strace:
            # Of a path that is given both as it is and as strace finds it from its own folder, only the first is meant.
            options = ["strace", "-f", "-y", "-qq", "-s", "0", "-o", str(self.trace), *strace, "-p", str(pid)]
            self.trace.unlink(missing_ok=True)
            with subprocess.Popen(options, cwd="/", stderr=subprocess.PIPE, text=True) as tracer:
                if meanwhile:
                    meanwhile(pid)
                _, error = tracer.communicate(timeout=600)
            assert self.trace.exists(), error
        return self._answer()[0]

    def together(
        self, commands: Sequence[Sequence[str]], cwd: Path, home: Path, waits: Sequence[float] = ()
    ) -> list[tuple[int, str]]:
        """Run commands at the same time, each after its wait in seconds; exit codes and what they said on stderr."""
        told = [self._told(n, arguments, cwd, home) for n, arguments in enumerate(commands)]
        self._ask([one | {"wait": wait} for one, wait in zip(told, waits or [0.0] * len(told), strict=True)])
        return [(code, self.said(n)) for n, code in enumerate(self._answer())]

    def said(self, number: int = 0) -> str:
        """What the latest command said on stderr, or one of those that ran together."""
        return (self.folder / f"stderr-{number}").read_text()

    @property
    def process(self) -> int:
        """The number of the process that forks."""
        return self._process.pid

    def start(self, arguments: Sequence[str], cwd: Path, home: Path) -> subprocess.Popen[str]:
        """Start the command from nothing."""
        from tests.cli.conftest import start

        return start(*arguments, cwd=cwd, env={"KPL_HOME": str(home), "HF_HOME": self._env["HF_HOME"]})

    def close(self) -> None:
        """End the process that forks."""
        with self._process:
            self._process.stdin.close()

    def _told(self, number: int, arguments: Sequence[str], cwd: Path, home: Path) -> dict[str, Any]:
        errors = str(self.folder / f"stderr-{number}")
        return {
            "arguments": list(arguments), "cwd": str(cwd), "home": str(home), "errors": errors, "stdin": os.devnull,
            "traced": False, "wait": 0.0,
        }  # fmt: skip

    def _ask(self, told: list[dict[str, Any]]) -> list[int]:
        self._process.stdin.write(json.dumps(told) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> list[int]:
        return json.loads(self._process.stdout.readline())


def _load() -> None:
    """Import all that a command may."""
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
    end = time.monotonic() + 60
    while "TracerPid:\t0" in Path("/proc/self/status").read_text():
        if time.monotonic() > end:
            sys.exit("nobody traces this")
        time.sleep(0.001)
    time.sleep(0.02)  # the tracer takes hold in this sleep


def _become(told: dict[str, Any]) -> None:
    os.chdir(told["cwd"])
    os.environ["KPL_HOME"] = told["home"]
    sys.argv = ["kpl", *told["arguments"]]
    given, nothing = os.open(told["stdin"], os.O_RDWR), os.open(os.devnull, os.O_RDWR)
    errors = os.open(told["errors"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for target, source in enumerate((given, nothing, errors)):
        os.dup2(source, target)
    if told["traced"]:
        _trace_me()
    time.sleep(told["wait"])


def _serve() -> None:
    from kpl.cli.main import main

    answers = os.fdopen(os.dup(1), "w", buffering=1)
    for line in sys.stdin:
        pids = []
        for told in json.loads(line):
            if not (pid := os.fork()):
                answers.close()
                _become(told)
                main()
                return
            pids.append(pid)
        answers.write(json.dumps(pids) + "\n")
        answers.write(json.dumps([os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]) + "\n")


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _load()
    _serve()
