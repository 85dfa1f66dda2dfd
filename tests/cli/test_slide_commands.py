"""Slides as a user types it: planned, classified by their tiles, their tissue written and read again."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.conftest import SHARED
from tests.images.made_dicom import cine
from tests.images.made_slides import blocks, of_picture, write_slide

from kpl.runs import open_run

from .conftest import Run

pytestmark = pytest.mark.slides


@pytest.fixture
def slides(tmp_path: Path, shared: Path) -> Path:
    folder = tmp_path / "slides"
    folder.mkdir()
    shutil.copy(shared / "medical" / "slides" / "CMU-1-Small-Region.svs", folder / "SMITH^ANNA.svs")
    return folder


def commands(page: str) -> list[list[str]]:
    """What a page of the documentation says to type, with the encoder that ships in the place of its own."""
    text = (Path(__file__).parents[2] / "docs" / page).read_text()
    lines = re.findall(r"^kpl (?:plan|classify) .+?(?=  #|$)", text, flags=re.MULTILINE)
    return [re.sub(r"--encoder [\w-]+", "--encoder mini", line).split()[1:] for line in lines]


def test_the_page_of_pathology_is_typed(quick: Run, slides: Path) -> None:
    masks = slides.parent / "masks"
    masks.mkdir()
    ring = [[600, 1000], [1600, 1000], [1600, 2400], [600, 2400], [600, 1000]]
    (masks / "SMITH^ANNA.geojson").write_text(json.dumps({"type": "Polygon", "coordinates": [ring]}))
    for words in commands("pathology.md"):
        told = quick(*words)
        assert told.code == 0, told.err
    rows = {name: rows_of(slides.parent / name / "instances.csv") for name in ("run", "outlined")}
    assert 0 < len(rows["outlined"]) < len(rows["run"])
    assert (slides.parent / "run" / "report.html").exists()


def test_tiles_outlined_by_hand_are_found_again(quick: Run, slides: Path, knowledge: Path) -> None:
    masks = slides.parent / "masks"
    masks.mkdir()
    ring = [[0, 0], [300, 0], [300, 300], [0, 300], [0, 0]]  # glass, which no colour would find
    (masks / "SMITH^ANNA.geojson").write_text(json.dumps({"type": "Polygon", "coordinates": [ring]}))
    words = ("--knowledge", knowledge, "--encoder", "mini", "--tissue", masks, "--out", "run")
    assert quick("classify", slides, *words).code == 0
    run = open_run(slides.parent / "run")
    assert list(run.found_again(slides, [0])) == [0]


def test_the_page_of_ultrasound_is_typed(quick: Run, tmp_path: Path, shared: Path) -> None:
    (tmp_path / "clips").mkdir()
    shutil.copy(shared / "medical" / "dicom" / "mr-cine-16-frames.dcm", tmp_path / "clips" / "cine.dcm")
    frames = [Image.new("RGB", (64, 48), (shade, shade, shade)) for shade in range(0, 250, 10)]
    frames[0].save(tmp_path / "clips" / "film.gif", save_all=True, append_images=frames[1:])
    text = (Path(__file__).parents[2] / "docs" / "ultrasound.md").read_text()
    (tmp_path / "echo.yaml").write_text(re.findall(r"```yaml\n(.*?)```", text, flags=re.DOTALL)[0])
    for words in commands("ultrasound.md"):
        told = quick(*words)
        assert told.code == 0, told.err
    rows = rows_of(tmp_path / "run/predictions.csv")
    assert [(row["kind"], row["instances"]) for row in rows] == [("clip", "16"), ("clip", "16")]


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_slide_is_planned_classified_and_its_tissue_taken_back(quick: Run, slides: Path, knowledge: Path) -> None:
    top, coder = slides.parent, ("--encoder", "mini")
    told = quick("plan", slides, *coder, "--json", "plan.json")
    assert told.code == 0, told.err
    assert "2220x2967" in told.out
    (unit,) = json.loads((top / "plan.json").read_text())["units"]
    count = unit["reading"]["tiles"][0]
    assert f"{count} of {18 * 24}" in told.out
    told = quick("classify", slides, "--knowledge", knowledge, *coder, "--out", "run")
    assert told.code == 0, told.err
    (row,) = rows_of(top / "run/predictions.csv")
    tiles = rows_of(top / "run/instances.csv")
    assert json.loads((top / "run/run.json").read_text())["plan"]["pool"] == "top-20%"
    assert (
        (row["unit"], row["kind"], int(row["instances"]))
        == ("unit-0001", "slide", count)
        == (*list(row.values())[:2], len(tiles))
    )
    assert {int(tile["x"]) % 128 + int(tile["y"]) % 128 + int(tile["level"]) for tile in tiles} == {0}
    assert len({(tile["x"], tile["y"]) for tile in tiles}) == count
    assert [path.name for path in (top / "run/tissue").iterdir()] == ["unit-0001.geojson"]
    for made in (top / "run").rglob("*"):
        assert made.is_dir() or b"SMITH" not in made.read_bytes(), made
    told = quick("classify", slides, "--knowledge", knowledge, *coder, "--out", "run")
    assert (told.code, "is there" in told.out + told.err) == (0, True)
    (top / "masks").mkdir()
    shutil.copy(top / "run/tissue/unit-0001.geojson", top / "masks" / "SMITH^ANNA.geojson")
    told = quick("classify", slides, "--knowledge", knowledge, *coder, "--tissue", "masks", "--out", "again")
    assert told.code == 0, told.err
    assert (top / "again/predictions.csv").read_bytes() == (top / "run/predictions.csv").read_bytes()


def test_what_is_wrong_with_a_slide_is_one_line(quick: Run, slides: Path, knowledge: Path) -> None:
    classify = ("classify", slides, "--knowledge", knowledge, "--encoder", "mini", "--out", "run")
    assert "(--mpp 0.499 reads it as it is)" in quick(*classify, "--mpp", "0.1").error
    assert "no such folder" in quick(*classify, "--tissue", "nowhere").error
    (slides.parent / "masks").mkdir()
    (slides.parent / "masks" / "SMITH^ANNA.geojson").write_text("{}")
    assert "its GeoJSON of tissue is none" in quick(*classify, "--tissue", "masks").error
    assert not (slides.parent / "run").exists()


REAL = SHARED / "medical"


@pytest.fixture
def material(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """A slide, a cine and its study: the real ones, or small ones that are drawn."""
    for name in ("slides", "STUDIES", "masks"):
        (tmp_path / name).mkdir()
    if request.param == "real":
        if not SHARED.is_dir():
            pytest.skip("the data folder ../shared/data is not beside this checkout")
        shutil.copy(REAL / "slides" / "CMU-1-Small-Region.svs", tmp_path / "slides" / "a.svs")
        shutil.copy(REAL / "dicom" / "mr-cine-16-frames.dcm", tmp_path / "STUDIES" / "cine.dcm")
    else:
        picture = blocks(np.eye(5, dtype=np.bool_), 128)
        write_slide(tmp_path / "slides" / "a.svs", picture.shape[1::-1], of_picture(picture))
        (tmp_path / "STUDIES" / "cine.dcm").write_bytes(cine())
    shutil.copy(tmp_path / "STUDIES" / "cine.dcm", tmp_path / "cine.dcm")


@pytest.fixture
def run(request: pytest.FixtureRequest) -> Run:
    """The command in a process of its own, or within this one."""
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]


@pytest.mark.dcmtk
@pytest.mark.long
@pytest.mark.parametrize(("material", "run"), [("real", "kpl"), ("drawn", "quick")], indirect=True)
@pytest.mark.usefixtures("material")
def test_what_a_user_types_of_slides_and_clips(run: Run, tmp_path: Path, knowledge: Path) -> None:
    """The commands of docs/pathology.md and docs/ultrasound.md to their end: the real files in processes."""
    pydicom = pytest.importorskip("pydicom")
    pytest.importorskip("highdicom", reason="not installed: highdicom")
    coder = ("--knowledge", knowledge, "--encoder", "mini")
    assert "1 slide: " in run("plan", "slides/").plain
    ring = [[0, 0], [600, 0], [600, 600], [0, 600], [0, 0]]
    (tmp_path / "masks/a.geojson").write_text(json.dumps({"type": "Polygon", "coordinates": [ring]}))
    told = run("classify", "slides/a.svs", *coder, "--mpp", "0.5", "--tissue", "masks/", "--out", "run/")
    assert told.code == 0, told.err
    assert len(rows_of(tmp_path / "run/instances.csv")) == 25
    assert (tmp_path / "run/tissue/unit-0001.geojson").exists()
    told = run("export", "run/", "--to", "dicom-sr", "--source", "slides/", "--out", "none/")
    assert "export to csv instead" in told.error
    told = run("classify", "cine.dcm", *coder, "--frames", "8", "--out", "clip/")
    assert told.code == 0, told.err
    (row,) = rows_of(tmp_path / "clip/predictions.csv")
    assert (row["kind"], row["instances"]) == ("clip", "8")
    assert "say where they are with --source" in run("export", "clip/", "--to", "dicom-sr", "--out", "sr/").error
    assert "1 unit" in run("export", "clip/", "--to", "dicom-sr", "--source", "STUDIES/", "--out", "sr/").plain
    report = pydicom.dcmread(tmp_path / "sr/study-0001.dcm")
    assert report.StudyInstanceUID == pydicom.dcmread(tmp_path / "cine.dcm").StudyInstanceUID
    done = subprocess.run(["dsrdump", tmp_path / "sr/study-0001.dcm"], capture_output=True, text=True, check=False)
    assert (done.returncode, "Comprehensive SR Document" in done.stdout) == (0, True), done.stderr
    (key,) = (r for r in rows_of(tmp_path / "clip/instances.csv") if r["instance"] == row["key_instance"])
    assert f"(MR image,,{int(key['frame']) + 1})" in done.stdout


def test_a_slide_of_dicom_has_a_report(quick: Run, tmp_path: Path, shared: Path, knowledge: Path) -> None:
    pydicom = pytest.importorskip("pydicom")
    pytest.importorskip("highdicom", reason="not installed: highdicom")
    (tmp_path / "STUDIES").mkdir()
    shutil.copy(shared / "medical" / "slides" / "camelyon-tiled.dcm", tmp_path / "STUDIES")
    words = ("--knowledge", knowledge, "--encoder", "mini", "--mpp", "29", "--out", "run")
    assert quick("classify", "STUDIES", *words).code == 0
    assert "1 unit" in quick("export", "run", "--to", "dicom-sr", "--source", "STUDIES", "--out", "sr").out
    report, slide = (pydicom.dcmread(path) for path in (tmp_path / "sr/study-0001.dcm", *tmp_path.glob("STUDIES/*")))
    assert report.StudyInstanceUID == slide.StudyInstanceUID
    (series,) = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == slide.SOPInstanceUID


def test_tissue_stays_with_features(quick: Run, tmp_path: Path, knowledge: Path) -> None:
    picture = blocks(np.eye(3, dtype=np.bool_), 128)
    slide = write_slide(tmp_path / "a.tif", picture.shape[1::-1], of_picture(picture))
    coder = ("--encoder", "mini")
    assert quick("embed", slide, *coder, "--out", "features").code == 0
    for source, out in ((slide, "run"), ("features", "again")):
        assert quick("classify", source, "--knowledge", knowledge, *coder, "--out", out).code == 0
    held = [(tmp_path / name / "tissue/unit-0001.geojson").read_bytes() for name in ("run", "again")]
    assert held[0] == held[1]


def test_what_is_wrong_with_slides_and_clips_is_a_line_each(quick: Run, tmp_path: Path) -> None:
    folder, masks = tmp_path / "STUDIES", tmp_path / "masks"
    folder.mkdir()
    masks.mkdir()

    def drawn(name: str, there: Any, **more: Any) -> None:
        picture = blocks(np.array(there, np.bool_), 128)
        write_slide(folder / name, picture.shape[1::-1], of_picture(picture), levels=2, **more)

    some = [[1, 0], [0, 1]]
    drawn("silent.tif", some, mpp=None)
    drawn("glass.tif", [[0, 0], [0, 0]])
    drawn("grey.tif", some, t262=[1])
    drawn("foreign.tif", some)
    drawn("small.tif", [[1]])
    drawn("broken.tif", some, jpeg=True)
    data = (folder / "broken.tif").read_bytes()
    last = data.rindex(b"\xff\xd8\xff")
    (folder / "broken.tif").write_bytes(data[:last] + bytes(600) + data[last + 600 :])
    beyond = [[0, 0], [5000, 0], [5000, 9], [0, 0]]
    (masks / "foreign.geojson").write_text(json.dumps({"type": "Polygon", "coordinates": [beyond]}))
    (folder / "long.dcm").write_bytes(cine(2000))
    (folder / "short.dcm").write_bytes(cine(1, SOPInstanceUID="2.25.9", SeriesInstanceUID="2.25.8"))
    burnt = {"SOPInstanceUID": "2.25.6", "SeriesInstanceUID": "2.25.7", "BurnedInAnnotation": "YES"}
    (folder / "burnt.dcm").write_bytes(cine(2, **burnt))
    told = quick("plan", folder, "--encoder", "mini", "--tissue", masks)
    assert told.code == 0, told.err
    reasons = (
        "does not say its microns per pixel (state them with --slide-mpp",
        "without tissue (glass only",
        "of grey (fluorescence)",
        "its GeoJSON of tissue reaches beyond its 256 x 256 pixels: of another slide",
        "a slide whose level 1 is damaged",
    )
    assert [sum(why in line for line in told.out.splitlines()) for why in reasons] == [1] * 5
    for note in (
        "1 x a clip of more than 1000 frames: 16 of them are read, evenly (--frames reads more)",
        "1 x text in the picture may name the patient",
        "1 x no GeoJSON of its name among those of --tissue: its tissue was found",
        *("1 slide", "2 clips", "1 image"),
        "5 set aside:",
    ):
        assert note in told.out
    assert not told.err
