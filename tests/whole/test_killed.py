"""Killed anywhere: every command that writes, at every call that changes something on the disk.

A command is stopped after every such call, and what then lies there is what a kill leaves. `make kill` looks at each of
these states and runs the command again from there; real kills, chosen from all points, leave no others. Without
KPL_KILL=all a few commands are killed at a few points each, with KPL_KILL=2 all of them at two points each.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.whole.commands import CASES, ELSEWHERE, READS, Case, every_command
from tests.whole.conftest import WHOLE, Sandbox, Tree, tree
from tests.whole.tracing import TRACED, is_below, points, read, sampled, unsynced

_TOLD = os.environ.get("KPL_KILL", "")
AT_MOST = int(_TOLD) if _TOLD.isdigit() else 4  # points of a command, where not all are tried

pytestmark = pytest.mark.strace


def typed(*names: str) -> list[Any]:
    """Ways of typing a command, as parameters of a test."""
    return [pytest.param(name, marks=[pytest.mark.torch] * CASES[name].torch) for name in names]


@pytest.mark.parametrize("name", typed(*(name for name, case in CASES.items() if _TOLD or case.short)))
def test_killed_anywhere_it_is_whole_and_goes_on(name, sandbox):
    case = CASES[name]
    sandbox.prepare(*case.before, made=case.made)
    old = {output: tree(_at(sandbox, output, sandbox.start)) for output in case.outputs}
    between = []
    for make in case.between:
        sandbox.reset()
        make(sandbox.work)
        between.append({output: tree(sandbox.output(output)) for output in case.outputs})
    code, states = sandbox.states(case)
    assert code == case.code, sandbox.said()
    done = tree(sandbox.place)
    new = {output: tree(sandbox.output(output)) for output in case.outputs}
    assert all(new.values()), sandbox.said()
    calls = read(sandbox.forking.trace, sandbox.work)
    wrong = unsynced(calls, sandbox.place, skip=(".sqlite", ".sqlite-journal"))
    every = points(calls, sandbox.place)
    known: dict[str, list[str]] = {}
    chosen = sampled(every, AT_MOST)
    for point in chosen:
        sandbox.reset()
        sandbox.run(case, *point.options())
        if "killed by SIGKILL" not in sandbox.forking.trace.read_text():
            wrong.append(f"{point}: the command never came there")
        wrong += [f"{point}: {what}" for what in _look(sandbox, case, ([old, new, *between], done), known)]
    unmet = sum(state not in states for state in known)
    for number, (state, folder) in enumerate(states.items() if WHOLE else ()):
        if state not in known:
            sandbox.reset(folder)
            wrong += [f"state {number}: {what}" for what in _look(sandbox, case, ([old, new, *between], done), known)]
    print(f"\n{name}: {len(every)} points, {len(states)} states; {len(chosen)} kills left {unmet} others; "  # noqa: T201 - what it is for
          f"{len(known)} repaired, {len(wrong)} wrong")  # fmt: skip
    said = "\n".join(wrong).replace(f"{sandbox.place}{os.sep}", "")
    assert not wrong, said


def _at(sandbox: Sandbox, output: str, start: Path) -> Path:
    return start / sandbox.output(output).relative_to(sandbox.place)


def _look(sandbox: Sandbox, case: Case, expected: tuple, known: dict[str, list[str]]) -> Iterator[str]:
    """Say what is neither old nor new, and what the same command does not make good."""
    (old, new, *between), done = expected
    for output in case.outputs:
        found = _named(tree(sandbox.output(output)))
        whole = [{}, *(state[output] for state in (old, new, *between))]
        if found not in whole or (old[output] and not found):
            yield f"{output} is {_difference(found, new[output])}"
    state = json.dumps(tree(sandbox.place, exactly=True))
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


STARTED = ("classify over", "encoders pull over", "fit over", "knowledge write", "queue")


@pytest.mark.parametrize("name", typed(*(CASES if WHOLE else STARTED)))
def test_what_is_forked_makes_the_calls_of_what_is_started(name, sandbox):
    """Call by call what changes something; else a kill would prove nothing of the command that people start."""
    case = CASES[name]
    sandbox.prepare(*case.before, made=case.made)
    changes = []
    for run in (sandbox.run, sandbox.start_traced):
        sandbox.reset()
        assert run(case, "-e", f"trace={TRACED}") == case.code, sandbox.said()
        calls = read(sandbox.forking.trace, sandbox.work)
        changes.append(
            [(c.name, c.paths) for c in calls if c.writes and any(is_below(p, sandbox.place) for p in c.paths)]
        )
    assert changes[0] == changes[1]


@pytest.mark.parametrize("command", READS)
def test_what_only_reads_writes_nothing(command, sandbox):
    sandbox.reset()
    before = tree(sandbox.place)
    sandbox.run(Case(command), "-e", f"trace={TRACED}")
    assert points(read(sandbox.forking.trace, sandbox.work), sandbox.place) == []
    assert tree(sandbox.place) == before


WRITTEN = {"--out", "-o", "--join", "--json", "--figure", "--map", "--as"}
"""Options that name a file or a folder to write."""

SWITCHES = {"--overwrite", "--fix", "--explain", "--multi-label"}
"""Options by which a command writes more, or in another way."""

READ = {
    "--knowledge",
    "--against", "--calibration", "--calls", "--data", "--features", "--labels", "--model", "--picture", "--pictures",
    "--results", "--run", "--source", "--tissue",
    "--sources", "--table", "--token-file",
}  # fmt: skip


def test_every_command_is_killed_or_writes_nothing():
    for name, command in every_command():
        typed = [case.command.split() for case in CASES.values() if f"{case.command} ".startswith(f"{name} ")]
        idle = [line for line in (*READS, *ELSEWHERE) if f"{line} ".startswith(f"{name} ")]
        assert typed or idle, f"kpl {name}: give it its cases in CASES, or its place in READS"
        given = {word for words in typed for word in words}
        for option in command.params if name not in ELSEWHERE else ():
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
