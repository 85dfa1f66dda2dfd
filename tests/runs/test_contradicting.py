"""A sentence of another class that slipped in: the run names it, and so do the report and the look at knowledge."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kpl.errors import FeaturesError
from kpl.report import write_report
from kpl.runs import SingleLabelRun, classify, inspect_knowledge, open_run
from rendered import cell_of_class, draw_cell

SLIPPED = "a round pink disc without a nucleus"
KNOWLEDGE = {
    "neutrophil": [
        "a dark nucleus split into several lobes",
        "pale pink cytoplasm",
        "a segmented purple nucleus",
        "a nucleus with three lobes joined by strands",
        "a large round cell with a lobed nucleus",
        SLIPPED,
    ],
    "normal_red_cell": [
        "a round pink disc without a nucleus at all",
        "a pale centre",
        "no nucleus",
        "a biconcave disc",
        "a ring of pink with a pale centre",
    ],
    "platelet": [
        "a tiny purple body without a nucleus",
        "much smaller than the red cells around it",
        "a tiny fragment",
        "small purple granules in a tiny body",
    ],
}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cells")
    for number in range(30):
        rng = np.random.default_rng([11, number])
        cell = draw_cell(cell_of_class(list(KNOWLEDGE)[number % 3], rng), rng)
        Image.fromarray(cell).save(folder / f"{number:02d}.png")
    return folder


@pytest.fixture(scope="module")
def run(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> SingleLabelRun:
    return classify(pictures, knowledge=KNOWLEDGE, out=tmp_path_factory.mktemp("out") / "run")


def test_the_run_keeps_what_its_pictures_contradict(run: SingleLabelRun) -> None:
    opened = open_run(run.path)
    assert isinstance(opened, SingleLabelRun)
    first = opened.contradicted[0]
    assert (first.key, first.text, first.instead) == ("neutrophil", SLIPPED, "normal_red_cell")
    assert opened.contradicted == run.contradicted


def test_the_report_and_the_look_at_knowledge_say_so(run: SingleLabelRun) -> None:
    page = write_report(run.path).read_text(encoding="utf-8")
    section = page[page.index("The pictures contradict this</h3>") : page.index("What each description does</h3>")]
    assert f">{SLIPPED}</th><td>neutrophil</td><td>normal_red_cell</td>" in section.replace(
        "normal red cell", "normal_red_cell"
    )
    assert inspect_knowledge(run.knowledge, run.path, encoder="mini").contradicted == run.contradicted


def test_a_run_of_too_few_pictures_or_of_a_method_of_names_says_nothing(pictures: Path) -> None:
    few = [str(path) for path in sorted(pictures.iterdir())[:12]]
    assert classify(few, knowledge=KNOWLEDGE).contradicted == ()
    assert classify(pictures, knowledge=KNOWLEDGE, method="names").contradicted == ()


def test_what_the_file_says_is_read_closely(run: SingleLabelRun, tmp_path: Path) -> None:
    copy = run.save(tmp_path / "run")
    said = json.loads((copy.path / "run.json").read_text(encoding="utf-8"))
    said["contradicted"][0]["score"] = "much"
    (copy.path / "run.json").write_text(json.dumps(said), encoding="utf-8")
    with pytest.raises(FeaturesError, match="contradicted"):
        open_run(copy.path)
    del said["contradicted"]  # as in a run of an earlier version
    (copy.path / "run.json").write_text(json.dumps(said), encoding="utf-8")
    earlier = open_run(copy.path)
    assert isinstance(earlier, SingleLabelRun)
    assert earlier.contradicted == ()
