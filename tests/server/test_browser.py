"""The page in a real browser against a real server: what a user does, from the empty page to the downloads."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.images.made_dicom import cine
from tests.images.made_slides import blocks, of_picture, write_slide
from tests.server.conftest import CLASSES, cell
from tests.server.test_running import TOKEN, started
from tests.server.test_studies import slice_of

from kpl.knowledge import load_knowledge
from kpl.report import write_report
from kpl.runs import classify, classify_multi_label, load_model
from kpl.runs.calibrating import load_calibration
from kpl.runs.corrections import read_corrections

pytestmark = pytest.mark.browser
STORIES = Path(__file__).parent / "browser" / "stories.mjs"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(9):
        (folder / f"cell-{number}.png").write_bytes(cell(number))
    (folder / "notes.png").write_text("no picture", encoding="utf-8")
    return [str(path) for path in sorted(folder.iterdir())]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    process, found = started()
    yield found
    process.terminate()
    process.communicate(timeout=60)


@pytest.fixture
def tell(address: str, pictures: list[str], tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Let the browser live a story, and return what it saw."""

    def run(story: str, *files: str, server: str = address) -> dict[str, Any]:
        environment = {
            "KPL_CHROMIUM": shutil.which("chromium") or "",
            **os.environ,
            "STORY_TOKEN": TOKEN,
        }
        command = ["node", str(STORIES), story, server, str(tmp_path), *(files or pictures)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240, env=environment)
        assert done.stdout, done.stderr
        told: dict[str, Any] = json.loads(done.stdout)
        assert not told.get("failed"), json.dumps(told, indent=1)
        assert (told["errors"], told["dialogs"], told["elsewhere"], told.get("axe", [])) == ([], 0, [], [])
        return told

    return run


def test_the_whole_story(tell: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    told = tell("whole")
    assert "Nothing yet" in told["empty"]
    assert told["classifyDisabled"]
    assert told["summary"].startswith("9 pictures.")
    assert "notes.png: not a JPEG" in told["leftOut"]
    assert told["before"] == told["after"]
    assert "set by hand" in told["byHand"]
    assert told["changed"]
    assert told["cleared"]
    assert 1 <= len(told["near"]) <= 8
    assert all("cosine 0." in near or "cosine 1." in near for near in told["near"])
    assert told["nearTitle"] == told["nearName"]
    assert told["mapIsGone"]
    assert "65 views" in told["cost"]
    assert "not what KPL learnt" in told["caption"]
    rows = list(csv.DictReader(io.StringIO((tmp_path / "predictions.csv").read_text(encoding="utf-8"))))
    assert [row["image"] for row in rows] == [f"cell-{n}.png" for n in range(9)]
    assert "cell-0.png" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert load_model(tmp_path / "model.kpl").method.k == 2


def test_pictures_of_no_listed_class_are_called_so(
    tell: Callable[..., dict[str, Any]], pictures: list[str], tmp_path: Path
) -> None:
    for number, colour in enumerate([(0, 80, 90), (0, 110, 90), (20, 120, 20)]):
        Image.new("RGB", (128, 128), colour).save(tmp_path / f"flat-{number}.png")
    told = tell("unlisted", *pictures[:9], *(str(tmp_path / f"flat-{n}.png") for n in range(3)))
    assert not any("none of these" in label for label in told["before"])
    assert sum(label == "none of these" for label in told["after"]) == len(told["shown"]) >= 1
    assert f"{len(told['shown'])} none of these" in told["counts"]
    assert told["said"].startswith("none of these, unlike every listed class; the likeliest of these: ")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "predictions.csv").read_text(encoding="utf-8"))))
    assert {row["image"] for row in rows if row["label"] == "none of these"} == set(told["shown"])
    assert all((float(row["unlike"]) >= 1) == (row["label"] == "none of these") for row in rows)
    assert told["corrected"] == ["You: none of these"]
    count = sum(label.startswith("no label given; ") for label in told["both"])
    assert count + len(told["shown"]) == len(told["both"]) == 12
    assert told["least"].startswith(f"{count} without a label, {len(told['shown'])} with one.")
    assert told["again"] == told["before"]


