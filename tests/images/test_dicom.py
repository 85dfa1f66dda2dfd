from __future__ import annotations

import builtins
import io
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from tests.images.made_dicom import FILES, MORE_FILES, dataset, packed

from kpl.errors import PictureError
from kpl.images import Asked, decode, find_pictures
from kpl.images.dicom import picture_of
from kpl.images.dicom_header import open_dicom


def shown(values: NDArray[Any], **elements: Any) -> NDArray[np.uint8]:
    return decode(packed(dataset(values, **elements)))[..., 0]


RAMP = np.arange(-512, 512, dtype=np.int16).reshape(32, 32)


@pytest.mark.shared
def test_the_values_of_public_files_are_those_of_their_list(shared: Path) -> None:
    expected = json.loads((shared / "medical" / "dicom_expected.json").read_text())
    for name, wanted in expected.items():
        place = next(folder / name for folder in (FILES, MORE_FILES) if (folder / name).exists())
        picture = picture_of(open_dicom(place.read_bytes()))
        assert list(picture.shape) == wanted["shape"], name
        assert picture.mean() == pytest.approx(wanted["mean"], abs=0.01), name
        assert (picture.min(), picture.max()) == (wanted["min"], wanted["max"]), name
        height, width = picture.shape[:2]
        assert np.atleast_1d(picture[height // 2, width // 2]).tolist() == wanted["centre"], name


@pytest.mark.shared
def test_one_ct_in_its_transfer_syntaxes_is_one_picture(shared: Path) -> None:
    folder = shared / "medical" / "dicom" / "ct-syntaxes"
    plain = decode(folder / "LittleEndianExplicit.dcm").astype(int)
    deep = dict.fromkeys(("JPEGProcess10_12", "JPEGProcess2_4", "JPEGProcess6_8"), 18)  # as by dcmdjpeg
    loss = {"JPEG2000": 3, "JPEGLSLossy": 1, "JPEGProcess1": 45, **deep}
    for path in sorted(folder.glob("*.dcm")):
        assert np.abs(decode(path) - plain).max() <= loss.get(path.stem, 0), path.stem


def test_a_window_is_linear_with_the_halves_of_the_standard() -> None:
    grey = shown(RAMP, WindowCenter="40", WindowWidth="400")
    wanted = np.clip(((RAMP - 39.5) / 399 + 0.5) * 255, 0, 255)
    np.testing.assert_array_equal(grey, np.rint(wanted))
    exact = shown(RAMP, WindowCenter="40", WindowWidth="400", VOILUTFunction="LINEAR_EXACT")
    np.testing.assert_array_equal(exact, np.rint(np.clip((RAMP - 40) / 400 + 0.5, 0, 1) * 255))
    sigmoid = shown(RAMP, WindowCenter="40", WindowWidth="400", VOILUTFunction="SIGMOID")
    np.testing.assert_array_equal(sigmoid, np.rint(255 / (1 + np.exp(-4 * (RAMP - 40) / 400))))
    step = shown(RAMP, WindowCenter="40", WindowWidth="1")
    np.testing.assert_array_equal(step, np.where(RAMP > 39.5, 255, 0))


def test_the_first_of_several_windows_counts_and_one_without_width_is_passed_over() -> None:
    one = shown(RAMP, WindowCenter="0", WindowWidth="100")
    np.testing.assert_array_equal(shown(RAMP, WindowCenter=["0", "300"], WindowWidth=["100", "9"]), one)
    plain = shown(RAMP)
    np.testing.assert_array_equal(shown(RAMP, WindowCenter="0", WindowWidth="0"), plain)


def test_without_a_window_percentiles_but_hounsfield_units_have_one() -> None:
    low, high = np.percentile(RAMP, (0.5, 99.5))
    np.testing.assert_array_equal(shown(RAMP), np.rint(np.clip((RAMP - low) / (high - low) * 255, 0, 255)))
    said = {"Modality": "CT", "RescaleSlope": "1", "RescaleIntercept": "0", "RescaleType": "HU"}
    np.testing.assert_array_equal(shown(RAMP, **said), shown(RAMP, WindowCenter="40", WindowWidth="400"))


def test_slope_and_intercept_come_before_the_window() -> None:
    rescaled = shown(RAMP, RescaleSlope="2", RescaleIntercept="-100", WindowCenter="0", WindowWidth="400")
    np.testing.assert_array_equal(rescaled, np.rint(np.clip(((2.0 * RAMP - 100 + 0.5) / 399 + 0.5) * 255, 0, 255)))


def test_eight_bits_stay_as_they_are() -> None:
    values = np.arange(100, 164, dtype=np.uint8).reshape(8, 8)
    np.testing.assert_array_equal(shown(values), values)


@pytest.mark.parametrize("kind", [{"PhotometricInterpretation": "MONOCHROME1"}, {"PresentationLUTShape": "INVERSE"}])
def test_what_is_inverse_is_turned_over_last_and_once(kind: dict[str, str]) -> None:
    window = {"WindowCenter": "10", "WindowWidth": "300"}
    np.testing.assert_array_equal(shown(RAMP, **window, **kind), 255 - shown(RAMP, **window))


@pytest.mark.parametrize("kind", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_black_and_outside_all_statistics(kind: str) -> None:
    padded = RAMP.copy()
    padded[:3], padded[3] = -2000, -1990
    rest = shown(RAMP[4:], PhotometricInterpretation=kind)
    grey = shown(padded, PixelPaddingValue=-2000, PixelPaddingRangeLimit=-1990, PhotometricInterpretation=kind)
    assert not grey[:4].any()
    np.testing.assert_array_equal(grey[4:], rest)


def test_a_voi_table_comes_before_a_window() -> None:
    table = Dataset()
    table.LUTDescriptor, table.LUTData = [256, 0, 8], np.arange(255, -1, -1, dtype="<u2").tobytes()
    table["LUTDescriptor"].VR = "US"
    values = np.arange(256, dtype=np.uint16).reshape(16, 16)
    grey = shown(values, VOILUTSequence=Sequence([table]), WindowCenter="3", WindowWidth="3")
    np.testing.assert_array_equal(grey, 255 - values)


def test_colour_in_planes_and_interleaved_and_of_16_bits() -> None:
    values = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
    np.testing.assert_array_equal(decode(packed(dataset(values))), values)
    planes = dataset(values, PlanarConfiguration=1)
    planes.PixelData = values.transpose(2, 0, 1).tobytes()
    np.testing.assert_array_equal(decode(packed(planes)), values)
    np.testing.assert_array_equal(decode(packed(dataset(values.astype(np.uint16) * 256 + 7))), values)


def test_a_palette_of_16_bits_is_read_in_either_byte_order() -> None:
    values = np.arange(16, dtype=np.uint8).reshape(4, 4)
    table = (np.arange(16) * 0x0F01 + 0x12).astype(np.uint16)
    for little, order in ((True, "<u2"), (False, ">u2")):
        made = dataset(values, PhotometricInterpretation="PALETTE COLOR")
        made["PixelData"].VR = "OW"
        made.PixelData = values.tobytes() if little else values.view(">u2").astype("<u2").tobytes()
        made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        for colour in ("Red", "Green", "Blue"):
            setattr(made, f"{colour}PaletteColorLookupTableDescriptor", [16, 0, 16])
            made[f"{colour}PaletteColorLookupTableDescriptor"].VR = "US"
            setattr(made, f"{colour}PaletteColorLookupTableData", table.astype(order).tobytes())
        np.testing.assert_array_equal(decode(packed(made))[..., 0].ravel(), table >> 8)


def test_pixels_that_are_not_square_are_resampled_and_overlays_not_drawn() -> None:
    assert shown(RAMP, PixelSpacing=["2.0", "1.0"]).shape == (64, 32)
    assert shown(RAMP, PixelAspectRatio=["1", "2"]).shape == (32, 64)
    assert shown(RAMP, PixelSpacing=["0", "1"]).shape == (32, 32)
    overlay = dataset(RAMP)
    overlay.add_new(0x60003000, "OW", bytes([255]) * 128)
    np.testing.assert_array_equal(decode(packed(overlay))[..., 0], shown(RAMP))


def test_a_shrunk_picture_is_averaged() -> None:
    assert decode(packed(dataset(RAMP)), shrink_to=8).shape == (8, 8, 3)


def test_a_file_without_its_header_and_preamble_is_read() -> None:
    made = dataset(RAMP)
    made.file_meta = FileMetaDataset()
    for implicit in (True, False):
        file = io.BytesIO()
        pydicom.dcmwrite(file, made, implicit_vr=implicit, little_endian=True)
        np.testing.assert_array_equal(decode(file.getvalue())[..., 0], shown(RAMP))


@pytest.mark.parametrize(
    ("elements", "reason"),
    [
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.66.4"}, r"^DICOM, a segmentation \(SEG\)"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.481.2"}, r"RTDOSE"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.33"}, r"a report \(SR\)"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.59"}, r"key objects"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.77.1.6"}, r"a whole slide"),
        ({"SOPClassUID": None, "Modality": "RTSTRUCT"}, r"RTSTRUCT"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, r"a scout \(LOCALIZER\)"),
        ({"Modality": "MG", "PresentationIntentType": "FOR PROCESSING"}, r"FOR PROCESSING"),
        ({"NumberOfFrames": "7"}, r"^DICOM of 7 frames"),
        ({"PhotometricInterpretation": "CMYK"}, r"kind of colour"),
        ({"BitsStored": None}, r"how its pixels are laid out"),
        ({"Rows": 0}, r"0 pixels"),
    ],
)
def test_what_is_no_picture_to_look_at_is_set_aside_by_its_name(elements: dict[str, Any], reason: str) -> None:
    with pytest.raises(PictureError, match=reason):
        shown(RAMP, **elements)


def test_files_without_pixels_and_bombs_and_cut_ones() -> None:
    bare = dataset(RAMP)
    del bare.PixelData
    with pytest.raises(PictureError, match="cut short before its pixels"):
        decode(packed(bare))
    del bare.Rows
    with pytest.raises(PictureError, match="without pixels"):
        decode(packed(bare))
    bare.FloatPixelData = b""
    with pytest.raises(PictureError, match="float pixels"):
        decode(packed(bare))
    with pytest.raises(PictureError, match="megapixels are allowed"):
        decode(packed(dataset(RAMP)), max_pixels=1000)
    with pytest.raises(PictureError, match="cut short"):
        decode(packed(dataset(RAMP))[:-500])


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("DICOMDIR", "a DICOMDIR"),
        ("rtplan.dcm", "RTPLAN"),
        ("rtdose.dcm", "RTDOSE"),
        ("rtstruct.dcm", "RTSTRUCT"),
        ("reportsi.dcm", r"a report \(SR\)"),
        ("waveform_ecg.dcm", "ECG"),
        ("MR_truncated.dcm", "cut short"),
        ("rtdose_1frame.dcm", "RTDOSE"),
    ],
)
def test_public_files_that_are_no_picture(name: str, reason: str) -> None:
    path = FILES / name if (FILES / name).exists() else FILES / "dicomdirtests" / name
    with pytest.raises(PictureError, match=reason):
        decode(path)


