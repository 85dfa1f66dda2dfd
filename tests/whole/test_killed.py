"""Killed anywhere: every command that writes, at every call that changes something on the disk.

`make kill` kills at every point; without KPL_KILL=all a few commands are killed at a few points each.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.authoring.chat_server import serving
from tests.whole.commands import CASES, ELSEWHERE, READS, Case, start_state
from tests.whole.forking import Forking
from tests.whole.tracing import TRACED, Point, points, read, sampled, unsynced

WHOLE = os.environ.get("KPL_KILL") == "all"
AT_MOST = 7  # points of a command in the short selection

pytestmark = pytest.mark.strace

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
    return "a store" if path.suffix == ".sqlite" else hashlib.sha256(path.read_bytes()).hexdigest()


class Sandbox:
    """A folder in which a command is run, killed and run again from the same start."""

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

    def run(self, case: Case, *strace: str) -> int:
        arguments = [argument.replace("{llm}", self.llm) for argument in case.arguments]
        with _pressing(case.keys) as terminal:
            return self.forking.run(arguments, self.work, self.place / "home", *strace, stdin=terminal)

    def prepare(self, *commands: str) -> None:
        """Run commands whose outcome belongs to the start."""
        self.reset()
        for command in commands:
            assert self.run(Case(command)) == 0, (command, self.said())
        (self.place / "home" / "texts.sqlite").unlink(missing_ok=True)
        shutil.rmtree(self.start)
        self.place.rename(self.start)

    def output(self, name: str) -> Path:
        return self.place / "home" / name[2:] if name.startswith("~/") else self.work / name

    def said(self) -> str:
        return self.forking.errors.read_text()


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


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if WHOLE or case.short])
def test_killed_anywhere_it_is_whole_and_goes_on(name, sandbox, record_property):
    case = CASES[name]
    sandbox.prepare(*case.before)
    old = {output: tree(_at(sandbox, output, sandbox.start)) for output in case.outputs}

    sandbox.reset()
    code = sandbox.run(case, "-e", f"trace={TRACED}")
    assert code in (0, 1), sandbox.said()  # `knowledge lint` tells by 1 what it found
    done = tree(sandbox.place)
    new = {output: tree(sandbox.output(output)) for output in case.outputs}
    assert all(new.values()), sandbox.said()
    calls = read(sandbox.forking.trace, sandbox.work)
    wrong = unsynced(calls, sandbox.place, skip=(".sqlite", ".sqlite-journal"))
    every = points(calls, sandbox.place)
    chosen = every if WHOLE else sampled(every, AT_MOST)
    known: dict[str, list[str]] = {}
    for point in chosen:
        sandbox.reset()
        wrong += [f"{point}: {what}" for what in _kill(sandbox, case, point, (old, new, done, code), known)]
    record_property("points", len(every))
    print(f"\n{name}: {len(every)} points, {len(chosen)} tried, {len(wrong)} wrong")  # noqa: T201 - what it is for
    said = "\n".join(wrong).replace(f"{sandbox.place}{os.sep}", "")
    assert not wrong, said


def _at(sandbox: Sandbox, output: str, start: Path) -> Path:
    return start / sandbox.output(output).relative_to(sandbox.place)


def _kill(sandbox: Sandbox, case: Case, point: Point, expected: tuple, known: dict[str, list[str]]) -> Iterator[str]:
    """Kill there; say what is neither old nor new, and what the same command does not make good."""
    old, new, done, code = expected
    sandbox.run(case, *point.options())
    if "killed by SIGKILL" not in sandbox.forking.trace.read_text():
        yield "the command never came there"
        return
    for output in case.outputs:
        try:
            found = tree(sandbox.output(output))
        except ValueError:
            found = {"log.json": "half"}
        if found not in ({}, old[output], new[output]) or (old[output] and not found):
            yield f"{output} is {_difference(found, new[output])}"
    state = json.dumps(tree(sandbox.place))
    if state not in known:
        again = sandbox.run(case)
        known[state] = [] if again == code else [f"the same command again ends with {again}: {sandbox.said()}"]
        if not known[state] and (found := tree(sandbox.place)) != done:
            known[state] = [f"after the same command again there is {_difference(found, done)}"]
    yield from known[state]


def _difference(found: Tree, expected: Tree) -> str:
    names = sorted(k for k in {*found, *expected} if found.get(k) != expected.get(k))
    kinds = [("+" if k not in expected else "-" if k not in found else "~") + k for k in names]
    return f"neither old nor new: {' '.join(kinds[:8])}" + (" ..." if len(kinds) > 8 else "")


@pytest.mark.parametrize("command", READS)
def test_what_only_reads_writes_nothing(command, sandbox):
    sandbox.reset()
    before = tree(sandbox.place)
    sandbox.run(Case(command), "-e", f"trace={TRACED}")
    assert points(read(sandbox.forking.trace, sandbox.work), sandbox.place) == []
    assert tree(sandbox.place) == before
