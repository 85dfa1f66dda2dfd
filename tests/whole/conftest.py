"""A folder in which a command is run, killed and run again, from the same start each time."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from tests.authoring.chat_server import serving
from tests.whole.commands import Case, start_state
from tests.whole.forking import Forking

WHOLE = os.environ.get("KPL_KILL") == "all"
"""Everything, not the short selection."""

Tree = dict[str, str]


def tree(place: Path) -> Tree:
    """What lies at a path: names and content; of a log only that it is whole, of SQLite's store nothing."""
    if not place.exists():
        return {}
    paths = [place, *sorted(place.rglob("*"))]
    return {str(path.relative_to(place)): _content(path) for path in paths}


def _content(path: Path) -> str:
    if path.is_dir():
        return "folder"
    if path.name == "log.json":
        return f"a log of {sorted(json.loads(path.read_bytes()))}"
    if path.parent.suffix == ".calls":  # of a kept answer, all but when it was asked for, and how long it took
        kept = json.loads(path.read_bytes())
        return json.dumps({k: v for k, v in kept.items() if k not in ("asked", "seconds")})
    return "a store" if path.suffix == ".sqlite" else hashlib.sha256(path.read_bytes()).hexdigest()


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

    def reset(self) -> None:
        shutil.rmtree(self.place, ignore_errors=True)
        shutil.copytree(self.start, self.place)

    def run(self, case: Case | str, *strace: str, meanwhile: Callable[[int], None] | None = None) -> int:
        """Run a command to its end; the exit code."""
        case = Case(case) if isinstance(case, str) else case
        arguments = [argument.replace("{llm}", self.llm) for argument in case.arguments]
        with _pressing(case.keys) as terminal:
            return self.forking.run(
                arguments, self.work, self.place / "home", *strace, stdin=terminal, meanwhile=meanwhile
            )

    def prepare(self, *commands: str) -> None:
        """Run commands whose outcome belongs to the start."""
        self.reset()
        for command in commands:
            assert self.run(command) == 0, (command, self.said())
        (self.place / "home" / "texts.sqlite").unlink(missing_ok=True)
        shutil.rmtree(self.start)
        self.place.rename(self.start)

    def output(self, name: str) -> Path:
        return self.place / "home" / name[2:] if name.startswith("~/") else self.work / name

    def together(self, commands: Sequence[str], waits: Sequence[float] = ()) -> list[tuple[int, str]]:
        """Run commands at the same time; exit codes and what they said on stderr."""
        return self.forking.together([Case(c).arguments for c in commands], self.work, self.place / "home", waits)

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
def sandbox(started, forking, llm, tmp_path) -> Sandbox:
    made = Sandbox(tmp_path.resolve(), forking, llm)
    shutil.rmtree(made.start)
    shutil.copytree(started, made.start)
    return made
