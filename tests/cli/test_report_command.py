"""`kpl report` and `kpl explain` as they are typed."""

from __future__ import annotations

import shutil

import pytest
from PIL import Image


def test_classify_ends_with_a_report(quick, cells, knowledge, tmp_path):
    told = quick("classify", cells, "-k", knowledge, "--out", "run")
    assert "Look at it: run/report.html" in told.plain
    first = (tmp_path / "run/report.html").read_bytes()
    assert first.startswith(b"<!doctype html>")
    assert "Look at it: run/report.html" in quick("report", "run").plain
    assert (tmp_path / "run/report.html").read_bytes() == first
    quick("report", "run", "--labels", cells)
    assert b"Against the labels" in (tmp_path / "run/report.html").read_bytes()


@pytest.mark.long
def test_the_demo_ends_by_naming_its_report(kpl, tmp_path):
    told = kpl("demo", "--out", "d")
    assert told.plain.endswith("d/run/report.html all of it with the pictures, to open in a browser")
    assert b"Against the labels" in (tmp_path / "d/run/report.html").read_bytes()


def test_explain_tells_the_sentences_and_draws_the_map(kpl, quick, cells, knowledge, tmp_path):
    kpl("classify", cells, "-k", knowledge, "--out", "run")
    name = "platelet/cell-2.png"
    told = kpl("explain", "run", name, "--map", "where.png", "--picture", cells / name)
    text = " ".join(told.out.split())
    assert told.code == 0
    assert "65 views" in told.err
    for said in ("text share", "lost without", "the whole margin", "Nearest called", "not what KPL learnt"):
        assert said in text
    with Image.open(tmp_path / "where.png") as drawn:
        assert drawn.size == (64, 64)
    windows = quick("explain", "run", name, "--top", 0, "--map", "w.png", "--picture", cells / name, "--window", 32)
    assert "not asked for" in windows.out


def test_explain_refuses_what_cannot_be_meant(quick, finished, cells, tmp_path):
    shutil.copytree(finished, tmp_path / "run")
    name = "platelet/cell-2.png"
    assert "a map needs both" in quick("explain", "run", name, "--map", "w.png").error
    assert "--window, --how and --encoder go with --map" in quick("explain", "run", name, "--window", 20).error
    assert "--window, --how and --encoder go with --map" in quick("explain", "run", name, "--how", "patches").error
    given = ("explain", "run", name, "--map", "w.png", "--picture", cells / name)
    assert "gives no features of patches" in quick(*given, "--how", "patches").error
    assert "windows needs their size" in quick(*given, "--how", "windows").error
    assert "writes a .png" in quick("explain", "run", name, "--map", "w.jpg", "--picture", cells / name).error
    assert "picture of the run" in quick("explain", "run", "nothing.png").error


def test_the_report_draws_maps(kpl, quick, cells, knowledge, tmp_path):
    kpl("classify", cells, "-k", knowledge, "--out", "run")
    told = kpl("report", "run", "--pictures", cells, "--maps", 2)
    assert told.code == 0
    assert "130 views" in told.err
    assert (tmp_path / "run/report.html").read_text().count('<figure class="where">') >= 2
    assert "with --pictures" in quick("report", "run", "--maps", 2).error


def test_the_report_scores_as_evaluate_does(quick, finished, cells, tmp_path):
    shutil.copytree(finished, tmp_path / "run")
    asked = ("--labels", cells, "--methods", "cupl", "--ordered", "--replicates", 0)
    assert quick("report", "run", *asked).code == 0
    page = (tmp_path / "run/report.html").read_text()
    assert "kappa, quadratic" in page
    assert "inmap" not in page.partition("Against the labels")[2].partition("The knowledge in use")[0]
