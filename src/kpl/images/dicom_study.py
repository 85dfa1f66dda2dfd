"""Whose a DICOM file is: patient, study and series, for a document that belongs to the same study; never for a run."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kpl.errors import PictureError, from_extra
from kpl.images.hushed import ignore_warnings_of

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_UIDS: Final = ("StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID", "SOPInstanceUID")
_TEXTS: Final = ("PatientID", "IssuerOfPatientID", "PatientName", "AccessionNumber", "StudyID")
_MORE: Final = ("ReferringPhysicianName", "StudyDescription")
_CHECKED: Final = {  # what holds something else is left empty, or the document could not be written
    "PatientBirthDate": r"(\d{8})?",
    "PatientSex": r"[MFO]?",
    "StudyDate": r"(\d{8})?",
    "StudyTime": r"(\d{2}(\d{2}(\d{2}(\.\d{1,6})?)?)?)?",
}
_UID: Final = re.compile(r"[0-9]+(\.[0-9]+)+")


def study_of(path: Path) -> Dataset:
    """Read of a DICOM file what says whose it is, in Unicode; an element that is missing is empty.

    Raises:
        PictureError: it is no DICOM, damaged, or without its UIDs; nothing of the patient is told.
    """
    with from_extra("dicom", "reading DICOM", PictureError):
        from pydicom import dcmread
        from pydicom.dataset import Dataset
    ignore_warnings_of(r"pydicom")
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    wanted: list[Any] = ["SpecificCharacterSet", *_UIDS, *_TEXTS, *_MORE, *_CHECKED]
    made = Dataset()
    made.SpecificCharacterSet = "ISO_IR 192"
    try:
        read = dcmread(path, stop_before_pixels=True, specific_tags=wanted)
        said = {name: str(read.get(name) or "").strip() for name in wanted[1:]}
        for name, form in _CHECKED.items():
            said[name] = said[name] if re.fullmatch(form, said[name]) else ""
        for name, value in said.items():
            if value or name not in ("IssuerOfPatientID", "StudyDescription"):  # the others are never left out
                setattr(made, name, value)
    except Exception:  # a damaged file can raise anything, and its text may name the patient
        raise PictureError("cannot be read as DICOM") from None
    if not all(len(said[name]) <= 64 and _UID.fullmatch(said[name]) for name in _UIDS):
        raise PictureError("DICOM without the UIDs of its study, series or picture")
    return made
