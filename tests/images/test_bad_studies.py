"""A folder of everything that goes wrong with studies: each is read, or named in one line, and no file is lost."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from PIL import Image
from pydicom.encaps import encapsulate
from tests.images.made_dicom import FILES, dataset, packed
from tests.images.test_dicom import RAMP
from tests.images.test_dicom_units import slice_of, study, values_at

from kpl.errors import PictureError
from kpl.images import Asked, Found, find_inputs, find_pictures, load_instance

WHOLE = packed(dataset(RAMP, WindowCenter="40", WindowWidth="400"))


def many_frames(count: int, *, held: int | None = None) -> bytes:
    made = dataset(np.zeros((held or count, 8), np.uint8), Modality="US", NumberOfFrames=str(count))
    made.Rows = 1
    return packed(made)


def without_pixels(*also: str) -> bytes:
    made = dataset(RAMP)
    for name in ("PixelData", *also):
        delattr(made, name)
    return packed(made)


def jpeg_of_12_bits() -> bytes:
    made = dataset(RAMP.astype(np.uint16), BitsStored=12, HighBit=11)
    made.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.51"
    made.PixelData = encapsulate([b"\xff\xd8\xff\xc1\x00\x0b\x0c" + bytes(32)])
    made["PixelData"].is_undefined_length = True
    return packed(made)


def archive() -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as file:
        file.writestr("study/IM1", WHOLE)
    return held.getvalue()


ASIDE = {
    "cut.dcm": (WHOLE[:-500], "DICOM whose pixels are cut short"),
    "cut-early.dcm": (WHOLE[:200], "DICOM"),
    "pixels-taken-out": (without_pixels("Rows"), "DICOM without pixels, though it is of a picture"),
    "no-pixels": (without_pixels(), "DICOM cut short before its pixels"),
    "text.dcm": (b"no DICOM at all", "DICOM: by its name alone, for it does not begin as DICOM does"),
    "scout": (packed(dataset(RAMP, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])), "DICOM, a scout (LOCALIZER)"),
    "seg": (packed(dataset(RAMP, SOPClassUID="1.2.840.10008.5.1.4.1.1.66.4")), "DICOM, a segmentation (SEG)"),
    "frames-missing": (many_frames(20_000, held=10), "DICOM whose pixels are cut short"),
    "DICOMDIR": ((FILES / "dicomdirtests" / "DICOMDIR").read_bytes(), "DICOM, a DICOMDIR"),
    "studies.zip": (archive(), "a zip archive: unpack it and name the folder"),
}


@pytest.fixture
def everything(tmp_path: Path) -> Path:
    folder = tmp_path / "everything"
    folder.mkdir()
    for name, (data, _) in ASIDE.items():
        (folder / name).write_bytes(data)
    (folder / "picture.dcm").write_bytes(_png())
    (folder / "dicom.png").write_bytes(WHOLE)
    (folder / "zero-window").write_bytes(packed(dataset(RAMP, WindowCenter="0", WindowWidth="0")))
    (folder / "12-bits").write_bytes(jpeg_of_12_bits())
    (folder / "clip").write_bytes(many_frames(20_000))
    volume = np.random.default_rng(0).normal(300, 40, (6, 6, 4, 3)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), folder / "4d.nii")
    nibabel.save(nibabel.Nifti1Image((volume[..., 0] > 300).astype(np.uint8), np.eye(4)), folder / "4d_seg.nii")
    series = [slice_of(z, EchoNumbers=echo) for echo in ("1", "2") for z in (0, 5, 10, 30, 30)]
    study(folder / "series", *series)
    (folder / "series" / "notes.txt").write_text("x")
    return folder


def _png() -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (9, 9), np.uint8)).save(file, "PNG")
    return file.getvalue()


def accounted(folder: Path, found: Found) -> None:
    """Every file is read, set aside or passed over, once."""
    files = sum(path.is_file() for path in folder.rglob("*"))
    read = {instance.path for instance in found.pictures}
    assert len(read) + len(found.set_aside) + found.other_files == files


def test_everything_that_goes_wrong_is_named_in_a_line_and_nothing_is_lost(everything: Path) -> None:
    found = find_pictures(everything, Asked(ids="files"))
    accounted(everything, found)
    told = {item.id: item.reason for item in found.set_aside}
    for name, (_, reason) in ASIDE.items():
        assert told.pop(name).startswith(reason), name
    assert told.pop("4d_seg.nii").startswith("a mask of the volume beside it")
    assert told == {}
    assert all("\n" not in item.reason for item in found.set_aside)
    notes = {unit.id: unit.notes for unit in found.units}
    echoes = [unit for unit in found.units if unit.kind == "series"]
    assert [len(unit.instances) for unit in echoes] == [5, 5]
    for unit in echoes:
        assert unit.notes == (
            "1 gap among its slices, of up to 20 mm where 5 mm are usual",
            "1 slice lies where another one lies",
        )
    assert notes["4d.nii"] == ("3 volumes in one file (4-D): the first is read",)
    assert {"picture.dcm", "dicom.png", "zero-window", "clip", "12-bits"} < set(notes)
    (clip,) = [unit for unit in found.units if unit.id == "clip"]
    assert (clip.kind, clip.reading["frames"]) == ("clip", [16, 20_000])
    read: dict[str, Any] = {instance.id: load_instance(instance).pixels for instance in found.pictures}
    assert {name for name, pixels in read.items() if isinstance(pixels, PictureError)} == {"12-bits"}
    np.testing.assert_array_equal(read["dicom.png"][..., 0].min(), 0)


def test_jpeg_of_12_bits_without_its_decoder_gives_its_install_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(jpeg_of_12_bits())
    (tmp_path / "b").write_bytes(WHOLE)
    monkeypatch.setattr("kpl.images.dicom_pixels.find_spec", lambda _: None)
    (missing,) = find_pictures(tmp_path).set_aside
    assert "pip install 'knowledge-proxy-learning[dicom]'" in missing.reason


def test_mixed_transfer_syntaxes_in_a_series_are_told(tmp_path: Path) -> None:
    study(tmp_path, *(slice_of(z) for z in (0, 5)))
    made = dataset(values_at(10), **slice_of(10), SOPInstanceUID="1.2.3.9.77")
    made.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2"
    (tmp_path / "implicit").write_bytes(packed(made))
    (unit,) = find_pictures(tmp_path).units
    assert unit.notes == ("2 transfer syntaxes among its slices",)


def test_a_table_with_a_missing_file_a_path_outside_and_a_row_twice(tmp_path: Path) -> None:
    outside = tmp_path / "outside" / "b.png"
    outside.parent.mkdir()
    outside.write_bytes(_png())
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(_png())
    table = tmp_path / "in" / "m.csv"
    table.write_text(f"image,patient\na.png,P1\na.png,P1\nnone.png,P2\n{outside},P3\n./a.png,P1\n")
    found = find_inputs(table)
    assert found.notes[-1] == "rows that name a file once more, which counts once: 2, the first in line 3"
    assert [unit.patient for unit in found.units] == ["P1", "P3"]
    assert [(item.id, item.reason) for item in found.set_aside] == [("none.png", "no such file (line 4)")]
    assert str(tmp_path) not in repr([unit.id for unit in found.units])
