"""Tables of labels as people have them, given to the real command: what is said of each, in one line."""

from __future__ import annotations

import datetime
import json
import shutil
from pathlib import Path

import pytest
from openpyxl import Workbook
from tests.tables.test_tables import compound

from kpl.runs import classify

from .conftest import SENTENCES, Run

KINDS = list(SENTENCES)
IDS = [f"{number:04d}.png" for number in range(1, 13)]
TRUE = [KINDS[number % 3] for number in range(12)]


@pytest.fixture(scope="module")
def numbered(cells: Path, knowledge: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run over the cells, which are called by numbers, of patients that a cohort named."""
    folder = tmp_path_factory.mktemp("numbered")
    (folder / "scans").mkdir()
    for number, (name, kind) in enumerate(zip(IDS, TRUE, strict=True)):
        shutil.copy(cells / kind / f"cell-{number}.png", folder / "scans" / name)
    lines = [f"{name},P{number // 3}" for number, name in enumerate(IDS)]
    (folder / "cohort.csv").write_text("\n".join(["image,patient_id", *lines]))
    classify(folder / "scans", table=folder / "cohort.csv", knowledge=knowledge, out=folder / "run")
    return folder / "run"


@pytest.fixture
def evaluate(quick: Run, numbered: Path, tmp_path: Path):
    """`evaluate(rows)` scores the run against a table of these rows, which is written in the kind of its name."""

    def run(rows, *options, name="labels.csv", merge=()):
        path = tmp_path / name
        if isinstance(rows, bytes):
            path.write_bytes(rows)
        elif path.suffix == ".xlsx":
            book = Workbook()
            for row in rows:
                book.active.append(row)
            for area in merge:
                book.active.merge_cells(area)
            book.save(path)
        elif path.suffix == ".json":
            path.write_text(json.dumps(rows))
        else:
            path.write_text("".join(",".join(map(str, row)) + "\n" for row in rows))
        return quick("evaluate", numbered, "--labels", path, "--methods", "kpl", "--replicates", 20, *options)

    return run


PLAIN = [("image", "label"), *zip(IDS, TRUE, strict=True)]


BAD = {
    "no column of images": (
        [("age", "label"), *((number, kind) for number, kind in enumerate(TRUE, start=50))],
        ("has no column of images", "it has 'age', 'label'", "Name it with --image-column"),
    ),
    "no column of labels": (
        [("image", "age"), *((name, 50) for name in IDS)],
        ("has no column of labels", "it has 'image', 'age'", "--label-column"),
    ),
    "two columns of images": (
        [("scan", "copy", "label"), *((name, name, kind) for name, kind in PLAIN[1:])],
        ("'scan' and 'copy'", "--image-column 'scan'", "--image-column 'scan,copy'"),
    ),
    "two columns of labels": (
        [("image", "first", "second"), *((name, kind, kind) for name, kind in PLAIN[1:])],
        ("could hold the label, 'first' and 'second'", "--label-column 'first'"),
    ),
    "one title twice": (
        [("image", "label", "label"), *((name, kind, kind) for name, kind in PLAIN[1:])],
        ("2 columns 'label'", "rename or remove one"),
    ),
    "classes that differ in case": (
        [("image", "Platelet", "platelet", "neutrophil"), *((name, 0, 0, 1) for name in IDS)],
        ("two columns of one class, 'Platelet' and 'platelet'", "rename or remove one"),
    ),
    "an unknown class": (
        [("image", "label"), *((name, kind.replace("phil", "fil")) for name, kind in PLAIN[1:])],
        ("'neutrofil' (4; did you mean 'neutrophil'?)", "Known: neutrophil, normal_red_cell, platelet"),
    ),
    "several classes": (
        [*PLAIN[:-1], (IDS[-1], "platelet|neutrophil")],
        ("line 13", "'0012.png' is labelled 'platelet|neutrophil', several classes", "--multi-label"),
    ),
    "two labels": (
        [*PLAIN, (IDS[0], "platelet")],
        ("'0001.png' is labelled twice, as 'neutrophil' and as 'platelet'", "--readers majority"),
    ),
    "other pictures": (
        [("image", "label"), ("scan-a.png", "platelet")],
        ("none of the 1 labels is for one of the 12 images", "'scan-a.png', the run '0001.png'"),
    ),
    "numbers": ([("image", "label"), *((name, 1) for name in IDS)], ("say --label-numbers order",)),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_used_is_said_in_one_line(case, evaluate):
    rows, parts = BAD[case]
    said = evaluate(rows).error
    for part in parts:
        assert part in said


def test_workbooks_that_cannot_be_read_are_said_in_one_line(evaluate):
    for name, data, part in (
        ("labels.xlsx", compound("EncryptedPackage"), "'labels.xlsx' has a password: save it without one, or as CSV"),
        ("~$labels.xlsx", b"x", "the lock that is kept beside an open file: name the file itself"),
        ("labels.xlsx", b"image,label\n", "no Excel workbook"),
    ):
        assert part in evaluate(data, name=name).error
    dates = [("image", "label"), *((name, datetime.date(2024, 3, 1)) for name in IDS)]
    said = evaluate(dates, name="labels.xlsx").error
    assert "'2024-03-01' (12)" in said
    assert "these are dates, which a spreadsheet makes of names such as MAR1" in said
    assert "these are dates" in evaluate([("image", "label"), *((name, "1-Mar") for name in IDS)]).error
    wide = [("image", "label", ""), *((*row, "") for row in PLAIN[1:])]
    assert "cells are merged across columns 2 to 3" in evaluate(wide, name="labels.xlsx", merge=["B1:C1"]).error


def test_cells_merged_down_a_column_are_read_as_the_one_above_and_said(evaluate):
    rows = [("image", "label", "patient_id"), *((name, kind, "A") for name, kind in PLAIN[1:])]
    told = evaluate(rows, name="labels.xlsx", merge=["C2:C7", "C8:C13"]).plain
    assert "10 cells of 'labels.xlsx' are merged with those above them" in told
    assert "12 labelled images" in told
    assert "1 patients by 'patient_id', 12 images" in told


def test_zeros_that_a_spreadsheet_took_are_counted_not_guessed_silently(evaluate):
    whole = evaluate(PLAIN, "--json", "plain.json").plain
    lost = evaluate(
        [("image_id", "label"), *((int(name[:4]), kind) for name, kind in PLAIN[1:])], "--json", "lost.json"
    )
    assert Path("lost.json").read_text() == Path("plain.json").read_text()
    assert "by their number, without the zeros before it: 12" in lost.plain
    assert "zeros" not in whole


def test_pictures_without_labels_and_labels_without_pictures_are_counted(evaluate):
    told = evaluate([*PLAIN[:-2], ("gone.png", "platelet")]).plain
    assert "not scored, no label: 2 of 12 images" in told
    assert "labels not used, their image is not in the run: 1" in told
    assert "10 labelled images (95 % interval over 4 patients by the run, 10 images)" in told


def test_labels_that_differ_in_capitals_are_one_class_and_said(evaluate):
    told = evaluate([*PLAIN[:-1], (IDS[-1], "PLATELET")]).plain
    assert "'PLATELET' and 'platelet' differ in capitals only, and are one class" in told
    assert "12 labelled images" in told


def test_what_is_no_one_class_is_left_out_where_that_is_asked_for(evaluate):
    rows = [*PLAIN[:-2], (IDS[10], "martian"), (IDS[11], "platelet|neutrophil")]
    told = evaluate(rows, "--ignore-unknown").plain
    assert "10 labelled images" in told
    assert "class not in the knowledge: 2 of 12 images ('martian', 'platelet|neutrophil')" in told
    hot = [("image", *KINDS), *((name, *(int(kind == each) for each in KINDS)) for name, kind in PLAIN[1:-1])]
    assert "'0012.png' has a 1 under none of the classes" in evaluate([*hot, (IDS[11], 0, 0, 0)]).error
    assert "11 labelled images" in evaluate([*hot, (IDS[11], 0, 0, 0)], "--ignore-unknown").plain


def test_readers_decide_together_and_where_they_do_not_is_counted(evaluate):
    lines = [(name, who, kind) for name, kind in PLAIN[1:] for who in "abc"]
    lines[0] = (IDS[0], "a", "platelet")  # one of three
    lines[3:6] = [(IDS[1], who, kind) for who, kind in zip("abc", KINDS, strict=True)]  # none with another
    rows = [("image", "rad_id", "label"), *lines]
    assert "labelled twice" in evaluate(rows).error
    told = evaluate(rows, "--readers", "majority").plain
    assert "11 labelled images" in told
    assert "reader from 'rad_id'" in told
    assert "their lines do not agree (--readers majority): 1 images" in told
    assert "10 labelled images" in evaluate(rows, "--readers", "all").plain
    assert "say majority or all" in evaluate(rows, "--readers", "any").error


def test_labels_of_patients_are_those_of_all_their_pictures(evaluate):
    rows = [("patient_id", "label"), *((f"P{number}", KINDS[number % 3]) for number in range(4))]
    told = evaluate(rows).plain
    assert "images by the 'patient_id' that they are of" in told
    assert "12 labelled images (95 % interval over 4 patients by 'patient_id', 12 images)" in told


def test_a_column_of_pictures_goes_before_the_patients_that_are_there_too(evaluate):
    rows = [("cell", "patient_id", "label"), *((name, f"X{at // 2}", TRUE[at]) for at, name in enumerate(IDS))]
    told = evaluate(rows).plain
    assert "image from 'cell', the only column that names these images" in told
    assert "6 patients by 'patient_id'" in told
    late = [rows[0], *((f"other-{at}.png", "X", "platelet") for at in range(70_000)), *rows[1:]]
    assert "image from 'cell'" in evaluate(late).plain, "whichever rows come first"


def test_two_pictures_a_line_belong_together(evaluate):
    rows = [("left", "right", "label"), *((IDS[at], IDS[at + 1], TRUE[at]) for at in range(0, 12, 2))]
    told = evaluate(rows, "--image-column", "left,right").plain
    assert "12 labelled images (95 % interval over 6 groups by lines, 12 images)" in told


def test_maps_of_json_in_every_form_that_is_in_use(evaluate):
    forms = [
        dict(PLAIN[1:]),
        {name: [kind] for name, kind in PLAIN[1:]},
        {name: {"label": kind, "age": 5} for name, kind in PLAIN[1:]},
        {"image": {str(at): name for at, name in enumerate(IDS)}, "label": {str(at): k for at, k in enumerate(TRUE)}},
        {"columns": ["image", "label"], "index": [0], "data": [list(row) for row in PLAIN[1:]]},
        {"items": [{"image": name, "label": kind} for name, kind in PLAIN[1:]], "version": 1},
        {"image": IDS, "label": TRUE},
        {kind: [name for name, own in PLAIN[1:] if own == kind] for kind in KINDS},
        {"train": {kind: [n for n, own in PLAIN[1:7] if own == kind] for kind in KINDS},
         "test": {kind: [n for n, own in PLAIN[7:] if own == kind] for kind in KINDS}},
        {"train": [{"image": n, "label": own} for n, own in PLAIN[1:7]],
         "test": [{"image": n, "label": own} for n, own in PLAIN[7:]]},
        {"images": [{"id": at, "file_name": name} for at, name in enumerate(IDS)],
         "annotations": [{"image_id": at, "category_id": KINDS.index(kind)} for at, kind in enumerate(TRUE)],
         "categories": [{"id": at, "name": kind} for at, kind in enumerate(KINDS)]},
    ]  # fmt: skip
    seen = set()
    for form in forms:
        assert "12 labelled images" in evaluate(form, "--json", "scores.json", name="labels.json").plain
        seen.add(Path("scores.json").read_text())
    assert len(seen) == 1
    wrong = forms[-1] | {"annotations": [{"image_id": 0, "category_id": 9}]}
    assert "an annotation whose category_id is none of its categories" in evaluate(wrong, name="l.json").error
    wrong = forms[-1] | {"images": [{"id": 0}]}
    assert "an image without file_name: {'id': 0}" in evaluate(wrong, name="l.json").error


def test_one_picture_under_two_classes_is_named(quick: Run, numbered, cells, tmp_path):
    folders = tmp_path / "by-class"
    shutil.copytree(cells, folders)
    shutil.copy(folders / "platelet" / "cell-2.png", folders / "neutrophil" / "cell-2.png")
    said = quick("evaluate", numbered, "--labels", folders).error
    assert "none of the 13 labels is for" in said
    for number, name in enumerate(IDS):
        (folders / TRUE[number] / f"cell-{number}.png").rename(folders / TRUE[number] / name)
    told = quick("evaluate", numbered, "--labels", folders, "--methods", "kpl", "--replicates", 20).plain
    assert "one picture lies under two classes: 'neutrophil/cell-2.png' and 'platelet/0003.png' are alike" in told
    shutil.move(folders / "neutrophil" / "cell-2.png", folders / "neutrophil" / "0003.png")
    said = quick("evaluate", numbered, "--labels", folders).error
    assert "the rows of 'neutrophil/0003.png' and 'platelet/0003.png' both fit the image '0003.png'" in said


def test_an_audit_spares_the_column_of_labels_whatever_it_is_called(quick: Run, numbered, tmp_path):
    rows = [f"{name},{kind},{'AB'[at % 2]}" for at, (name, kind) in enumerate(PLAIN[1:])]
    (tmp_path / "t.csv").write_text("\n".join(["scan,reference standard,scanner", *rows]))
    quick("audit", numbered, "--table", "t.csv", "--replicates", 0, "--json", "a.json").plain  # noqa: B018
    found = json.loads((tmp_path / "a.json").read_text())
    assert ([each["title"] for each in found["columns"]], found["labelled"]) == (["scanner"], 12)
    twice = [*rows, rows[0].replace(",A", ",B")]
    (tmp_path / "t.csv").write_text("\n".join(["scan,reference standard,scanner", *twice]))
    told = quick("audit", numbered, "--table", "t.csv", "--replicates", 0).plain
    assert "rows of one picture differ in 'scanner', not counted: 1" in told
    (tmp_path / "t.csv").write_text("\n".join(["scan,label", *(row.rpartition(",")[0] for row in rows)]))
    said = quick("audit", numbered, "--table", "t.csv").error
    assert said.endswith("no column to look at beside those of pictures and labels: give one with a site or an age")
