"""A file or a folder is whole or not there, and one process at a time writes it."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

import kpl.files as files
from kpl.errors import OutputError
from kpl.files import locked, new_folder, put, working_folder, write_file

POSIX = os.name != "nt"


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(params=["exchange", "no exchange"])
def moving(request, monkeypatch):
    """With the system's exchange of two names, and without it."""
    if request.param == "no exchange":
        monkeypatch.setattr(files, "_exchange", lambda _one, _other: False)
    elif sys.platform != "linux":
        pytest.skip("the exchange of two names is Linux's")
    return request.param


@pytest.fixture(params=["flock", "no flock"])
def locking(request, monkeypatch):
    """With `flock`, and on a file system that has none."""
    if request.param == "no flock":
        monkeypatch.setattr(files._Lock, "_flock", lambda _self, _opened: None)
    elif not POSIX:
        pytest.skip("flock is of POSIX systems")
    return request.param


def make(path: Path, content: str) -> None:
    with new_folder(path) as work:
        (work / "inner").mkdir()
        (work / "inner" / "a.txt").write_text(content)


def test_a_file_is_written_and_nothing_stays_beside_it(tmp_path, locking):
    write_file(tmp_path / "a.json", b"old")
    write_file(tmp_path / "a.json", "né")
    assert tree(tmp_path) == {"a.json": "né".encode()}


def test_a_folder_is_written_and_nothing_stays_beside_it(tmp_path, locking, moving):
    make(tmp_path / "way" / "out", "old")
    make(tmp_path / "way" / "out", "new")
    assert tree(tmp_path) == {"way/out/inner/a.txt": b"new"}


def test_a_link_is_followed_and_permissions_are_kept(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "real").write_text("old")
    (tmp_path / "disk" / "real").chmod(0o640)
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "real")
    write_file(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "disk" / "real").read_bytes() == b"new"
    assert (tmp_path / "disk" / "real").stat().st_mode & 0o777 == 0o640


@pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="this system has no /dev/stdout")
def test_a_device_is_written_to_and_not_replaced():
    code = "from kpl.files import write_file; write_file('/dev/stdout', 'told'); write_file('/dev/null', 'told')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "told"
    assert not Path("/dev/null").is_file()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")])
@pytest.mark.parametrize("name", ["fsync", "replace"])
def test_a_file_stays_as_it_was_when_a_step_fails(tmp_path, monkeypatch, name, error):
    write_file(tmp_path / "a.json", b"old")

    def failing(*_args):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(os, name, failing)
        with pytest.raises(KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else OutputError):
            write_file(tmp_path / "a.json", b"new")
    assert tree(tmp_path) == {"a.json": b"old"}


def fail_at(monkeypatch, error, call):
    """Let the call of this number among all that move, sync or exchange fail; tells whether there was such a call."""
    seen = []

    def wrap(owner, name):
        real = getattr(owner, name)

        def failing(*args, **keywords):
            seen.append(name)
            if len(seen) == call:
                raise error
            return real(*args, **keywords)

        monkeypatch.setattr(owner, name, failing)

    for name in ("fsync", "replace"):
        wrap(os, name)
    wrap(files, "_exchange")
    return seen


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")])
def test_a_folder_is_the_old_or_the_new_one_wherever_a_step_fails(tmp_path, moving, error):
    for call in range(1, 100):
        out = tmp_path / str(call) / "out"
        make(out, "old")
        with pytest.MonkeyPatch.context() as patch:
            seen = fail_at(patch, error, call)
            with suppress(KeyboardInterrupt, OutputError):
                make(out, "new")
        assert tree(out) in ({"inner/a.txt": b"old"}, {"inner/a.txt": b"new"})
        make(out, "again")
        assert tree(out.parent) == {"out/inner/a.txt": b"again"}
        if len(seen) < call:
            break
    assert 5 < call < 100


def test_without_an_exchange_the_old_folder_comes_back_at_the_next_start(tmp_path):
    make(tmp_path / "out", "old")
    (tmp_path / "out").rename(tmp_path / ".out.replaced")  # killed between the two steps
    with locked(tmp_path / "out"):
        assert tree(tmp_path / "out") == {"inner/a.txt": b"old"}


def test_what_can_be_gone_on_from_stays_and_nothing_else(tmp_path):
    def attempt(fail):
        with new_folder(tmp_path / "out", keep=("features",)) as work:
            found = tree(work)
            (work / "features").mkdir(exist_ok=True)
            (work / "features" / "a").write_text("a")
            (work / "late").write_text("late")
            if fail:
                raise KeyboardInterrupt
        return found

    with pytest.raises(KeyboardInterrupt):
        attempt(fail=True)
    assert not (tmp_path / "out").exists()
    assert attempt(fail=False) == {"features/a": b"a"}
    assert tree(tmp_path) == {"out/features/a": b"a", "out/late": b"late"}
    with pytest.raises(KeyboardInterrupt), working_folder(tmp_path / "out", keep=("features",)):
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["out"], "there is nothing to go on from"


