from __future__ import annotations

import numpy as np
import pytest

from kpl.errors import LabelsError
from kpl.evaluation import Reading, read_labels, read_multi_label
from kpl.knowledge import KnowledgeBase

KNOWLEDGE = KnowledgeBase.model_validate(
    {
        "kpl_knowledge": 1,
        "task": {"name": "chests"},
        "classes": [
            {"key": "Edema", "descriptions": ["a white lung"]},
            {"key": "Mass", "descriptions": ["a round spot"]},
        ],
    }
)


def single(tmp_path, text, ids, name="l.csv", **reading):
    (tmp_path / name).write_text(text)
    return read_labels(tmp_path / name, ids, KNOWLEDGE, reading=Reading(**reading))


def several(tmp_path, text, ids, **reading):
    (tmp_path / "l.csv").write_text(text)
    return read_multi_label(tmp_path / "l.csv", ids, KNOWLEDGE, reading=Reading(**reading))


def test_columns_of_known_names_are_taken_and_told(tmp_path):
    text = "lesion_id,Patient ID,image_id,dx,age\nL1,P1,1,Edema,50\nL2,P2,2,Mass,60\n"
    truth = single(tmp_path, text, ["1.png", "2.png"])
    assert truth.labels.tolist() == [0, 1]
    assert truth.groups == ("P1", "P2")
    assert (
        truth.said == "columns: image from 'image_id', label from 'dx', group from 'Patient ID'; not used: 'lesion_id'"
    )
    assert truth.notices == ("images were matched without their suffix: 2",)


def test_of_two_columns_that_fit_the_user_says_which(tmp_path):
    text = "image,path,label,class\n1.png,1.png,Edema,Mass\n"
    with pytest.raises(LabelsError, match=r"hold the image, 'image' and 'path': name one with --image-column 'image'"):
        single(tmp_path, text, ["1.png"])
    with pytest.raises(LabelsError, match=r"hold the label, 'label' and 'class': name one with --label-column 'label'"):
        single(tmp_path, text, ["1.png"], image_column="path")
    assert single(tmp_path, text, ["1.png"], image_column="path", label_column="class").labels.tolist() == [1]
    with pytest.raises(LabelsError, match="has no column 'where': it has image, path, label, class"):
        single(tmp_path, text, ["1.png"], image_column="where")


def test_of_two_columns_the_one_whose_cells_name_pictures_is_taken(tmp_path):
    text = "image,path,label\nfirst,1.png,Edema\n"
    assert "image from 'path'" in single(tmp_path, text, ["1.png"]).said


def test_the_only_column_that_names_these_pictures_is_taken_and_told_whatever_its_title(tmp_path):
    text = "cell,label,source\nx1,Edema,A\nx2,Mass,B\n"
    truth = single(tmp_path, text, ["x1.png", "x2.png"])
    assert truth.labels.tolist() == [0, 1]
    assert "image from 'cell', the only column that names these images" in truth.said
    with pytest.raises(LabelsError, match=r"'cell' and 'source': name one .* or all of them .* 'cell,source'"):
        single(tmp_path, text.replace(",A", ",x1"), ["x1.png", "x2.png"])
    with pytest.raises(LabelsError, match="no column of images"):
        single(tmp_path, "age,label\n50,Edema\n60,Mass\n", ["50.png", "60.png"])


def test_columns_by_number_in_a_table_without_a_header(tmp_path):
    truth = single(tmp_path, "1.png,Edema\n2.png,Mass\n", ["1.png", "2.png"], image_column="1", label_column="2")
    assert truth.labels.tolist() == [0, 1]
    with pytest.raises(LabelsError, match=r"no header .*\(--image-column 1 --label-column 2"):
        single(tmp_path, "1.png,Edema\n2.png,Mass\n", ["1.png", "2.png"])


def test_a_column_a_class_has_one_class_a_line_for_a_run_of_one_label(tmp_path):
    text = "image,Edema,Mass\n1.png,1.0,0.0\n2.png,0,1\n"
    assert single(tmp_path, text, ["1.png", "2.png"]).labels.tolist() == [0, 1]
    with pytest.raises(LabelsError, match=r"line 3: '2.png' has a 1 under 'Edema' and 'Mass'"):
        single(tmp_path, text.replace("2.png,0", "2.png,1"), ["1.png", "2.png"])
    with pytest.raises(LabelsError, match=r"line 2: '1.png' has a 1 under none of the classes"):
        single(tmp_path, text.replace("1.0", "0"), ["1.png", "2.png"])


