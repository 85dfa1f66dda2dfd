"""The tables of public data, with invented rows: what is read, and what is said of how, as docs/tables.md shows it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from kpl.errors import LabelsError
from kpl.evaluation import Reading, read_labels, read_multi_label
from kpl.knowledge import KnowledgeBase

PAGE = Path(__file__).parents[2] / "docs" / "tables.md"


class Layout(NamedTuple):
    """A table, the pictures of a run, what it says of them, the columns that are told, and the options it needs."""

    file: str
    text: str
    ids: tuple[str, ...]
    classes: tuple[str, ...]
    truth: Any
    said: str
    options: str = ""
    groups: tuple[str | None, ...] | None = None
    several: bool = False


GRADES = ("No DR", "Mild", "Moderate", "Severe", "Proliferative DR")
FINDINGS = ("Aortic enlargement", "Cardiomegaly", "Pleural effusion")
LAYOUTS = {
    "EyePACS": Layout(
        "trainLabels.csv",
        "image,level\n10_left,0\n10_right,2\n",
        ("10_left.jpeg", "10_right.jpeg"),
        GRADES,
        [0, 2],
        "columns: image from 'image', label from 'level'",
        "--label-numbers order",
    ),
    "Messidor": Layout(
        "Annotation_Base11.csv",
        "Image name;Ophthalmologic department;Retinopathy grade;Risk of macular edema\n"
        "20051019_38557_0100_PP.tif;Service Paris;3;1\n20051020_43808_0100_PP.tif;Service Paris;0;0\n",
        ("20051019_38557_0100_PP.tif", "20051020_43808_0100_PP.tif"),
        GRADES,
        [3, 0],
        "columns: image from 'Image name', label from 'Retinopathy grade'",
        "--label-column 'Retinopathy grade' --label-numbers order",
    ),
    "IDRiD": Layout(
        "a. IDRiD_Disease Grading_Training Labels.csv",
        "Image name,Retinopathy grade,Risk of macular edema ,,,\nIDRiD_001,3,2,,,\nIDRiD_002,4,1,,,\n",
        ("IDRiD_001.jpg", "IDRiD_002.jpg"),
        GRADES,
        [3, 4],
        "columns: image from 'Image name', label from 'Retinopathy grade'",
        "--label-column 'Retinopathy grade' --label-numbers order",
    ),
    "ODIR": Layout(
        "ODIR-5K_Training_Annotations.csv",
        "ID,Patient Age,Patient Sex,Left-Fundus,Right-Fundus,Left-Diagnostic Keywords,N,D,G\n"
        "0,69,Female,0_left.jpg,0_right.jpg,cataract,1,0,0\n1,57,Male,1_left.jpg,1_right.jpg,normal fundus,0,1,1\n",
        ("0_left.jpg", "0_right.jpg", "1_left.jpg", "1_right.jpg"),
        ("N", "D", "G"),
        [[1, 0, 0], [1, 0, 0], [0, 1, 1], [0, 1, 1]],
        "columns: image from 'Left-Fundus' and 'Right-Fundus', labels from 3 columns of classes (N, D, G), group from "
        "the line, which is of several images",
        "--image-column Left-Fundus,Right-Fundus",
        ("line 2", "line 2", "line 3", "line 3"),
        several=True,
    ),
    "ISIC 2019": Layout(
        "ISIC_2019_Training_GroundTruth.csv",
        "image,MEL,NV,UNK\nISIC_0000000,0.0,1.0,0.0\nISIC_0000001,0.0,0.0,1.0\n",
        ("ISIC_0000000.jpg", "ISIC_0000001.jpg"),
        ("MEL", "NV"),
        [1, -1],
        "columns: image from 'image', labels from 2 columns of classes (MEL, NV)",
        "--ignore-unknown",
    ),
    "ISIC 2020": Layout(
        "ISIC_2020_Training_GroundTruth.csv",
        "image_name,patient_id,sex,age_approx,anatom_site_general_challenge,diagnosis,benign_malignant,target\n"
        "ISIC_2637011,IP_7279968,male,45.0,head/neck,nevus,benign,0\n"
        "ISIC_0015719,IP_3075186,female,45.0,upper extremity,melanoma,malignant,1\n",
        ("ISIC_0015719.jpg", "ISIC_2637011.jpg"),
        ("nevus", "melanoma"),
        [1, 0],
        "columns: image from 'image_name', label from 'diagnosis', group from 'patient_id'",
        "",
        ("IP_3075186", "IP_7279968"),
    ),
    "PatchCamelyon on Kaggle": Layout(
        "train_labels.csv",
        "id,label\nf38a6374c348f90b,0\nc18f2d887b7ae4f6,1\n",
        ("c18f2d887b7ae4f6.tif", "f38a6374c348f90b.tif"),
        ("normal tissue", "tumour"),
        [1, 0],
        "columns: image from 'id', label from 'label'",
        "--label-numbers order",
    ),
    "RSNA pneumonia, the boxes": Layout(
        "stage_2_train_labels.csv",
        "patientId,x,y,width,height,Target\n0004cfab,,,,,0\n00436515,264.0,152.0,213.0,379.0,1\n"
        "00436515,562.0,152.0,256.0,453.0,1\n",
        ("0004cfab.png", "00436515.png"),
        ("clear lungs", "lung opacity"),
        [0, 1],
        "columns: image from 'patientId', label from 'Target', group from 'patientId'",
        "--label-numbers order",
        ("0004cfab", "00436515"),
    ),
    "MURA, labels of studies": Layout(
        "train_labeled_studies.csv",
        "MURA-v1.1/train/XR_SHOULDER/patient00001/study1_positive/,1\n"
        "MURA-v1.1/train/XR_HAND/patient00002/study1_negative/,0\n",
        (
            "train/XR_HAND/patient00002/study1_negative/image1.png",
            "train/XR_SHOULDER/patient00001/study1_positive/image1.png",
            "train/XR_SHOULDER/patient00001/study1_positive/image2.png",
        ),
        ("normal", "abnormal"),
        [0, 1, 1],
        "columns: image from '1', label from '2', group from folders such as 'patient00001'",
        "--image-column 1 --label-column 2 --label-numbers order",
        ("patient00002", "patient00001", "patient00001"),
    ),
    "PadChest": Layout(
        "PADCHEST_chest_x_ray_images_labels_160K.csv",
        ",ImageID,ImageDir,StudyDate_DICOM,StudyID,PatientID,Projection,Labels\n"
        "0,20536686_a.png,0,20140915,20536686,839860,L,\"['pleural effusion', 'cardiomegaly']\"\n"
        "1,135803415_b.png,0,20150914,135803415,313572,PA,['normal']\n",
        ("0/135803415_b.png", "0/20536686_a.png"),
        FINDINGS,
        [[0, 0, 0], [0, 1, 1]],
        "columns: image from 'ImageID', label from 'Labels', group from 'PatientID'; not used: 'StudyID'",
        "--none normal",
        ("313572", "839860"),
        several=True,
    ),
    "VinDr-CXR, the boxes": Layout(
        "train.csv",
        "image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max\n50a418190bc3,No finding,14,R11,,,,\n"
        "21a10246a5ec,Cardiomegaly,3,R8,691.0,1375.0,1653.0,1831.0\n"
        "21a10246a5ec,Aortic enlargement,0,R9,1052.0,715.0,1299.0,966.0\n",
        ("21a10246a5ec.png", "50a418190bc3.png"),
        FINDINGS,
        [[1, 1, 0], [0, 0, 0]],
        "columns: image from 'image_id', label from 'class_name', reader from 'rad_id'",
        "--readers any --none 'No finding'",
        several=True,
    ),
    "VinDr-CXR, three readers": Layout(
        "image_labels_train.csv",
        "image_id,rad_id,Aortic enlargement,Cardiomegaly,Pleural effusion,No finding\n"
        "21a10246a5ec,R8,1,1,0,0\n21a10246a5ec,R9,1,0,0,0\n21a10246a5ec,R10,1,0,1,0\n",
        ("21a10246a5ec.png",),
        FINDINGS,
        [[1, 0, 0]],
        "columns: image from 'image_id', labels from 3 columns of classes (Aortic enlargement, Cardiomegaly, Pleural "
        "effusion), reader from 'rad_id'",
        "--readers majority",
        several=True,
    ),
    "MIMIC-CXR-JPG, labels of pictures": Layout(
        "labels.csv",
        "dicom_id,subject_id,study_id,Cardiomegaly,Pleural effusion,No Finding\n"
        "02aa804e,10000032,50414267,,,1.0\n174413ec,10000032,50414267,1.0,-1.0,\n",
        ("p10/p10000032/s50414267/02aa804e.jpg", "p10/p10000032/s50414267/174413ec.jpg"),
        FINDINGS,
        [[-1, 0, 0], [-1, 1, -1]],
        "columns: image from 'dicom_id', labels from 2 columns of classes (Cardiomegaly, Pleural effusion), group from "
        "'subject_id'; not used: 'study_id'",
        "",
        ("10000032", "10000032"),
        several=True,
    ),
    "CBIS-DDSM": Layout(
        "mass_case_description_train_set.csv",
        "patient_id,breast_density,left or right breast,image view,pathology,image file path\n"
        "P_00001,3,LEFT,CC,MALIGNANT,Mass-Training_P_00001_LEFT_CC/1.2.3/000000.png\n"
        "P_00004,3,LEFT,CC,BENIGN,Mass-Training_P_00004_LEFT_CC/1.2.4/000000.png\n",
        ("Mass-Training_P_00001_LEFT_CC/1.2.3/000000.png", "Mass-Training_P_00004_LEFT_CC/1.2.4/000000.png"),
        ("benign", "malignant"),
        [1, 0],
        "columns: image from 'image file path', label from 'pathology', group from 'patient_id'",
        "",
        ("P_00001", "P_00004"),
    ),
    "MedMNIST, saved as pictures": Layout(
        "bloodmnist.csv",
        "TRAIN,train0_0.png,0\nTRAIN,train1_2.png,2\n",
        ("train0_0.png", "train1_2.png"),
        ("basophil", "eosinophil", "erythroblast"),
        [0, 2],
        "columns: image from '2', label from '3'",
        "--image-column 2 --label-column 3 --label-numbers order",
    ),
    "PAD-UFES-20": Layout(
        "metadata.csv",
        (
            "patient_id,lesion_id,smoke,age,img_id,diagnostic,biopsed\nPAT_1516,1765,,8,PAT_1516_1765_53"
            "0.png,NEV,False\nPAT_46,881,False,55,PAT_46_881_939.png,BCC,True\n"
        ),
        ("imgs_part_1/PAT_1516_1765_530.png", "imgs_part_2/PAT_46_881_939.png"),
        ("NEV", "BCC"),
        [0, 1],
        (
            "columns: image from 'img_id', label from 'diagnostic', the only column that names classes,"
            " group from 'patient_id'; not used: 'lesion_id'"
        ),
        "",
        ("PAT_1516", "PAT_46"),
        several=False,
    ),
    "Camelyon17-WILDS": Layout(
        "metadata.csv",
        (
            ",patient,node,x_coord,y_coord,tumor,slide,center,split\n0,004,4,3328,21792,1,0,0,0\n1,004,4,"
            "3200,22272,0,0,0,0\n"
        ),
        (
            "patches/patient_004_node_4/patch_patient_004_node_4_x_3200_y_22272.png",
            "patches/patient_004_node_4/patch_patient_004_node_4_x_3328_y_21792.png",
        ),
        ("normal tissue", "tumor"),
        [0, 1],
        (
            "columns: image as 'patch_patient_{patient}_node_{node}_x_{x_coord}_y_{y_coord}.png', label"
            "s from 1 column of a class (tumor), group from 'patient'"
        ),
        "--image-pattern 'patch_patient_{patient}_node_{node}_x_{x_coord}_y_{y_coord}.png'",
        ("004", "004"),
        several=False,
    ),
    "RSNA breast": Layout(
        "train.csv",
        (
            "site_id,patient_id,image_id,laterality,view,age,cancer,biopsy\n2,10006,462822612,L,CC,61.0,"
            "0,0\n2,10006,1459541791,L,MLO,61.0,1,0\n"
        ),
        ("10006/1459541791.png", "10006/462822612.png"),
        ("no cancer", "cancer"),
        [1, 0],
        ("columns: image from 'image_id', labels from 1 column of a class (cancer), group from 'patient_id'"),
        "",
        ("10006", "10006"),
        several=False,
    ),
    "Human Protein Atlas": Layout(
        "train.csv",
        "Id,Target\n00070df0-bbc3,2 0\n000a6c98-bb9b,1\n",
        ("00070df0-bbc3.png", "000a6c98-bb9b.png"),
        ("nucleoplasm", "nuclear membrane", "nucleoli"),
        [[1, 0, 1], [0, 1, 0]],
        "columns: image from 'Id', label from 'Target'",
        "--label-numbers order",
        None,
        several=True,
    ),
    "data sets in the form of COCO": Layout(
        "instances.json",
        (
            '{"images": [{"id": 1, "file_name": "a.png", "patient_id": "p1"}, {"id": 2, "file_name": "b'
            '.png", "patient_id": "p1"}], "annotations": [{"id": 1, "image_id": 1, "category_id": 7, "b'
            'box": [10, 20, 30, 40]}, {"id": 2, "image_id": 1, "category_id": 8, "bbox": [1, 2, 3, 4]}]'
            ', "categories": [{"id": 7, "name": "Cardiomegaly"}, {"id": 8, "name": "Pleural effusion"}]'
            "}\n"
        ),
        ("a.png", "b.png"),
        ("Aortic enlargement", "Cardiomegaly", "Pleural effusion"),
        [[0, 1, 1], [0, 0, 0]],
        "columns: image from 'image', label from 'label', group from 'patient_id'",
        "",
        ("p1", "p1"),
        several=True,
    ),
    "JSON, the images of each class": Layout(
        "classes.json",
        '{"train": {"benign": ["a.png"], "malignant": ["b.png"]}, "test": {"benign": ["c.png"]}}\n',
        ("a.png", "b.png", "c.png"),
        ("benign", "malignant"),
        [0, 1, 0],
        "columns: image from 'image', label from 'label'",
        "",
        None,
        several=False,
    ),
}
FOLDERS = {
    "BreakHis": (
        ("histology_slides/breast/benign/SOB/adenosis/SOB_B_A_14-22549AB/40X/SOB_B_A-14-22549AB-40-001.png",
         "histology_slides/breast/malignant/SOB/lobular_carcinoma/SOB_M_LC-14-12204/40X/SOB_M_LC-14-12204-40-001.png"),
        "the only folder on the way to each picture that is one, since histology_slides are no classes",
    ),
    "BUSI": (("benign/benign (1).png", "malignant/malignant (1).png"), ""),
    "OCT2017": (("train/benign/a-1-1.jpeg", "test/malignant/b-1-1.jpeg"), "the folder just above each picture"),
}  # fmt: skip


def read(path: Path, layout: Layout):
    given = shlex.split(layout.options.replace("--ignore-unknown", ""))
    names = [name.removeprefix("--").replace("-", "_") for name in given[::2]]
    how = {
        "numbers" if name == "label_numbers" else name: value for name, value in zip(names, given[1::2], strict=True)
    }
    if layout.several:
        return read_multi_label(path, layout.ids, base(layout.classes), reading=Reading(**how))
    lenient = "--ignore-unknown" in layout.options
    return read_labels(path, layout.ids, base(layout.classes), reading=Reading(**how), ignore_unknown=lenient)


def base(classes):
    entries = [{"key": f"c{at}", "name": name, "descriptions": ["x"]} for at, name in enumerate(classes)]
    return KnowledgeBase.model_validate({"kpl_knowledge": 1, "task": {"name": "t"}, "classes": entries})


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_table_of_public_data_is_read_and_told(name, tmp_path):
    layout = LAYOUTS[name]
    (tmp_path / layout.file).write_text(layout.text)
    found = read(tmp_path / layout.file, layout)
    assert (found.present if layout.several else found.labels).tolist() == layout.truth
    assert found.said == layout.said
    if layout.groups is not None:
        assert found.groups == layout.groups
    page = PAGE.read_text(encoding="utf-8")
    assert f"### {name}\n" in page
    command = " ".join(filter(None, (f"kpl evaluate run/ --labels {shlex.quote(layout.file)}", layout.options)))
    assert f"$ {command}\n" in page
    assert f"\nNote: {layout.said}\n" in page


TO = {"tab.tsv": "\t", "semicolon.csv": ";", "bar.csv": "|"}


@pytest.mark.parametrize("name", ["ISIC 2020", "PadChest", "VinDr-CXR, three readers", "RSNA pneumonia, the boxes"])
@pytest.mark.parametrize("form", [*TO, "utf16.csv", "western.csv", "lines.jsonl", "t.parquet", "t.xlsx", "list.json"])
def test_the_same_in_every_kind_of_table(name, form, tmp_path):
    import csv
    import io
    import json

    import pyarrow as pa
    import pyarrow.parquet as pq
    from openpyxl import Workbook

    layout = LAYOUTS[name]
    titles, *rows = csv.reader(io.StringIO(layout.text))
    path, text = tmp_path / form, io.StringIO()
    records = [dict(zip(titles, row, strict=True)) for row in rows]
    if form in TO:
        csv.writer(text, delimiter=TO[form]).writerows([titles, *rows])
        path.write_text(text.getvalue())
    elif path.suffix == ".csv":
        path.write_bytes(f"{layout.text}".encode("utf-16" if form.startswith("utf16") else "cp1252"))
    elif form == "lines.jsonl":
        path.write_text("\n".join(map(json.dumps, records)))
    elif form == "list.json":
        path.write_text(json.dumps(records))
    elif form == "t.parquet":
        pq.write_table(pa.Table.from_pylist(records), path)
    else:
        book = Workbook()
        for row in (titles, *rows):
            book.active.append([float(cell) if cell.replace(".", "", 1).isdecimal() else cell for cell in row])
        book.save(path)
    found = read(path, layout)
    assert (found.present if layout.several else found.labels).tolist() == layout.truth
    assert found.said == layout.said
    assert layout.groups is None or [g and g.lstrip("0") for g in found.groups] == [
        g and g.lstrip("0") for g in layout.groups
    ]


def test_folders_called_by_numbers_are_grades_if_that_is_said(tmp_path):
    ids = ("train/0/a.png", "train/1/b.png", "val/1/c.png")
    for number, each in enumerate(ids):
        (tmp_path / each).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / each).write_bytes(bytes([number]))
    truth = read_labels(tmp_path, ids, base(GRADES[:2]), reading=Reading(numbers="order"))
    assert truth.labels.tolist() == [0, 1, 1]
    assert truth.notices == ("the class is the folder just above each picture, since train, val are no classes",)
    with pytest.raises(LabelsError, match=r"'0' \(1.*say --label-numbers order"):
        read_labels(tmp_path, ids, base(GRADES[:2]))


def test_copies_sorted_into_folders_are_known_by_what_is_below_the_class(tmp_path):
    for number, each in enumerate(("val/benign/1.png", "val/malignant/2.png")):
        (tmp_path / each).parent.mkdir(parents=True)
        (tmp_path / each).write_bytes(bytes([number]))
    truth = read_labels(tmp_path, ("site_a/p1/1.png", "site_b/p2/2.png"), base(("benign", "malignant")))
    assert truth.labels.tolist() == [0, 1]
    assert "images are called by what their path says below the folder of the class" in truth.notices
    with pytest.raises(LabelsError, match="fits 2 images"):
        read_labels(tmp_path, ("site_a/1.png", "site_b/1.png"), base(("benign", "malignant")))


MARKS = "image,Cardiomegaly,Pleural effusion\na.png,{},{}\nb.png,{},{}\n"


@pytest.mark.parametrize(
    ("cells", "present"),
    [
        (("Y", "N", "n", "y"), [[1, 0], [0, 1]]),
        (("positive", "neg", "?", "NA"), [[1, 0], [-1, -1]]),
        (("TRUE", "f", "nan", "0.0"), [[1, 0], [-1, 0]]),
        (("x", "", "", "X"), [[1, -1], [-1, 1]]),
    ],
)
def test_marks_under_a_class_are_read_as_people_write_them(cells, present, tmp_path):
    (tmp_path / "t.csv").write_text(MARKS.format(*cells))
    found = read_multi_label(tmp_path / "t.csv", ("a.png", "b.png"), base(FINDINGS[1:]))
    assert found.present.tolist() == present
    assert ("no cell says 0, and 2 are empty" in " ".join(found.notices)) == (cells[0] == "x")
    (tmp_path / "t.csv").write_text(MARKS.format(0.9, 0, 0, 1))
    with pytest.raises(LabelsError, match=r"line 2: '0\.9' under 'Cardiomegaly' is neither 1 nor 0"):
        read_multi_label(tmp_path / "t.csv", ("a.png", "b.png"), base(FINDINGS[1:]))


@pytest.mark.parametrize("mark", ["|", ";", ", ", " + ", "/", " & "])
def test_several_labels_of_a_cell_are_parted_where_all_are_classes(mark, tmp_path):
    cell = f"Cardiomegaly{mark}Pleural effusion"
    (tmp_path / "t.csv").write_text(f'image,label\na.png,"{cell}"\nb.png,Pleural effusion\n')
    found = read_multi_label(tmp_path / "t.csv", ("a.png", "b.png"), base(FINDINGS))
    assert found.present.tolist() == [[0, 1, 1], [0, 0, 1]]


@pytest.mark.parametrize("cells", [("yes", "no", ""), ("1", "0", "-1")])
def test_one_column_of_two_classes_is_both(cells, tmp_path):
    lines = [f"{name}.png,{cell}\n" for name, cell in zip("abc", cells, strict=True)]
    (tmp_path / "t.csv").write_text("".join(["image,malignant\n", *lines]))
    found = read_labels(tmp_path / "t.csv", ("a.png", "b.png", "c.png"), base(("benign", "malignant")))
    assert found.labels.tolist() == [1, 0, -1]
    assert "'malignant' is one of two classes: where it is not there, the label is 'c0'" in found.notices
    with pytest.raises(LabelsError, match="has a 1 under none of the classes"):
        read_labels(tmp_path / "t.csv", ("a.png", "b.png", "c.png"), base(("benign", "malignant", "normal")))


@pytest.mark.parametrize("name", FOLDERS)
def test_class_folders_of_public_data(name, tmp_path):
    ids, said = FOLDERS[name]
    for number, each in enumerate(ids):
        (tmp_path / each).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / each).write_bytes(bytes([number]))
    truth = read_labels(tmp_path, ids, base(("benign", "malignant")))
    assert np.array_equal(truth.labels, [0, 1])
    assert said in " ".join(truth.notices)
    assert f"| {name} " in PAGE.read_text(encoding="utf-8")
