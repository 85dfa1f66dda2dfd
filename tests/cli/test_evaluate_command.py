"""`kpl evaluate` as it is typed: a table, a JSON and a figure from one command, and labels that are wrong."""

from __future__ import annotations

import json

import numpy as np
import pytest

from kpl.methods import METHODS

SITES = "image,label,site,patient\n"


@pytest.fixture
def bundle(tmp_path):
    """Forty images of four grades around their descriptions."""
    folder = tmp_path / "bundle"
    folder.mkdir()
    rng = np.random.default_rng(0)

    def unit(rows):
        return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)

    truth = np.arange(40) % 4
    np.save(folder / "images.npy", unit(np.eye(4, 8)[truth] + 0.3 * rng.normal(size=(40, 8))))
    np.save(folder / "descriptions.npy", unit(np.eye(4, 8)[:, None] + 0.1 * rng.normal(size=(4, 2, 8))))
    np.save(folder / "labels.npy", truth)
    told = {"classes": ["none", "mild", "moderate", "severe"], "templates": ["a photo of a {}.", "{}"]}
    (folder / "bundle.json").write_text(json.dumps(told))
    return folder


@pytest.fixture
def table(finished, tmp_path):
    """A table of the twelve cells' true classes, with sites and patients, as a function of changes to its lines."""
    names = [line.split(",")[0] for line in (finished / "predictions.csv").read_text().splitlines()[1:]]
    lines = [f"{name},{name.split('/')[0]},site {at % 2},p{at // 3}" for at, name in enumerate(names)]

    def write(change=lambda lines: lines, header=SITES):
        path = tmp_path / "labels.csv"
        path.write_text(header + "\n".join(change(list(lines))) + "\n")
        return path

    return write


def test_one_command_ends_with_a_table_a_json_and_a_figure(quick, bundle, tmp_path):
    asked = ("--methods", "all", "--ordered", "--replicates", 50, "--json", "s.json", "--figure", "s.svg")
    told = quick("evaluate", bundle, *asked).plain
    rows = json.loads((tmp_path / "s.json").read_text())
    assert list(rows)[-2:] == ["majority", "chance"]
    named = {line for line in METHODS if line in rows or f"{line} was left out" in told}
    assert named == set(METHODS)
    for name in ("kpl", "cupl"):
        assert name in told
        assert rows[name]["accuracy"] > 0.8
        assert rows[name]["kappa_quadratic"] is not None
        assert len(rows[name]["confusion"]) == 4
        assert set(rows[name]["per_class"]) == {"none", "mild", "moderate", "severe"}
    assert rows["cupl"]["difference"]["from"] == "kpl"
    assert rows["chance"]["accuracy"] == 0.25
    assert (tmp_path / "s.svg").read_text().startswith("<?xml")
    assert "Drawn in s.svg" in told


def test_classes_sites_and_operating_points_are_printed(quick, finished, table):
    asked = ("--methods", "kpl,cupl", "--by", "site", "--classes", "--at", "specificity=0.8", "--against", "cupl")
    told = quick("evaluate", finished, "--labels", table(), *asked, "--replicates", 50).plain
    for words in ("By site, cupl", "site 1", "Each class against the rest, by cupl", "Operating points of cupl"):
        assert words in told
    assert "Accuracy less that of cupl" in told


def test_labels_that_name_unknown_classes_or_miss_images(quick, finished, table):
    path = table(lambda lines: [lines[0].replace(",neutrophil,", ",neutrophill,"), *lines[1:]])
    told = quick("evaluate", finished, "--labels", path)
    assert "'neutrophill' (1; did you mean 'neutrophil'?)" in told.error
    path = table(lambda lines: [line.replace("cell-", "other-") for line in lines])
    assert "none of the 12 labels is for one of the 12 images" in quick("evaluate", finished, "--labels", path).error
    told = quick("evaluate", finished, "--labels", table(lambda lines: lines[:5]), "--methods", "kpl")
    assert "no label: 7 of 12" in told.plain


def test_labels_of_one_class_have_a_defined_result(quick, finished, table, tmp_path):
    path = table(lambda lines: [line for line in lines if line.startswith("neutrophil")])
    told = quick("evaluate", finished, "--labels", path, "--methods", "kpl", "--json", "one.json").plain
    assert "a single class" in told
    row = json.loads((tmp_path / "one.json").read_text())["kpl"]
    assert row["accuracy"] == row["balanced_accuracy"]
    assert (row["auroc"], row["average_precision"], row["n"]) == (None, None, 4)
    assert row["brier"] is not None


def test_a_label_twice_is_taken_once_and_two_labels_are_refused(quick, finished, table):
    told = quick("evaluate", finished, "--labels", table(lambda lines: lines + lines[:2]), "--methods", "kpl")
    assert "12 labelled images" in told.plain
    path = table(lambda lines: [*lines, lines[0].replace(",neutrophil,", ",platelet,")])
    assert "is labelled twice" in quick("evaluate", finished, "--labels", path, "--methods", "kpl").error
    path = table(lambda lines: [*lines, lines[0].replace("site 0", "site 9")])
    assert "is labelled twice" in quick("evaluate", finished, "--labels", path, "--by", "site").error


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (("--by", "scanner"), "has no column 'scanner': it has image, label, site, patient"),
        (("--at", "sensitivity=2"), "--at 'sensitivity=2' is no operating point"),
        (("--at", "recall=0.5"), "no operating point"),
        (("--at", "specificity"), "no operating point"),
        (("--against", "cuppl"), "did you mean 'cupl'"),
        (("--figure", "a.gif"), "a figure ends in"),
    ],
)
def test_what_is_asked_wrongly_is_said_in_a_line(quick, finished, table, options, part):
    assert part in quick("evaluate", finished, "--labels", table(), *options).error


def test_columns_need_a_table(quick, finished, cells, bundle):
    assert "has no column 'site'" in quick("evaluate", finished, "--labels", cells, "--by", "site").error
    assert "has no column 'site'" in quick("evaluate", bundle, "--by", "site").error


def test_a_run_is_calibrated_and_the_file_applied(quick, finished, features, knowledge, table, tmp_path):
    told = quick("calibrate", finished, "--labels", table(), "--out", "c.json").plain
    for words in ("12 labelled pictures", "as it was", "calibrated", "Chosen:", "Written to c.json"):
        assert words in told
    again = ("classify", features, "-k", knowledge, "--calibration", "c.json")
    told = quick(*again, "--coverage", 0.5, "-o", "calibrated").plain
    assert "6 of 12 left without a label" in told
    assert "the calibration is for method kpl, not for cupl" in quick(*again, "--method", "cupl", "-o", "other").error
    few = table(lambda lines: lines[:5])
    assert "5 labelled images are too few" in quick("calibrate", finished, "--labels", few).error
