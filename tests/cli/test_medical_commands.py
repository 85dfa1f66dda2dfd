"""From studies, a volume, a table and features to a score, as a user types it, on real DICOM."""

from __future__ import annotations

import base64
import csv
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from kpl.images.pseudonyms import pseudonym
from kpl.runs import load_model, open_run
from kpl.runs.thumbnails import read_thumbnails

from .conftest import Run

TITLES = "image,unit,patient,frame,window\n"


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def studies(tmp_path: Path, shared: Path) -> Path:
    pytest.importorskip("pydicom")
    folder = tmp_path / "STUDIES"
    (folder / "p1" / "ct").mkdir(parents=True)
    source = shared / "medical" / "dicom"
    shutil.copy(source / "ct-syntaxes" / "LittleEndianExplicit.dcm", folder / "p1" / "ct" / "a.dcm")
    shutil.copy(source / "mr-cine-16-frames.dcm", folder / "cine")
    shutil.copy(source / "chest-xray.dcm", folder / "chest.dcm")
    return folder


@pytest.mark.long
def test_studies_and_their_features_say_the_same_of_the_same_units(
    quick: Run, studies: Path, knowledge: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pydicom = pytest.importorskip("pydicom")
    top = studies.parent
    flags = ["--encoder", "mini"]
    told = quick("plan", studies, "--json", "plan.json")
    assert told.code == 0, told.err
    units = [(unit["unit"], unit["kind"]) for unit in json.loads((top / "plan.json").read_text())["units"]]
    assert sorted(kind for _, kind in units) == ["clip", "image", "image"]
    told = quick("classify", studies, "--knowledge", knowledge, *flags, "--out", "run")
    assert told.code == 0, told.err
    rows = rows_of(top / "run/predictions.csv")
    assert [(row["unit"], row["kind"]) for row in rows] == units
    assert sum(int(row["instances"]) for row in rows) == len(rows_of(top / "run/instances.csv")) == 18
    assert quick("embed", studies, "--encoder", "mini", "--out", "features").code == 0
    assert quick("classify", "features", "--knowledge", knowledge, *flags, "--out", "again").code == 0
    assert (top / "again/predictions.csv").read_bytes() == (top / "run/predictions.csv").read_bytes()
    labels = "".join(f"{row['unit']},{row['label']},{row['patient']}\n" for row in rows)
    (top / "labels.csv").write_text("image,label\n" + "".join(f"{row['unit']},{row['label']}\n" for row in rows))
    (top / "patients.csv").write_text("image,label,group\n" + labels)
    told = quick("report", "again", "--pictures", studies)  # features keep no pictures
    assert told.code == 0, told.err
    shown = read_thumbnails(top / "run")
    assert {side for _, side in shown} > {""}
    page = (top / "again/report.html").read_text(encoding="utf-8")
    assert all(base64.b64encode(small).decode() in page for small in shown.values())
    clip = next(row for row in rows if row["kind"] == "clip")
    told = quick("search", "run", "--picture", studies / "cine", "--n", "1")
    assert (told.code, clip["unit"] in told.out) == (0, True), told.err
    uid = pydicom.dcmread(studies / "cine", stop_before_pixels=True).SOPInstanceUID
    assert quick("explain", "run", uid).out == quick("explain", "run", clip["unit"]).out
    (top / "worklist.csv").write_text(f"accession,uid,label\nA1,{uid},known\nA2,1.2.3,other\n")
    told = quick("export", "run", "--to", "csv", "--table", "worklist.csv", "--out", "read.csv")
    assert told.code == 0, told.err
    (read,) = rows_of(top / "read.csv")
    assert (read["accession"], read["label"]) == ("A1", "known")
    assert (read["kpl_image"], read["kpl_label"]) == (clip["unit"], clip["label"])
    assert "2 units of the run have no row in worklist.csv" in told.out
    (top / "none.csv").write_text("uid,label\n1.2.3,a\n1.2.4,b\n")
    told = quick("export", "run", "--to", "csv", "--table", "none.csv", "--out", "none-read.csv")
    assert (told.code, len(told.err.splitlines())) == (1, 1), told.err
    told = quick("explain", "run", "nobody's number")
    assert "no unit of the run is called so" in told.err
    told = quick("fit", studies, "--knowledge", knowledge, *flags, "--out", "m.kpl")
    assert told.code == 0, told.err
    told = quick("classify", studies, "--model", "m.kpl", "--out", "by-model")
    assert told.code == 0, told.err
    by_model = {row["unit"]: row for row in rows_of(top / "by-model/predictions.csv")}
    said = load_model(top / "m.kpl").predict(studies / "cine")
    for key, chance in said.probabilities.items():
        assert chance == pytest.approx(float(by_model[clip["unit"]][f"p_{key}"]), abs=1e-4)
    monkeypatch.setitem(sys.modules, "pandas", SimpleNamespace(DataFrame=dict))
    frame = open_run(top / "again").to_pandas()
    assert list(frame) == list(rows[0])
    assert list(frame["key_instance"]) == [row["key_instance"] for row in rows]
    assert list(map(str, frame["instances"])) == [row["instances"] for row in rows]
    for table in ("labels.csv", "patients.csv"):
        told = quick("evaluate", "run", "--labels", table)
        assert told.code == 0, told.err


def manifest(folder: Path, kind: str, rows: list[list[object]]) -> Path:
    path = folder / f"manifest.{kind}"
    titles = TITLES.strip().split(",")
    if kind == "csv":
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([titles, *rows])
    elif kind == "parquet":
        pyarrow, parquet = (pytest.importorskip(name) for name in ("pyarrow", "pyarrow.parquet"))
        columns = zip(*rows, strict=True)
        parquet.write_table(pyarrow.table(dict(zip(titles, map(list, columns), strict=True))), path)
    else:
        book = pytest.importorskip("openpyxl").Workbook()
        for row in (titles, *rows):
            book.active.append(row)
        book.save(path)
    return path


@pytest.mark.parametrize("kind", ["csv", "parquet", "xlsx"])
def test_a_table_decides_units_frames_and_windows(quick: Run, studies: Path, knowledge: Path, kind: str) -> None:
    top = studies.parent
    rows: list[list[object]] = [
        ["cine", None, "P1", 3, None],
        ["cine", None, "P1", 9, None],
        ["p1/ct/a.dcm", None, "P2", None, "lung"],
        ["chest.dcm", None, "P3", None, None],
        ["gone.dcm", None, None, None, None],
    ]
    listed = manifest(studies, kind, rows)
    told = quick("classify", listed, "--knowledge", knowledge, "--encoder", "mini", "--out", "run")
    assert told.code == 0, told.err
    said = rows_of(top / "run/predictions.csv")
    assert [(row["kind"], row["patient"], row["instances"]) for row in said] == [
        ("clip", pseudonym("patient", "P1"), "2"),
        ("image", pseudonym("patient", "P2"), "1"),
        ("image", pseudonym("patient", "P3"), "1"),
    ]
    for made in (top / "run").rglob("*.csv"):
        assert not {"P1", "P2", "P3"} & {cell for row in rows_of(made) for cell in row.values()}, made.name
    assert [row["frame"] for row in rows_of(top / "run/instances.csv")][:2] == ["3", "9"]
    assert [
        (item["image"], item["reason"]) for item in json.loads((top / "run/run.json").read_text())["set_aside"]
    ] == [("file-0001", f"no such file (line {5 if kind == 'parquet' else 6})")]


def test_a_volume_by_its_window_slices_and_pool(quick: Run, tmp_path: Path, knowledge: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    values = np.random.default_rng(0).normal(-400, 400, (24, 20, 90)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), tmp_path / "ct.nii.gz")
    words = ["--encoder", "mini", "--window", "lung", "--slices", "64", "--pool", "top-5", "--out", "run"]
    told = quick("classify", "ct.nii.gz", "--knowledge", knowledge, *words)
    assert told.code == 0, told.err
    (row,) = rows_of(tmp_path / "run/predictions.csv")
    assert (row["unit"], row["kind"], row["instances"]) == ("unit-0001", "volume", "64")
    assert "lung -600/1500 (asked)" in (tmp_path / "run/run.json").read_text()


@pytest.mark.long
@pytest.mark.parametrize(("page", "module", "least"), [("radiology", "pydicom", 20), ("volumes", "nibabel", 5)])
def test_the_pages_go_from_nothing_to_a_report(quick: Run, tmp_path: Path, page: str, module: str, least: int) -> None:
    pytest.importorskip(module)
    text = (Path(__file__).parents[2] / "docs" / f"{page}.md").read_text(encoding="utf-8")
    typed = 0
    for kind, body in re.findall(r"^```(python|yaml|console)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL):
        if kind != "console":
            (tmp_path / body.splitlines()[0].removeprefix("# ")).write_text(body, encoding="utf-8")
            continue
        for line in re.findall(r"^\$ (.*)$", body, flags=re.MULTILINE):
            program, *words = shlex.split(line)
            if program == "python":
                subprocess.run([sys.executable, *words], cwd=tmp_path, check=True)
            elif program == "kpl":
                told = quick(*words)
                assert told.code == 0, (line, told.err)
                typed += 1
    assert typed >= 4
    rows = rows_of(tmp_path / "run/predictions.csv")
    assert len(rows) >= least
    assert any(int(row["instances"]) > 1 for row in rows)
    report = (tmp_path / "run/report.html").read_text(encoding="utf-8")
    assert 'class="slices"' in report
    assert "Against the labels" in report
    assert "Where the text of" in report
