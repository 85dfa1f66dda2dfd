"""Where the server listens, and the real command in a real process."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest
from tests.cli.conftest import answer_to_ctrl_c
from tests.server.conftest import cell, parts

from kpl.errors import InputError, MissingExtraError, OutputError
from kpl.runs import Run, open_run
from kpl.server import Options, serve
from kpl.server.running import is_loopback, where_to_look

TOKEN = "a-token-of-more-than-16-characters"  # noqa: S105 - of a test


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org", ""])  # noqa: S104 - refused
def test_it_does_not_listen_to_others_without_a_token(host: str) -> None:
    with pytest.raises(InputError, match="without a token"):
        Options(host=host)
    assert Options(host=host, token=TOKEN).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost"])
def test_the_loopback_needs_none(host: str) -> None:
    assert is_loopback(host)
    assert Options(host=host).token is None


def test_a_token_that_can_be_guessed_is_refused_and_none_is_shown() -> None:
    with pytest.raises(InputError, match="at least 16"):
        Options(token="short")  # noqa: S106 - too short to be one
    with pytest.raises(InputError, match="port"):
        Options(port=70000)
    options = Options(token=TOKEN, host_names=["Room.example"])
    assert TOKEN not in repr(options)
    assert "room.example" in options.allowed_hosts


def test_without_the_extra_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fastapi", None)
    with pytest.raises(MissingExtraError, match=re.escape("knowledge-proxy-learning[serve]")):
        serve(Options(), told=lambda _: None)


def test_a_port_that_is_taken_is_named() -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OutputError, match="choose another with --port"):
            serve(Options(port=taken.getsockname()[1]), told=lambda _: None)


@pytest.mark.parametrize(
    ("host", "names", "shown", "hint"),
    [
        ("127.0.0.1", [], "http://127.0.0.1:8321/", False),
        ("::1", [], "http://[::1]:8321/", False),
        ("192.168.1.5", [], "http://192.168.1.5:8321/", False),
        ("0.0.0.0", [], "http://127.0.0.1:8321/ on this machine", True),  # noqa: S104 - only shown
        ("::", [], "http://[::1]:8321/ on this machine", True),
        ("0.0.0.0", ["room.example", "other"], "http://room.example:8321/", False),  # noqa: S104 - only shown
    ],
)
def test_it_says_what_to_type_and_what_others_need(host: str, names: list[str], shown: str, hint: bool) -> None:
    said = where_to_look(host, 8321, names)
    assert said.startswith(shown)
    assert ("--host-name" in said) == hint


def started(
    *options: str, cwd: Path | None = None, preexec_fn: Callable[[], None] | None = None, **environment: str
) -> tuple[subprocess.Popen[str], str]:
    command = [sys.executable, "-c", "from kpl.cli import main; main()", "serve", "--port", "0", *options]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        preexec_fn=preexec_fn,
        env={**os.environ, **environment},
    )
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], 60)
    line = process.stdout.readline() if ready else ""
    found = re.search(r"http://\S+", line)
    if not found:
        process.kill()
        raise AssertionError(process.communicate())
    return process, found[0]


def kept(folder: Path, job: str) -> Run:
    """The run that a job left in a folder of results, whose names end with the job's."""
    (run,) = folder.glob(f"*{job[:6]}")
    return open_run(run)


