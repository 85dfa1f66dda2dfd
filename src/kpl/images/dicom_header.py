"""The elements of a DICOM file up to its pixels, and their values as plain text and numbers.

Values are taken as they were stored: pydicom's own conversion costs more than all the rest of planning a series, and
stops at values that no viewer minds.
"""

from __future__ import annotations

import io
import logging
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from kpl.errors import PictureError, from_extra
from kpl.images.dicom_scan import SCANNED, scan
from kpl.images.hushed import ignore_warnings_of

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_TALKERS = ("pydicom", "pylibjpeg", "openjpeg", "rle", "jpeg_ls")
_QUIET_MODULES = r"(pydicom|pylibjpeg|openjpeg|rle|jpeg_ls|kpl\.images\.dicom\w*)"
_BINARY = {"US": 2, "SS": 2, "UL": 4, "SL": 4}
_SHARED, _PER_FRAME = 0x52009229, 0x52009230
_PIXELS = {0x7FE00010: "PixelData", 0x7FE00008: "FloatPixelData", 0x7FE00009: "DoubleFloatPixelData"}


def open_dicom(source: bytes | BinaryIO, *, with_pixels: bool = True) -> Dataset:
    """Read the elements of a DICOM file.

    Args:
        source: the file's bytes, with the preamble or without; or the file, open.
        with_pixels: read the pixels too; else the data set has an empty element in their place where the file has them.

    Raises:
        PictureError: it is damaged, or the extra `dicom` is not installed.
    """
    with from_extra("dicom", "reading DICOM", PictureError):
        from pydicom import dcmread
        from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
    _quieten()
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    if not with_pixels:
        if scanned := scan(file.read(SCANNED)):
            dataset, dataset.kpl_offset = scanned[0], scanned[1]
            return dataset
        file.seek(0)
    try:
        dataset = dcmread(file, force=True, stop_before_pixels=not with_pixels)
        said = "TransferSyntaxUID" in dataset.file_meta
        if not said:
            implicit, little = dataset.original_encoding
            explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
            dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
        if not with_pixels:
            _say_which_pixels(dataset, file)
            dataset.kpl_offset = dataset.kpl_offset if said else None
    except MemoryError:
        raise PictureError("not enough memory to read it") from None
    except Exception:  # a damaged file can raise anything, and its text may name the patient
        raise PictureError("DICOM whose header is damaged, or that is cut short") from None
    if not len(dataset):
        raise PictureError("DICOM that is cut short: it holds nothing but its first bytes")
    return dataset


def _say_which_pixels(dataset: Dataset, file: BinaryIO) -> None:
    """Put an empty element of pixels where the file has them; where they begin stays in its `kpl_offset`."""
    dataset.kpl_offset = None
    if dataset.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1.99":  # deflated: the position says nothing
        dataset.PixelData = b""
        return
    at, (implicit, little) = file.tell(), dataset.original_encoding
    head = file.read(12)
    order = "little" if little else "big"
    tag = int.from_bytes(head[:2], order) << 16 | int.from_bytes(head[2:4], order)  # type: ignore[arg-type]
    if tag in _PIXELS:
        setattr(dataset, _PIXELS[tag], b"")
        dataset.kpl_offset = at + (8 if implicit else 12)


@lru_cache(maxsize=4)
def _cached_header(path: Path, changed: int, size: int) -> Dataset:
    del changed, size  # they only say that it is still the same file
    with path.open("rb") as file:
        return open_dicom(file, with_pixels=False)


def header_of(path: Path) -> Dataset:
    """Read the elements of a file up to its pixels; the last few files are kept, for the frames of one are many.

    Raises:
        PictureError: it cannot be read.
    """
    try:
        stat = path.stat()
        return _cached_header(path, stat.st_mtime_ns, stat.st_size)
    except OSError as error:
        raise PictureError(f"cannot be read: {error.strerror or type(error).__name__}") from None


def image_offset(dataset: Dataset) -> int | None:
    """Say where in the file the pixels begin, for one that was read without them; None where that is not known."""
    return getattr(dataset, "kpl_offset", None)


def text(dataset: Dataset, name: str) -> str:
    """Return an element as it is written, several values with backslashes; empty where there is none.

    Args:
        dataset: of a file.
        name: keyword of an element that is no sequence.
    """
    tag = _tag(name)
    if tag not in dataset:
        return ""
    item: Any = dataset.get_item(tag)
    value = item.value
    if value is None:
        return ""
    if isinstance(value, bytes):
        size = _BINARY.get(item.VR or _binary_vr(name) or "")
        if size is None:
            return value.decode("latin-1").strip(" \0")
        order = "little" if getattr(item, "is_little_endian", True) else "big"
        parts = [value[i : i + size] for i in range(0, len(value) - size + 1, size)]
        signed = (item.VR or _binary_vr(name)) in ("SS", "SL")
        return "\\".join(str(int.from_bytes(part, order, signed=signed)) for part in parts)  # type: ignore[arg-type]
    if isinstance(value, str):
        return value.strip(" \0")
    try:
        return "\\".join(str(each) for each in value)
    except TypeError:
        return str(value)


@lru_cache(maxsize=256)
def _tag(name: str) -> Any:  # noqa: ANN401 - of a library without types
    from pydicom.datadict import tag_for_keyword
    from pydicom.tag import Tag

    return Tag(tag_for_keyword(name) or 0)


@lru_cache(maxsize=256)
def _binary_vr(name: str) -> str | None:
    from pydicom.datadict import dictionary_VR, tag_for_keyword

    vr = dictionary_VR(tag_for_keyword(name) or 0)
    return vr if vr in _BINARY else "US" if vr == "US or SS" else None


def floats(dataset: Dataset, name: str) -> tuple[float, ...]:
    """Return the numbers of an element; empty where there is none, or one is no finite number."""
    try:
        numbers = tuple(float(part) for part in text(dataset, name).split("\\") if part.strip())
    except ValueError:
        return ()
    return numbers if all(abs(number) < float("inf") for number in numbers) else ()


def whole(dataset: Dataset, name: str, default: int = 0) -> int:
    """Return the first number of an element as a whole one."""
    numbers = floats(dataset, name)
    return int(numbers[0]) if numbers else default


def frame_group(dataset: Dataset, name: str, frame: int) -> Dataset:
    """Return the item of a functional group, the frame's before the shared one; without one, the data set itself."""
    if _SHARED not in dataset and _PER_FRAME not in dataset:
        return dataset
    for sequence, place in (("PerFrameFunctionalGroupsSequence", frame), ("SharedFunctionalGroupsSequence", 0)):
        items = dataset.get(sequence)
        if items and place < len(items) and items[place].get(name):
            return items[place][name].value[0]
    return dataset


def _quieten() -> None:
    # Their warnings and logs quote values of the file, and gdcm writes to the terminal by itself.
    ignore_warnings_of(_QUIET_MODULES)
    _quieten_once()


@lru_cache(maxsize=1)
def _quieten_once() -> None:
    for name in _TALKERS:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    try:
        import gdcm
    except ImportError:
        return
    for off in (gdcm.Trace.DebugOff, gdcm.Trace.WarningOff, gdcm.Trace.ErrorOff):
        off()
