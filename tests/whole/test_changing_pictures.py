"""Pictures that change or vanish while they are read: never the features of one content under the hash of another."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.whole.conftest import Sandbox
from tests.whole.tracing import TRACED, read

from kpl.embeddings import open_features

pytestmark = pytest.mark.strace

PICTURE = "scans/neutrophil/cell-0.png"
OTHER = "few/platelet/cell-5.png"


def vanish(picture: Path) -> None:
    picture.unlink()


def change(picture: Path) -> None:
    picture.write_bytes((picture.parents[2] / OTHER).read_bytes())


def shrink(picture: Path) -> None:
    picture.write_bytes(picture.read_bytes()[:200])


def rows(folder: Path) -> dict[str, bytes]:
    """Content hash of each picture to its features."""
    features = open_features(folder)
    values = np.concatenate([np.asarray(chunk) for chunk in features])
    return {p.sha256: row.tobytes() for p, row in zip(features.pictures(), values, strict=True)}


def opened(sandbox: Sandbox, command: str) -> int:
    """How often the command opens the picture."""
    sandbox.reset()
    assert sandbox.run(command, "-e", f"trace={TRACED}") == 0, sandbox.said()
    place = str(sandbox.work / PICTURE)
    return sum(call.name == "openat" and place in call.paths for call in read(sandbox.forking.trace, sandbox.work))


def stopped_at(sandbox: Sandbox, command: str, nth: int, then: Callable[[Path], None]) -> int:
    """Stop the command as it opens the picture the nth time, do something to the picture, let it go on."""

    stops = 0

    def stopped() -> None:
        nonlocal stops
        stops += 1
        if stops == nth:
            then(sandbox.work / PICTURE)

    def meanwhile(process: int) -> None:
        sandbox.forking.step(process, PICTURE, stopped)
        assert stops >= nth, "it never came there"

    sandbox.reset()
    where = ("-P", PICTURE, "-e", "trace=openat", "-e", "inject=openat:signal=STOP")
    return sandbox.run(command, *where, meanwhile=meanwhile)


@pytest.mark.parametrize("then", [vanish, change, shrink])
@pytest.mark.parametrize("command", ["classify scans -k small.json -o out", "embed scans -o out"])
def test_a_picture_that_changes_on_the_way(command, then, sandbox):
    times = opened(sandbox, command)
    assert times
    sandbox.reset()
    assert sandbox.run("embed scans few -o all") == 0
    right = rows(sandbox.work / "all")
    for nth in range(1, times + 1):
        code = stopped_at(sandbox, command, nth, then)
        assert code == 0, sandbox.said()
        out = sandbox.work / "out"
        features = out / "features" if (out / "features").exists() else out
        found = rows(features)
        assert found.items() <= right.items(), f"at opening {nth}: features that are not of the content with that hash"
        aside = [item.id for item in open_features(features).set_aside]
        assert len(found) + len(aside) == 5
        if (out / "run.json").exists():
            summary = json.loads((out / "run.json").read_text())
            assert summary["pictures"] == len(found)
            assert [item["image"] for item in summary["set_aside"]] == aside
        if then is change:
            assert hashlib.sha256((sandbox.work / OTHER).read_bytes()).hexdigest() in found or nth > 1
