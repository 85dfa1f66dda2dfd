"""Whatever a DICOM file says of a patient is nowhere in what commands write and say."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.datadict import DicomDictionary
from pydicom.dataset import Dataset
from tests.images.made_dicom import dataset, packed

from kpl.cli.main import main
from kpl.images.pseudonyms import key_file

MARK = "SNTL"
UID = "2.25.66666"
DAY = "18991231"
TIME = "235947"
PERSONAL = re.compile(rb"SNTL|2\.25\.66666|18991231|1899-12-31|235947", re.IGNORECASE)
_TEXT = {"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"}
_READ_BY = {0x0002, 0x0028, 0x5200, 0x7FE0}
"""Groups that say how pixels are stored, and no more."""


_NEEDED = {"SOPClassUID", "SpecificCharacterSet"}


def value_of(kind: str, tag: int, number: int) -> str | None:
    """A value that no output may hold, unlike that of any other attribute where its kind has the room."""
    if kind in _TEXT:
        return f"{MARK}{tag:08X}"
    return {"UI": f"{UID}.{tag}.{number}", "DA": DAY, "TM": TIME, "DT": DAY + TIME}.get(kind)


def full_of_marks(number: int, *, patient: int) -> Dataset:
    """A slice with a mark in every attribute of text, identifiers, days and times, in a sequence and in private ones.

    All of PS3.15 table E.1-1 that has such a value is among them. Only the third patient's number has an issuer, which
    a table of numbers alone does not say.
    """
    made = dataset(np.random.default_rng(10 * patient + number).integers(0, 900, (16, 16)).astype(np.int16))
    needed = {"Modality": "CT", "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"]}
    for tag, (kind, _, _, _, keyword) in DicomDictionary.items():
        group = tag >> 16
        if not keyword or group in _READ_BY or group > 0x4FFF or group == 0 or keyword in _NEEDED:
            continue
        if (value := value_of(kind, tag, number)) is not None:
            made.add_new(tag, kind, value)
    said: dict[str, Any] = {
        **needed,
        "PatientID": f"{MARK}-ID-{patient}",
        "StudyInstanceUID": f"{UID}.1.{patient}",
        "SeriesInstanceUID": f"{UID}.2.{patient}",
        "FrameOfReferenceUID": f"{UID}.3",
        "SOPInstanceUID": f"{UID}.4.{patient}.{number}",
        "ImageOrientationPatient": ["1", "0", "0", "0", "1", "0"],
        "ImagePositionPatient": ["0", "0", str(number)],
        "TemporalPositionIdentifier": "1",
    }
    for name, value in said.items():
        setattr(made, name, value)
    if patient != 2:
        del made.IssuerOfPatientID
    inner = Dataset()
    inner.PatientName, inner.AccessionNumber = f"{MARK}^INNER", f"{MARK}INNER"
    made.RequestAttributesSequence = [inner]
    block = made.private_block(0x0099, f"{MARK} PRIVATE", create=True)
    block.add_new(0x01, "LO", f"{MARK} PRIVATE VALUE")
    return made


def inside(name: str, held: bytes) -> list[tuple[str, bytes]]:
    """A file and, of archives, all that is packed in it."""
    found = [(name, held)]
    if zipfile.is_zipfile(io.BytesIO(held)):
        with zipfile.ZipFile(io.BytesIO(held)) as archive:
            found += [(f"{name}!{inner}", archive.read(inner)) for inner in archive.namelist()]
    return found


@pytest.mark.long
def test_no_mark_of_a_patient_leaves_the_files(
    tmp_path: Path, knowledge: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    studies = tmp_path / "in" / f"{MARK}^FOLDER"
    for patient in range(3):
        folder = studies / f"{MARK}^{patient}"
        folder.mkdir(parents=True)
        for number in range(2):
            (folder / f"{MARK}{number}.dcm").write_bytes(packed(full_of_marks(number + patient, patient=patient)))
        cut = packed(full_of_marks(9, patient=patient))
        (folder / f"{MARK}-cut.dcm").write_bytes(cut[: len(cut) - 100])
    out = tmp_path / "out"
    out.mkdir()
    monkeypatch.chdir(out)
    monkeypatch.setenv("KPL_HOME", str(tmp_path / "home"))
    known = ["--knowledge", str(knowledge), "--encoder", "mini"]
    given = str(studies.parent)
    (out / "labels.csv").write_text(
        "image,label\nunit-0001,platelet\nunit-0002,neutrophil\nunit-0003,platelet\n", "utf-8"
    )
    folder = f"{MARK}^FOLDER/{MARK}^"
    joined = {
        "PatientID": f"{MARK}-ID-{{}}",
        "StudyInstanceUID": f"{UID}.1.{{}}",
        "SeriesInstanceUID": f"{UID}.2.{{}}",
        "SOPInstanceUID": f"{UID}.4.{{0}}.{{0}}",
        "path": f"{folder}{{}}/{MARK}0.dcm",
    }
    tables = tmp_path / "tables"
    tables.mkdir()
    for name, form in joined.items():
        rows = [f"{form.format(patient)},{['platelet', 'neutrophil'][patient % 2]}\n" for patient in range(3)]
        (tables / f"{name}.csv").write_text("image,label\n" + "".join(rows), "utf-8")
    sites = "".join(f"{MARK}-ID-{patient},{'ab'[patient % 2]}\n" for patient in range(3))
    (tables / "site.csv").write_text("PatientID,site\n" + sites, "utf-8")
    streams = ""
    for command in (
        ["plan", given],
        ["classify", given, *known, "--out", "run"],
        ["classify", given, *known, "--out", "again"],
        ["embed", given, "--encoder", "mini", "--out", "features"],
        ["evaluate", "run", "--labels", "labels.csv"],
        *(["evaluate", "run", "--labels", str(tables / f"{name}.csv"), "--json", f"{name}.json"] for name in joined),
        ["report", "run"],
        ["explain", "run", "unit-0001"],
        ["queue", "run"],
        ["compare", "run", "again"],
        ["explain", "run", f"{UID}.1.1"],
        ["correct", "run", f"{MARK}-ID-1", "platelet", "--by", "A"],
        ["correct", "run", "--table", str(tables / "PatientID.csv"), "--by", "B"],
        ["correct", "run", "--list"],
        ["learn", "run", "--out", "learnt"],
        ["search", "run", "--picture", str(studies / f"{MARK}^1")],
        ["fit", given, *known[:2], "--encoder", "mini", "--out", "model.kpl"],
        ["classify", given, "--model", "model.kpl", "--out", "by-model"],
        ["plan", given, "--json", "plan.json"],
        ["report", "run", "--pictures", given],
        *(["export", "run", "--to", to, "--out", f"exported.{to}"] for to in ("csv", "parquet")),
        ["export", "run", "--to", "dicom-sr", "--source", given, "--out", str(tmp_path / "sr")],
    ):
        monkeypatch.setattr(sys, "argv", ["kpl", *command])
        code = _code()
        told = capfd.readouterr()
        assert code == 0, (command, told.err[-2000:])
        streams += told.out + told.err
    for command in (
        ["explain", "run", f"{MARK}-ID-9"],
        ["audit", "run", "--table", str(tables / "site.csv")],
        ["correct", "run", f"{MARK}-ID-9", "platelet", "--by", "A"],
        ["search", "run", "--picture", given],
        ["export", "run", "--to", "label-studio", "--out", "tasks.json"],
        ["export", "run", "--to", "folders", "--pictures", given, "--out", "sorted"],
        ["calibrate", "run", "--labels", str(tables / "PatientID.csv"), "--out", "calibration.json"],
    ):
        monkeypatch.setattr(sys, "argv", ["kpl", *command])
        code = _code()
        told = capfd.readouterr()
        assert (code, len(told.err.splitlines())) == (1, 1), (command, told.err)
        streams += told.out + told.err
    for name in joined:
        found = json.loads((out / f"{name}.json").read_text("utf-8"))["kpl"]
        said = [
            row["label"] for row in csv.DictReader((out / "run" / "predictions.csv").read_text("utf-8").splitlines())
        ]
        right = [label == truth for label, truth in zip(said, ["platelet", "neutrophil", "platelet"], strict=True)]
        assert (found["n"], found["accuracy"]) == (3, sum(right) / 3), name
    assert not PERSONAL.findall(streams.replace(str(studies.parent), "").encode())
    key_file().unlink()
    monkeypatch.setattr(sys, "argv", ["kpl", "evaluate", "run", "--labels", str(tables / "PatientID.csv")])
    assert _code() == 1
    told = capfd.readouterr().err
    assert "its key is not in KPL_HOME" in told
    assert not PERSONAL.findall(told.replace(str(studies.parent), "").encode())
    assert all(PERSONAL.search(path.read_bytes()) for path in (tmp_path / "sr").iterdir()), "these alone say whose"
    files = [path for path in (*out.rglob("*"), *(tmp_path / "home").rglob("*")) if path.is_file()]
    assert any(path.name == "units.csv" for path in files)
    for path in files:
        for name, held in inside(str(path.relative_to(tmp_path)), path.read_bytes()):
            assert not PERSONAL.search(name.encode()), name
            if (hit := PERSONAL.search(held)) is not None:
                raise AssertionError((name, held[max(0, hit.start() - 80) : hit.end() + 40]))


def _code() -> int:
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0
