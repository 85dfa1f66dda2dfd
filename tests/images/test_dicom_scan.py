"""A header that is looked through quickly says what pydicom reads in it."""

from __future__ import annotations

import io
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from tests.images.made_dicom import FILES, dataset, packed
from tests.images.test_dicom import RAMP

from kpl.errors import PictureError
from kpl.images.dicom_header import image_offset, open_dicom, text
from kpl.images.dicom_scan import SCANNED, scan

EVERY = sorted(path for path in FILES.rglob("*") if path.is_file() and path.suffix not in (".py", ".json", ".txt"))


def agrees(path: Path) -> bool:
    """Whether a file was scanned; what it says must then be what pydicom reads."""
    data = path.read_bytes()
    found = scan(data[:SCANNED])
    if found is None:
        return False
    scanned, offset = found
    whole = pydicom.dcmread(io.BytesIO(data), force=True)
    read = pydicom.dcmread(io.BytesIO(data), force=True, stop_before_pixels=True)
    assert scanned.original_encoding == read.original_encoding
    assert str(scanned.file_meta.TransferSyntaxUID) == str(read.file_meta.TransferSyntaxUID)
    for tag in read:
        name = tag.keyword
        if not name or tag.tag.is_private or tag.VR == "SQ":
            continue
        assert text(scanned, name) == text(whole, name), name
    pixels = [name for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData") if name in whole]
    assert [name in scanned for name in pixels] == [True] * len(pixels)
    if pixels and not whole.file_meta.TransferSyntaxUID.is_compressed:
        held = whole[pixels[0]].value
        assert offset is not None
        assert data[offset : offset + len(held)] == held
    return True


@pytest.mark.filterwarnings("ignore")
def test_every_public_file_says_the_same_to_the_scan_and_to_pydicom() -> None:
    scanned = [agrees(path) for path in EVERY]
    assert sum(scanned) > len(scanned) / 2


def test_sequences_without_a_length_are_stepped_over_and_those_that_are_read_are_left_to_pydicom() -> None:
    inner, outer = Dataset(), Dataset()
    inner.CodeValue = "1"
    outer.PurposeOfReferenceCodeSequence = Sequence([inner])
    for name, left in (("SourceImageSequence", False), ("VOILUTSequence", True)):
        made = dataset(RAMP)
        setattr(made, name, Sequence([outer]))
        for each in (made[name], outer["PurposeOfReferenceCodeSequence"]):
            each.is_undefined_length = True
        outer.is_undefined_length_sequence_item = inner.is_undefined_length_sequence_item = True
        data = packed(made)
        found = scan(data[:SCANNED])
        assert (found is None) == left
        again = open_dicom(io.BytesIO(data), with_pixels=False)
        assert text(again, "Modality") == "CR"
        assert image_offset(again) == len(data) - RAMP.nbytes


def test_what_is_out_of_the_ordinary_is_left_to_pydicom() -> None:
    data = packed(dataset(RAMP))
    assert scan(data[132:]) is None
    assert scan(data.replace(b"\x08\0\x60\0CS", b"\x08\0\x60\0\0\0")) is None
    long = packed(dataset(RAMP, ImageComments="x" * 9000))
    assert scan(long[:9000]) is None
    with pytest.raises(PictureError, match="cut short"):
        open_dicom(io.BytesIO(data[:140]), with_pixels=False)
