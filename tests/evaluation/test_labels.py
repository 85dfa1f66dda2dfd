from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpl.errors import LabelsError, TableError
from kpl.evaluation import Reading, read_labels
from kpl.evaluation.sources import read_table
from kpl.knowledge import KnowledgeBase
from kpl.tables import Pictures, match_names

KNOWLEDGE = KnowledgeBase.model_validate(
    {
        "kpl_knowledge": 1,
        "task": {"name": "cells"},
        "classes": [
            {"key": "neutrophil", "aliases": ["polymorph"], "descriptions": ["a lobed nucleus"]},
            {"key": "ig", "name": "immature granulocyte", "descriptions": ["a bean-shaped nucleus"]},
            {"key": "platelet", "descriptions": ["a small body"]},
        ],
    }
)
STRANGE = ["a, b.png", 'say "hi".png', "two\nlines.png", "two\r\nlines.png", "😀.png", " edge .png", "semi;colon\t.png"]


def table(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


def plant(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


def written(rows, delimiter=","):
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter).writerows(rows)
    return text.getvalue()


def test_key_name_and_alias_in_any_spelling(tmp_path):
    text = "image,label\n1.png,NEUTROPHIL\n2.png,Immature_Granulocyte\n3.png, polymorph\n4.png,IG\n"
    truth = read_labels(table(tmp_path / "l.csv", text), ["4.png", "3.png", "2.png", "1.png"], KNOWLEDGE)
    assert truth.labels.tolist() == [1, 0, 1, 0]
    assert (truth.groups, truth.missing, truth.unused, truth.notices) == (None, 0, 0, ())


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("header", [("image", "label"), ("File Name", "Class"), ("PATH", "label"), ("file", "class")])
def test_any_name_survives_any_dialect(tmp_path, delimiter, encoding, header):
    rows = [header, *((name, "ig") for name in STRANGE)]
    path = table(tmp_path / "l.csv", written(rows, delimiter), encoding)
    assert read_labels(path, STRANGE, KNOWLEDGE).labels.tolist() == [1] * len(STRANGE)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1, unique=True))
def test_a_table_gives_back_what_was_written(tmp_path_factory, names):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    table(path, written([("label", "image"), *(("ig", name) for name in names)]))
    assert [row.image for row in read_table(path, (), Reading(), Pictures(names), lambda _: None).rows] == names


def test_other_columns_and_empty_lines_do_not_matter(tmp_path):
    text = "site,label,group,image\r\n\r\nA,ig,p1,1.png\r\n,,,\r\nB,platelet,p2,2.png\r\n"
    truth = read_labels(table(tmp_path / "l.csv", text), ["1.png", "2.png"], KNOWLEDGE)
    assert truth.labels.tolist() == [1, 2]
    assert truth.groups == ("p1", "p2")
    assert not truth.notices


def test_what_is_missing_is_counted_and_said(tmp_path):
    text = "image,label,patient\n1.png,ig,p1\n2.png,,p1\n9.png,ig,p3\n8.png,martian,p3\n4.png,platelet,\n"
    truth = read_labels(table(tmp_path / "l.csv", text), ["1.png", "2.png", "3.png", "4.png"], KNOWLEDGE)
    assert truth.labels.tolist() == [1, -1, -1, 2]
    assert truth.groups == ("p1", "p1", None, None)
    assert (truth.missing, truth.unused, dict(truth.ignored)) == (2, 2, {})
    assert truth.notices == (
        "not scored, no label: 2 of 4 images",
        "labels not used, their image is not in the run: 2",
        "labelled without a group, each counts as a group of its own: 1 of 4 images",
    )


def test_an_unknown_class_is_named_with_its_nearest(tmp_path):
    text = "image,label\n1.png,neutrophill\n2.png,neutrophill\n3.png,martian\n4.png,ig\n"
    path, ids = table(tmp_path / "l.csv", text), ["1.png", "2.png", "3.png", "4.png"]
    with pytest.raises(LabelsError) as caught:
        read_labels(path, ids, KNOWLEDGE)
    message = str(caught.value)
    assert "'neutrophill' (2; did you mean 'neutrophil'?), 'martian' (1)" in message
    assert message.startswith("2 of the labels' class names are not in the knowledge, which concerns 3 of the images")
    assert "\n" not in message
    truth = read_labels(path, ids, KNOWLEDGE, ignore_unknown=True)
    assert truth.labels.tolist() == [-1, -1, -1, 1]
    assert (truth.missing, dict(truth.ignored)) == (0, {"neutrophill": 2, "martian": 1})
    assert "not scored, class not in the knowledge: 3 of 4 images ('neutrophill', 'martian')" in truth.notices


