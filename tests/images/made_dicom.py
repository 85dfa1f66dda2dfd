"""Small files of DICOM, made by hand."""

from __future__ import annotations

import io
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

_MORE = find_spec("data_store")  # pydicom-data
MORE_FILES = Path(_MORE.origin).parent / "data" if _MORE and _MORE.origin else Path("pydicom-data is not installed")
FILES = Path(pydicom.__file__).parent / "data" / "test_files"
CR = "1.2.840.10008.5.1.4.1.1.1"


def dataset(values: NDArray[Any], **elements: Any) -> Dataset:
    """A picture of (height, width[, 3]) with what a reader needs; `elements` are added or replace."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID, made.Modality, made.PatientName = CR, "CR", "SENTINEL^NAME"
    made.Rows, made.Columns = values.shape[:2]
    made.SamplesPerPixel = 1 if values.ndim == 2 else 3
    made.PhotometricInterpretation = "MONOCHROME2" if values.ndim == 2 else "RGB"
    made.BitsAllocated = made.BitsStored = 8 * values.dtype.itemsize
    made.HighBit = made.BitsStored - 1
    made.PixelRepresentation = int(values.dtype.kind == "i")
    if values.ndim == 3:
        made.PlanarConfiguration = 0
    for name, value in elements.items():
        setattr(made, name, value)
    made.PixelData = values.tobytes()
    made["PixelData"].VR = "OW" if values.dtype.itemsize == 2 else "OB"
    return made


def packed(made: Dataset) -> bytes:
    file = io.BytesIO()
    pydicom.dcmwrite(file, made, enforce_file_format=False)
    return bytes(128) + b"DICM" + file.getvalue()


def cine(frames: int = 16, **elements: Any) -> bytes:
    """Frames of an MR in one file, as scanners write them."""
    values = np.random.default_rng(5).integers(0, 900, (frames * 32, 32)).astype("u2")
    uids = {f"{what}InstanceUID": f"2.25.77.{n}" for n, what in enumerate(("SOP", "Study", "Series"), start=1)}
    told = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.4", "Modality": "MR", "PatientID": "P1", **uids, **elements}
    return packed(dataset(values, Rows=32, NumberOfFrames=frames, **told))
