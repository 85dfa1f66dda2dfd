"""Slides as a user types it: planned, classified by their tiles, their tissue written and read again."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

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