def test_many_unknown_classes_are_cut_short(tmp_path):
    ids = [f"{at}.png" for at in range(9)]
    path = table(tmp_path / "l.csv", written([("image", "label"), *((name, f"?{name}") for name in ids)]))
    with pytest.raises(LabelsError, match="4 more"):
        read_labels(path, ids, KNOWLEDGE)
    with pytest.raises(LabelsError, match="0 without a label, 9 of unknown classes"):
        read_labels(path, ids, KNOWLEDGE, ignore_unknown=True)


def test_one_class_only_is_said(tmp_path):
    truth = read_labels(table(tmp_path / "l.csv", "image,label\n1.png,ig\n2.png,ig\n"), ["1.png", "2.png"], KNOWLEDGE)
    assert "single class" in truth.notices[0]


def test_the_same_line_twice_is_fine_and_another_label_is_not(tmp_path):
    text = "image,label\n1.png,ig\n1.png,IG\n"
    assert read_labels(table(tmp_path / "l.csv", text), ["1.png"], KNOWLEDGE).labels.tolist() == [1]
    with pytest.raises(LabelsError, match=r"'1.png' is labelled twice, as 'ig' and as 'platelet': keep one"):
        read_labels(table(tmp_path / "l.csv", text + "1.png,platelet\n"), ["1.png"], KNOWLEDGE)


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (b"", "no header"),
        (b"1.png,ig\n", "it has '1.png', 'ig'. Name it .* no header"),
        (b"image,label\n", "a header and no labels"),
        (b"image,label\n1.png,ig,extra\n", "line 2: 3 cells where the header has 2"),
        (b"image,label\na, b.png,ig\n", "put a name that holds ',' in double quotes"),
        (b"image,label\n\n1.png\n", "line 3: 1 cells"),
        (b"image,label\n,ig\n", "line 2: no image named"),
        (b'image,label\n"1.png,ig\n', "line 2: unexpected end of data"),
        (b"image,label\n\x81\x8d.png,ig\n", "not a text in UTF-8, UTF-16 or Windows-1252"),
        (b"image,label,confidence,margin\n1.png,ig,.9,.8\n", "holds predictions, not labels"),
        (b"image,label\n7.png,ig\n", "none of the 1 labels is for one of the 1 images .* '7.png', the run '1.png'"),
        (b"image,label\n1.png,\n", "none of the 1 images of the run has a label that can be scored"),
    ],
)
def test_bad_tables_are_refused_in_one_line(tmp_path, data, part):
    path = tmp_path / "l.csv"
    path.write_bytes(data)
    with pytest.raises(LabelsError, match=part) as caught:
        read_labels(path, ["1.png"], KNOWLEDGE)
    assert "\n" not in str(caught.value)


def test_quotes_in_the_header_and_a_broken_line_later(tmp_path):
    path = table(tmp_path / "l.csv", '"image";"label"\n"1.png";"ig"\n"2.png"x;"ig"\n')
    with pytest.raises(LabelsError, match="line 3: ';' expected after"):
        read_labels(path, ["1.png"], KNOWLEDGE)


def test_labels_that_are_not_there_or_cannot_be_read(tmp_path, monkeypatch):
    with pytest.raises(LabelsError, match="no such labels"):
        read_labels(tmp_path / "none.csv", ["1.png"], KNOWLEDGE)
    path = table(tmp_path / "l.csv", "image,label\n")

    def refuse(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "open", refuse)
    with pytest.raises(LabelsError, match=r"cannot read 'l.csv': Permission denied"):
        read_labels(path, ["1.png"], KNOWLEDGE)


def test_a_folder_labels_the_run_over_itself(tmp_path):
    root = plant(tmp_path, "Neutrophil/1.png", "Neutrophil/deep/1.png", "immature-granulocyte/1.png", "stray.png")
    plant(tmp_path, "platelet/notes.txt")
    ids = ["Neutrophil/1.png", "Neutrophil/deep/1.png", "immature-granulocyte/1.png", "stray.png"]
    truth = read_labels(root, ids, KNOWLEDGE)
    assert truth.labels.tolist() == [0, 0, 1, -1]
    assert (truth.missing, truth.unused) == (1, 0)


def test_a_folder_labels_a_run_over_its_parent_or_over_loose_copies(tmp_path):
    root = plant(tmp_path / "test", "neutrophil/a.png", "ig/b.png")
    above = read_labels(str(root), ["test/ig/b.png", "test/neutrophil/a.png"], KNOWLEDGE)
    assert above.labels.tolist() == [1, 0]
    assert any("matched by the end of their path" in notice for notice in above.notices)
    assert read_labels(root, ["a.png", "b.png", "c.png"], KNOWLEDGE).labels.tolist() == [0, 1, -1]


def test_folders_without_classes_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(LabelsError, match="no labels in the folder: no picture to read"):
        read_labels(tmp_path / "empty", ["1.png"], KNOWLEDGE)
    root = plant(tmp_path / "flat", "1.png")
    with pytest.raises(LabelsError, match="1 pictures but none in a sub-folder"):
        read_labels(root, ["1.png"], KNOWLEDGE)
    outer = plant(tmp_path / "outer", "train/martian/1.png")
    with pytest.raises(LabelsError, match=r"'train' \(1\)"):
        read_labels(outer, ["martian/1.png"], KNOWLEDGE)