def test_nothing_of_the_patient_is_said(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    whole = packed(dataset(RAMP, StudyInstanceUID="1.2.3.4.5", StudyDate="20200101", PatientID="SENTINEL" * 6))
    badly = whole.replace(b"20200101", b"SENTINEL").replace(b"1.2.3.4.5", b"1.SENTINE")
    decode(badly)
    for data in (whole[:-300], whole[:300], badly[:-300]):
        with pytest.raises(PictureError) as caught:
            decode(data)
        assert "SENTINE" not in str(caught.value)
        assert caught.value.__cause__ is None
    said = capfd.readouterr()
    assert "SENTINE" not in said.out + said.err + caplog.text


def test_dicom_is_found_by_content_and_a_missing_extra_gives_its_install_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "IM1").write_bytes(packed(dataset(RAMP)))
    (tmp_path / "notes.dcm").write_text("no DICOM at all")
    found = find_pictures(tmp_path)
    assert [picture.id for picture in found.pictures] == ["unit-0001"]
    assert [picture.id for picture in find_pictures(tmp_path, Asked(ids="files")).pictures] == ["IM1"]
    assert [(item.id, item.reason[:23]) for item in found.set_aside] == [("file-0001", "DICOM: by its name alon")]
    (tmp_path / "a.png").write_bytes(b"x")
    monkeypatch.setattr("kpl.images.finding.find_spec", lambda _: None)
    missing = {item.id: item.reason for item in find_pictures(tmp_path).set_aside}["file-0001"]
    assert "pip install 'knowledge-proxy-learning[dicom]'" in missing
    plain_import = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("pydicom"):
            raise ImportError(name)
        return plain_import(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(PictureError, match=r"pip install 'knowledge-proxy-learning\[dicom\]'"):
        decode(tmp_path / "IM1")


WHOLE = packed(dataset(RAMP, WindowCenter="40", WindowWidth="400", PixelSpacing=["1", "1"], PixelPaddingValue=-5))


@settings(max_examples=150, deadline=None)
@given(st.integers(132, len(WHOLE) - 2048), st.binary(min_size=1, max_size=6))
def test_no_damage_to_a_header_raises_anything_else(place: int, change: bytes) -> None:
    damaged = WHOLE[:place] + change + WHOLE[place + len(change) :]
    try:
        picture = decode(damaged)
    except PictureError:
        return
    assert picture.dtype == np.uint8
    assert picture.shape[2] == 3


def test_implicit_files_are_the_same_picture() -> None:
    made = dataset(RAMP)
    made.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    np.testing.assert_array_equal(decode(packed(made))[..., 0], shown(RAMP))
