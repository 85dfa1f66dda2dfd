"""The command, many times, without an interpreter started for each: a process that has all modules forks for every one.

What is forked runs the same `main` in a process of its own and ends as a process ends; only imports, and what libraries
make once, are already there. `test_killed.py` compares its calls with those of a process that was started from nothing.
"""

from __future__ import annotations

import gc
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

_LOOK = 0.0005  # seconds between two looks at a trace
_LOST = 1.0  # after which one that is stopped is told again to go on
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
            options = [*self._tracing(*strace), "-p", str(pid)]
            with subprocess.Popen(options, cwd="/", stderr=subprocess.PIPE, text=True) as tracer:
                try:
                    if meanwhile:
                        meanwhile(pid)
                except BaseException:  # else its tracer would be waited for, and its answer be that of the next
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                    self._answer()
                    raise
                _, error = tracer.communicate(timeout=600)
            assert self.trace.exists(), error
        return self._answer()[0]

    def here(self, arguments: Sequence[str], cwd: Path, home: Path) -> int:
        """Run a command in the process that forks: all that it makes once is there for those that follow."""
        return self._ask([self._told(0, arguments, cwd, home) | {"here": True}])[0]

    def together(
        self, commands: Sequence[Sequence[str]], cwd: Path, home: Path, waits: Sequence[float] = ()
    ) -> list[tuple[int, str]]:
        """Run commands at the same time, each after its wait in seconds; exit codes and what they said on stderr."""
        told = [self._told(n, arguments, cwd, home) for n, arguments in enumerate(commands)]
        self._ask([one | {"wait": wait} for one, wait in zip(told, waits or [0.0] * len(told), strict=True)])
        return [(code, self.said(n)) for n, code in enumerate(self._answer())]

    def step(self, process: int, below: str, stopped: Callable[[], None]) -> None:
        """Let a traced process that stops after each call go on until it ends; told of the calls that name a place."""
        while _is_alive(process) and not self.trace.exists():
            time.sleep(_LOOK)
        threads, rest, quiet = [str(process)], "", 0.0
        with self.trace.open(errors="replace") as trace:
            while _is_alive(process):
                rest += trace.read()
                quiet += _LOOK
                if found := re.findall(r"^(\d+) +--- stopped by SIGSTOP ---\n", rest, re.MULTILINE):
                    threads, quiet = found, 0.0
                    if below in rest:
                        stopped()
                    rest = rest[rest.rindex("\n") + 1 :]
                if not quiet or quiet > _LOST:
                    quiet = 0.0
                    for thread in threads:
                        with suppress(ProcessLookupError):
                            os.kill(int(thread), signal.SIGCONT)
                time.sleep(_LOOK)

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

    def start_traced(self, arguments: Sequence[str], cwd: Path, home: Path, *strace: str, stdin: str) -> int:
        """Start the command from nothing and run it to its end, traced; the exit code."""
        with open(stdin, "r+b", buffering=0) as given, (self.folder / "stderr-0").open("wb") as errors:  # noqa: PTH123
            words = [*self._tracing(*strace), sys.executable, "-c", "from kpl.cli import main; main()", *arguments]
            env = self._env | {"KPL_HOME": str(home)}
            return subprocess.run(
                words, cwd=cwd, env=env, stdin=given, stdout=subprocess.DEVNULL, stderr=errors, check=False
            ).returncode

    def _tracing(self, *options: str) -> list[str]:
        self.trace.unlink(missing_ok=True)
        return ["strace", "-f", "-y", "-qq", "-s", "0", "-o", str(self.trace), *options]

    def close(self) -> None:
        """End the process that forks."""
        with self._process:
            self._process.stdin.close()

    def _told(self, number: int, arguments: Sequence[str], cwd: Path, home: Path) -> dict[str, Any]:
        errors = str(self.folder / f"stderr-{number}")
        return {
            "arguments": list(arguments), "cwd": str(cwd), "home": str(home), "errors": errors, "stdin": os.devnull,
            "traced": False, "wait": 0.0, "here": False,
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
    from kpl import demo

    for module in pkgutil.walk_packages(kpl.__path__, "kpl."):
        try:
            importlib.import_module(module.name)
        except ImportError:  # an extra that is not installed
            continue
    from jinja2 import Environment
    from matplotlib.backends import backend_svg  # noqa: F401
    from PIL import Image

    Image.init()
    every = demo.demo_cells
    demo.demo_cells = lambda: every()[::16]  # one picture is copied as the next one is
    compiled, compiling = {}, Environment.compile

    def once(self: Environment, source: str, *told: Any) -> Any:
        if source not in compiled:
            compiled[source] = compiling(self, source, *told)
        return compiled[source]

    Environment.compile = once  # each forked one would compile all templates anew


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


def _is_alive(process: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def _ended(main: Callable[[], object]) -> int:
    try:
        main()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def _serve() -> None:
    from kpl.cli.main import main

    orders, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w", buffering=1)
    for line in orders:
        pids = []
        for told in json.loads(line):
            if told["here"]:
                _become(told)
                answers.write(json.dumps([_ended(main)]) + "\n")
                continue
            if not (pid := os.fork()):
                orders.close()
                answers.close()
                _become(told)
                main()
                return
            pids.append(pid)
        if not pids:
            gc.collect()
            gc.freeze()  # or each one that is forked copies all that the collector looks at
            continue
        answers.write(json.dumps(pids) + "\n")
        answers.write(json.dumps([os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]) + "\n")


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _load()
    gc.freeze()
    _serve()
