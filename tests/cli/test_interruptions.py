"""A command that is stopped, killed or runs out of disk: nothing half-written, and the same command goes on."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from kpl.embeddings import open_features

from .conftest import Told, answer_to_ctrl_c, start

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(os.name == "nt", reason="signals and file size limits are those of POSIX systems"),
]

SHARD = 1024  # pictures in a shard of `kpl embed`
PICTURES = SHARD + 276


def wait_for(there: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Look again and again until something is there; the command must still be at work by then."""
    for _ in range(6000):
        if there():
            return
        assert process.poll() is None, f"ended too early: {process.communicate()}"
        time.sleep(0.01)
    raise AssertionError("waited for a minute")


def stop(process: subprocess.Popen[str], how: signal.Signals) -> Told:
    process.send_signal(how)
    try:
        out, err = process.communicate(timeout=180)
    finally:
        process.kill()
    return Told(process.returncode, out, err)


def state(path: Path) -> tuple[int, int]:
    """What changes when a file is written again."""
    found = path.stat()
    return found.st_ino, found.st_mtime_ns


@pytest.fixture(scope="module")
def many(tmp_path_factory) -> Path:
    """More pictures than one shard holds; tiny, since only their number matters."""
    folder = tmp_path_factory.mktemp("many") / "scans"
    folder.mkdir()
    for number in range(PICTURES):
        Image.new("RGB", (4, 4), (number % 256, number // 256, 7)).save(folder / f"{number:04}.ppm")
    return folder


def test_embed_stopped_and_killed_goes_on_where_it_stopped(many, kpl, quick, knowledge, tmp_path):
    out = tmp_path / "features"
    command = ("embed", many, "--out", "features")
    work = tmp_path / ".features.partial" / "features"
    first, second, index = (work / name for name in ("images-00000.json", "images-00001.json", "index.json"))

    process = start(*command, cwd=tmp_path, preexec_fn=answer_to_ctrl_c)
    wait_for(first.exists, process)
    told = stop(process, signal.SIGINT)
    assert told.code == 130
    assert told.error == "stopped. What was finished is kept: the same command goes on from there"
    assert sorted(path.name for path in work.iterdir()) == ["images-00000.json", "images-00000.npy"]
    kept = state(first), state(first.with_suffix(".npy"))
    assert not out.exists(), "half features are not used"

    process = start(*command, cwd=tmp_path)
    time.sleep(0.8)  # somewhere on the way: what is asserted below holds wherever it dies
    stop(process, signal.SIGKILL)
    assert index.exists() <= second.exists() <= second.with_suffix(".npy").exists()
    assert not out.exists() or open_features(out)

    assert f"{PICTURES} pictures" in kpl(*command).plain
    first = out / first.name
    assert (state(first), state(first.with_suffix(".npy"))) == kept, "the finished shard was not made again"
    assert open_features(out).n == PICTURES


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL, signal.SIGTERM])
def test_classify_stopped_while_embedding_leaves_no_run(many, knowledge, finished, tmp_path, how):
    shutil.copytree(finished, tmp_path / "run")
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    command = ("classify", many, "-k", knowledge, "-o", "run", "--overwrite")
    process = start(*command, cwd=tmp_path, preexec_fn=answer_to_ctrl_c)
    wait_for((tmp_path / ".run.partial" / "features").exists, process)
    told = stop(process, how)
    if how == signal.SIGINT:
        assert told.code == 130
        assert told.error.startswith("stopped. ")
    else:
        assert told.code == -how
        assert told.err == ""
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == before
    lock = [".run.lock"] if how != signal.SIGINT else []  # a killed process holds it no longer, and the next removes it
    assert sorted(path.name for path in tmp_path.iterdir()) == [*lock, ".run.partial", "run"]


