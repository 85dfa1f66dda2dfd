"""Disks that are small, full, read-only or not the same: one clear line, the old result whole, the same command again.

The commands run in a mount namespace of their own, where they may have disks that nobody else sees.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.whole.conftest import WHOLE, Sandbox, Tree, tree
from tests.whole.forking import Forking

pytestmark = pytest.mark.long

OWN = ("unshare", "--user", "--map-root-user", "--mount")

WRITING = {
    "classify": "classify scans -k small.json -o disk/out",
    "classify over": "classify scans -k small.json -o disk/run --overwrite",
    "embed": "embed scans -o disk/out",
    "embed over": "embed scans -o disk/fewer --overwrite",
    "fit": "fit features -k small.json -o disk/out",
    "fit over": "fit features -k small.json -o disk/old.kpl --overwrite",
    "bundle": "encoders bundle mini -o disk/out",
    "bundle over": "encoders bundle mini -o disk/other --overwrite",
    "bundle in a file": "encoders bundle mini -o disk/out.kplenc",
    "classify explain": "classify features -k small.json --explain -o disk/out",
    "classify several": "classify features -k small.json --multi-label -o disk/out",
    "learn": "learn readrun -o disk/out",
    "export": "export run --to folders --pictures scans -o disk/out",
    "export table": "export run --to csv -o disk/out.csv",
    "demo": "demo -o disk/out",
    "plan": "plan scans --json disk/plan.json",
    "queue": "queue run --out disk/list.csv",
    "evaluate": "evaluate run --labels labels.csv --ignore-unknown --methods text --replicates 0 --json disk/f.json",
    "calibrate": "calibrate dozenrun --labels dozen.csv -o disk/cal.json",
    "compare": "compare run readrun --json disk/told.json",
    "audit": "audit dozenrun --table sites.csv --json disk/told.json",
    "update": "update old.kpl features -o disk/new.kpl",
    "merge": "knowledge merge small.json other.json -o disk/made.json",
    "import": "knowledge import sentences.csv --as disk/made.yaml",
    "show": "knowledge show small.json --features features --figure disk/told.svg",
}


class Disks:
    """Disks within a sandbox, for its commands only; what lies on them is seen through the process that forks."""

    def __init__(self, sandbox: Sandbox, forking: Forking) -> None:
        self.sandbox, self._forking = sandbox, forking
        sandbox.forking = forking

    def mount(self, folder: str, options: str, what: str = "tmpfs") -> None:
        """Mount a disk on a folder of the sandbox, or change it by remounting."""
        place = self.sandbox.place / folder
        place.mkdir(exist_ok=True)
        inside = ("nsenter", "-t", str(self._forking.process), "--user", "--mount", "--preserve-credentials")
        kind = () if "remount" in options or "bind" in options else ("-t", "tmpfs")
        done = subprocess.run(
            [*inside, "mount", *kind, "-o", options, what, str(place)], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr

    def seen(self, path: str) -> Path:
        """A path of the sandbox as the commands see it."""
        return Path(f"/proc/{self._forking.process}/root{self.sandbox.place}") / path

    def leave(self) -> None:
        """Take the disks away."""
        inside = ("nsenter", "-t", str(self._forking.process), "--user", "--mount", "--preserve-credentials")
        for folder in ("work/disk", "home"):
            subprocess.run(
                [*inside, "umount", "-l", str(self.sandbox.place / folder)], capture_output=True, check=False
            )


@pytest.fixture(scope="module")
def apart(tmp_path_factory) -> Iterator[Forking]:
    """A process that forks, in a mount namespace of its own."""
    if sys.platform != "linux" or not shutil.which("unshare") or subprocess.run([*OWN, "true"], check=False).returncode:
        pytest.skip("this machine lets nobody have mounts of their own (unshare --user --mount)")
    made = Forking(tmp_path_factory.mktemp("apart").resolve(), *OWN)
    yield made
    made.close()


@pytest.fixture
def disks(sandbox, apart) -> Iterator[Disks]:
    sandbox.reset()
    made = Disks(sandbox, apart)
    apart.run(
        ["methods", "list"], sandbox.work, sandbox.place / "home"
    )  # the namespace is there when this has answered
    yield made
    made.leave()


def one_line(sandbox: Sandbox, *words: str) -> str:
    said = sandbox.said()
    assert said.startswith("kpl: "), said
    assert said.count("\n") == 1, said
    assert all(word in said for word in words), said
    return said


def usual(sandbox: Sandbox, command: str) -> Tree:
    """What the command makes on an ordinary disk."""
    assert sandbox.run(command.replace("disk/", "")) == 0, sandbox.said()
    made = tree(sandbox.work / command.split("disk/")[1].split()[0])
    sandbox.reset()
    return made


@pytest.mark.parametrize("name", WRITING if WHOLE else ("classify over", "embed over", "fit over", "bundle over"))
def test_a_full_disk_that_grows(name, disks):
    command, sandbox = WRITING[name], disks.sandbox
    output = command.split("disk/")[1].split()[0]
    expected = usual(sandbox, command)
    before = sandbox.work / output
    size = 4 + sum(-(path.stat().st_size // -4096) * 4 for path in [before, *before.rglob("*")] if path.is_file())
    disks.mount("work/disk", f"size={size}k")
    seen = disks.seen(f"work/disk/{output}")
    if before.exists():
        (shutil.copytree if before.is_dir() else shutil.copy)(before, seen)
    old, failures = tree(seen), 0
    while sandbox.run(command) != 0:
        one_line(sandbox, "No space left on device")
        assert tree(seen) == old
        size, failures = int(size * 1.7) + 4, failures + 1
        assert size < 100_000, "it never fits"
        disks.mount("work/disk", f"remount,size={size}k")
    assert failures
    assert tree(seen) == expected
    beside = {f".{output}.seen"} if name.startswith("embed") else set()  # sizes and times, by which embed goes on
    assert {path.name for path in seen.parent.iterdir()} == {output, *beside}, "nothing else is left"


@pytest.mark.parametrize("name", WRITING if WHOLE else ("classify over", "fit over", "bundle over"))
def test_a_read_only_disk(name, disks):
    command, sandbox = WRITING[name], disks.sandbox
    output = command.split("disk/")[1].split()[0]
    disks.mount("work/disk", "size=20m")
    before, seen = sandbox.work / output, disks.seen(f"work/disk/{output}")
    if before.exists():
        (shutil.copytree if before.is_dir() else shutil.copy)(before, seen)
    old = tree(seen.parent)
    disks.mount("work/disk", "remount,ro")
    assert sandbox.run(command) == 1
    one_line(sandbox, "Read-only file system")
    assert tree(seen.parent) == old


@pytest.mark.parametrize("name", WRITING if WHOLE else ("classify over", "fit over", "bundle over"))
def test_output_and_home_on_disks_of_their_own(name, disks):
    command, sandbox = WRITING[name], disks.sandbox
    output = command.split("disk/")[1].split()[0]
    expected = usual(sandbox, command)
    before, seen = sandbox.work / output, disks.seen(f"work/disk/{output}")
    disks.mount("work/disk", "size=20m")
    disks.mount("home", "size=20m")
    if before.exists():
        (shutil.copytree if before.is_dir() else shutil.copy)(before, seen)
    assert sandbox.run(command) == 0, sandbox.said()
    assert tree(seen) == expected


def test_a_home_that_cannot_be_written_stops_only_what_must_be_kept_there(disks):
    sandbox = disks.sandbox
    expected = usual(sandbox, "classify scans -k small.json -o disk/out")
    disks.mount("home", "ro")
    assert sandbox.run("classify scans -k small.json -o out") == 0, sandbox.said()
    assert tree(sandbox.work / "out") == expected
    assert sandbox.run("encoders pull ./mini.kplenc") == 1
    one_line(sandbox, "Read-only file system")


def test_an_encoder_is_installed_in_a_home_on_a_disk_of_its_own(disks):
    sandbox = disks.sandbox
    disks.mount("home", "size=100k")
    assert sandbox.run("encoders pull ./mini.kplenc") == 1
    one_line(sandbox, "No space left on device")
    assert not disks.seen("home/encoders/mini").exists()
    disks.mount("home", "remount,size=40m")
    assert sandbox.run("encoders pull ./mini.kplenc") == 0, sandbox.said()
    assert (disks.seen("home/encoders/mini/card.json")).is_file()
