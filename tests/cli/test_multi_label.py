"""`kpl classify --multi-label` and its scoring, as they are typed."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from kpl.cli.multi_label import _usable
from kpl.embeddings import embed_texts, open_features
from kpl.encoders import load_encoder
from kpl.evaluation import OperatingRule
from kpl.knowledge import load_knowledge
from kpl.proxies import multi_label_probabilities
from kpl.proxies.multi_label import other_texts


@pytest.fixture(scope="module")
def several(tmp_path_factory, features, knowledge):
    """A multi-label run, made once."""
    from kpl.runs import classify_multi_label

    out = tmp_path_factory.mktemp("several") / "run"
    classify_multi_label(features, knowledge=knowledge, out=out, thresholds={"platelet": 0.4})
    return out


def rows(run):
    with (run / "predictions.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_each_class_is_decided_by_itself(quick, features, knowledge, tmp_path):
    asked = ("--multi-label", "--threshold", "0.45", "--threshold", "platelet=0.6")
    told = quick("classify", features, "-k", knowledge, *asked, "-o", "run").plain
    assert "12 pictures, several labels each, with mini" in told
    assert "Look at it: run/report.html" in told
    base, mini, folder = load_knowledge(knowledge), load_encoder("mini"), open_features(features)
    expected = multi_label_probabilities(
        folder,
        embed_texts(base.prompts(), mini),
        other_texts(embed_texts(base.prompts(), mini)),
        temperature=1 / mini.logit_scale,
    )
    found = rows(tmp_path / "run")
    keys = [entry.key for entry in base.classes]
    assert list(found[0]) == ["image", "labels", *(f"p_{key}" for key in keys)]
    assert [row["image"] for row in found] == list(folder.ids)
    for row, chances in zip(found, expected, strict=True):
        assert [float(row[f"p_{key}"]) for key in keys] == pytest.approx(chances, abs=1e-6)
        there = [key for key, p in zip(keys, chances, strict=True) if p >= (0.6 if key == "platelet" else 0.45)]
        assert row["labels"] == "|".join(there)
    summary = json.loads((tmp_path / "run" / "run.json").read_text())
    assert summary["multi_label"] is True
    assert summary["plan"]["thresholds"] == {"neutrophil": 0.45, "normal_red_cell": 0.45, "platelet": 0.6}
    assert summary["classes"]["platelet"] == sum("platelet" in row["labels"] for row in found)
    assert f"{len(keys)} of {len(keys)} classes" in summary["warnings"][-1]
    assert "do not state their absence" in summary["warnings"][-1]
    log = json.loads((tmp_path / "run" / "log.json").read_text())
    assert log["command"][1] == "classify"
    assert set(log["seconds"]) == {"embed", "all"}


def test_pictures_choose_the_thresholds_where_that_is_asked(quick, features, knowledge, tmp_path):
    asked = ("classify", features, "-k", knowledge, "--multi-label", "--threshold", "auto", "-o", "run")
    assert "its thresholds part the pictures" in quick(*asked).plain
    found, summary = rows(tmp_path / "run"), json.loads((tmp_path / "run" / "run.json").read_text())
    assert "thresholds" not in summary["plan"]
    for key, least in summary["thresholds"].items():
        there = [key in row["labels"].split("|") for row in found]
        assert there == [float(row[f"p_{key}"]) >= least - 1e-6 for row in found]
        assert 0 < sum(there) == summary["classes"][key] < len(found)
    assert "already" in quick(*asked).plain, "the same command again is the same run"
    assert "cannot be read" in quick(*asked, "--threshold", "platelet=0.5").error


@pytest.mark.parametrize("shape", ["joined", "columns"])
def test_a_multi_label_run_is_scored(quick, several, tmp_path, shape):
    names = [row["image"] for row in rows(several)]
    lines = ["image,label,patient"] if shape == "joined" else ["image,Platelet,neutrophil,site"]
    for at, name in enumerate(names[:-1]):
        there = [name.split("/")[0], *(["platelet"] if at % 5 == 0 else [])]
        flags = (int("platelet" in there), int("neutrophil" in there))
        cells = ("|".join(sorted(set(there))), f"p{at // 2}") if shape == "joined" else (*flags, "A")
        lines.append(",".join(map(str, (name, *cells))))
    (tmp_path / "l.csv").write_text("\n".join(lines))
    asked = ("--labels", "l.csv", "--json", "s.json", "--replicates", 50, "--at", "sensitivity=0.9")
    told = quick("evaluate", several, *asked).plain
    assert "11 labelled images" in told
    assert "no label: 1 of 12" in told
    found = json.loads((tmp_path / "s.json").read_text())
    assert list(found) == ["multi-label", "majority", "chance"]
    figures = found["multi-label"]["per_class"]["platelet"]
    score = np.array([float(row["p_platelet"]) for row in rows(several)])[:-1]
    truth = np.array([name.startswith("platelet") or at % 5 == 0 for at, name in enumerate(names[:-1])])
    assert figures["sensitivity"] == pytest.approx(np.mean(score[truth] >= 0.4))
    assert figures["specificity"] == pytest.approx(np.mean(score[~truth] < 0.4))
    assert (figures["positives"], figures["n"], figures["threshold"]) == (truth.sum(), 11, 0.4)
    assert figures["operating"]["sensitivity"] >= 0.9
    red = found["multi-label"]["per_class"]["normal_red_cell"]
    assert (red["n"] == 0) == (shape == "columns")
    assert (red["auroc"] is None) == (shape == "columns")
    assert 0 <= found["multi-label"]["accuracy"] <= 1


def test_the_values_of_a_column_are_scored_apart(quick, several, tmp_path):
    names = [row["image"] for row in rows(several)]
    lines = ["image,label,site", *(f"{name},{name.split('/')[0]},{'AB'[at % 2]}" for at, name in enumerate(names))]
    (tmp_path / "l.csv").write_text("\n".join(lines))
    asked = ("--labels", "l.csv", "--json", "s.json", "--replicates", 20, "--by", "site")
    assert "By site, mean over classes" in quick("evaluate", several, *asked).plain
    inside = json.loads((tmp_path / "s.json").read_text())["multi-label"]["subgroups"]["site"]
    assert {value: own["n"] for value, own in inside.items()} == {"A": 6, "B": 6}
    lines = [line for line in lines if not line.endswith("B")]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    quick("evaluate", several, "--labels", "a.csv", "--json", "a.json", "--replicates", 20)
    alone = json.loads((tmp_path / "a.json").read_text())["multi-label"]
    assert alone == inside["A"], "a value's scores are those of its pictures alone"


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("image,label\nX,martian\n", "'martian' is no class of the knowledge"),
        ("image,platelet\nX,maybe\n", "'maybe' under 'platelet' is neither 1 nor 0"),
        ("image,platelet\nX,1\nX,0\n", "is labelled twice"),
        ("image,platelet\nX\n", "line 2: 1 cells where the header has 2"),
        ("image,size\nX,1\n", "no column of labels that is known by its title"),
        ("image;platelet;site\nX;1;\n", "has no column 'scanner': it has image, platelet, site"),
        ("image,platelet\nnowhere.png,1\n", "none of the 1 labels"),
    ],
)
def test_wrong_labels_are_said_in_a_line(quick, several, tmp_path, text, part):
    (tmp_path / "l.csv").write_text(text.replace("X", rows(several)[0]["image"]))
    by = ("--by", "scanner") if "scanner" in part else ()
    assert part in quick("evaluate", several, "--labels", "l.csv", *by).error


def test_what_does_not_go_with_several_labels_is_refused(quick, several, features, knowledge, tmp_path):
    assert "labels are needed" in quick("evaluate", several).error
    assert "scored by itself" in quick("evaluate", several, "--labels", "l.csv", "--methods", "kpl").error
    again = ("classify", features, "-k", knowledge, "-o", "new")
    assert "--explain does not go with" in quick(*again, "--multi-label", "--explain").error
    assert "--method does not go with" in quick(*again, "--multi-label", "--method", "text").error
    assert (
        "cannot be read: write CLASS=0.6, or 0.6 for all" in quick(*again, "--multi-label", "--threshold", "half").error
    )
    assert "unknown class 'cell'" in quick(*again, "--multi-label", "--threshold", "cell=0.5").error
    assert "from 0 to 1" in quick(*again, "--multi-label", "--threshold", "2").error
    assert not (tmp_path / "new").exists()
    (tmp_path / "l.csv").write_text("image,label\na,platelet\n")
    calibrate = ("calibrate", several, "--labels", "l.csv")
    assert "--sets is for runs of one label a picture" in quick(*calibrate, "--sets", "0.9").error
    assert "--ignore-unknown is for runs of one label" in quick(*calibrate, "--ignore-unknown").error
    assert "none of the 1 labels" in quick(*calibrate).error
    assert "'half' is no operating point" in quick(*calibrate, "--at", "half").error


def test_thresholds_are_chosen_by_few_labels_and_the_file_applied(quick, several, features, knowledge, tmp_path):
    names = [row["image"] for row in rows(several)]
    (tmp_path / "l.csv").write_text("\n".join(["image,label", *(f"{name},{name.split('/')[0]}" for name in names)]))
    told = quick("calibrate", several, "--labels", "l.csv", "--at", "sensitivity=1", "-o", "t.json").plain
    for said in ("12 labelled pictures, one of 5 parts held out", "4 of 12", "mean", "for sensitivity of 1, held out",
                 "columns: image from 'image', label from 'label'", "--multi-label --calibration t.json"):  # fmt: skip
        assert said in told
    found = json.loads((tmp_path / "t.json").read_text())
    again = ("classify", features, "-k", knowledge, "--calibration", "t.json", "--multi-label")
    told = quick(*again, "-o", "again").plain
    assert "its thresholds were chosen by the labels of 12 pictures" in told
    summary = json.loads((tmp_path / "again" / "run.json").read_text())
    assert summary["plan"]["thresholds"] == found["thresholds"]
    quick("evaluate", "again", "--labels", "l.csv", "--json", "s.json", "--replicates", "0")
    scores = json.loads((tmp_path / "s.json").read_text())["multi-label"]
    assert scores["sensitivity"] == 1, "what was asked for holds on the labels that chose"
    assert "leave --threshold out" in quick(*again, "--threshold", "0.6", "-o", "new").error
    assert "no calibration of `kpl calibrate` for one label a picture" in quick(*again[:-1], "-o", "new").error
    quick("calibrate", several, "--labels", "l.csv", "-o", "y.json").plain  # noqa: B018
    assert json.loads((tmp_path / "y.json").read_text())["rule"] == "sensitivity + specificity"
    (tmp_path / "other.yaml").write_text(knowledge.read_text().replace("lobes", "parts"))
    again = ("classify", features, "-k", "other.yaml", "--calibration", "t.json", "--multi-label", "-o", "new")
    assert "the thresholds are for knowledge" in quick(*again).error
    (tmp_path / "t.json").write_text("{}")
    assert "holds no thresholds" in quick(*again).error
    (tmp_path / "t.json").unlink()
    assert "cannot read the thresholds" in quick(*again).error


def test_each_kind_of_run_is_calibrated_in_its_own_way(quick, several, features, knowledge, tmp_path):
    from kpl import calibrate, calibrate_multi_label, classify
    from kpl.errors import LabelsError

    classify(features, knowledge=knowledge, out=tmp_path / "one")
    assert "--at is for multi-label runs" in quick("calibrate", "one", "--labels", "l", "--at", "sensitivity=1").error
    with pytest.raises(LabelsError, match=r"use kpl\.calibrate$"):
        calibrate_multi_label(tmp_path / "one", labels="l.csv", out="c.json")
    with pytest.raises(LabelsError, match="a threshold a class to choose"):
        calibrate(several, labels="l.csv", out="c.json")


def test_a_picture_is_explained_class_by_class(kpl, quick, several, tmp_path):
    name = rows(several)[0]["image"]
    told = kpl("explain", several, name).plain
    for said in (name, "seen if present", "seen if absent", "the whole margin", "Nearest where platelet is"):
        assert said in told
    assert "no ..." not in told
    assert "a multi-label run has several" in quick("explain", several, name, "--map", "m.png", "--picture", "p").error
    assert "unknown picture" in quick("explain", several, "nowhere.png").error


def test_a_folder_cannot_tell_several_labels(quick, several, tmp_path):
    assert "give a CSV of labels" in quick("evaluate", several, "--labels", tmp_path).error


def test_a_threshold_that_is_printed_reaches_the_rule_when_it_is_typed():
    for value in np.random.default_rng(0).random(200):
        low, high = (float(_usable(value, OperatingRule(reach, 0.9))) for reach in ("sensitivity", "specificity"))
        assert value - 1e-6 <= low <= value <= high <= value + 1e-6
