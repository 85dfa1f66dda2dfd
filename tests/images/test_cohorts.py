"""Pictures as a table names them: which are taken, under which names, of which patients."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from tests.images.made_dicom import dataset, packed

from kpl.errors import InputError, TableError
from kpl.images import find_inputs
from kpl.images.pseudonyms import pseudonym
from kpl.images.readers import load_instance
from kpl.tables import CohortRow, Wanted, open_cohort

from .test_finding import plant


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def taken(found) -> list[tuple[str, str | None]]:
    return [(picture.id, picture.group) for picture in found.pictures]


def test_a_table_alone_names_files_from_its_own_folder(tmp_path):
    plant(tmp_path, "scans/b.png", "scans/a.png", "scans/c.png")
    table = written(tmp_path / "manifest.csv", "patient_id,image,site\nP2,scans/b.png,x\n,scans/a.png,y\n")
    found = find_inputs(table)
    assert taken(found) == [("scans/b.png", "P2"), ("scans/a.png", None)]
    assert [picture.path for picture in found.pictures] == [tmp_path / "scans/b.png", tmp_path / "scans/a.png"]
    assert found.notes[0] == (
        "columns of 'manifest.csv': image from 'image', patient from 'patient_id'; nothing else of it is used"
    )
    assert find_inputs([], table=table) == found


def test_what_a_table_names_and_is_not_there_is_set_aside(tmp_path):
    plant(tmp_path, "a.png")
    found = find_inputs(written(tmp_path / "m.csv", "image\na.png\ngone.png\n"))
    assert taken(found) == [("a.png", None)]
    assert [item.id for item in found.set_aside] == ["gone.png"]
    with pytest.raises(InputError, match=r"none of the 1 pictures is one that"):
        find_inputs(written(tmp_path / "n.csv", "image\nx.png\ny.png\n"))


def test_absolute_paths_leave_no_folder_of_this_machine_in_a_name(tmp_path):
    plant(tmp_path, "deep/scans/x/a.png", "deep/scans/y/b.png")
    text = "".join(f"{tmp_path / name}\n" for name in ("deep/scans/x/a.png", "deep/scans/y/b.png"))
    found = find_inputs(written(tmp_path / "elsewhere/m.csv", "path\n" + text))
    assert [picture.id for picture in found.pictures] == ["x/a.png", "y/b.png"]


def test_a_table_chooses_among_the_pictures_of_a_folder_and_gives_them_patients(tmp_path):
    plant(tmp_path, "scans/part1/ISIC_1.jpg", "scans/part2/ISIC_2.jpg", "scans/part2/ISIC_3.jpg")
    table = written(tmp_path / "meta.csv", "lesion_id,image_id,dx\nL1,ISIC_1,mel\nL1,ISIC_3,nv\nL9,ISIC_9,nv\n")
    found = find_inputs(tmp_path / "scans", table=table)
    assert taken(found) == [("part1/ISIC_1.jpg", "L1"), ("part2/ISIC_3.jpg", "L1")]
    assert found.notes[1:] == (
        "images were matched by the end of their path: 2",
        "left out, not in the table: 1 of 3 pictures",
        "rows of the table whose picture is not there: 1",
    )
    assert find_inputs([], table=table).notes[2:] == found.notes[2:], "the folder of the table is looked through"


def test_rows_of_studies_are_all_pictures_in_their_folders(tmp_path):
    plant(tmp_path, "p10/p1001/s501/a.jpg", "p10/p1001/s501/b.jpg", "p10/p1002/s502/a.jpg")
    table = written(tmp_path / "t.csv", "subject_id,study_id\n1001,501\n")
    assert taken(find_inputs(tmp_path, table=table)) == [(f"p10/p1001/s501/{x}.jpg", "1001") for x in "ab"]
    table = written(tmp_path / "u.csv", "set/p10/p1002/s502/,Normal\n")
    found = find_inputs(tmp_path, table=table, reading=Wanted(image_column="1"))
    assert taken(found) == [("p10/p1002/s502/a.jpg", None)]


def test_names_made_of_columns_and_two_pictures_a_line(tmp_path):
    plant(tmp_path, "patient_007/x_1.png", "patient_012/x_2.png", "l.png", "r.png")
    table = written(tmp_path / "t.csv", "patient,x,y\n7,1,a\n12,2,b\n")
    wanted = Wanted(image_pattern="patient_{patient:0>3}/x_{x}.png")
    assert taken(find_inputs([], table=table, reading=wanted)) == [
        ("patient_007/x_1.png", "7"),
        ("patient_012/x_2.png", "12"),
    ]
    eyes = written(tmp_path / "eyes.csv", "ID,Left-Fundus,Right-Fundus\n3,l.png,r.png\n")
    wanted = Wanted(image_column="Left-Fundus, right fundus", group_column="ID")
    assert taken(find_inputs([], table=eyes, reading=wanted)) == [("l.png", "3"), ("r.png", "3")]
    for pattern, part in (("x.png", "names no column"), ("{no}", "no column 'no'"), ("{x", "cannot be read")):
        with pytest.raises(TableError, match=part):
            open_cohort(table, Wanted(image_pattern=pattern))
    with pytest.raises(TableError, match="both say how images are named"):
        open_cohort(table, Wanted(image_column="x", image_pattern="{x}"))


def test_the_only_column_that_names_pictures_is_taken_whatever_its_title(tmp_path):
    plant(tmp_path, "a.png", "b.png")
    table = written(tmp_path / "t.csv", "scan,who\na.png,1\nb.png,2\n")
    assert [name for name, _ in taken(find_inputs(table))] == ["a.png", "b.png"]
    with pytest.raises(InputError, match="no column of images"):
        find_inputs(written(tmp_path / "t.csv", "a.png,1\nb.png,2\n"))


def test_bad_cohorts_are_refused_in_one_line(tmp_path):
    plant(tmp_path, "a.png")
    for text, part in (
        ("image,patient\na.png,1\na.png,2\n", r"lines 2 and 3 say two patients or studies of one image"),
        ("image,patient\na.png,1\n./a.png,2\n", r"lines 2 and 3 say two patients or studies of one image"),
        ("scan,who\n1,1\n", r"no column of images .* 'scan', 'who'. Name it with --image-column"),
        ("image,patient\n,1\n", "line 2: no image named"),
        ("image,unit,patient\na.png,u,1\na.png,u,2\n", r"of one image or unit: keep one"),
        ("image,frame\na.png,first\n", "line 2: frame 'first' is no number"),
    ):
        with pytest.raises(InputError, match=part) as caught:
            find_inputs(written(tmp_path / "t.csv", text))
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="is a table: give it alone"):
        find_inputs([tmp_path, tmp_path / "t.csv"])
    with pytest.raises(InputError, match="are about a table"):
        find_inputs([tmp_path], reading=Wanted(sheet="one"))


def test_rows_come_one_by_one_with_the_columns_of_units_and_no_other(tmp_path):
    text = "image,unit,patient,study,frame,window,label\na.dcm,U1,P1,S1,3,lung,cancer\nb.dcm,,,,,,none\n"
    rows = open_cohort(written(tmp_path / "t.csv", text)).rows()
    assert next(rows) == CohortRow("a.dcm", "P1", "S1", "U1", 3, "lung", 2)
    assert next(rows) == CohortRow("b.dcm", line=3)
    assert set(CohortRow._fields) == {"image", "patient", "study", "unit", "frame", "window", "line"}


def test_a_table_puts_pictures_together_to_units(tmp_path):
    plant(tmp_path, "a.png", "b.png", "c.png")
    found = find_inputs(written(tmp_path / "m.csv", "image,unit,patient\na.png,knee,P1\nb.png,,P2\nc.png,knee,P1\n"))
    assert [(unit.id, unit.patient, [each.id for each in unit.instances]) for unit in found.units] == [
        ("knee", "P1", ["a.png", "c.png"]),
        ("b.png", "P2", ["b.png"]),
    ]
    for text, part in (
        ("image,unit,patient\na.png,knee,1\nb.png,knee,2\n", "line 2: the images of this unit are of two patients"),
        ("image,unit\na.png,knee\na.png,hip\n", "lines 2 and 3 say two units of one image"),
        ("image,window\na.png,lugn\n", "line 2: no such window"),
        ("image,frame\na.png,0\na.png,\n", "lines 2 and 3: a file is there whole and by frames"),
        ("image,unit\na.png,b.png\nb.png,\n", "line 2: the name of its unit is that of an image too"),
        ("image,frame\na.png,1\n", "none of the frames asked for: it has 1, counted from 0"),
    ):
        with pytest.raises(InputError, match=part):
            find_inputs(written(tmp_path / "t.csv", text))
    with pytest.raises(InputError, match="line 2: a window is read where images are paths"):
        find_inputs(tmp_path, table=written(tmp_path / "t.csv", "image,window\na.png,lung\n"))


def test_a_table_names_frames_and_windows_of_volumes(tmp_path):
    nibabel = pytest.importorskip("nibabel")
    values = np.zeros((8, 8, 5), np.float32) + np.arange(5)
    for name in ("x.nii", "y.nii", "z.nii"):
        nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), tmp_path / name)
    text = "image,unit,patient,frame,window\nx.nii,U,P,3,2/4\nx.nii,U,P,1,2/4\ny.nii,U,P,,\nz.nii,,,9,\n"
    found = find_inputs(written(tmp_path / "m.csv", text))
    assert [item.reason for item in found.set_aside] == ["none of the frames asked for: it has 5, counted from 0"]
    (unit,) = found.units
    hashed = pseudonym("patient", "P")  # medical files call nobody by name, and a table beside them neither
    assert (unit.id, unit.patient, unit.kind, len(unit.sources)) == ("unit-0001", hashed, "series", 7)
    assert {each.group for each in unit.instances} == {hashed}
    assert [each.frame for each in unit.instances] == [1, 3, 0, 1, 2, 3, 4]
    assert [each.id for each in unit.instances] == [f"unit-0001#{at:03d}" for at in range(7)]
    assert [each["window"][:12] for each in unit.reading["parts"]] == ["2/4 (asked)"[:12], "40/400 if in"]
    seen = [load_instance(each)[1] for each in unit.instances[:2]]
    assert int(seen[0].max()) < int(seen[1].max())


def test_a_table_takes_every_unit_of_a_file_by_its_path_or_its_patient(tmp_path):
    echoes = [("1", 0), ("1", 5), ("2", 0), ("2", 5)]
    made = dataset(
        np.zeros((4 * 6, 6), np.int16), Modality="MR", PatientID="P1", NumberOfFrames="4", SOPInstanceUID="1.2"
    )
    made.Rows = 6
    made.PerFrameFunctionalGroupsSequence = []
    for echo, z in echoes:
        said = Dataset()
        for name, value in (
            ("PlanePositionSequence", ("ImagePositionPatient", ["0", "0", str(z)])),
            ("PlaneOrientationSequence", ("ImageOrientationPatient", ["1", "0", "0", "0", "1", "0"])),
            ("MREchoSequence", ("EffectiveEchoTime", float(echo))),
        ):
            inner = Dataset()
            setattr(inner, *value)
            setattr(said, name, [inner])
        made.PerFrameFunctionalGroupsSequence.append(said)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a").write_bytes(packed(made))
    (tmp_path / "in" / "b").write_bytes(
        packed(dataset(np.zeros((6, 6), np.int16), PatientID="P2", SOPInstanceUID="1.3"))
    )
    for text in ("image,patient\nin/a,X\n", "PatientID,label\nP1,x\n"):
        found = find_inputs(tmp_path / "in", table=written(tmp_path / "t.csv", text))
        assert [len(unit.instances) for unit in found.units] == [2, 2], text
    (unit,) = find_inputs(written(tmp_path / "in" / "t.csv", "image,frame\na,0\na,9\n")).units
    assert "1 of the frames asked for are not there: it has 4, counted from 0" in unit.notes