def test_everything_is_done_with_the_keyboard(tell: Callable[..., dict[str, Any]]) -> None:
    told = tell("keyboard")
    assert told["stillOpen"]
    assert told["back"] == "card"


@pytest.mark.parametrize("story", ["narrow", "dark"])
def test_a_narrow_and_a_dark_screen(tell: Callable[..., dict[str, Any]], story: str) -> None:
    told = tell(story)
    assert told.get("background", "rgb(20, 23, 26)") == "rgb(20, 23, 26)"


def test_many_classes_and_long_names_fit(tell: Callable[..., dict[str, Any]]) -> None:
    told = tell("crowded")
    assert told["summary"].startswith("63 pictures.")
    assert told["rows"] == 40
    assert told["tableHeight"] < 700
    assert told["priors"][0] == 40
    assert sum(told["priors"]) == pytest.approx(100, abs=2.5)  # each is rounded to a tenth


def test_errors_are_said_and_can_be_mended(tell: Callable[..., dict[str, Any]]) -> None:
    told = tell("errors")
    assert "notes.png" in told["leftOut"]
    assert "first class has no description: write at least one for each class" in told["noDescriptions"]
    assert "busy" in told["busy"]
    assert "kpl serve" in told["offline"]
    assert "Add them again" in told["ended"]


def test_zips_folders_and_drops_are_taken(
    tell: Callable[..., dict[str, Any]], pictures: list[str], tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "cells.zip", "w") as archive:
        for number in range(3):
            archive.writestr(f"night/cell-{number}.png", cell(number))
    (tmp_path / "day").mkdir()
    for number in (3, 4):
        (tmp_path / "day" / f"cell-{number}.png").write_bytes(cell(number))
    told = tell("ways", str(tmp_path / "cells.zip"), str(tmp_path / "day"), pictures[0])
    assert told["names"] == [
        *("day/cell-3.png", "day/cell-4.png", "dropped.png"),
        *(f"night/cell-{number}.png" for number in range(3)),
    ]
    assert "256 MiB" in told["tooLarge"]
    assert "DICOM" in told["leftOut"]
    assert all("kpl encoders pull" in name for name in told["missing"])
    assert told["missing"]


def test_series_volumes_slides_and_clips_are_seen(tell: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel", reason="not installed: nibabel")
    pytest.importorskip("openslide", reason="not installed: openslide")
    (tmp_path / "study").mkdir()
    for place in range(3):
        (tmp_path / "study" / f"{place}.dcm").write_bytes(slice_of(0, place))
    (tmp_path / "study" / "cine.dcm").write_bytes(cine())
    values = np.random.default_rng(0).normal(100, 30, (24, 20, 5)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), tmp_path / "mr.nii.gz")
    picture = blocks(np.eye(4, 3, dtype=np.bool_), 128)
    write_slide(tmp_path / "smear.tif", picture.shape[1::-1], of_picture(picture), jpeg=True)
    told = tell("studies", *(str(tmp_path / name) for name in ("study", "mr.nii.gz", "smear.tif")))
    assert "mr.nii.gz: file of 0 MiB" in told["tooLarge"]
    assert "kpl serve --run" in told["tooLarge"]
    units = told["units"]
    assert {kind: (seen["curve"], seen["slide"]) for kind, seen in units.items()} == {
        **dict.fromkeys(("series", "volume", "clip"), (True, False)),
        "slide": (False, True),
    }
    assert [name.split()[0] for name in units["clip"]["shown"]] == ["Frame"] * len(units["clip"]["shown"])
    assert (units["clip"]["shown"][0], units["clip"]["shown"][-1]) == ("Frame 1", "Frame 16")
    assert units["clip"]["chosen"].startswith("Frame 16 of 16: ")
    assert units["clip"]["back"].startswith("Frame 15 of 16: ")
    assert units["clip"]["large"].endswith("/picture?instance=14")
    assert (len(units["slide"]["shown"]), units["slide"]["frames"]) == (3, 3)
    assert "Read: 0.5 microns a pixel" in units["slide"]["said"]
    assert "window 128/256" in units["series"]["said"]
    assert "patient" in units["series"]["said"]


