"""Reports of DICOM: what is in them, read back by highdicom, pydicom and DCMTK; whose they are; what has none."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("highdicom", reason="not installed: highdicom; pip install 'knowledge-proxy-learning[dicom-out]'")

import pydicom
from highdicom.sr import srread
from pydicom.sr.coding import Code
from tests.images.made_dicom import dataset, packed

from kpl.curation import export
from kpl.errors import AlreadyThereError, InputError, OutputError
from kpl.runs import Run, SingleLabelRun, classify, classify_multi_label
from kpl.runs.corrections import add_corrections

UID = "2.25.4711"
LONG = "Zellen mit einem sehr langen Namen, der länger ist als das, was DICOM einem Code an Worten lässt"


def base() -> dict[str, Any]:
    coded = {"scheme": "SCT", "value": "30630007", "meaning": "Neutrophil"}
    return {
        "kpl_knowledge": 2,
        "task": {"name": "Köpfe\\Zellen", "modality": "blood smear"},
        "classes": [
            {"key": "neutrophil", "code": coded, "descriptions": ["a nucleus of several lobes"]},
            {"key": "platelet_of_a_long_name", "name": LONG, "descriptions": ["a tiny purple body"]},
        ],
    }


def slice_of(patient: int, number: int, **elements: Any) -> bytes:
    values = np.random.default_rng([patient, number]).integers(0, 900, (24, 24)).astype("u2")
    told = {
        "SOPInstanceUID": f"{UID}.{patient}.3.{number}",
        "StudyInstanceUID": f"{UID}.{patient}.1",
        "SeriesInstanceUID": f"{UID}.{patient}.2",
        "PatientID": f"P{patient}",
        "PatientName": "Müller^Änne",
        "SpecificCharacterSet": "ISO_IR 100",
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "ImagePositionPatient": [0, 0, number],
        "Modality": "CT",
        **elements,
    }
    return packed(dataset(values, **told))


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two series of three slices, and two pictures of one study of a third patient."""
    folder = tmp_path_factory.mktemp("studies")
    for patient in (1, 2):
        for number in range(3):
            (folder / f"{patient}{number}.dcm").write_bytes(slice_of(patient, number))
    for number in range(2):
        (folder / f"cr{number}.dcm").write_bytes(slice_of(3, number, Modality="CR"))
    return folder


@pytest.fixture(scope="module")
def run(studies: Path, tmp_path_factory: pytest.TempPathFactory) -> SingleLabelRun:
    return classify(studies, knowledge=base(), encoder="mini", out=tmp_path_factory.mktemp("run") / "run")


def reports(run: Run, studies: Path, out: Path) -> list[Any]:
    done = export(run, "dicom-sr", out, source=studies)
    assert (done.pictures, done.missing) == (run.n, ())
    return [srread(path) for path in sorted(out.iterdir())]


def test_a_report_a_study_says_what_the_run_says_of_each_unit(run: Run, studies: Path, tmp_path: Path) -> None:
    made = reports(run, studies, tmp_path / "sr")
    assert [len(each.content.get_image_measurement_groups()) for each in made] == [1, 1, 2]
    said = {each.id: each for each in run.predictions}
    for report in made:
        held = {each.SOPInstanceUID for each in map(pydicom.dcmread, studies.iterdir())}
        flags = (report.CompletionFlag, report.VerificationFlag, report.PreliminaryFlag, report.Modality)
        assert flags == ("PARTIAL", "UNVERIFIED", "PRELIMINARY", "SR")
        assert str(report.PatientName) == "Müller^Änne"
        for group in report.content.get_image_measurement_groups():
            own = said[group.tracking_identifier]
            (evaluation,) = group.get_qualitative_evaluations()
            if own.label == "neutrophil":
                assert evaluation.value == Code("30630007", "SCT", "Neutrophil")
            else:
                assert (evaluation.value.value, evaluation.value.scheme_designator) == (own.label, "99KPL")
                assert evaluation.value.scheme_version == run.knowledge.content_hash()[:12]
                assert LONG.startswith(evaluation.value.meaning)
            (measured,) = group.get_measurements()
            assert measured.value == pytest.approx(own.confidence, abs=1e-6)
            assert "not calibrated" in measured.name.meaning
            (source,) = group.source_images
            assert source.referenced_sop_instance_uid in held
            assert source.referenced_sop_instance_uid.startswith(report.StudyInstanceUID.removesuffix(".1"))
    assert {each.PatientID for each in made} == {"P1", "P2", "P3"}
    held = (tmp_path / "sr" / "study-0001.dcm").read_bytes()
    assert run.plan["encoder"].encode() in held
    assert run.knowledge.content_hash().encode() in held