def test_a_file_takes_the_place_of_a_folder_and_the_other_way_round(tmp_path, moving):
    make(tmp_path / "out", "folder")
    with working_folder(tmp_path / "out") as work:
        (work / "zip").write_text("file")
        put(work / "zip", tmp_path / "out")
    assert tree(tmp_path) == {"out": b"file"}
    make(tmp_path / "out", "folder")
    assert tree(tmp_path) == {"out/inner/a.txt": b"folder"}


def test_everything_is_on_the_disk_before_it_gets_its_name(tmp_path, monkeypatch, moving):
    events = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: events.append(Path(f"/proc/self/fd/{fd}").readlink().name) or real(fd))
    move = os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: events.append("move") or move(a, b))
    if not Path("/proc/self/fd").exists():
        pytest.skip("needs /proc to see what is synced")
    make(tmp_path / "out", "new")
    assert events == ["a.txt", "inner", ".out.partial", "move", tmp_path.name]


HOLD = """
import sys
from kpl.files import {use}
sys.argv = ["kpl", "classify"]
with {use}("out"):
    print("held", flush=True)
    sys.stdin.read()
"""


def hold(folder: Path, use: str = "locked") -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD.format(use=use)],
        cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "held\n"
    return process


def test_the_second_process_is_told_who_writes(tmp_path):
    holder = hold(tmp_path)
    with pytest.raises(OutputError) as refused, new_folder(tmp_path / "out"):
        raise AssertionError
    holder.communicate()
    who = f"kpl classify (process {holder.pid} on {socket.gethostname()}, since "
    assert str(refused.value).startswith(f"'{tmp_path / 'out'}' is being written by {who}")
    assert str(refused.value).endswith("): wait for it, or give another place")
    make(tmp_path / "out", "free")
    assert tree(tmp_path) == {"out/inner/a.txt": b"free"}


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path):
    holder = hold(tmp_path, "new_folder")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".out.lock", ".out.partial"]
    with pytest.raises(OutputError), new_folder(tmp_path / "out"):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == [".out.lock", ".out.partial"], (
        "that of a living one stays"
    )
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    make(tmp_path / "out", "new")
    assert tree(tmp_path) == {"out/inner/a.txt": b"new"}


def lock_file(folder: Path, **changes: object) -> Path:
    told = {"command": "kpl fit", "process": os.getpid(), "host": socket.gethostname(), "since": "2026-01-01 12:00:00"}
    (folder / ".out.lock").write_text(json.dumps(told | changes))
    return folder / ".out.lock"


def a_dead_process() -> int:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


def test_without_flock_a_lock_is_void_only_if_its_process_is_dead_on_this_host(tmp_path, monkeypatch):
    monkeypatch.setattr(files._Lock, "_flock", lambda _self, _opened: None)
    lock_file(tmp_path, process=a_dead_process())
    make(tmp_path / "out", "new")
    assert tree(tmp_path) == {"out/inner/a.txt": b"new"}
    for changes in ({}, {"host": "another", "process": a_dead_process()}):
        lock = lock_file(tmp_path, **changes)
        with pytest.raises(OutputError, match=r"by kpl fit .*; if that process is gone, remove '.*\.out\.lock'$"):
            make(tmp_path / "out", "newer")
        lock.write_text("")
        with pytest.raises(OutputError, match=r"by another process: .*; if none does, remove '.*\.out\.lock'$"):
            make(tmp_path / "out", "newer")
    assert tree(tmp_path / "out") == {"inner/a.txt": b"new"}


def test_a_lock_is_one_per_output_and_thread(tmp_path, locking):
    with locked(tmp_path / "out"), locked(tmp_path / "out"), locked(tmp_path / "other"):
        write_file(tmp_path / "out", b"mine")
        refused = []

        def other():
            try:
                with locked(tmp_path / "out"):
                    pass
            except OutputError as error:
                refused.append(error)

        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        assert len(refused) == 1
    assert tree(tmp_path) == {"out": b"mine"}


COUNT = """
import sys
from pathlib import Path
from kpl.files import locked, write_file
for _ in range(40):
    with locked("count", wait=True):
        write_file("count", str(int(Path("count").read_text()) + 1))
"""


def test_processes_that_wait_lose_no_turn(tmp_path):
    (tmp_path / "count").write_text("0")
    processes = [subprocess.Popen([sys.executable, "-c", COUNT], cwd=tmp_path) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert tree(tmp_path) == {"count": b"120"}


def test_what_the_system_refuses_is_one_line(tmp_path, monkeypatch):
    with pytest.raises(OutputError, match=r"cannot write '.*a.json': No such file or directory\. Mend that and run"):
        write_file(tmp_path / "none" / "a.json", b"")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot write '.*': Not a directory\. Mend that and run"):
        make(tmp_path / "file" / "out", "new")
    monkeypatch.setattr(os, "open", lambda *_: (_ for _ in ()).throw(OSError(errno.EROFS, "Read-only file system")))
    with pytest.raises(OutputError, match=r"cannot write '.*': Read-only file system\. Mend that and run"):
        write_file(tmp_path / "a.json", b"")