@pytest.mark.skipif(os.name == "nt", reason="SIGTERM is POSIX's")
def test_the_command_serves_until_it_is_told_to_stop(tmp_path: Path) -> None:
    process, address = started("--results", str(tmp_path / "kept"), "--verbose", TMPDIR=str(tmp_path))
    try:
        with httpx2.Client(base_url=address, timeout=60) as client:
            assert "Not a medical device" in client.get("/").text
            session = f"/api/sessions/{client.post('/api/sessions', json={}).json()['id']}"
            client.put(f"{session}/knowledge", json={"pack": "blood-cells"})
            client.post(f"{session}/pictures", files=parts({"Erika.png": cell(0), "b.png": cell(1)}))
            job = client.post(f"{session}/jobs", json={}).json()["id"]
            while client.get(f"/api/jobs/{job}").json()["state"] == "queued":
                time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode in (0, -signal.SIGTERM)
    assert len(kept(tmp_path / "kept", job).features.ids) == 2
    assert list(tmp_path.glob("kpl-serve-*")) == []
    assert "Erika" not in told
    assert "POST /api/sessions/{session_id}/jobs 202" in told
    assert "Traceback" not in told


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are found in /proc, which is Linux's")
def test_a_job_is_finished_and_told_when_the_server_stops_and_its_decoders_were_killed(tmp_path: Path) -> None:
    """Decoders are killed while pictures come, then the server is told to stop while it learns from them."""
    process, address = started("--results", str(tmp_path / "kept"), TMPDIR=str(tmp_path))
    try:
        with httpx2.Client(base_url=address, timeout=60) as client:
            session = f"/api/sessions/{client.post('/api/sessions', json={}).json()['id']}"
            client.put(f"{session}/knowledge", json={"pack": "blood-cells"})
            for first in range(0, 300, 100):
                ended = threading.Timer(0.1, kill_decoders, [process.pid])
                ended.start()
                files = parts({f"{n}.png": cell(n) for n in range(first, first + 100)})
                said = client.post(f"{session}/pictures", files=files).json()
                ended.join()
                assert said["left_out"] == []
            job = client.post(f"{session}/jobs", json={}).json()["id"]
            with client.stream("GET", f"/api/jobs/{job}/events") as events:
                lines = events.iter_lines()
                next(lines)
                process.send_signal(signal.SIGTERM)
                last = [line for line in lines if line.startswith("data: ")][-1]
        _, told = process.communicate(timeout=60)
    finally:
        process.kill()
    assert '"state": "done"' in last
    assert len(kept(tmp_path / "kept", job).features.ids) == 300
    assert list(tmp_path.glob("kpl-serve-*")) == []
    assert "Traceback" not in told


def kill_decoders(pid: int) -> None:
    """Kill the processes of a server that decode, as a system that is short of memory would."""
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
            os.kill(int(child), signal.SIGKILL)


@pytest.mark.long
@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is sent otherwise")
@pytest.mark.parametrize("options", [(), ("--results", "kept")])
def test_what_ctrl_c_says_is_true(options: tuple[str, ...], tmp_path: Path) -> None:
    process, address = started(*options, cwd=tmp_path, preexec_fn=answer_to_ctrl_c, TMPDIR=str(tmp_path))
    try:
        assert httpx2.get(f"{address}health").status_code == 200
        process.send_signal(signal.SIGINT)
        told, complained = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, complained) == (0, "")
    assert "KPL has stopped, and its sessions with it" in told
    assert ("finished runs are in kept" in told) == bool(options)
    assert list(tmp_path.glob("kpl-serve-*")) == []


@pytest.mark.long
@pytest.mark.skipif(os.name == "nt", reason="locks and SIGKILL are POSIX's")
def test_what_a_killed_server_left_is_removed_by_the_next(tmp_path: Path) -> None:
    living, _ = started(TMPDIR=str(tmp_path))
    (kept,) = tmp_path.glob("kpl-serve-*")
    killed, address = started(TMPDIR=str(tmp_path))
    left = next(folder for folder in tmp_path.glob("kpl-serve-*") if folder != kept)
    try:
        with httpx2.Client(base_url=address, timeout=60) as client:
            session = client.post("/api/sessions", json={}).json()["id"]
            client.post(f"/api/sessions/{session}/pictures", files=parts({"Erika.png": cell(0)}))
        assert list(left.glob("*/*.png"))
        killed.kill()
        killed.communicate(timeout=60)
        assert left.exists()
        unlocked = tmp_path / "kpl-serve-not-yet-locked"  # of a server that only starts
        unlocked.mkdir()
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        (elsewhere / "lock").touch()
        link = tmp_path / "kpl-serve-link"
        link.symlink_to(elsewhere)
        following, _ = started(TMPDIR=str(tmp_path))
        try:
            assert not left.exists()
            assert kept.exists()
            assert unlocked.exists()
            assert (link / "lock").exists()
        finally:
            following.terminate()
            following.communicate(timeout=60)
        assert kept.exists()
    finally:
        for process in (killed, living):
            process.kill()
            process.communicate(timeout=60)


def test_the_command_reads_its_token_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN + "\n", encoding="utf-8")
    process, address = started("--token-file", str(tmp_path / "token"))
    try:
        assert httpx2.get(f"{address}api/packs").status_code == 401
        assert httpx2.get(f"{address}api/packs", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200
    finally:
        process.terminate()
        process.communicate(timeout=60)


def test_a_token_file_that_is_not_there(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from kpl.cli import main; main()", "serve", "--token-file", str(tmp_path / "no")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "cannot read the token" in done.stderr
