"""`kpl embed --part` and `--join`: many processes, one folder."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from tests.cli.conftest import ONE_THREAD, Run, script, start

PAGES = Path(__file__).parents[2] / "docs" / "scale"


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.long
def test_parts_at_once_twice_and_killed_make_the_folder_of_one_process(
    kpl: Run, cells: Path, knowledge: Path, tmp_path: Path
) -> None:
    command = ("embed", cells, "--shard-size", "2")
    assert "12 pictures, 128 features each, in one/" in kpl(*command, "--out", "one").plain
    killed = start(*command, "--out", "out", "--part", "1/3", cwd=tmp_path)
    while not list((tmp_path / ".out.parts" / "done").glob("*")) and killed.poll() is None:
        pass
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    parts = [start(*command, "--out", "out", "--part", part, cwd=tmp_path) for part in ("2/3", "1/3", "1/3", "0/3")]
    for process in parts:
        said, error = process.communicate(timeout=120)
        assert (process.returncode, error) == (0, ""), error
        assert "4 pictures" in said
    assert not (tmp_path / "out").exists()
    told = kpl("classify", "out", "--knowledge", knowledge, "--out", "run").error
    assert "no such folder" in told
    assert "12 pictures, 128 features each, in out/" in kpl("embed", "--join", "out").plain
    assert files(tmp_path / "out") == files(tmp_path / "one")
    assert "12 pictures" in kpl("classify", "out", "--knowledge", knowledge, "--out", "run").plain
    assert "is there already" in kpl("embed", "--join", "out").plain


def test_what_stands_in_the_way_of_parts_is_one_line(quick: Run, cells: Path, tmp_path: Path) -> None:
    command = ("embed", cells, "--shard-size", "3", "--out", "out", "--part")
    assert "counted from 0 to 2" in quick(*command, "3/3").error
    assert "write I/N, such as 0/64" in quick(*command, "one").error
    assert "two ways of sharing the work" in quick(*command, "0/3", "--on", "ray").error
    assert "memory:// of its own" in quick("embed", cells, "--out", "memory://a/b", "--on", "ray").error
    assert "kpl embed SCANS/ --out features/" in quick("embed").error
    assert "kpl embed SCANS/ --out features/" in quick("embed", cells).error
    assert "leave out SCANS" in quick("embed", cells, "--join", "out").error
    assert "leave out --shard-size" in quick("embed", "--shard-size", "3", "--join", "out").error
    assert "no parts of 'out' are there" in quick("embed", "--join", "out").error
    assert "part 0/2: 6 pictures in 2 shards 2 shards of other parts are not there yet" in quick(*command, "0/2").plain
    assert (
        "2 of 4 shards of 'out' are not there yet (1, 3): run --part 1/2 again" in quick("embed", "--join", "out").error
    )
    assert "parts of other pictures" in quick(*command[:-1], "--part", "1/2", "--dtype", "float16").error
    assert "All parts are there: kpl embed --join out" in quick(*command, "1/2").plain
    (tmp_path / "out").write_text("mine")
    assert "'out' is a file" in quick("embed", "--join", "out").error
    (tmp_path / "out").unlink()
    assert quick("embed", "--join", "out").code == 0


def test_slices_of_one_volume_may_lie_in_several_parts(quick: Run, tmp_path: Path, shared: Path) -> None:
    pytest.importorskip("pydicom")
    (tmp_path / "study").mkdir()
    shutil.copy(shared / "medical" / "dicom" / "mr-cine-16-frames.dcm", tmp_path / "study" / "cine")
    shutil.copy(shared / "medical" / "dicom" / "chest-xray.dcm", tmp_path / "study" / "chest.dcm")
    command = ("embed", "study", "--shard-size", "5", "--out")
    assert quick(*command, "one").code == 0
    for part in ("1/3", "2/3", "0/3"):
        assert quick(*command, "out", "--part", part).code == 0
    assert quick("embed", "--join", "out", "--verify").code == 0
    assert files(tmp_path / "out") == files(tmp_path / "one")


def test_the_files_of_the_page_do_what_it_says(cells: Path, tmp_path: Path) -> None:
    """Slurm's and ssh's own commands are stood in for; the rest is as it is copied from the page."""
    tools = tmp_path / "tools"
    tools.mkdir()
    shutil.copytree(cells, tmp_path / "scans")
    names = [path.relative_to(tmp_path).as_posix() for path in sorted((tmp_path / "scans").rglob("*.png"))]
    (tmp_path / "manifest.csv").write_text("image\n" + "".join(f"{name}\n" for name in names))
    (tools / "srun").write_text('#!/bin/sh\nexec "$@"\n')
    (tools / "ssh").write_text('#!/bin/sh\nshift\nexec "$@"\n')
    (tools / "kpl").write_text(f'#!/bin/sh\nexec {shlex.join(script())} "$@"\n')
    env = {**os.environ, **ONE_THREAD, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}
    for name, root in (("array.sh", "/lustre"), ("ssh.sh", "/data")):
        text = (PAGES / name).read_text(encoding="utf-8")
        assert root in text
        (tools / name).write_text(text.replace(root, str(tmp_path)).replace("/feat", f"/{name}"))
    for tool in tools.iterdir():
        tool.chmod(0o755)
    for task in ("1", "0"):
        told = {"SLURM_ARRAY_TASK_ID": task, "SLURM_ARRAY_TASK_MAX": "1"}
        subprocess.run([tools / "array.sh"], env={**env, **told}, check=True, capture_output=True, timeout=120)
    join = [*script(), "embed", "--join", str(tmp_path / "array.sh")]
    subprocess.run(join, env=env, check=True, capture_output=True, timeout=120)
    subprocess.run([tools / "ssh.sh"], env=env, check=True, capture_output=True, timeout=120)
    assert files(tmp_path / "array.sh") == files(tmp_path / "ssh.sh")
    assert len(files(tmp_path / "ssh.sh")) == 3


def test_the_job_of_the_page_is_one_of_kubernetes() -> None:
    job = yaml.safe_load((PAGES / "indexed-job.yaml").read_text(encoding="utf-8"))
    kubernetes_validate.validate(job, "1.31", strict=True)
    job["spec"]["completionMode"] = 7
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(job, "1.31", strict=True)