def test_the_source_image_is_the_one_that_speaks_loudest(run: Run, studies: Path, tmp_path: Path) -> None:
    keys = {unit: run.features.ids[row] for unit, row in zip(run.ids, run.key_rows or [], strict=True)}
    for report in reports(run, studies, tmp_path / "sr"):
        for group in report.content.get_image_measurement_groups():
            unit = group.tracking_identifier
            (source,) = group.source_images
            number = int(keys[unit].partition("#")[2] or source.referenced_sop_instance_uid[-1])
            assert source.referenced_sop_instance_uid.endswith(f".3.{number}")


def test_the_same_again_is_there_already_and_has_the_same_uids(run: Run, studies: Path, tmp_path: Path) -> None:
    first, second = (reports(run, studies, tmp_path / name) for name in "ab")
    assert [each.SOPInstanceUID for each in first] == [each.SOPInstanceUID for each in second]
    with pytest.raises(AlreadyThereError):
        export(run, "dicom-sr", tmp_path / "a", source=studies)
    (tmp_path / "a" / "study-0001.dcm").write_bytes(b"other")
    with pytest.raises(OutputError):
        export(run, "dicom-sr", tmp_path / "a", source=studies)


def test_what_people_settled_on_stands_beside_what_the_run_said(run: Run, studies: Path, tmp_path: Path) -> None:
    again = run.save(tmp_path / "run")
    first = reports(again, studies, tmp_path / "before")
    said = {each.id: each.label for each in again.predictions}
    unit = again.ids[0]
    other = next(key for key in again.keys if key != said[unit])
    add_corrections(again, {unit: other, again.ids[1]: "none of these"}, by="Ann")  # type: ignore[arg-type]
    second = reports(again, studies, tmp_path / "after")
    assert first[0].SOPInstanceUID != second[0].SOPInstanceUID
    told = {
        group.tracking_identifier: {each.name.value: each.value.meaning for each in group.get_qualitative_evaluations()}
        for report in second
        for group in report.content.get_image_measurement_groups()
    }
    assert set(told[unit]) == {"class", "settled"}
    assert told[unit]["class"] != told[unit]["settled"]
    assert told[again.ids[1]]["settled"] == "no class of the knowledge"
    assert set(told[again.ids[2]]) == {"class"}


def test_several_labels_are_evaluated_one_by_one(studies: Path, tmp_path: Path) -> None:
    run = classify_multi_label(studies, knowledge=base(), encoder="mini", out=tmp_path / "run", threshold=0.01)
    assert all(len(each.labels) == 2 for each in run.predictions)
    for report in reports(run, studies, tmp_path / "sr"):
        for group in report.content.get_image_measurement_groups():
            assert len(group.get_qualitative_evaluations()) == len(group.get_measurements()) == 2


@pytest.mark.parametrize(
    "elements",
    [
        {"PatientSex": "X", "PatientBirthDate": "1.1.1950", "StudyTime": "noon", "StudyDate": "2020"},
        {"PatientID": "9" * 80, "AccessionNumber": "7" * 40, "StudyID": "a" * 30},
        {"PatientName": "one word", "ReferringPhysicianName": "Dr. " + "x" * 80},
        {"PatientName": "Yamada^Tarou=山田^太郎", "SpecificCharacterSet": "ISO_IR 192"},
        {"PatientID": "", "PatientName": "", "PatientSex": ""},
    ],
    ids=["no dates", "too long", "one word", "japanese", "empty"],
)
@pytest.mark.filterwarnings("ignore::UserWarning")  # of writing such a file
def test_odd_headers_are_carried_or_left_empty(elements: dict[str, Any], tmp_path: Path, capfd: Any) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.dcm").write_bytes(slice_of(1, 0, **elements))
    run = classify(tmp_path / "in", knowledge=base(), encoder="mini", out=tmp_path / "run")
    (report,) = reports(run, tmp_path / "in", tmp_path / "sr")
    assert str(report.PatientName) == elements.get("PatientName", "Müller^Änne")
    assert report.PatientSex == ""
    assert not capfd.readouterr().err


