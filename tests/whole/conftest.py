"""A folder in which a command is run, killed and run again, from the same start each time."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from tests.authoring.chat_server import serving
from tests.whole.commands import Case, start_state
from tests.whole.forking import Forking
from tests.whole.tracing import STOPS, TRACED

WHOLE = os.environ.get("KPL_KILL") == "all"
"""Everything, not the short selection."""

Tree = dict[str, str]


def tree(place: Path, *, exactly: bool = False) -> Tree:
    """What lies at a path: names and content; of a log that it is whole, of a store nothing, no times of corrections.

    `exactly` tells what the store holds too, as the next command finds it. A lock is left out: nobody holds it any
    longer (the system has `flock`), and who writes that place next removes it.
    """
    if not os.path.lexists(place):
        return {}
    paths = [place, *(path for path in sorted(place.rglob("*")) if path.suffix != ".lock")]
    return {str(path.relative_to(place)): _content(path, exactly) for path in paths}


def _content(path: Path, exactly: bool) -> str:
    if path.is_dir():
        return "folder"
    data = path.read_bytes()
    try:
        if path.name == "pseudonyms.key":  # drawn anew each time
            return f"a key of {len(bytes.fromhex(data.decode()))} bytes"
        if path.suffix == ".seen" or path.parent.name == "done":  # times of files
            return "what is done of shards" if json.loads(data) else "nothing"
        if path.name == "plan.json":
            data = re.sub(rb'"[0-9a-f]{32}"', b"keyed by it", data)
        if path.name == "log.json":
            return f"a log of {sorted(json.loads(data))}"
        if path.name == "corrections.jsonl":
            return json.dumps(
                [{k: v for k, v in json.loads(line).items() if k != "when"} for line in data.splitlines()]
            )
        if path.parent.suffix == ".calls":  # of a kept answer, all but when it was asked for, and how long it took
            return json.dumps({k: v for k, v in json.loads(data).items() if k not in ("asked", "seconds")})
    except ValueError:  # half of it
        pass
    return "a store" if path.suffix == ".sqlite" and not exactly else hashlib.sha256(data).hexdigest()


class Sandbox:
    """`start` is copied to `place` by `reset`; in it, commands work in `work` and keep what they keep in `home`."""

    def __init__(self, folder: Path, forking: Forking, llm: str) -> None:
        self.start, self.place = folder / "start", folder / "place"
        self.folder, self.forking, self.llm = folder, forking, llm
        (self.start / "work").mkdir(parents=True)
        (self.start / "home").mkdir()

    @property
    def work(self) -> Path:
        return self.place / "work"

    def reset(self, state: Path | None = None) -> None:
        """Go back to the start, or to a state that was met on the way."""
        shutil.rmtree(self.place, ignore_errors=True)
        shutil.copytree(state or self.start, self.place, symlinks=True)

    def states(self, case: Case) -> tuple[int, dict[str, Path]]:
        """Run a command that stops after every call that may change something; its exit code, and a copy of each state.

        What a killed process leaves is what others see between two of its calls: these states, and no others.
        """
        met: dict[str, Path] = {}
        shutil.rmtree(self.folder / "states", ignore_errors=True)

        def meet() -> None:
            state = json.dumps(tree(self.place, exactly=True))
            if state not in met:
                met[state] = self.folder / "states" / str(len(met))
                shutil.copytree(self.place, met[state], symlinks=True)

        self.reset()
        meet()
        options = ("-e", f"trace={TRACED},close", "-e", f"inject={STOPS}:signal=STOP")
        code = self.run(case, *options, meanwhile=lambda pid: self.forking.step(pid, str(self.place), meet))
        return code, met

    def run(self, case: Case | str, *strace: str, meanwhile: Callable[[int], None] | None = None) -> int:
        """Run a command to its end; the exit code."""
        case = Case(case) if isinstance(case, str) else case
        arguments = self._arguments(case)
        with _pressing(case.keys) as terminal:
            return self.forking.run(
                arguments, self.work, self.place / "home", *strace, stdin=terminal, meanwhile=meanwhile
            )

    def start_traced(self, case: Case, *strace: str) -> int:
        """Start a command from nothing and run it to its end; the exit code."""
        arguments = self._arguments(case)
        with _pressing(case.keys) as terminal:
            return self.forking.start_traced(arguments, self.work, self.place / "home", *strace, stdin=terminal)

    def prepare(self, *commands: str, made: Callable[[Path], object] | None = None) -> None:
        """Make what belongs to the start, and run the commands that do, in the process that forks."""
        self.reset()
        if made:
            made(self.work)
        for command in commands:
            assert self.forking.here(Case(command).arguments, self.work, self.place / "home") == 0, (
                command,
                self.said(),
            )
        (self.place / "home" / "texts.sqlite").unlink(missing_ok=True)
        shutil.rmtree(self.start)
        self.place.rename(self.start)

    def output(self, name: str) -> Path:
        return self.place / "home" / name[2:] if name.startswith("~/") else self.work / name

    def together(self, commands: Sequence[str], waits: Sequence[float] = ()) -> list[tuple[int, str]]:
        """Run commands at the same time; exit codes and what they said on stderr."""
        return self.forking.together(
            [self._arguments(Case(c)) for c in commands], self.work, self.place / "home", waits
        )

    def _arguments(self, case: Case) -> list[str]:
        return [argument.replace("{llm}", self.llm) for argument in case.arguments]

    def said(self) -> str:
        return self.forking.said()


class _pressing:  # noqa: N801 - used as a function
    """A terminal at which somebody presses the same keys for as long as the block lasts."""

    def __init__(self, keys: str) -> None:
        self._keys, self._done = keys, threading.Event()

    def __enter__(self) -> str:
        if not self._keys:
            return os.devnull
        self._ends = os.openpty()
        threading.Thread(target=self._press, daemon=True).start()
        return os.ttyname(self._ends[1])

    def _press(self) -> None:
        while not self._done.wait(0.05):
            os.write(self._ends[0], self._keys.encode())

    def __exit__(self, *_: object) -> None:
        if self._keys:
            self._done.set()
            time.sleep(0.06)
            for end in self._ends:
                os.close(end)


@pytest.fixture(scope="module")
def forking(tmp_path_factory) -> Iterator[Forking]:
    made = Forking(tmp_path_factory.mktemp("forking").resolve())
    yield made
    made.close()


@pytest.fixture(scope="module")
def llm() -> Iterator[str]:
    with serving() as script:
        yield script.url


@pytest.fixture(scope="module")
def started(forking, llm, tmp_path_factory) -> Path:
    """The start of all commands."""
    sandbox = Sandbox(tmp_path_factory.mktemp("started").resolve(), forking, llm)
    commands: list[str] = []
    start_state(sandbox.start / "work", commands.append)
    sandbox.prepare(*commands)
    return sandbox.start


@pytest.fixture
def sandbox(started, forking, llm, tmp_path) -> Iterator[Sandbox]:
    made = Sandbox(tmp_path.resolve(), forking, llm)
    shutil.rmtree(made.start)
    shutil.copytree(started, made.start)
    yield made
    shutil.rmtree(made.folder / "states", ignore_errors=True)  # gigabytes, over all commands