def test_what_the_page_counts_is_what_the_server_holds(
    tell: Callable[..., dict[str, Any]], pictures: list[str], tmp_path: Path
) -> None:
    """A second drop stands behind the first, a refused archive is one line, and a stop loses no number."""
    for name, last in (("good.zip", "9.png"), ("bad.zip", "../9.png")):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for number in range(3):
                archive.writestr(f"{number}.png", cell(number))
            archive.writestr(last, cell(9))
    (tmp_path / "cut.zip").write_bytes((tmp_path / "good.zip").read_bytes()[:-40])
    loose = [name for name in pictures if "cell" in name]
    told = tell("queue", *(str(tmp_path / name) for name in ("good.zip", "bad.zip")), *loose, str(tmp_path / "cut.zip"))
    assert told["held"] == [4 + 9 + 3, 2]
    assert told["numbers"] == ["16 pictures ready.", "2 left out"]
    assert "bad.zip: the archive holds a path that leads out of it" in told["reasons"]
    assert "cut.zip: the archive is damaged" in told["reasons"]
    assert "cell-0.png: stopped before it was read" in told["stopped"]
    assert told["after"] == ["16 pictures ready.", "3 left out", 16, 2]


def test_haste_does_no_harm(tell: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    told = tell("hasty")
    assert not told["alert"]
    assert told["kept"] == [True, "a round thing that was typed", "The sentence is changed: save or cancel that first."]
    assert told["cancelled"]
    base = load_knowledge(tmp_path / "knowledge.yaml")
    texts = [description.text for entry in base.classes for description in entry.descriptions]
    assert "a round thing that was saved" in texts
    assert "a round thing that was typed" not in texts
    assert (told["openapi"], told["stays"]) == (True, True)
    assert told["killed"] == "The server does not answer. Is kpl serve still running?"


def test_what_users_write_stays_text(tell: Callable[..., dict[str, Any]]) -> None:
    told = tell("hostile")
    assert "<img src=x onerror=alert(1)>" in told["shown"]
    assert (told["injected"], told["reportInjected"], told["report"]) == (0, 0, True)


def test_a_token_is_asked_for(tell: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN, encoding="utf-8")
    process, server = started("--token-file", str(tmp_path / "token"))
    try:
        told = tell("token", server=server)
        assert "not the token" in told["wrong"]
        assert told["left"] == [200, 404]
        assert "openapi" in (tmp_path / "openapi.json").read_text(encoding="utf-8")
        assert told["formerPictures"] == "The result below is of the former pictures: press Classify."
        assert told["formerKnowledge"] == "The result below is of the former knowledge: press Classify."
    finally:
        process.terminate()
        process.communicate(timeout=60)


def test_priors_keep_their_proportions_and_return(tell: Callable[..., dict[str, Any]]) -> None:
    told = tell("priors")
    assert sorted(told["all"])[-2:] == [0, 100]
    assert told["back"] == pytest.approx(told["spread"], abs=0.11)  # each is shown to a tenth
    assert len(set(told["spread"])) > 3
    assert told["slow"] == [60]
    assert told["value"] == 60
    assert told["end"] == told["start"]


def test_an_encoder_for_other_pictures_is_noticed(tell: Callable[..., dict[str, Any]]) -> None:
    told = tell("misfit")
    assert told["fits"] == ""
    assert "mini was made for blood smear pictures only; brain-mri is about brain MRI" in told["other"]
    assert not told["kindOfPack"]
    assert "say what kind of picture yours are" in told["unsaid"]
    assert "tick the box to classify all the same" in told["refused"][0]
    assert told["refused"][1:] == [True, "insist"]
    assert "made for" not in told["notes"]


def test_a_run_is_read_corrected_and_settled(
    tell: Callable[..., dict[str, Any]], pictures: list[str], tmp_path: Path
) -> None:
    run = classify([name for name in pictures if "cell" in name], knowledge="blood-cells", out=tmp_path / "ward-3")
    summary = json.loads((run.path / "run.json").read_text(encoding="utf-8"))
    said = {"key": "neutrophil", "text": "a pink disc", "instead": "platelet", "score": 2.0}
    (run.path / "run.json").write_text(json.dumps(summary | {"contradicted": [said]}), encoding="utf-8")
    process, server = started("--run", str(run.path))
    try:
        told = tell("reading", server=server)
        assert "neutrophil: \u201ca pink disc\u201d; the pictures give it to platelet" in told["contradicted"]
    finally:
        process.terminate()
        process.communicate(timeout=60)
    assert told["count"] == "The run ward-3 is open, 9 pictures."
    assert told["found"] == ["cell-3.png"]
    assert not told["adjustable"]
    assert told["back"] == told["unsure"]
    assert "Picture 4 of 9. You have not said" in told["said"]
    assert len(told["mine"]) == 3
    assert "You: none of these" in told["mine"]
    assert "You have not said anything" in told["blind"]
    assert "Bob and Dr. Ann: 1 read by both" in told["settle"][0] or "Dr. Ann" in told["settle"][0]
    assert told["right"] in told["settle"][1]
    found = {(each.image, each.by, each.final): each.label for each in read_corrections(run)}
    said = run.predictions[run.row_of(told["right"])].label
    assert found == {
        (told["right"], "Dr. Ann", False): said,
        (told["second"], "Dr. Ann", False): run.keys[1],
        (told["none"], "Dr. Ann", False): "none of these",
        (told["right"], "Bob", False): "none of these",
        (told["right"], "Bob", True): said,
    }
    table = list(csv.DictReader(io.StringIO((tmp_path / "corrections.csv").read_text(encoding="utf-8"))))
    assert [row["image"] for row in table] == [told["right"], told["second"], told["none"]]


def test_labels_mark_every_picture_right_or_wrong(
    tell: Callable[..., dict[str, Any]], pictures: list[str], tmp_path: Path
) -> None:
    table, own = tmp_path / "labels.csv", [name for name in pictures if "cell" in name]
    said = {each.id: each.label for each in classify(own, knowledge="blood-cells").predictions}
    labels = {"cell-0.png": said["cell-0.png"], "cell-1.png": "basophil", "cell-2.png": "basophil"}
    table.write_text("image,label\n" + "".join(f"{name},{label}\n" for name, label in labels.items()), encoding="utf-8")
    told = tell("scoring", str(table), *own)
    marks = {
        name: "\u2713 right" if said[name] == label else "\u2717 label: basophil" for name, label in labels.items()
    }
    assert told["wide"] == told["narrow"] == told["dark"] == {name: marks.get(name, "") for name in said}
    assert sorted(told["wrong"]) == [name for name, mark in marks.items() if "right" not in mark] != []
    assert told["said"] == "\u2717 The label says basophil."


def test_a_run_of_several_labels_is_looked_at_and_scored(tell: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    for number in range(6):
        (tmp_path / "pictures" / f"cell-{number}.png").write_bytes(cell(number))
    run = classify_multi_label(
        tmp_path / "pictures", knowledge="blood-cells", threshold=0.01, out=tmp_path / "ward-4", finish=write_report
    )
    lines = [f"cell-{number}.png,{'none' if number % 2 else 'neutrophil|platelet'}" for number in range(6)]
    (tmp_path / "labels.csv").write_text("\n".join(["image,label", *lines]), encoding="utf-8")
    process, server = started("--run", str(run.path))
    try:
        told = tell("findings", str(tmp_path / "labels.csv"), server=server)
    finally:
        process.terminate()
        process.communicate(timeout=60)
    assert told["summary"].startswith(f"6 pictures, each class by itself; {run.empty} have none of them.")
    assert (told["results"], told["scoring"]) == (False, False)
    counted = run.predictions.present.sum(axis=0).tolist()
    assert [row[1] for row in told["classes"]] == [str(count) for count in counted]
    order = (-run.predictions.probabilities[:, 1].round(4)).argsort(kind="stable")
    assert told["ordered"] == [run.ids[row] for row in order]
    assert " against: " in told["sentence"]
    said = dict(told["scores"])
    assert (said["neutrophil"], said["platelet"], said["monocyte"], said["mean"]) == ("3 of 6", "3 of 6", "0 of 6", "")
    assert "'none' was read as the absence of all classes" in told["notes"]


def test_a_folder_of_class_folders_is_labels(tell: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    for number in range(4):
        data, kind = cell(number), ("neutrophil", "platelet")[number % 2]
        (tmp_path / f"cell-{number}.png").write_bytes(data)
        (tmp_path / "labels" / "train" / kind).mkdir(parents=True, exist_ok=True)
        (tmp_path / "labels" / "train" / kind / f"cell-{number}.png").write_bytes(data)
    told = tell("folders", str(tmp_path / "labels"), *(str(tmp_path / f"cell-{number}.png") for number in range(4)))
    assert told["of"].startswith("4 labelled pictures.")
    assert "the class is the folder just above each picture, since train are no classes" in told["notes"]
    assert 0 < told["sent"] < 1500


def test_labels_calibrate_and_little_confidence_gives_no_label(
    tell: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    own = [tmp_path / f"cell-{number}.png" for number in range(12)]
    for number, path in enumerate(own):
        path.write_bytes(cell(number))
    rows = [f"{path.name},{CLASSES[number % len(CLASSES)]}" for number, path in enumerate(own)]
    (tmp_path / "labels.csv").write_text("\n".join(["image,label", *rows]), encoding="utf-8")
    told = tell("calibrating", str(tmp_path / "labels.csv"), *map(str, own))
    assert "The confidences are calibrated. On labels held out (12 images)" in told["said"]
    assert told["focus"] == "calibrate"
    assert told["before"] != told["after"]
    assert 0 < len(told["bare"]) < 12
    assert told["least"].startswith(f"{len(told['bare'])} without a label, {12 - len(told['bare'])} with one. Of the ")
    assert all(each.startswith("no label given; ") for each in told["bare"])
    assert load_calibration(tmp_path / "calibration.json").labelled == 12
    assert "Classes of their own: neutrophil 100\u00a0%." in told["classes"]
    assert sum("neutrophil" in each for each in told["own"]) == sum("neutrophil" in each for each in told["before"])


def test_a_knowledge_file_is_opened_by_keyboard(
    tell: Callable[..., dict[str, Any]], pictures: list[str], tmp_path: Path
) -> None:
    good, bad = tmp_path / "ward.yaml", tmp_path / "bad.yaml"
    good.write_text(
        "kpl_knowledge: 1\ntask: {name: ward 3, modality: blood smear}\nclasses:\n"
        "  - {key: red, descriptions: [a round red cell without a nucleus]}\n"
        "  - {key: white, descriptions: [a large cell with a dark nucleus, a lobed nucleus]}\n",
        encoding="utf-8",
    )
    bad.write_text("classes: [", encoding="utf-8")
    told = tell("bringing", str(good), str(bad), *(name for name in pictures if "cell" in name))
    assert "Bad.yaml, line" in told["refused"][0]
    assert told["refused"][1] == "blood-cells"
    assert told["about"] == "ward 3. 2 classes, 3 descriptions, for blood smear."
    assert "red" in told["summary"]
    assert "white" in told["summary"]


def test_a_session_ends_with_its_page(tell: Callable[..., dict[str, Any]]) -> None:
    told = tell("leaving")
    assert (told["reloaded"], told["closed"]) == ([200, 404], [200, 404])
    assert told["asked"] == 2  # the browser, whether the pictures may go


def test_the_page_is_small(tell: Callable[..., dict[str, Any]]) -> None:
    assert tell("figures")["bytes"] < 300_000