def test_what_cannot_carry_a_report_is_counted_or_refused(run: Run, studies: Path, tmp_path: Path) -> None:
    for words, told in (({}, "--source"), ({"source": tmp_path / "none"}, "none"), ({"pictures": studies}, "--source")):
        with pytest.raises(InputError, match=told):
            export(run, "dicom-sr", tmp_path / "sr", **words)
    with pytest.raises(InputError, match="leave --source out"):
        export(run, "csv", tmp_path / "sr", source=studies)
    (tmp_path / "some").mkdir()
    for path in studies.glob("cr*"):
        (tmp_path / "some" / path.name).write_bytes(path.read_bytes())
    done = export(run, "dicom-sr", tmp_path / "sr", source=tmp_path / "some")
    assert (done.pictures, len(done.missing)) == (2, 2)
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "a.dcm").write_bytes(slice_of(1, 0, StudyInstanceUID=""))
    bare = classify(tmp_path / "bare", knowledge=base(), encoder="mini", out=tmp_path / "run")
    with pytest.raises(InputError, match="without the UIDs"):
        export(bare, "dicom-sr", tmp_path / "other", source=tmp_path / "bare")
    assert not (tmp_path / "other").exists()


def test_a_frame_is_named_from_one_on(shared: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "cine").symlink_to(shared / "medical" / "dicom" / "mr-cine-16-frames.dcm")
    run = classify(tmp_path / "in", knowledge=base(), encoder="mini", out=tmp_path / "run")
    (report,) = reports(run, tmp_path / "in", tmp_path / "sr")
    (group,) = report.content.get_image_measurement_groups()
    assert run.key_rows
    assert list(group.source_images[0].referenced_frame_numbers) == [run.key_rows[0] + 1]


@pytest.mark.dcmtk
def test_dcmtk_reads_every_report(run: Run, studies: Path, tmp_path: Path) -> None:
    reports(run, studies, tmp_path / "sr")
    for path in (tmp_path / "sr").iterdir():
        told = subprocess.run(["dsrdump", "+Pc", str(path)], capture_output=True, check=False)
        out, err = told.stdout.decode(), told.stderr.decode()
        assert told.returncode == 0, err
        assert not [line for line in err.splitlines() if line.startswith(("E:", "F:"))]
        assert "Comprehensive SR Document" in out
        assert "Probability, not calibrated" in out
        assert "CT image" in out or "CR image" in out
    broken = path.read_bytes().replace(b"CONTAINER", b"CONTAINED")
    path.write_bytes(broken)
    told = subprocess.run(["dsrdump", str(path)], capture_output=True, check=False)
    assert told.returncode != 0 or b"E:" in told.stderr, "the check tells a wrong one"


def test_a_code_of_the_knowledge_is_kept_and_counts(tmp_path: Path) -> None:
    from kpl.knowledge import KnowledgeBase, load_knowledge, write_knowledge

    coded = KnowledgeBase.model_validate(base())
    for name in ("k.yaml", "k.json"):
        write_knowledge(coded, tmp_path / name)
        assert load_knowledge(tmp_path / name).classes[0].code == coded.classes[0].code
    plain = base()
    del plain["classes"][0]["code"]
    assert KnowledgeBase.model_validate(plain).content_hash() != coded.content_hash()
    plain["classes"][0]["code"] = {"scheme": "SCT", "value": "1", "meaning": "x" * 65}
    (tmp_path / "long.json").write_text(json.dumps(plain))
    with pytest.raises(InputError, match=r"long.json.*meaning"):
        load_knowledge(tmp_path / "long.json")