def test_classify_killed_goes_on_from_the_finished_shards(kpl, features, cells, knowledge, tmp_path):
    partial = tmp_path / ".run.partial" / "features"
    shutil.copytree(features, partial)  # what a run leaves that is killed after its pictures were embedded
    (partial / "index.json").unlink()
    (partial / ".images-00001.npy.partial").write_bytes(b"half")
    (partial.parent / "predictions.csv").write_text("image,lab")
    kept = state(partial / "images-00000.npy")
    assert "12 pictures" in kpl("classify", cells, "-k", knowledge, "-o", "run").plain
    assert state(tmp_path / "run" / "features" / "images-00000.npy") == kept
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert not list((tmp_path / "run").rglob("*.partial"))


FULL = "No space left on device"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_terminal_that_takes_nothing(kpl, tmp_path):
    with Path("/dev/full").open("w") as full:
        told = kpl("methods", "list", stdout=full)
    assert told.code == 1
    assert told.err == f"kpl: the output: {FULL}\n"


def limit_files(size: int) -> Callable[[], None]:
    """No file may grow beyond `size` bytes: the system refuses the write, as it does on a full disk or quota."""

    def limit() -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return limit


def test_a_disk_that_refuses_on_the_way(kpl, quick, cells, knowledge, tmp_path):
    limited = {"preexec_fn": limit_files(1000), "env": {"COVERAGE_PROCESS_CONFIG": ""}}  # its data file has no room
    for command in (("embed", cells, "-o", "out"), ("classify", cells, "-k", knowledge, "-o", "out")):
        error = kpl(*command, **limited).error
        assert error.startswith("cannot write ")
        assert "File too large" in error
        assert "run the same command again" in error
        assert not (tmp_path / "out" / "index.json").exists()
        assert not list(tmp_path.rglob(".*.partial/*.partial"))
        assert "12" in quick(*command).plain
        shutil.rmtree(tmp_path / "out")


MOUNT = ["unshare", "--user", "--map-root-user", "--mount"]


def can_mount(folder: Path) -> bool:
    if sys.platform != "linux" or shutil.which("unshare") is None:
        return False
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    return subprocess.run([*MOUNT, *mount], capture_output=True, check=False).returncode == 0


def test_a_disk_that_is_really_full(cells, knowledge, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if not can_mount(disk):
        pytest.skip("this machine lets nobody mount a small disk of its own")
    from .conftest import script

    kpl = " ".join(f"'{part}'" for part in script())
    # A disk of 16 kB: the features of twelve cells fit, the run does not; then room is made and the command repeated.
    steps = f"""
        mount -t tmpfs -o size=24k tmpfs '{disk}' && cd '{disk}' || exit 99
        {kpl} classify '{cells}' -k '{knowledge}' -o run; echo "code $?"
        ls -A
        mount -o remount,size=4m '{disk}'
        {kpl} classify '{cells}' -k '{knowledge}' -o run > /dev/null; echo "code $?"
        ls -A
    """
    done = subprocess.run([*MOUNT, "sh", "-c", steps], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.split() == ["code", "1", ".run.partial", "code", "0", "run"]
    assert done.stderr.startswith("kpl: cannot write ")
    assert FULL in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("kind", "ends", "code"),
    [
        ("daemon=False", "raise KeyboardInterrupt", 130),  # else it is waited for, as everywhere
        ("daemon=True, name='kpl-asking'", "raise KeyboardInterrupt", 130),
        ("daemon=True, name='kpl-jobs'", "raise SystemExit(3)", 3),
        ("daemon=True, name='kpl-jobs'", "return", 0),
    ],
)
def test_the_interpreter_is_not_taken_apart_under_a_thread_of_the_command(kind, ends, code):
    program = (
        "import atexit, threading, kpl.cli.main as m\n"
        "m._PATIENCE = 0.1\n"
        "atexit.register(print, 'taken apart')\n"
        "def stop(**_):\n"
        f"    threading.Thread(target=threading.Event().wait, {kind}).start()\n"
        f"    {ends}\n"
        "m._app = lambda *_: stop\n"
        "m.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith("kpl: stopped" if code == 130 else "")
