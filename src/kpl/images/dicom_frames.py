"""What a DICOM file says of each picture in it: where it lies, its series, and what may tell two series apart."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from kpl.images.dicom import own_window, regions_of
from kpl.images.dicom_header import floats, frame_group, text, whole
from kpl.images.stacking import along_the_normal

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_SLICED = frozenset({"CT", "MR", "PT"})
_CAPTURED = "1.2.840.10008.5.1.4.1.1.7"
"""The class of what was taken from a screen, and the beginning of its multi-frame kinds."""
_ALWAYS_CLIPS = frozenset({"US", "IVUS", "XA", "RF", "ES", "XC", "OT", "GM", "SC"})


@dataclass(frozen=True, slots=True)
class Source:
    """A file, as far as it matters for units.

    Attributes:
        name, path: its id, and where it lies
        patient: its number and issuer as the file says them, empty where it does not; never for an output
        person: name and day of birth, for telling that one patient has two numbers; never for an output
        study, series, uid: as the file says them; never for an output
        modality, syntax, bits, size: modality, transfer syntax, bits stored, (rows, columns)
        frames: how many
        instance: its number in the series
        burned: its text may name the patient
        regions: of ultrasound, all of them in one (left, top, right, bottom), or None
    """

    name: str
    path: Path
    patient: tuple[str, str]
    person: tuple[str, str]
    study: str
    series: str
    uid: str
    modality: str
    syntax: str
    bits: int
    size: tuple[int, int]
    frames: int
    instance: int
    burned: bool
    regions: tuple[int, int, int, int] | None

    @property
    def sliced(self) -> bool:
        """Whether its pictures are slices of a body."""
        return self.modality in _SLICED

    @property
    def moving(self) -> bool:
        """Whether several frames of it are a clip, whatever they say of their places."""
        return self.modality in _ALWAYS_CLIPS


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a file.

    Attributes:
        source: the file
        index: the frame in it, None where it has one only
        orientation: six numbers, or none
        position: along the normal, None where it does not say
        echo, time, acquisition: what may tell two series apart that lie in the same place
        shown: what its grey comes from: a window as `centre/width`, `VOI LUT`, `HU` (a CT without a window), `colour`,
            `stored` (8 bits as they are) or `percentiles`
    """

    source: Source
    index: int | None
    orientation: tuple[float, ...]
    position: float | None
    echo: str
    time: str
    acquisition: str
    shown: str

    @property
    def order(self) -> tuple[float, int, int, str]:
        """Where it stands in its series: by its place, else by its number."""
        return (self.position or 0.0, self.source.instance, self.index or 0, self.source.name)


def source_of(name: str, path: Path, dataset: Dataset) -> Source:
    """Read what a file says of itself; its frames are read by `frames_of`."""
    modality = text(dataset, "Modality")
    burned = text(dataset, "BurnedInAnnotation")
    return Source(
        name,
        path,
        (text(dataset, "PatientID"), text(dataset, "IssuerOfPatientID")),
        (text(dataset, "PatientName"), text(dataset, "PatientBirthDate")),
        text(dataset, "StudyInstanceUID"),
        text(dataset, "SeriesInstanceUID"),
        text(dataset, "SOPInstanceUID"),
        modality,
        str(dataset.file_meta.TransferSyntaxUID),
        whole(dataset, "BitsStored"),
        (whole(dataset, "Rows"), whole(dataset, "Columns")),
        max(1, whole(dataset, "NumberOfFrames", 1)),
        whole(dataset, "InstanceNumber"),
        burned == "YES" or (burned != "NO" and (modality in ("US", "SC", "XC", "OT") or _is_captured(dataset))),
        regions_of(dataset),
    )


def _is_captured(dataset: Dataset) -> bool:
    said = text(dataset, "SOPClassUID")
    return said == _CAPTURED or said.startswith(f"{_CAPTURED}.")


def frames_of(source: Source, dataset: Dataset) -> list[Frame]:
    """List the pictures of a file in their stored order."""
    if "PerFrameFunctionalGroupsSequence" in dataset:
        return [_frame(source, dataset, index) for index in range(source.frames)]
    alike = _frame(source, dataset, 0)  # tens of thousands of frames may say the same
    return [alike] if source.frames == 1 else [replace(alike, index=index) for index in range(source.frames)]


def _frame(source: Source, dataset: Dataset, index: int) -> Frame:
    single = source.frames == 1
    plane = frame_group(dataset, "PlanePositionSequence", index)
    turned = frame_group(dataset, "PlaneOrientationSequence", index)
    content = frame_group(dataset, "FrameContentSequence", index)
    echo = frame_group(dataset, "MREchoSequence", index)
    orientation = floats(turned, "ImageOrientationPatient")
    place = floats(plane, "ImagePositionPatient") if single or plane is not dataset else ()
    return Frame(
        source,
        None if single else index,
        orientation if len(orientation) == 6 else (),
        along_the_normal(place, orientation),
        text(echo, "EffectiveEchoTime") or text(dataset, "EchoNumbers") or text(dataset, "EchoTime"),
        text(content, "TemporalPositionIndex") or text(dataset, "TemporalPositionIdentifier"),
        text(content, "StackID") or text(dataset, "AcquisitionNumber"),
        _shown(dataset, index),
    )


def _shown(dataset: Dataset, index: int) -> str:
    if whole(dataset, "SamplesPerPixel", 1) > 1 or text(dataset, "PhotometricInterpretation") == "PALETTE COLOR":
        return "colour"
    if frame_group(dataset, "FrameVOILUTSequence", index).get("VOILUTSequence"):
        return "VOI LUT"
    rescale = frame_group(dataset, "PixelValueTransformationSequence", index)
    if window := own_window(dataset, index):
        said = frame_group(dataset, "FrameVOILUTSequence", index)
        return str(window) if text(said, "WindowCenter") and text(said, "WindowWidth") else "HU"
    plain = (floats(rescale, "RescaleSlope") or (1.0,), floats(rescale, "RescaleIntercept") or (0.0,)) == (
        (1.0,),
        (0.0,),
    )
    small = whole(dataset, "BitsStored", 16) <= 8 and plain and not dataset.get("ModalityLUTSequence")
    return "stored" if small else "percentiles"