def test_numbers_are_classes_only_when_the_user_says_so(tmp_path):
    text = "id_code,diagnosis\n1,0\n2,1.0\n"
    with pytest.raises(LabelsError, match="say --label-numbers order"):
        single(tmp_path, text, ["1.png", "2.png"])
    assert single(tmp_path, text, ["1.png", "2.png"], numbers="order").labels.tolist() == [0, 1]


def test_joined_labels_with_a_name_for_none(tmp_path):
    text = "Image Index,Finding Labels\n1.png,Edema|Mass\n2.png,No Finding\n3.png,\n"
    ids = ["1.png", "2.png", "3.png"]
    with pytest.raises(LabelsError, match=r"line 3: 'No Finding' is no class .* --none 'No Finding'"):
        several(tmp_path, text, ids)
    assert several(tmp_path, text, ids, none="No Finding").present.tolist() == [[1, 1], [0, 0], [0, 0]]


BLANKS = "Path,No Finding,Edema,Mass\n1.png,,1.0,\n2.png,1.0,,\n3.png,,-1.0,0.0\n"


@pytest.mark.parametrize(
    ("reading", "present"),
    [
        ({}, [[1, 0], [0, 0], [-1, 0]]),
        ({"blank": "absent"}, [[1, 0], [0, 0], [-1, 0]]),
        ({"blank": "unknown"}, [[1, -1], [-1, -1], [-1, 0]]),
        ({"blank": "unknown", "none": "No Finding"}, [[1, -1], [0, 0], [-1, 0]]),
        ({"blank": "absent", "uncertain": "present"}, [[1, 0], [0, 0], [1, 0]]),
        ({"blank": "absent", "uncertain": "absent"}, [[1, 0], [0, 0], [0, 0]]),
    ],
)
def test_what_an_empty_cell_and_an_uncertain_one_say(tmp_path, reading, present):
    found = several(tmp_path, BLANKS, ["1.png", "2.png", "3.png"], **reading)
    assert found.present.tolist() == present
    assert any("read as absent" in notice for notice in found.notices) == (not reading)


def test_an_empty_cell_is_unknown_in_any_other_table(tmp_path):
    assert several(tmp_path, "image,Edema,Mass\n1.png,1,\n", ["1.png"]).present.tolist() == [[1, -1]]


def test_labels_of_studies_reach_every_picture_of_the_study(tmp_path):
    ids = ["p10/p10032/s501/a.jpg", "p10/p10032/s501/b.jpg", "p10/p10033/s502/a.jpg"]
    found = several(tmp_path, "subject_id,study_id,Edema,Mass\n10032,501,1,0\n10033,502,0,1\n", ids)
    assert found.present.tolist() == [[1, 0], [1, 0], [0, 1]]
    assert found.groups == ("10032", "10032", "10033")
    assert "images by the 'study_id' and 'subject_id' that they are of" in found.said


def test_patients_are_known_by_their_folders(tmp_path):
    ids = ["patient001/study1/a.jpg", "patient002/study1/a.jpg"]
    truth = single(tmp_path, f"Path,label\nset/{ids[0]},Edema\nset/{ids[1]},Mass\n", ids)
    assert truth.groups == ("patient001", "patient002")
    assert "group from folders such as 'patient001'" in truth.said


def test_a_folder_of_tables_and_a_table_beside_its_pictures(tmp_path):
    ids = ["train/1.png", "test/1.png"]
    for place, label in (("train", "Edema"), ("test", "Mass")):
        (tmp_path / place).mkdir()
        (tmp_path / place / "metadata.csv").write_text(f"file_name,label\n1.png,{label}\n")
    assert read_labels(tmp_path, ids, KNOWLEDGE).labels.tolist() == [0, 1]
    assert read_labels(tmp_path / "test" / "metadata.csv", ids, KNOWLEDGE).labels.tolist() == [-1, 1]


def test_class_folders_under_train_and_test(tmp_path):
    ids = ["test/Mass/1.png", "train/Edema/1.png"]
    for name in ids:
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(b"x")
    truth = read_labels(tmp_path, ids, KNOWLEDGE)
    assert truth.labels.tolist() == [1, 0]
    assert "the folder just above each picture, since test, train are no classes" in truth.notices[0]


def test_rows_of_other_images_are_counted_and_not_kept(tmp_path):
    rows = "".join(f"x/{number}.png,Edema\n" for number in range(1000))
    truth = single(tmp_path, f"image,label\n{rows}", ["7.png"])
    assert np.flatnonzero(truth.labels == 0).tolist() == [0]
    assert truth.unused == 999