def test_an_array_of_class_indices():
    truth = read_labels(np.array([0, -1, 2], dtype=np.int8), ["a", "b", "c"], ["x", "y", "z"])
    assert truth.labels.tolist() == [0, -1, 2]
    assert truth.labels.dtype == np.int64
    assert truth.missing == 1


@pytest.mark.parametrize(
    ("array", "part"),
    [
        (np.array([0, 1]), "shape \\(2,\\)"),
        (np.array([0.0, 1, 2]), "float64"),
        (np.array([0, 1, 3]), "from 0 to 3: allowed are class indices 0 to 2"),
        (np.array([0, 1, -2]), "from -2"),
        (np.array([-1, -1, -1]), "3 without a label"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(array, part):
    with pytest.raises(LabelsError, match=part):
        read_labels(array, ["a", "b", "c"], ["x", "y", "z"])


def test_plain_class_names_resolve_too(tmp_path):
    path = table(tmp_path / "l.csv", "image,label\n1.png,football field\n2.png,Bridge\n")
    assert read_labels(path, ["1.png", "2.png"], ["bridge", "footballField"]).labels.tolist() == [1, 0]
    with pytest.raises(LabelsError, match="two of the class names are one"):
        read_labels(path, ["1.png"], ["Bridge", "bridge"])


@given(st.lists(st.text("ab/1", min_size=1), unique=True, min_size=1), st.randoms())
def test_exact_names_find_their_image(names, random):
    shuffled = random.sample(names, len(names))
    assert match_names(shuffled, names).places == [names.index(name) for name in shuffled]


def test_one_exact_name_does_not_drop_the_others():
    matched = match_names(["1.png", "2.png", "9.png"], ["1.png", "x/2.png"])
    assert matched == ([0, 1, None], {"by the end of their path": 1})


def test_an_image_that_a_narrower_rule_gave_away_is_not_given_again():
    assert match_names(["y/1.png", "1.png"], ["1.png"]).places == [None, 0]
    assert match_names(["A.png", "a.png"], ["a.png", "A.png"]) == ([1, 0], {})


@pytest.mark.parametrize(
    ("name", "image", "how"),
    [
        ("ISIC_0027419", "part_1/ISIC_0027419.jpg", "by the end of their path"),
        ("a.b", "a.b.png", "without their suffix"),
        ("with%20space.png", "with space.png", "percent-decoded"),
        ("/data/upload/1/9e3779b1-cell-1.png", "cell-1.png", "without the prefix of an upload"),
        ("/data/local-files/?d=scans%2Fcell-1.png", "scans/cell-1.png", "without the prefix of an upload"),
        ("'=SUM(A1).png", "=SUM(A1).png", "without outer spaces, an apostrophe or other slashes"),
        (" 1.png ", "1.png", "without outer spaces, an apostrophe or other slashes"),
        ("ZELLE_\u00c4.PNG", "zelle_\u00e4.png", "whatever the capitals"),
        ("D:\\Study\\1.PNG", "study/1.png", "by the end of their path, whatever the capitals"),
    ],
)
def test_each_name_is_matched_by_the_narrowest_rule_and_told(name, image, how):
    places, told = match_names([name, "other.png"], ["quite/another.png", image])
    assert (places, list(told)) == ([1, None], [how])


def test_accents_are_one_however_they_are_encoded():
    assert match_names(["e\u0301.png"], ["\u00e9.png"]) == ([0], {})


@pytest.mark.parametrize("name", ["x/a/1.png", "/pictures/x/a/1.png", "./a/1.png", "C:\\x\\a\\1.png", "1.png"])
def test_the_end_of_the_path_decides(name):
    assert match_names([name, "other.png"], ["b/2.png", "a/1.png"]).places == [1, None]


def test_what_fits_twice_is_refused():
    with pytest.raises(TableError, match=r"'1.png' fits 2 images, such as 'a/1.png' and 'b/1.png'"):
        match_names(["1.png"], ["a/1.png", "b/1.png"])
    with pytest.raises(TableError, match=r"'a/1.png' and 'b/1.png' both fit the image '1.png'"):
        match_names(["a/1.png", "b/1.png"], ["1.png"])


def test_real_folders_label_themselves(shared):
    root = shared / "images/pbc_blood_cells/test"
    classes = sorted(folder.name for folder in root.iterdir() if folder.is_dir())
    ids = sorted(path.relative_to(root).as_posix() for path in root.glob("*/*.jpg"))
    truth = read_labels(root, ids, classes)
    assert np.bincount(truth.labels).tolist() == [60] * 8
    assert not truth.notices
