"""A method that another installed package offers is used by name like the others."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from kpl.demo import demo_cells

PACKAGE = """
from dataclasses import dataclass
from typing import ClassVar

from kpl.methods import CuPL


@dataclass(kw_only=True, eq=False)
class Mine(CuPL):
    name: ClassVar[str] = "mine"
    summary: ClassVar[str] = "what another package brings"


class Stranger:
    name = "stranger"


class Thief(CuPL):
    pass
"""
POINTS = """[kpl.methods]
mine = other_package:Mine
stranger = other_package:Stranger
cupl = other_package:Thief
gone = missing_package:Gone
"""


@pytest.fixture
def kpl_with_package(tmp_path):
    (tmp_path / "other_package.py").write_text(PACKAGE, encoding="utf-8")
    info = tmp_path / "other_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other-package\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(POINTS, encoding="utf-8")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])

    def run(*arguments):
        command = [sys.executable, "-c", "from kpl.cli import main; main()", *arguments]
        environment = {**os.environ, "PYTHONPATH": path, "COLUMNS": "200"}
        return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)

    return run


def test_it_stands_in_the_list(kpl_with_package):
    done = kpl_with_package("methods", "list")
    assert done.returncode == 0, done.stderr
    assert "what another package brings" in done.stdout
    assert "stranger" not in done.stdout


def test_it_classifies(kpl_with_package, tmp_path):
    (tmp_path / "cells").mkdir()
    rows = demo_cells()[:20]
    for path, _ in rows:
        shutil.copy(path, tmp_path / "cells")
    labels = tmp_path / "truth.csv"
    labels.write_text("image,label\n" + "".join(f"{path.name},{label}\n" for path, label in rows))
    out = str(tmp_path / "run")
    cells = str(tmp_path / "cells")
    done = kpl_with_package("classify", cells, "--knowledge", "blood-cells", "--method", "mine", "--out", out)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "report.html").exists()
    scored = kpl_with_package("evaluate", out, "--labels", str(labels), "--methods", "cupl,mine", "--replicates", "0")
    assert scored.returncode == 0, scored.stderr
    assert "mine" in scored.stdout


@pytest.mark.parametrize(
    ("name", "reason"),
    [("stranger", "no subclass of kpl.Method"), ("gone", "No module named 'missing_package'")],
)
def test_one_that_cannot_be_used_says_why(kpl_with_package, name, reason):
    done = kpl_with_package("methods", "show", name)
    assert done.returncode != 0
    assert reason in done.stderr
    assert "Traceback" not in done.stderr


def test_a_shipped_name_cannot_be_taken(kpl_with_package):
    assert "Thief" not in kpl_with_package("methods", "show", "cupl").stdout
