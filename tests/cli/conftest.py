"""The real command in a real process, and a few drawn cells to give it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.encoders.hub_server import Hub, Repository, read_tree, running_hub

from kpl.cli import main
from kpl.encoders import registry
from rendered import cell_of_class, draw_cell

MINI = Path(registry.__file__).parent / "mini"
LAB = "lab/small-cells"
"""Where the hub in miniature has a copy of it."""

SENTENCES = {
    "neutrophil": ["a dark nucleus split into several lobes", "pale pink cytoplasm", "fine pale granules"],
    "normal_red_cell": ["a round pink disc without a nucleus", "a pale centre", "no granules"],
    "platelet": ["a tiny purple body without a nucleus", "much smaller than the red cells around it"],
}


def script() -> list[str]:
    """The command as it was installed beside this interpreter."""
    path = Path(sysconfig.get_path("scripts")) / ("kpl.exe" if os.name == "nt" else "kpl")
    return [str(path)] if path.exists() else [sys.executable, "-c", "from kpl.cli import main; main()"]


def answer_to_ctrl_c() -> None:
    """Undo what a shell does to jobs in the background: they ignore Ctrl-C, and so would the command."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@dataclass(frozen=True)
class Told:
    """What a command left: exit code, stdout, stderr."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line that a failed command says, after its name."""
        assert "Traceback" not in self.err, self.err
        assert self.code != 0, (self.code, self.out, self.err)
        assert self.err.startswith("kpl: ")
        assert self.err.count("\n") == 1, f"not one line: {self.err!r}"
        assert self.err.endswith("\n")
        return self.err.removeprefix("kpl: ").rstrip("\n")

    @property
    def plain(self) -> str:
        """What a command that went well printed, in one line for searching."""
        assert self.code == 0, (self.code, self.out, self.err)
        assert self.err == ""
        return " ".join(self.out.split())


Run = Callable[..., Told]


ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # many short processes: threads only cost time


def start(*arguments: object, cwd: Path, env: dict[str, str] | None = None, **options: Any) -> subprocess.Popen[str]:
    """Start the command without waiting for it."""
    plain = {name: value for name, value in os.environ.items() if name not in ("FORCE_COLOR", "TTY_COMPATIBLE")}
    return subprocess.Popen(
        [*script(), *map(str, arguments)],
        cwd=cwd,
        env={**plain, **ONE_THREAD, "COLUMNS": "200", **(env or {})},
        stdin=subprocess.DEVNULL,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "encoding": "utf-8", **options},
    )


@pytest.fixture
def kpl(tmp_path: Path) -> Run:
    """`kpl("classify", ...)` runs the command to its end in the test's own folder."""

    def run(*arguments: object, **options: Any) -> Told:
        process = start(*arguments, **{"cwd": tmp_path, **options})
        out, err = process.communicate(timeout=120)
        return Told(process.returncode, out, err)

    return run


@pytest.fixture
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Like `kpl`, within this process: for what differs from a tested process in nothing but its message."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: object) -> Told:
        monkeypatch.setattr(sys, "argv", ["kpl", *map(str, arguments)])
        code = 0
        try:
            main()  # what is there already ends without SystemExit
        except SystemExit as stopped:
            code = int(stopped.code or 0)
        return Told(code, *capsys.readouterr())

    return run


@pytest.fixture(scope="session")
def cell() -> Image.Image:
    """A drawn neutrophil of at most 64 colours, so that it survives a palette."""
    rng = np.random.default_rng(5)
    drawn = Image.fromarray(draw_cell(cell_of_class("neutrophil", rng), rng))
    return drawn.quantize(64).convert("RGB")


@pytest.fixture(scope="session")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve small cells of three classes, each in the folder of its class."""
    folder = tmp_path_factory.mktemp("cells") / "scans"
    for number in range(12):
        name = list(SENTENCES)[number % 3]
        rng = np.random.default_rng([7, number])
        picture = Image.fromarray(draw_cell(cell_of_class(name, rng), rng))
        (folder / name).mkdir(parents=True, exist_ok=True)
        picture.resize((64, 64)).save(folder / name / f"cell-{number}.png")
    return folder


@pytest.fixture(scope="session")
def knowledge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small knowledge file that `mini` may read."""
    path = tmp_path_factory.mktemp("knowledge") / "small.json"
    entries = [{"key": key, "name": key.replace("_", " "), "descriptions": d} for key, d in SENTENCES.items()]
    task = {"name": "small", "modality": "blood smear", "template": "{description}"}
    path.write_text(json.dumps({"kpl_knowledge": 1, "task": task, "classes": entries}))
    return path


@pytest.fixture(scope="session")
def features(cells: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cells' features, embedded once by the command."""
    folder = tmp_path_factory.mktemp("features")
    process = start("embed", cells, "--out", "features", cwd=folder)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, (out, err)
    return folder / "features"


@pytest.fixture(scope="session")
def finished(features: Path, knowledge: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with evidence; tests that change it work on a copy."""
    folder = tmp_path_factory.mktemp("finished")
    process = start("classify", features, "-k", knowledge, "--explain", "-o", "run", cwd=folder)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, (out, err)
    return folder / "run"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub that has `mini` as somebody would publish it; the cache and what KPL keeps lie in the test's folder."""
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "HF_HUB_CACHE", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("KPL_HOME", str(tmp_path / "kpl"))
    with running_hub() as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        running.repositories[LAB] = Repository(read_tree(MINI) | {"README.md": b"A small one.", ".gitattributes": b""})
        yield running


def kept(tmp_path: Path) -> list[str]:
    """The files that KPL keeps."""
    return sorted(path.name for path in (tmp_path / "kpl").rglob("*") if path.is_file())
