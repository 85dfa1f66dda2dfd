"""What a command writes never takes the place of what it reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from kpl.cli.outputs import spare_inputs
from kpl.errors import OutputError
from kpl.runs import classify, classify_multi_label
from kpl.runs.folder import RUN_FILES


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name in ("run/run.json", "run/scores.json", "scans/a.png", "labels.csv", "old.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


@pytest.mark.parametrize("output", ["labels.csv", "run/run.json", "scans/a.png", "./run/../labels.csv", "link.csv"])
def test_an_input_is_never_written_over(place, output):
    (place / "link.csv").symlink_to(place / "labels.csv")
    with pytest.raises(OutputError, match="is what the command reads: choose another file"):
        spare_inputs([None, place / output], [place / "run", place / "scans", place / "labels.csv", None])


@pytest.mark.parametrize("output", ["old.json", "new.json", "run/scores.json", "run/new.json", "scans/b.png"])
def test_an_earlier_output_and_a_new_file_are_written(place, output):
    spare_inputs([place / output], [place / "run", place / "scans", "a-pack", place / "labels.csv"])


@pytest.mark.parametrize(
    "command",
    [
        ("explain", "run", "a.png", "--map", "scans/a.png", "--picture", "scans/a.png"),
        ("calibrate", "run", "--labels", "labels.csv", "--out", "labels.csv"),
        ("evaluate", "run", "--labels", "labels.csv", "--json", "labels.csv"),
        ("evaluate", "run", "--labels", "run", "--figure", "run/run.svg", "--json", "run/run.json"),
        ("knowledge", "show", "base.yaml", "--features", "run", "--json", "base.yaml"),
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_every_command_that_writes_a_file_spares_its_inputs(quick, command, place):
    classes = "[{key: a, descriptions: [round]}, {key: b, descriptions: [long]}]"
    (place / "base.yaml").write_text(f"kpl_knowledge: 1\ntask: {{name: t}}\nclasses: {classes}\n")
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    assert "is what the command reads" in quick(*command).error
    assert {path: path.read_bytes() for path in place.rglob("*") if path.is_file()} == before


def test_every_file_of_a_run_is_known_as_one(cells, knowledge, tmp_path):
    for out in (
        classify(cells, knowledge=knowledge, out=tmp_path / "one", with_evidence=True).path,
        classify_multi_label(cells, knowledge=knowledge, out=tmp_path / "several").path,
    ):
        assert {path.name for path in out.iterdir() if path.is_file()} <= set(RUN_FILES)
