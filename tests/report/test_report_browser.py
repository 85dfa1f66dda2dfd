"""The report in a real browser: readable by everyone, on every screen and on paper, and no text in it is a page."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.report.conftest import CLASSES, HOSTILE

from kpl.knowledge import load_knowledge
from kpl.report import explain_picture, write_report
from kpl.runs import MultiLabelRun, evaluate, open_run

pytestmark = pytest.mark.browser
STORY = Path(__file__).parent / "browser" / "report.mjs"


def told_by(story: str, *words: str) -> dict[str, Any]:
    done = subprocess.run(
        ["node", str(STORY.with_name(story)), *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        env={"KPL_CHROMIUM": shutil.which("chromium") or "", **os.environ},
    )
    assert done.stdout, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    assert not told.get("failed"), told["failed"]
    return told


def test_what_a_notebook_shows_is_readable_everywhere(
    run: Path, several: MultiLabelRun, labels: Path, knowledge: Path, tmp_path: Path
) -> None:
    opened = open_run(run)
    shown = (
        opened,
        several,
        evaluate(run, labels=labels, methods=("text", "kpl"), replicates=20),
        explain_picture(run, opened.ids[0], top=1),
        load_knowledge(knowledge),
    )
    parts = [f'<output id="{type(each).__name__}" tabindex="0">{each._repr_html_()}</output>' for each in shown]
    dark = "@media(prefers-color-scheme:dark){body{background:#111;color:#eee}}"
    style = f"<style>output{{display:block;overflow-x:auto}}{dark}</style>"
    head = f'<!doctype html><html lang="en"><title>notebook</title>{style}'
    page = f"{head}<main><h1>Cells</h1>{''.join(parts)}</main></html>"
    (tmp_path / "notebook.html").write_text(page, encoding="utf-8")
    told = told_by("notebook.mjs", str(tmp_path / "notebook.html"))
    assert (told["errors"], told["dialogs"], told["elsewhere"]) == ([], 0, [])
    assert (told["axe"], told["unseen"], told["cut"]) == ([], [], [])
    assert HOSTILE in told["text"]


@pytest.mark.parametrize("kind", ["single", "several"])
def test_a_report_is_readable_everywhere(
    kind: str, run: Path, several: MultiLabelRun, pictures: Path, labels: Path, many_labels: Path, tmp_path: Path
) -> None:
    place = tmp_path / "run"
    shutil.copytree(run if kind == "single" else several.path, place)
    if kind == "single":
        summary = json.loads((place / "run.json").read_text(encoding="utf-8"))
        said = {"key": "neutrophil", "text": f"no granules {HOSTILE}", "instead": "platelet", "score": 2.0}
        (place / "run.json").write_text(json.dumps(summary | {"contradicted": [said]}), encoding="utf-8")
    truth = labels if kind == "single" else many_labels
    methods = {"methods": ("text", "kpl")} if kind == "single" else {}
    file = write_report(place, labels=truth, by=["site"], replicates=50, **methods)
    told = told_by("report.mjs", str(file), str(tmp_path))
    assert told["axe"] == [], "no serious finding of axe"
    assert (told["errors"], told["dialogs"], told["elsewhere"], told["injected"]) == ([], 0, [], 0)
    assert told["wide"] == {name: [0, 0] for name in told["wide"]}, "no sideways, the evidence closed or open"
    for count, seen in told["pictures"].values():
        assert count == seen >= 18
    assert told["background"]["dark"] != told["background"]["light"] == told["background"]["print"]
    assert HOSTILE in told["text"]
    assert ("The pictures contradict this" in told["text"]) == (kind == "single")
    assert told["opened"]
    assert told["enlarged"][0] <= 112 < told["enlarged"][1] == told["one"] == 320
    assert 250 < told["large"] <= 320, "without scripts too, on a narrow screen"
    assert (told["stepped"], told["small"]) == ([1, "SUMMARY"], 0)
    right, wrong, without, every = told["rights"]
    assert set(right) == {"1,0"}
    assert set(wrong) <= {"0,1"}
    assert set(without) <= {"0,0"}
    assert len(right) + len(wrong) + len(without) == every == 18
    assert told["all"] == [18, "1 to 18 of 18."]
    assert told["plain"] == [18, False], "without scripts the first page stands, and nothing that does not work"
    assert sorted(told["found"]) == sorted(each.name for each in pictures.glob("cell-0*"))
    assert all(sure <= 50 for sure in told["unsure"])
    assert told["none"] == "No picture is like that."
    assert told["signs"] == 0, "what is cut shows that it goes on"
    assert told["broken"] == [], "words stay whole, and each mark beside its name"
    on_paper = told["paper"]
    assert on_paper["folded"] == [True], "on paper all is open but the evidence of the pictures"
    assert on_paper["evidence"] == [False]
    assert on_paper["interval"] < on_paper["figure"], "small print is smaller than what it is about"
    if shutil.which("pdftotext"):
        paper = subprocess.run(["pdftotext", str(tmp_path / "print.pdf"), "-"], capture_output=True, check=True)
        words = " ".join(paper.stdout.decode().split())
        for said in (
            "how it was chosen",
            "encoder's logit scale",
            "not a JPEG",
            *(each[0] for each in CLASSES.values()),
        ):
            assert said in words
