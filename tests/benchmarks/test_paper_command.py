"""The command of the paper's table, in a real process."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from tests.runs.conftest import draw

from .conftest import FOLDER


@pytest.fixture
def paper(tmp_path):
    def run(*arguments):
        command = [sys.executable, str(FOLDER / "paper.py"), "--data", "DATA", "--encoder", "mini", *arguments]
        return subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, check=False, env=os.environ | {"COLUMNS": "200"}
        )

    return run


def test_the_papers_table(paper, tmp_path):
    for number in range(12):
        draw(tmp_path / "DATA/cell_images" / ("Parasitized", "Uninfected")[number % 2] / f"{number}.png", number)
    told = paper("--methods", "cupl,kpl", "--json", "paper.json")
    assert "Malaria cells: 12 labelled pictures" in told.stdout
    assert "released log, ViT-L/14, k = 25, its best" in told.stdout
    assert "text 65.45, KPL 78.21" in told.stdout
    assert "absent: no folder idrid" in told.stdout
    figures = json.loads((tmp_path / "paper.json").read_text())
    assert len(figures) == 10
    assert set(figures["malaria"]["methods"]) == {"cupl", "kpl", "majority", "chance"}


def test_no_folder_and_a_table_of_nothing_are_failures(paper, tmp_path):
    assert "no such folder" in (told := paper()).stderr
    assert told.returncode == 1
    (tmp_path / "DATA").mkdir()
    assert "no data set was scored" in (told := paper("--sets", "idrid")).stderr
    assert told.returncode == 1
