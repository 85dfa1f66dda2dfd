"""The stored values of a frame of DICOM: read as they lie in the file, or decoded."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kpl.errors import MissingExtraError, PictureError
from kpl.images.dicom_header import image_offset, open_dicom, whole

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_NATIVE = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1")
_DEEP_JPEG = "1.2.840.10008.1.2.4.51"
_RARE_JPEG = ("1.2.840.10008.1.2.4.53", "1.2.840.10008.1.2.4.55")


def stored_values(dataset: Dataset, frame: int, path: Path | None) -> NDArray[Any]:
    """Return the values of a frame as they are stored, (height, width) or (height, width, 3), YBR as RGB.

    Args:
        dataset: of the file.
        frame: which one.
        path: of the file, where `dataset` was read without its pixels.

    Raises:
        PictureError: they cannot be decoded.
    """
    syntax = dataset.file_meta.TransferSyntaxUID
    if path is not None and (direct := _native(dataset, frame, path)) is not None:
        return direct
    from pydicom.pixels import pixel_array

    by_path = path is not None and whole(dataset, "NumberOfFrames", 1) > 1 and image_offset(dataset) is not None
    refuse_without_decoder(dataset)
    try:
        deep = _is_deep_jpeg(dataset)
        if by_path and not deep:
            return np.asarray(pixel_array(path, index=frame))
        held = dataset if path is None else open_dicom(path.read_bytes())
        return _deep_jpeg(held, frame) if deep else np.asarray(pixel_array(held, index=frame))
    except (PictureError, MemoryError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # a decoder can raise anything, a panic of Rust too; its text may hold values of the file
        raise PictureError(f"DICOM whose pixels are damaged or cut short ({_name_of(syntax)})") from None


def _name_of(syntax: Any) -> str:  # noqa: ANN401 - of a library without types
    return syntax.name if syntax.is_transfer_syntax and not syntax.is_private else "an unknown transfer syntax"


def _is_deep_jpeg(dataset: Dataset) -> bool:
    syntax = dataset.file_meta.TransferSyntaxUID
    return syntax in _RARE_JPEG or (syntax == _DEEP_JPEG and whole(dataset, "BitsStored") > 8)


def refuse_without_decoder(dataset: Dataset) -> None:
    """Refuse pixels that nothing here can decode, with what would.

    Raises:
        PictureError: they are compressed in a way for which there is no decoder.
    """
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax in _NATIVE:
        return
    name = _name_of(syntax)
    if _is_deep_jpeg(dataset):
        if find_spec("imagecodecs") is None:
            raise PictureError(str(MissingExtraError("reading DICOM in JPEG of 12 bits", "dicom")))
        return
    from pydicom.pixels import get_decoder

    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise PictureError(f"DICOM in {name}, for which there is no decoder: decompress it first") from None
    if not decoder.is_available:
        raise PictureError(str(MissingExtraError(f"reading DICOM in {name}", "dicom")))


def _deep_jpeg(dataset: Dataset, frame: int) -> NDArray[Any]:
    """Decode JPEG of 12 bits, or in several passes, which pydicom has no decoder for; grey alone."""
    from imagecodecs import jpeg_decode
    from pydicom.encaps import get_frame

    frames = whole(dataset, "NumberOfFrames", 1)
    values = np.asarray(jpeg_decode(get_frame(dataset.PixelData, frame, number_of_frames=frames)))
    if values.shape != (whole(dataset, "Rows"), whole(dataset, "Columns")):
        raise PictureError("DICOM whose frames are of another size or colour than it says")
    return values.astype(np.int16) if whole(dataset, "PixelRepresentation") else values


def _native(dataset: Dataset, frame: int, path: Path) -> NDArray[Any] | None:
    """Read grey of 8 or 16 bits that is stored as it is, with nothing else read; None for all else."""
    bits, offset = whole(dataset, "BitsAllocated"), image_offset(dataset)
    plain = bits in (8, 16) and whole(dataset, "SamplesPerPixel", 1) == 1
    if not plain or offset is None or dataset.file_meta.TransferSyntaxUID not in _NATIVE:
        return None
    kind = np.dtype(f"<{'i' if whole(dataset, 'PixelRepresentation') else 'u'}{bits // 8}")
    if whole(dataset, "BitsStored", bits) != bits and kind.kind == "i":
        return None  # pydicom sees to bits that are not used
    rows, columns = whole(dataset, "Rows"), whole(dataset, "Columns")
    size = rows * columns * kind.itemsize
    with path.open("rb") as file:
        file.seek(offset + frame * size)
        held = file.read(size)
    if len(held) != size:
        raise PictureError("DICOM whose pixels are damaged or cut short")
    return np.frombuffer(held, kind).reshape(rows, columns)
