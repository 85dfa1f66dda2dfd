"""DICOM files that are no picture to look at, each by its name, by the class that they say they are of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kpl.errors import PictureError
from kpl.images.dicom_header import text, whole

if TYPE_CHECKING:
    from pydicom.dataset import Dataset
    from pydicom.uid import UID

_STORAGE = "1.2.840.10008.5.1.4.1.1."

# By the beginning of the SOP class, the longer ones first.
_CLASSES = {
    "1.2.840.10008.1.3.10": "a DICOMDIR, an index of other files",
    _STORAGE + "66.4": "a segmentation (SEG)",
    _STORAGE + "66.5": "a surface segmentation (SEG)",
    _STORAGE + "66.7": "a segmentation (SEG)",
    _STORAGE + "66": "raw data or a registration",
    _STORAGE + "481.2": "a radiation dose (RTDOSE)",
    _STORAGE + "481.3": "structures of radiotherapy (RTSTRUCT)",
    _STORAGE + "481.5": "a plan of radiotherapy (RTPLAN)",
    _STORAGE + "481.8": "a plan of radiotherapy (RTPLAN)",
    _STORAGE + "481.4": "a record of radiotherapy",
    _STORAGE + "88.59": "a selection of key objects (KO)",
    _STORAGE + "88": "a report (SR)",
    _STORAGE + "11": "a presentation state (PR)",
    _STORAGE + "9": "a waveform (ECG)",
    _STORAGE + "104": "an encapsulated document (PDF)",
    _STORAGE + "30": "a parametric map",
    _STORAGE + "67": "a real world value mapping",
    _STORAGE + "77.1.6": "a whole slide",
}

_MODALITIES = {
    "SEG": "a segmentation (SEG)",
    "RTDOSE": "a radiation dose (RTDOSE)",
    "RTSTRUCT": "structures of radiotherapy (RTSTRUCT)",
    "RTPLAN": "a plan of radiotherapy (RTPLAN)",
    "SR": "a report (SR)",
    "PR": "a presentation state (PR)",
    "KO": "a selection of key objects (KO)",
    "ECG": "a waveform (ECG)",
    "REG": "a registration",
}

_LONGEST_FIRST = sorted(_CLASSES, key=len, reverse=True)
_LAYOUT = ("Rows", "Columns", "BitsAllocated", "BitsStored", "PixelRepresentation")
_READ_PHOTOMETRICS = frozenset({"MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB"})


def refuse_what_is_no_picture(dataset: Dataset, max_pixels: int) -> None:
    """Refuse what has no pixels, what nobody looks at, and what is too large.

    Raises:
        PictureError: what it is, and what to do where something can be done.
    """
    name = _class_name(dataset)
    if name is not None:
        raise PictureError(f"DICOM, {name}: no picture to classify")
    if "FloatPixelData" in dataset or "DoubleFloatPixelData" in dataset:
        raise PictureError("DICOM of float pixels: no picture to classify")
    if "PixelData" not in dataset:
        if "Rows" in dataset:
            raise PictureError("DICOM cut short before its pixels")
        if _class_of(dataset).name.endswith("Image Storage"):
            raise PictureError("DICOM without pixels, though it is of a picture: cut short, or they were taken out")
        raise PictureError("DICOM without pixels: no picture to classify")
    if not all(text(dataset, name) for name in _LAYOUT):
        raise PictureError("DICOM that does not say how its pixels are laid out")
    if "LOCALIZER" in text(dataset, "ImageType").split("\\"):
        raise PictureError("DICOM, a scout (LOCALIZER), drawn to plan the slices: no picture to classify")
    if text(dataset, "PresentationIntentType") == "FOR PROCESSING" and text(dataset, "Modality") == "MG":
        raise PictureError("DICOM, a mammogram FOR PROCESSING: use the one FOR PRESENTATION")
    rows, columns = whole(dataset, "Rows"), whole(dataset, "Columns")
    if not 0 < rows * columns <= max_pixels:
        raise PictureError(f"DICOM of {columns} x {rows} pixels: 1 to {max_pixels / 10**6:g} megapixels are allowed")
    kind = text(dataset, "PhotometricInterpretation")
    if kind not in _READ_PHOTOMETRICS and not kind.startswith("YBR_"):
        raise PictureError("DICOM whose kind of colour (PhotometricInterpretation) is not read: export it as RGB")


def _class_of(dataset: Dataset) -> UID:
    from pydicom.uid import UID

    return UID(text(dataset, "SOPClassUID") or str(dataset.file_meta.get("MediaStorageSOPClassUID") or ""))


def _class_name(dataset: Dataset) -> str | None:
    said = _class_of(dataset)
    for prefix in _LONGEST_FIRST:
        if said == prefix or said.startswith(prefix + "."):
            return _CLASSES[prefix]
    if "DirectoryRecordSequence" in dataset:
        return _CLASSES["1.2.840.10008.1.3.10"]
    return _MODALITIES.get(text(dataset, "Modality"))
