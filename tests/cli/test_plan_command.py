"""`kpl plan`: units from headers alone, in the terminal and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

from tests.images.made_dicom import FILES
from typer.testing import CliRunner

from kpl.cli.main import app


def test_a_plan_says_what_is_read_and_what_is_left_out(tmp_path: Path) -> None:
    study = FILES / "dicomdirtests" / "77654033"
    knowledge = tmp_path / "lung.yaml"
    classes = "[{key: a, descriptions: [grey]}, {key: b, descriptions: [white]}]"
    knowledge.write_text(f"kpl_knowledge: 1\ntask: {{name: lung, window: lung}}\nclasses: {classes}")
    out = tmp_path / "plan.json"
    words = ["plan", str(study), "--json", str(out), "--knowledge", str(knowledge), "--slices", "2"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    told = json.loads(out.read_text())
    series = next(unit for unit in told["units"] if unit["kind"] == "series")
    assert series["reading"] == {
        "modality": "CT",
        "window": "lung -600/1500 (knowledge)",
        "slices": [2, 4],
        "plane": "axial",
    }
    assert series["instances"] == [f"{series['unit']}#000", f"{series['unit']}#003"]
    assert series["unit"] in done.output
    assert "1 x 1 gap among its slices" in done.output
    assert "77654033" not in out.read_text() + done.output.replace(str(study), "")


def test_a_window_that_is_none_is_refused_in_one_line(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["plan", str(FILES), "--window", "0/0"])
    assert "no such window: '0/0'" in str(done.exception)
