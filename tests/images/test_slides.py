"""Slides of pathology: known by what they hold, read at the microns per pixel that were asked for, tile by tile."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom.encaps import encapsulate, generate_frames
from tests.conftest import FakeEncoder
from tests.images.made_slides import blocks, of_picture, write_slide

from kpl.embeddings import embed_pictures
from kpl.errors import InputError, PictureError
from kpl.images import Asked, Unit, decode_many, find_pictures, load_instance
from kpl.report import write_report
from kpl.report.layout import Sprite
from kpl.report.slices import Slices
from kpl.runs import classify

pytestmark = pytest.mark.slides

THERE = np.zeros((6, 8), np.bool_)
THERE[1:3, 2:5] = THERE[4, 6] = True


def asked(side: int = 128, **more: Any) -> Asked:
    return Asked(suits=lambda: (side, None), **more)


def drawn(path: Path, there: NDArray[np.bool_] = THERE, cell: int = 128, **more: Any) -> Path:
    picture = blocks(there, cell)
    return write_slide(path, picture.shape[1::-1], of_picture(picture), **more)


def slide_of(path: Path, how: Asked | None = None) -> Unit:
    (unit,) = find_pictures(path, how or asked()).units
    assert unit.kind == "slide"
    return unit


def reason_of(path: Path, how: Asked | None = None) -> str:
    with pytest.raises(InputError) as failed:
        find_pictures(path, how or asked())
    return str(failed.value)


def tiles(unit: Unit) -> dict[tuple[int, int, int], NDArray[np.uint8]]:
    found = {}
    for instance in unit.instances:
        pixels = load_instance(instance).pixels
        assert isinstance(pixels, np.ndarray), pixels
        assert instance.place is not None
        found[instance.place] = pixels
    return found


@pytest.mark.parametrize("name", ["a.tif", "a.svs", "a.btf", "a.qptiff", "a", "a.png"])
def test_a_slide_is_known_by_its_tiles_and_levels_whatever_it_is_called(tmp_path: Path, name: str) -> None:
    assert slide_of(drawn(tmp_path / name)).reading["levels"] == 3


def test_every_tile_with_tissue_is_there_once_and_no_other(tmp_path: Path) -> None:
    unit = slide_of(drawn(tmp_path / "a.tif"))
    assert [i.place for i in unit.instances] == [(128 * x, 128 * y, 0) for y, x in np.argwhere(THERE).tolist()]
    assert unit.reading["tiles"] == [THERE.sum(), THERE.size]
    assert unit.reading["tissue_share"] == pytest.approx(THERE.mean(), abs=0.002)


@pytest.mark.parametrize(
    ("mpp", "level", "side"), [(0.5, 0, 100), (1.0, 1, 100), (1.6, 1, 160), (3.0, 2, 150), (0.3, 0, 60)]
)
def test_the_level_is_the_coarsest_that_is_fine_enough(tmp_path: Path, mpp: float, level: int, side: int) -> None:
    import openslide

    path = drawn(tmp_path / "a.tif")
    unit = slide_of(path, asked(100, mpp=mpp))
    assert (unit.reading["level"], unit.reading["tile"]) == (level, side)
    assert bool(unit.notes) == (mpp < 0.5)  # finer than it is
    with openslide.OpenSlide(path) as slide:
        for (x, y, at), pixels in tiles(unit).items():
            theirs = slide.read_region((x, y), at, (side, side))
            white = np.full((side, side, 3), 255, np.uint8)
            own = np.asarray(theirs)
            inside = own[..., 3:] == 255
            assert (pixels == np.where(inside, own[..., :3], white)).all()


def test_tiles_are_those_of_openslide_on_a_real_slide(shared: Path) -> None:
    import openslide

    path = shared / "medical" / "slides" / "CMU-1-Small-Region.svs"
    unit = slide_of(path, asked(224))
    assert unit.reading["mpp"] == 0.499
    assert 60 < len(unit.instances) < 90
    with openslide.OpenSlide(path) as slide:
        for (x, y, level), pixels in tiles(unit).items():
            part = np.asarray(slide.read_region((x, y), level, (224, 224)))
            height, width = min(224, 2967 - y), min(224, 2220 - x)
            assert (pixels[:height, :width] == part[:height, :width, :3]).all()
            assert (pixels[height:] == 255).all()
            assert (pixels[:, width:] == 255).all()


def test_a_dicom_slide_is_read_and_all_its_files_are_one(shared: Path, tmp_path: Path) -> None:
    path = shared / "medical" / "slides" / "camelyon-tiled.dcm"
    assert "too coarse for the 0.5 asked for" in reason_of(path)
    unit = slide_of(path, asked(mpp=29.0))
    assert unit.reading["size"] == [1152, 700]
    assert unit.study
    (tmp_path / "a.dcm").write_bytes(path.read_bytes())
    small = pydicom.dcmread(path)
    small.SOPInstanceUID = small.file_meta.MediaStorageSOPInstanceUID = small.SOPInstanceUID + "1"
    small.TotalPixelMatrixColumns, small.TotalPixelMatrixRows, small.NumberOfFrames = 576, 350, 6
    frames = list(generate_frames(small.PixelData, number_of_frames=15))
    small.PixelData = encapsulate(frames[:6])
    spacing = small.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    spacing.PixelSpacing = [2 * float(each) for each in spacing.PixelSpacing]
    small.save_as(tmp_path / "b.dcm")
    both = slide_of(tmp_path, asked(mpp=58.0))
    assert (both.reading["levels"], both.reading["level"]) == (2, 1)
    assert both.series == unit.series


def test_a_slide_that_does_not_say_its_microns_is_refused_with_the_mend(tmp_path: Path) -> None:
    path = drawn(tmp_path / "a.tif", mpp=None)
    assert "does not say its microns per pixel" in (reason := reason_of(path))
    assert "--slide-mpp 0.25" in reason
    assert slide_of(path, asked(slide_mpp=0.25)).reading["level"] == 1
    assert slide_of(drawn(tmp_path / "c.tif", mpp=0.5), asked(slide_mpp=0.25)).reading["mpp"] == 0.5  # its own word
    assert "which no scanner has" in reason_of(drawn(tmp_path / "b.tif", mpp=352.8))


def test_ome_says_its_microns_in_its_own_words(tmp_path: Path) -> None:
    text = b'<OME><Image><Pixels PhysicalSizeX="0.25" PhysicalSizeY="250" PhysicalSizeYUnit="nm"/></Image></OME>'
    assert slide_of(drawn(tmp_path / "a.ome.tif", mpp=None, text=text)).reading["mpp"] == 0.25


def test_of_smaller_levels_that_hang_on_the_finest_the_finest_is_read(tmp_path: Path) -> None:
    text = b'<OME><Image><Pixels PhysicalSizeX="0.5" PhysicalSizeY="0.5"/></Image></OME>'
    unit = slide_of(drawn(tmp_path / "a.ome.tif", mpp=None, text=text, levels=1, t330=[8]))
    assert (unit.reading["levels"], len(unit.instances)) == (1, THERE.sum())


def test_what_cannot_be_read_is_one_line_each(tmp_path: Path) -> None:
    glass = drawn(tmp_path / "glass.tif", np.zeros((4, 4), np.bool_))
    assert "without tissue (glass only" in reason_of(glass)
    grey = drawn(tmp_path / "grey.tif", t262=[1])
    assert "grey (fluorescence)" in reason_of(grey)
    broken = drawn(tmp_path / "broken.tif", jpeg=True)
    data = broken.read_bytes()
    last = data.rindex(b"\xff\xd8\xff")
    broken.write_bytes(data[:last] + bytes(600) + data[last + 600 :])
    assert "level 2 is damaged" in reason_of(broken)
    assert "has tiles and no frames" in reason_of(
        drawn(tmp_path / "a.tif"), asked(only={tmp_path / "a.tif": frozenset({3})})
    )


def test_a_tile_that_is_damaged_leaves_the_others_as_they_are(tmp_path: Path) -> None:
    good = drawn(tmp_path / "a.tif", jpeg=True)
    before, data = tiles(slide_of(good)), good.read_bytes()
    marks = [at for at in range(len(data)) if data.startswith(b"\xff\xd8\xff", at)]
    hurt = marks[1]  # the first tile with tissue in it
    good.write_bytes(data[:hurt] + b"\0" * 600 + data[hurt + 600 :])
    unit = slide_of(good)
    now = {i.place: pixels for i, pixels in decode_many(unit.instances, workers=4)}
    lost = [place for place, pixels in now.items() if isinstance(pixels, PictureError)]
    assert 1 <= len(lost) <= 4
    for place, pixels in now.items():
        if isinstance(pixels, np.ndarray):
            assert (pixels == before[place]).all()


def test_a_slide_of_one_tile_is_one_tile(tmp_path: Path) -> None:
    unit = slide_of(drawn(tmp_path / "a.tif", np.ones((1, 1), np.bool_), 60, levels=2))
    assert unit.reading["tiles"] == [1, 1]
    ((_, pixels),) = tiles(unit).items()
    assert pixels.shape == (128, 128, 3)
    assert (pixels[60:] == 255).all()


def test_outlines_are_read_by_stem_and_those_that_were_found_give_the_same_tiles(tmp_path: Path) -> None:
    from kpl.images.tissue import as_geojson

    path = drawn(tmp_path / "a.tif")
    found, masks = slide_of(path), tmp_path / "masks"
    masks.mkdir()
    (masks / "a.geojson").write_text(as_geojson(found.tissue))
    given = slide_of(path, asked(tissue=masks))
    assert [i.place for i in given.instances] == [i.place for i in found.instances]
    assert given.reading["tissue"] == "GeoJSON"
    ring = [[0, 0], [128, 0], [128, 128], [0, 128], [0, 0]]
    (masks / "a.geojson").write_text(json.dumps({"type": "Polygon", "coordinates": [ring]}))
    assert [i.place for i in slide_of(path, asked(tissue=masks)).instances] == [(0, 0, 0)]
    ring[1] = [5000, 0]
    (masks / "a.geojson").write_text(json.dumps({"type": "Polygon", "coordinates": [ring]}))
    assert "reaches beyond its 1024 x 768 pixels: of another slide" in _set_aside(path, asked(tissue=masks))
    (masks / "a.geojson").rename(masks / "other.geojson")
    with pytest.raises(InputError, match=r"called by the stem of a slide \(it holds such as 'other.geojson'\)"):
        find_pictures(path, asked(tissue=masks))
    with pytest.raises(InputError, match="no such folder"):
        find_pictures(path, asked(tissue=tmp_path / "nowhere"))


def _set_aside(path: Path, how: Asked) -> str:
    (path.parent / "b.png").write_bytes(b"")
    return find_pictures([path, path.parent / "b.png"], how).set_aside[0].reason


def test_slides_that_are_looked_at_are_counted(tmp_path: Path) -> None:
    (tmp_path / "b.tif").write_bytes(drawn(tmp_path / "a.tif").read_bytes())
    told: list[tuple[int, int]] = []
    find_pictures(tmp_path, asked(progress=lambda done, total: told.append((done, total))))
    assert told == [(0, 2), (1, 2)]


def test_label_and_macro_are_never_read(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import openslide

    def refused(*_args: object) -> None:
        raise AssertionError("an associated picture was read")

    monkeypatch.setattr("openslide.lowlevel.read_associated_image", refused)
    monkeypatch.setattr(openslide.OpenSlide, "associated_images", property(refused))
    tiles(slide_of(shared / "medical" / "slides" / "CMU-1-Small-Region.svs"))


def test_embedding_goes_on_in_the_middle_of_a_slide(tmp_path: Path, fake_encoder: Any) -> None:
    unit, out = slide_of(drawn(tmp_path / "a.tif")), tmp_path / "out"

    def stop(done: int, _total: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embed_pictures(
            unit.instances, fake_encoder, tmp_path / "out", units=[unit], shard_size=2, batch_size=1, progress=stop
        )
    assert sum(fake_encoder.image_batches) == 5
    folder = embed_pictures(unit.instances, fake_encoder, out, units=[unit], shard_size=2, batch_size=1)
    assert folder.reused == 4
    assert [picture.place for picture in folder.pictures()] == [i.place for i in unit.instances]
    assert {path.suffix for path in out.iterdir()} == {".json", ".npy"}  # and no tile


def test_the_report_shows_the_slide_with_what_its_tiles_say(tmp_path: Path, fake_encoder: FakeEncoder) -> None:
    drawn(tmp_path / "a.tif")
    drawn(tmp_path / "b.tif", THERE.T)
    base = {"pink": ["pink"], "grey": ["grey"]}
    how, out = Asked(mpp=0.5, tile=128), tmp_path / "run"
    run = classify([tmp_path / "a.tif", tmp_path / "b.tif"], knowledge=base, encoder=fake_encoder, asked=how, out=out)
    assert [sum(row == r for row, _ in run.beside) for r in (0, 1)] == [5, 5]  # the whole, and four tiles
    whole = np.asarray(Image.open(io.BytesIO(run.beside[0, "slide"])).convert("RGB"))
    assert whole.shape == (252, 336, 3)
    text = write_report(out).read_text()
    assert text.count('<svg class="slide"') == 2
    (told,) = (Slices(run)(0, 0, Sprite(run)),)
    assert told is not None
    heat = Image.open(io.BytesIO(base64.b64decode(told["map"]["heat"].partition(",")[2])))
    assert (np.asarray(heat)[..., 3] > 0).tolist() == THERE.tolist()
    assert len(told["map"]["tiles"]) == 5
    x, y, side = told["map"]["tiles"][0]
    assert (x % side, side) == (pytest.approx(0, abs=0.1), pytest.approx(14))
    assert 14 <= y <= 112
    assert (out / "tissue" / "unit-0001.geojson").is_file()
