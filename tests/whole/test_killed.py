"""Killed anywhere: every command that writes, at every call that changes something on the disk.

`make kill` kills at every point; without KPL_KILL=all a few commands are killed at a few points each, with KPL_KILL=2
all of them at two points each.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.whole.commands import CASES, ELSEWHERE, READS, Case
from tests.whole.conftest import WHOLE, Sandbox, Tree, tree
from tests.whole.tracing import TRACED, Point, points, read, sampled, unsynced
from typer.main import get_command

from kpl.cli.main import app

_TOLD = os.environ.get("KPL_KILL", "")
AT_MOST = int(_TOLD) if _TOLD.isdigit() else 4  # points of a command, where not all are tried

pytestmark = pytest.mark.strace


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if _TOLD or case.short])
def test_killed_anywhere_it_is_whole_and_goes_on(name, sandbox, record_property):
    case = CASES[name]
    sandbox.prepare(*case.before)
    old = {output: tree(_at(sandbox, output, sandbox.start)) for output in case.outputs}

    sandbox.reset()
    assert sandbox.run(case, "-e", f"trace={TRACED}") == case.code, sandbox.said()
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
        wrong += [f"{point}: {what}" for what in _kill(sandbox, case, point, (old, new, done), known)]
    record_property("points", len(every))
    print(f"\n{name}: {len(every)} points, {len(chosen)} tried, {len(wrong)} wrong")  # noqa: T201 - what it is for
    said = "\n".join(wrong).replace(f"{sandbox.place}{os.sep}", "")
    if wrong and case.open:
        pytest.xfail(f"{case.open}:\n{said}")
    assert not wrong, said


def _at(sandbox: Sandbox, output: str, start: Path) -> Path:
    return start / sandbox.output(output).relative_to(sandbox.place)


def _kill(sandbox: Sandbox, case: Case, point: Point, expected: tuple, known: dict[str, list[str]]) -> Iterator[str]:
    """Kill there; say what is neither old nor new, and what the same command does not make good."""
    old, new, done = expected
    sandbox.run(case, *point.options())
    if "killed by SIGKILL" not in sandbox.forking.trace.read_text():
        yield "the command never came there"
        return
    for output in case.outputs:
        try:
            found = _named(tree(sandbox.output(output)))
        except ValueError:
            found = {"log.json": "half"}
        if found not in ({}, old[output], new[output]) or (old[output] and not found):
            yield f"{output} is {_difference(found, new[output])}"
    state = json.dumps(tree(sandbox.place))
    if state not in known:
        again = sandbox.run(case)
        known[state] = [] if again == case.code else [f"the same command again ends with {again}: {sandbox.said()}"]
        if not known[state] and (found := tree(sandbox.place)) != done:
            known[state] = [f"after the same command again there is {_difference(found, done)}"]
    yield from known[state]


def _named(found: Tree) -> Tree:
    """Without what is hidden: a lock, and what is on its way, as the report is within its run."""
    return {path: content for path, content in found.items() if path == "." or "/." not in f"/{path}"}


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


def every_command(command: Any = None, name: str = "") -> Iterator[tuple[str, Any]]:
    """The commands of the program itself, by name."""
    command = command or get_command(app)
    for inner, found in getattr(command, "commands", {}).items():
        yield from every_command(found, f"{name} {inner}".strip())
    if not hasattr(command, "commands"):
        yield name, command


WRITTEN = {"--out", "-o", "--json", "--figure", "--map", "--as"}
"""Options that name a file or a folder to write."""

SWITCHES = {"--overwrite", "--fix", "--explain", "--multi-label"}
"""Options by which a command writes more, or in another way."""

READ = {
    "--against", "--calibration", "--calls", "--data", "--features", "--labels", "--model", "--picture", "--pictures",
    "--results",
    "--sources", "--token-file",
}  # fmt: skip


def test_every_command_is_killed_or_writes_nothing():
    for name, command in every_command():
        typed = [case.command.split() for case in CASES.values() if f"{case.command} ".startswith(f"{name} ")]
        idle = [line for line in (*READS, *ELSEWHERE) if f"{line} ".startswith(f"{name} ")]
        assert typed or idle, f"kpl {name}: give it its cases in CASES, or its place in READS"
        given = {word for words in typed for word in words}
        for option in command.params if typed else ():
            kinds = SWITCHES if getattr(option, "is_flag", False) else WRITTEN
            assert given & {*option.opts} or not kinds & {*option.opts}, f"kpl {name} {option.opts}: no case has it"


def test_options_that_name_a_path_are_known():
    paths = {
        spelled
        for _, command in every_command()
        for option in command.params
        if "pathlib.Path" in str(option.type_descriptor.annotation)
        for spelled in option.opts
        if spelled.startswith("--")
    }
    assert paths <= READ | WRITTEN, "say in WRITTEN or in READ which of the two the new option is"
