"""Pictures that others found read wrongly: each is right, found or refused as its folder's `expected.md` says."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.conftest import FakeEncoder

from kpl.embeddings import FeatureFolder, embed_pictures
from kpl.errors import InputError, PictureError
from kpl.images import Asked, Found, decode, find_pictures
from kpl.runs.units import Pooling

pytestmark = pytest.mark.shared


@pytest.fixture
def cases(shared: Path) -> Path:
    return shared.parent / "cases" / "pictures"


def names(found: Found) -> list[str]:
    return [unit.id for unit in found.units]


def aside(found: Found) -> dict[str, str]:
    return {item.id: item.reason for item in found.set_aside}


def embedded(found: Found, out: Path) -> FeatureFolder:
    return embed_pictures(found.pictures, FakeEncoder(), out, units=found.units, set_aside=found.set_aside)


def test_masks_beside_their_pictures_are_not_classified(cases: Path) -> None:
    found = find_pictures(cases / "07-busi" / "Dataset_BUSI_with_GT")
    kinds = [name.split("/")[0] for name in names(found)]
    assert [kinds.count(kind) for kind in ("benign", "malignant", "normal")] == [5, 4, 3]
    assert len(found.set_aside) == 13
    told = aside(found)["benign/benign (5)_mask_1.png"]
    assert told.startswith("a mask of benign (5).png: outlines")


def test_a_folder_inside_itself_is_told_and_counts_once(cases: Path, tmp_path: Path) -> None:
    folder = embedded(find_pictures(cases / "22-nested-duplicates" / "chest"), tmp_path / "f")
    warnings = Pooling(folder).warnings()
    assert np.sum(folder.of_units.weights) == pytest.approx(12)
    assert any(told.startswith("12 of 24 pictures are byte for byte the same as another (") for told in warnings)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # nibabel leaves a PAR/REC file open
def test_every_medical_file_among_pictures_is_read_or_named(cases: Path, capfd: pytest.CaptureFixture[str]) -> None:
    found = find_pictures(cases / "30-dicom-hidden" / "scans", Asked(ids="files"))
    assert found.other_files == 1  # a PDF
    kinds = {unit.kind for unit in found.units if not unit.id.startswith("cell-")}
    assert kinds <= {"image", "series", "clip", "volume", "slide"}
    assert {"half.dcm", "one.dcm.gz", "study.gz", "study.zip", "s.seg.nrrd", "clip.mp4", "a.jxl"} <= set(aside(found))
    read = {instance.path.name for instance in found.pictures}
    # With the extra `slides` they are read.
    assert {"pyramid-slide.tif", "philips.tiff", "big.btf", "aperio-like.svs"} <= set(aside(found)) | read
    assert {"anat.nii", "4d.nii.gz", "gzonly.gz", "p.PAR"} <= read
    # One slice under many names counts once, whatever they are.
    again = {name for name, reason in aside(found).items() if "the same slice again" in reason}
    assert len({"IM000001", "as-picture.jpg", "slice.img", "dcm.ima", "x.acr"} - again) <= 1
    assert len(again) == 9
    assert capfd.readouterr() == ("", "")


def test_planes_of_16_bits_are_the_same_picture(cases: Path) -> None:
    folder = cases / "31-planar16"
    wanted = decode(folder / "tiff-rgb16.tif")
    np.testing.assert_array_equal(decode(folder / "tiff-planar-rgb16.tif"), wanted)
    assert wanted.mean() == pytest.approx(190.6, abs=0.1)
    for other in ("rgb16_None_be.tif", "rgba16_none.tif"):
        assert decode(folder / other).shape[2] == 3


def test_a_narrow_range_is_stretched_and_told(cases: Path, tmp_path: Path) -> None:
    folder = embedded(find_pictures(cases / "32-narrow-range"), tmp_path / "f")
    assert "5 of 6 pictures: 16 bits of which less than a quarter of the range is used" in str(
        Pooling(folder).warnings()
    )
    full = decode(cases / "32-narrow-range" / "png16-full.png")
    assert full.mean() == pytest.approx(182, abs=1)
    for path in sorted((cases / "32-narrow-range").glob("*.*f")) + sorted((cases / "32-narrow-range").glob("*.png")):
        grey = decode(path)
        assert np.ptp(grey) > 150, path.name
        if grey.shape == full.shape and "9bit" not in path.name and "rgb" not in path.name:
            assert np.corrcoef(grey[..., 0].ravel(), full[..., 0].ravel())[0, 1] > 0.99, path.name


def test_slides_and_what_is_no_picture_are_set_aside_when_planned_by_what_they_are(
    cases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kpl.images.finding.find_spec", lambda _: None)
    whole = tmp_path / "all"
    for folder in ("34-slide-like-tiff", "35-wrong-reason"):
        shutil.copytree(cases / folder, whole / folder)
    Image.new("RGB", (4, 4)).save(whole / "a.png")
    found = find_pictures(whole, Asked(ids="files"))
    assert names(found) == ["a.png"]
    begins = {
        "34-slide-like-tiff/pyramid-plain.tiff": "reading slides needs an extra",
        "34-slide-like-tiff/pyramid-slide.tif": "reading slides needs an extra",
        "35-wrong-reason/5band.tif": "TIFF of 5 channels",
        "35-wrong-reason/html.jpg": "an HTML page, not a picture",
        "35-wrong-reason/jp2k.tif": "TIFF in JPEG 2000",
        "35-wrong-reason/jpegxl.tif": "TIFF in JPEG XL",
        "35-wrong-reason/lfs.png": "a Git LFS pointer",
        "35-wrong-reason/lossless.jpg": "lossless JPEG",
        "35-wrong-reason/tiff-float64.tif": "TIFF of 64-bit floats",
        "35-wrong-reason/tiff-rgb-float.tif": "TIFF of 32-bit floats in colour",
    }
    told = aside(found)
    assert sorted(told) == sorted(begins)
    for name, reason in begins.items():
        assert told[name].startswith(reason), name
        with pytest.raises(PictureError, match=f"^{reason.replace('reading slides needs an extra', 'a slide file')}"):
            decode(whole / name)


def test_one_picture_more_costs_one_picture(shared: Path, tmp_path: Path) -> None:
    some = sorted((shared / "images" / "malaria_cells").rglob("*.jpg"))[:12]
    (tmp_path / "in").mkdir()
    for place, path in enumerate(some[:-1]):
        shutil.copy(path, tmp_path / "in" / f"{place:02d}.jpg")
    embedded(find_pictures(tmp_path / "in"), tmp_path / "f")
    shutil.copy(some[-1], tmp_path / "in" / "00a.jpg")
    again = embedded(find_pictures(tmp_path / "in"), tmp_path / "f")
    assert (again.n, again.reused) == (12, 11)


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("study.zip", b"PK\3\4", "a zip archive: unpack it and name the folder"),
        ("page.jpg", b"<!DOCTYPE html><html>", "an HTML page"),
        ("a.png", b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        ("a.tif", b"PK\3\4", "a zip archive"),
        ("a.png", b"%PDF-1.7", "a PDF document"),
        ("a.jpeg", b"<?xml version='1.0'?><svg>", "an SVG drawing"),
    ],
)
def test_what_is_named_alone_and_is_no_picture_says_what_it_is(
    tmp_path: Path, name: str, data: bytes, reason: str
) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=reason):
        find_pictures(tmp_path / name)
