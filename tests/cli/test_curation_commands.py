"""Queue, correct, learn, compare, search and export: the way from a result to a curated one, as it is typed."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import pytest

from kpl.curation.learning import CorrectedKPL, learn
from kpl.runs import open_run
from kpl.runs.corrections import add_corrections, read_corrections


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def test_a_list_that_somebody_filled_in_is_not_replaced(quick, run, tmp_path):
    listed = tmp_path / "to-read.csv"
    for _ in range(2):  # one that nobody wrote in is
        quick("queue", "run", "--n", 6, "--out", listed).plain  # noqa: B018 - it fails where the command does
    blank = listed.read_text()
    filled = [blank.replace(",,", ",platelet,", 1), blank.replace(",", ";"), "notes of mine", ""]
    for text in filled:
        listed.write_text(text)
        assert "name another --out" in quick("queue", "run", "--out", listed).error
        assert listed.read_text() == text


def test_what_is_said_while_it_is_learnt_is_not_said_to_be_learnt_from(run, tmp_path, monkeypatch):
    first, second = open_run(run).ids[:2]
    add_corrections(open_run(run), {first: "platelet"}, by="A")
    fit = CorrectedKPL.fit_corrected

    def meanwhile(*given, **more):
        add_corrections(open_run(run), {second: "platelet"}, by="B")
        return fit(*given, **more)

    monkeypatch.setattr(CorrectedKPL, "fit_corrected", meanwhile)
    learn(open_run(run), tmp_path / "learnt")
    assert [each.image for each in read_corrections(open_run(tmp_path / "learnt"))] == [first]
    assert len(read_corrections(open_run(run))) == 2


def test_the_whole_way(quick, run, cells, tmp_path):
    quick("queue", "run", "--n", 6, "--out", "to-read.csv").plain  # noqa: B018 - it fails where the command does
    rows = table(tmp_path / "to-read.csv")
    assert len(rows) == 6
    assert all(row["label"] == "" for row in rows)
    with (tmp_path / "read.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["image", "label"], *([row["image"], Path(row["image"]).parent] for row in rows)])
    assert "6 corrections by Ann" in quick("correct", "run", "--table", "read.csv", "--by", "Ann").plain
    before = (run / "predictions.csv").read_bytes()
    assert "Learnt on from 6 corrected pictures" in quick("learn", "run", "--out", "learnt").plain
    assert (run / "predictions.csv").read_bytes() == before
    assert json.loads((tmp_path / "learnt" / "run.json").read_text())["plan"]["method"] == "kpl-corrected"
    assert (tmp_path / "learnt" / "report.html").exists()
    assert "12 pictures in both" in quick("compare", "run", "learnt").plain
    labels = tmp_path / "labels.csv"
    labels.write_text(
        "image,label\n" + "".join(f"{p.relative_to(cells)},{p.parent.name}\n" for p in cells.rglob("*.png"))
    )
    told = quick("evaluate", "learnt", "--labels", labels, "--methods", "cupl").plain
    assert "not scored, the run learnt from them: 6 corrected images" in told
    assert "6 labelled images" in told
    quick("export", "learnt", "--to", "folders", "--pictures", cells, "--out", "sorted").plain  # noqa: B018
    assert len(list((tmp_path / "sorted").rglob("*.png"))) == 12
    assert "is there already" in quick("learn", "run", "--out", "learnt").plain


def test_corrections_are_kept_by_reader_and_taken_back(quick, run):
    image = "neutrophil/cell-0.png"
    assert f"{image}: platelet, says Ann" in quick("correct", run, "cell-0.png", "Platelet", "--by", "Ann").plain
    assert "none of these, says Bob" in quick("correct", run, image, "None of these", "--by", "Bob").plain
    told = quick("correct", run, "--list").plain
    assert "Ann and Bob: 1 pictures judged by both" in told
    assert "To settle: 1" in told
    assert "readers agree on" in quick("learn", run, "--out", "learnt").error
    quick("correct", run, image, "platelet", "--by", "Cal", "--final").plain  # noqa: B018
    assert "To settle: 0" in quick("correct", run, "--list").plain
    assert "is none of these (Bob)" in quick("correct", run, "--undo", "--by", "Bob").plain
    assert "nothing to take back" in quick("correct", run, "--undo", "--by", "Bob").error
    assert len((run / "corrections.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nope.png", "platelet"], "unknown picture of the run 'nope.png'"),
        (["cell-0.png", "plateled"], "did you mean 'platelet'?"),
        (["cell-0.png"], "say what 'cell-0.png' is"),
        (["--list", "--by", "Ann"], "leave --by and --final out"),
        (["--undo", "--n", "3"], "leave them out with --undo"),
        (["cell-0.png", "platelet", "--undo"], "two different things"),
        (["--label-column", "x"], "give --table too"),
        ([], "needs a terminal"),
    ],
)
def test_what_cannot_be_corrected_is_said_in_a_line(quick, run, words, said):
    assert said in quick("correct", run, *words).error
    assert not (run / "corrections.jsonl").exists()


def test_tables_of_corrections_that_cannot_be_used(quick, run, tmp_path):
    for text, said in (
        ("image,label\ncell-0.png,platelet\ncell-0.png,neutrophil\n", "labelled twice"),
        ("image,label\nelse.png,platelet\n", "none of the 1 labels is for one of the 12 images"),
        ("image,label\ncell-0.png,eosinophil\n", "not in the knowledge"),
    ):
        (tmp_path / "read.csv").write_text(text)
        assert said in quick("correct", run, "--table", tmp_path / "read.csv", "--by", "Ann").error
    (tmp_path / "read.csv").write_text("image,label\ncell-0.png,unsure\ncell-1.png,none of these\nelse.png,platelet\n")
    told = quick("correct", run, "--table", tmp_path / "read.csv", "--by", "Ann").plain
    assert "2 corrections by Ann" in told
    assert "not in the run: 1" in told


def test_a_run_with_corrections_is_not_replaced(quick, run, features, knowledge):
    quick("correct", run, "cell-0.png", "platelet", "--by", "Ann").plain  # noqa: B018
    assert "holds corrections" in quick("classify", features, "-k", knowledge, "-o", run, "--overwrite").error


def test_a_damaged_file_of_corrections_is_told(quick, run):
    for line, said in (
        ("{", "is damaged"),
        ('{"image": "gone.png", "label": "platelet", "by": "A"}', "no picture 'gone.png'"),
        ('{"image": "neutrophil/cell-0.png", "label": "gone", "by": "A"}', "no class 'gone'"),
    ):
        (run / "corrections.jsonl").write_text(line + "\n")
        assert said in quick("learn", run, "--out", "learnt").error


def test_search_by_words_and_by_picture(quick, finished, features, cells):
    told = quick("search", finished, "--picture", cells / "platelet" / "cell-2.png", "--n", 1).plain
    assert "platelet/cell-2.png" in told
    assert "1.000" in told
    assert quick("search", features, "a tiny purple body", "--n", 12).plain.count(".png") == 12
    assert "give a sentence" in quick("search", features).error
    assert "not both" in quick("search", features, "x", "--picture", "y.png").error
    assert "no such run or feature folder" in quick("search", "nowhere", "x").error


def test_exports_are_what_other_tools_read(quick, run, cells, tmp_path):
    quick("correct", run, "cell-0.png", "platelet", "--by", "Ann").plain  # noqa: B018
    quick("correct", run, "cell-1.png", "none of these", "--by", "Ann").plain  # noqa: B018
    for to, pictures in (("csv", []), ("label-studio", []), ("imagefolder", [cells]), ("fiftyone", [cells])):
        words = ["--pictures", *pictures] if pictures else []
        assert "12 pictures" in quick("export", run, "--to", to, *words, "--out", tmp_path / to).plain
    rows = {row["image"]: row for row in table(tmp_path / "csv")}
    assert rows["neutrophil/cell-0.png"]["label"] == "platelet"
    assert rows["neutrophil/cell-0.png"]["corrected"] == "yes"
    assert rows["normal_red_cell/cell-1.png"]["label"] == ""
    assert rows["platelet/cell-2.png"]["corrected"] == "no"
    tasks = {task["data"]["kpl_image"]: task for task in json.loads((tmp_path / "label-studio").read_text())}
    assert tasks["neutrophil/cell-0.png"]["annotations"][0]["result"][0]["value"] == {"choices": ["platelet"]}
    assert tasks["normal_red_cell/cell-1.png"]["annotations"] == [{"result": []}]
    assert "annotations" not in tasks["platelet/cell-2.png"]
    told = json.loads((tmp_path / "fiftyone" / "labels.json").read_text())
    files = {path.stem for path in (tmp_path / "fiftyone" / "data").iterdir()}
    assert files == set(told["labels"])
    assert told["classes"][told["labels"]["neutrophil-cell-0"]["label"]] == "platelet"
    lines = [
        json.loads(line) for line in (tmp_path / "imagefolder" / "train" / "metadata.jsonl").read_text().splitlines()
    ]
    assert all((tmp_path / "imagefolder" / "train" / line["file_name"]).exists() for line in lines)
    for to, words in (("csv", []), ("imagefolder", ["--pictures", cells])):
        assert "is there already" in quick("export", run, "--to", to, *words, "--out", tmp_path / to).plain
    (tmp_path / "imagefolder" / "train" / "metadata.jsonl").write_text("mine")
    (tmp_path / "csv").write_text("mine")
    for to, place, words in (
        ("csv", "csv", []), ("csv", "fiftyone", []), ("imagefolder", "imagefolder", ["--pictures", cells]),
    ):  # fmt: skip
        said = quick("export", run, "--to", to, *words, "--out", tmp_path / place).error
        assert "exists: export to another name" in said
    assert (tmp_path / "csv").read_text() == "mine"
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine.txt").write_text("mine")
    elsewhere = ["--pictures", tmp_path / "nowhere"]  # a taken name is refused before a picture is looked for
    said = quick("export", run, "--to", "imagefolder", *elsewhere, "--out", tmp_path / "taken").error
    assert "exists: export to another name" in said
    assert {path.name for path in tmp_path.iterdir() if path.name.startswith(".")} == set()
    assert "say where they are" in quick("export", run, "--to", "folders", "--out", "x").error
    assert "leave --pictures out" in quick("export", run, "--to", "csv", "--pictures", cells, "--out", "x").error


def test_pictures_that_changed_are_not_exported(quick, run, cells, tmp_path):
    moved = Path(shutil.copytree(cells, tmp_path / "moved"))
    shutil.copyfile(moved / "platelet" / "cell-2.png", moved / "neutrophil" / "cell-0.png")
    (moved / "platelet" / "cell-5.png").unlink()
    told = quick("export", run, "--to", "folders", "--pictures", moved, "--out", tmp_path / "sorted")
    assert "10 pictures" in told.out
    assert "2 pictures of the run are not there, or are others now" in told.err


def test_names_that_lead_elsewhere_stay_in_the_folder():
    from kpl.curation.exporting import Labelled, _file_names, _safe

    rows = [
        Labelled(image, (), (), None, corrected=False) for image in ("../../etc/x.png", "a/..", ".", "x\x1b[2J.png")
    ]
    for name in (*_file_names(rows).values(), _safe(".."), _safe("a/b"), _safe("")):
        assert "/" not in name
        assert name.strip(".")
        assert "\x1b" not in name


@pytest.fixture
def cohort(run: Path, tmp_path: Path) -> Path:
    """Sites that the predictions follow, sexes that they do not, and columns that say nothing."""
    said = table(run / "predictions.csv")
    first = said[0]["label"]
    with (tmp_path / "cohort.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["image", "site", "sex", "remark", "scanner", "label"])
        for at, row in enumerate(said):
            site, label = "A" if row["label"] == first else "B", row["image"].partition("/")[0]
            rows.writerow([row["image"], site, "MF"[at % 2], f"somebody {at}", "X", label])
    return tmp_path / "cohort.csv"


def test_the_audit_names_what_predictions_follow(quick, run, cohort, tmp_path):
    told = quick("audit", run, "--table", cohort, "--json", "audit.json").plain
    assert "predictions follow 'site'" in told
    assert "follow 'sex'" not in told
    assert "not looked at, 'remark': 12 different values" in told
    assert "not looked at, 'scanner': every picture has 'X'" in told
    found = json.loads((tmp_path / "audit.json").read_text())
    assert [each["title"] for each in found["columns"]] == ["site", "sex"]
    assert found["unit"] == "12 images"
    assert found["labelled"] == 12


def test_what_cannot_be_audited_is_one_line(quick, run, cohort, tmp_path):
    (tmp_path / "bare.csv").write_text("image,label\ncell-0.png,platelet\n")
    assert "no column to look at" in quick("audit", run, "--table", "bare.csv").error
    (tmp_path / "strange.csv").write_text("image,site\nnobody.png,A\n")
    assert (
        "no row of 'strange.csv' is for one of the 12 pictures" in quick("audit", run, "--table", "strange.csv").error
    )
    (tmp_path / "nameless.csv").write_text("what,site\nnobody,A\n")
    assert "--image-column" in quick("audit", run, "--table", "nameless.csv").error
    assert "has no column 'x'" in quick("audit", run, "--table", cohort, "--label-column", "x").error


def test_some_classes_known_shares_and_thresholds_are_typed(quick, features, cells, tmp_path):
    sentences = {
        "neutrophil": ["a dark nucleus split into several lobes", "pale pink cytoplasm"],
        "normal_red_cell": ["a round pink disc without a nucleus", "a pale centre"],
        "platelet": ["a tiny purple body without a nucleus", "much smaller than the red cells around it"],
    }
    groups = {"neutrophil": "white", "normal_red_cell": "small", "platelet": "small"}
    base = {
        "kpl_knowledge": 2, "task": {"name": "tree", "modality": "blood smear"},
        "classes": [{"key": key, "parent": groups[key], "descriptions": own} for key, own in sentences.items()],
    }  # fmt: skip
    (tmp_path / "tree.json").write_text(json.dumps(base))
    again = ("classify", features, "-k", "tree.json")
    quick(*again, "-o", "whole").plain  # noqa: B018
    quick(*again, "--only", "small", "--prior", "platelet=0.9", "-o", "small").plain  # noqa: B018
    told = json.loads((tmp_path / "small" / "run.json").read_text())
    assert list(told["classes"]) == ["normal_red_cell", "platelet"]
    assert told["plan"]["settings"]["prior"] == pytest.approx([0.1, 0.9])
    quick(*again, "--threshold", "platelet=1", "--threshold", "0", "-o", "sure").plain  # noqa: B018
    whole, sure = table(tmp_path / "whole" / "predictions.csv"), table(tmp_path / "sure" / "predictions.csv")
    assert "leading" not in whole[0]
    assert [row["leading"] for row in sure] == [row["label"] for row in whole]
    assert {row["label"] for row in sure} == {"neutrophil", "normal_red_cell", ""}
    assert all((row["label"] == "") == (row["leading"] == "platelet") for row in sure)
    rows = table(tmp_path / "whole" / "levels.csv")
    for row, one in zip(rows, whole, strict=True):
        white = float(one["p_neutrophil"])
        assert row["label"] == ("white" if white > 0.5 else "small")
        assert float(row["confidence"]) == pytest.approx(max(white, 1 - white), abs=2e-6)
    labels = "".join(f"{path.relative_to(cells)},{path.parent.name}\n" for path in cells.rglob("*.png"))
    (tmp_path / "labels.csv").write_text("image,label\n" + labels)
    said = quick("evaluate", "whole", "--labels", "labels.csv", "--methods", "kpl", "--json", "s.json").plain
    assert "Level 1 above the classes: white, small" in said
    scores = json.loads((tmp_path / "s.json").read_text())
    assert scores["levels"]["1"]["kpl"]["accuracy"] >= scores["kpl"]["accuracy"]
    mixed = labels.replace(",neutrophil", ",white")
    (tmp_path / "mixed.csv").write_text("image,label\n" + mixed)
    said = quick("evaluate", "whole", "--labels", "mixed.csv", "--methods", "kpl", "--json", "m.json").plain
    assert "name a group of classes" in said
    of_mixed = json.loads((tmp_path / "m.json").read_text())
    assert of_mixed["levels"]["1"]["kpl"] == scores["levels"]["1"]["kpl"]
    (tmp_path / "groups.csv").write_text(
        "image,label\n" + re.sub(",(platelet|normal_red_cell)", ",small", mixed), encoding="utf-8"
    )
    said = quick(
        "evaluate", "whole", "--labels", "groups.csv", "--methods", "kpl", "--json", "g.json", "--classes"
    ).plain
    assert "all name groups: every figure is of level 1" in said
    of_groups = json.loads((tmp_path / "g.json").read_text())
    assert of_groups["kpl"]["accuracy"] == scores["levels"]["1"]["kpl"]["accuracy"]
    assert "of classes: `kpl evaluate`" in quick("report", "whole", "--labels", "groups.csv").error
    quick("report", "whole", "--labels", "mixed.csv").plain  # noqa: B018
    assert "Level 1 above the classes: white, small" in (tmp_path / "whole" / "report.html").read_text()
    (tmp_path / "few.csv").write_text("image,label\n" + labels)
    quick("calibrate", "whole", "--labels", "few.csv", "--sets", "0.8").plain  # noqa: B018
    quick(*again, "--calibration", "calibration.json", "-o", "sets").plain  # noqa: B018
    for row in table(tmp_path / "sets" / "predictions.csv"):
        assert row["label"] in row["set"].split("|") or row["set"]
    assert "needs labels" in quick("calibrate", "whole", "--labels", "few.csv", "--sets", "0.99").error.replace(
        "need labels", "needs labels"
    )
    for words, part in (
        (("--only", "unicorn"), "unknown class 'unicorn'"),
        (("--only", "platelet"), "name two at least"),
        (("--prior", "platelet"), "write CLASS=0.6"),
        (("--prior", "platelet=2"), "from 0 to 1"),
        (("--prior", "platelet=0.1", "--method", "text"), "unknown setting of text"),
        (("--threshold", "platelet=0.5", "--coverage", "0.5"), "give one"),
        (("--threshold", "unicorn=0.5"), "unknown class 'unicorn'"),
        (("--prior", "platelet=0.5", "--multi-label"), "--prior does not go with --multi-label"),
    ):
        assert part in quick(*again, *words, "-o", "new").error
    assert not (tmp_path / "new").exists()


def test_a_run_of_a_later_version_is_said_to_be_one(quick, run, tmp_path):
    told = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(told | {"kpl_run": 2}))
    for words in (
        ("queue", run), ("correct", run, "--list"), ("learn", run, "--out", "new"), ("compare", run, run),
        ("export", run, "--to", "csv", "--out", "new"), ("report", run),
    ):  # fmt: skip
        assert "a run of format 2, of a later version of KPL" in quick(*words).error
    assert not (tmp_path / "new").exists()
