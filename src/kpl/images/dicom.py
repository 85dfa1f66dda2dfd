"""One frame of a DICOM file as the picture that a viewer shows, in 8 bits, or the reason why there is none.

From stored value to grey, in this order: padding is left out and black at the end; the modality LUT, or slope and
intercept; the VOI LUT, else the file's first window with its function, else for a CT whose values are said to be in
Hounsfield units 40/400, else 8 stored bits as they are, else the 0.5 to 99.5 percentiles of what is no padding; last
and once, MONOCHROME1 or an inverse presentation is turned over. Colour: palettes through their tables, YBR to RGB, more
than 8 bits by the high byte. Overlays are not drawn. Pixels that are not square are resampled.

Nothing of what a file says about a patient is in a reason, a log or a warning.
"""

from __future__ import annotations

import io
import logging
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kpl.errors import MissingExtraError, PictureError
from kpl.images.dicom_kinds import refuse_what_is_no_picture
from kpl.images.hushed import ignore_warnings_of

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

__all__ = ["open_dicom", "picture_of", "read_dicom"]

_PERCENTILES = (0.5, 99.5)
_CT_CENTRE, _CT_WIDTH = 40.0, 400.0
_TALKERS = ("pydicom", "pylibjpeg", "openjpeg", "rle", "jpeg_ls")
_QUIET_MODULES = r"(pydicom|pylibjpeg|openjpeg|rle|jpeg_ls|kpl\.images\.dicom)"


def read_dicom(data: bytes, *, shrink_to: int | None, max_pixels: int) -> NDArray[np.uint8]:
    """Decode a DICOM file of one frame.

    Args:
        data: the file's bytes, with the preamble or without.
        shrink_to: see `kpl.images.decode`.
        max_pixels: more, by the header, are refused.

    Returns:
        (height, width, 3) array of 0..255.

    Raises:
        PictureError: the reason in a few words, nothing of the patient in it.
    """
    dataset = open_dicom(data)
    try:
        refuse_what_is_no_picture(dataset, max_pixels)
        picture = picture_of(dataset)
        shown = _square(Image.fromarray(picture), dataset)
        if shrink_to is not None and (factor := min(shown.size) // shrink_to) > 1:
            shown = shown.reduce(factor)
        return np.array(shown.convert("RGB"))
    except PictureError:
        raise
    except MemoryError as error:
        raise PictureError("not enough memory to decode it") from error
    except Exception:  # an element that holds no sense can raise anything; the error's text may name the patient
        raise PictureError("DICOM whose elements contradict each other, or whose pixels are cut short") from None


def open_dicom(data: bytes) -> Dataset:
    """Read the elements of a DICOM file.

    Raises:
        PictureError: it is damaged, or the extra `dicom` is not installed.
    """
    try:
        from pydicom import dcmread
        from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
    except ImportError:
        raise PictureError(str(MissingExtraError("reading DICOM", "dicom"))) from None
    _quieten()
    try:
        dataset = dcmread(io.BytesIO(data), force=True)
        if "TransferSyntaxUID" not in dataset.file_meta:
            implicit, little = dataset.original_encoding
            explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
            dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    except Exception:  # a damaged file can raise anything, and its text may name the patient
        raise PictureError("DICOM whose header is damaged, or that is cut short") from None
    if not dataset.original_encoding[1]:
        _turn_palettes(dataset)
    if not len(dataset):
        raise PictureError("DICOM that is cut short: it holds nothing but its first bytes")
    return dataset


def _turn_palettes(dataset: Dataset) -> None:
    """Bring the palettes of a big-endian file to little endian, which pydicom takes them for."""
    for colour in ("Red", "Green", "Blue"):
        name = f"{colour}PaletteColorLookupTableData"
        words = dataset.get(name)
        if isinstance(words, bytes) and len(words) % 2 == 0:
            dataset[name].value = np.frombuffer(words, np.uint16).byteswap().tobytes()


def picture_of(dataset: Dataset) -> NDArray[np.uint8]:
    """Return the first frame by the rules at the head of this module: (height, width) of grey, or (height, width, 3).

    Raises:
        PictureError: its pixels cannot be decoded.
    """
    from pydicom.pixels import apply_color_lut

    stored = _stored(dataset)
    kind = str(dataset.PhotometricInterpretation)
    if kind == "PALETTE COLOR":
        colour = np.asarray(apply_color_lut(stored, dataset))
        return _high_byte(colour, 8 * colour.dtype.itemsize)
    if stored.ndim == 3:
        return _high_byte(stored, int(dataset.BitsStored))
    return _grey(stored, dataset, turned=kind == "MONOCHROME1")


def _stored(dataset: Dataset) -> NDArray[Any]:
    from pydicom.pixels import get_decoder, pixel_array

    syntax = dataset.file_meta.TransferSyntaxUID
    name = syntax.name if syntax.is_transfer_syntax and not syntax.is_private else "an unknown transfer syntax"
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise PictureError(f"DICOM in {name}, for which there is no decoder: decompress it first") from None
    if not decoder.is_available:
        raise PictureError(str(MissingExtraError(f"reading DICOM in {name}", "dicom")))
    try:
        return np.asarray(pixel_array(dataset, index=0))
    except MemoryError:
        raise
    except Exception:  # a decoder can raise anything, and the text may hold values of the file
        if "JPEG Extended" in name and int(dataset.BitsStored) > 8:
            raise PictureError("DICOM in JPEG of 12 bits, for which there is no decoder: decompress it first") from None
        raise PictureError(f"DICOM whose pixels are damaged or cut short ({name})") from None


def _grey(stored: NDArray[Any], dataset: Dataset, *, turned: bool) -> NDArray[np.uint8]:
    from pydicom.pixels import apply_modality_lut, apply_voi

    padding = _padding(stored, dataset)
    values = apply_modality_lut(stored, _with_own_rescale(dataset))
    window = _window(dataset)
    if dataset.get("VOILUTSequence"):
        bits = int(dataset.VOILUTSequence[0].LUTDescriptor[2])
        grey = apply_voi(np.asarray(values).astype(np.int64), dataset) * (255.0 / (2**bits - 1))
    elif window is not None:
        grey = _windowed(np.asarray(values, np.float64), *window)
    elif dataset.BitsStored <= 8 and np.array_equal(values, stored):
        low = -(2 ** (dataset.BitsStored - 1)) if dataset.PixelRepresentation else 0
        grey = (stored.astype(np.float64) - low) * (255.0 / (2**dataset.BitsStored - 1))
    else:
        seen = values if padding is None or padding.all() else values[~padding]
        low, high = (float(edge) for edge in np.percentile(seen, _PERCENTILES))
        grey = (np.asarray(values, np.float64) - low) * (255.0 / (high - low) if high > low else 0.0)
    shown: NDArray[np.uint8] = np.clip(np.rint(grey), 0, 255).astype(np.uint8)
    if turned or str(dataset.get("PresentationLUTShape", "")) == "INVERSE":
        np.invert(shown, out=shown)
    if padding is not None:
        shown[padding] = 0
    return shown


def _padding(stored: NDArray[Any], dataset: Dataset) -> NDArray[np.bool_] | None:
    first = dataset.get("PixelPaddingValue")
    if not isinstance(first, int):
        return None
    last = dataset.get("PixelPaddingRangeLimit", first)
    edges = sorted(_as_stored(int(edge), dataset) for edge in (first, last if isinstance(last, int) else first))
    found: NDArray[np.bool_] = (stored >= edges[0]) & (stored <= edges[1])
    return found if found.any() else None


def _as_stored(value: int, dataset: Dataset) -> int:
    """The value in the sign of the pixels: files write it in the other one too."""
    size = 1 << int(dataset.BitsAllocated)
    value %= size
    return value - size if dataset.PixelRepresentation and value >= size // 2 else value


def _groups(dataset: Dataset, name: str) -> Dataset:
    """The item of a functional group, the first frame's before the shared one; without one, the data set itself."""
    for sequence in ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"):
        items = dataset.get(sequence)
        if items and items[0].get(name):
            return items[0][name].value[0]
    return dataset


def _with_own_rescale(dataset: Dataset) -> Dataset:
    return _groups(dataset, "PixelValueTransformationSequence")


def _window(dataset: Dataset) -> tuple[float, float, str] | None:
    """The first window as (centre, width, function); None where there is none that means anything."""
    said = _groups(dataset, "FrameVOILUTSequence")
    centre, width = (_first_number(said.get(name)) for name in ("WindowCenter", "WindowWidth"))
    if centre is not None and width is not None and width >= 1:
        return centre, width, str(said.get("VOILUTFunction", None) or "LINEAR")
    if dataset.get("Modality") == "CT" and str(_with_own_rescale(dataset).get("RescaleType", "")) == "HU":
        return _CT_CENTRE, _CT_WIDTH, "LINEAR"
    return None


def _first_number(value: object) -> float | None:
    try:
        number = float(value if isinstance(value, int | float | str) else value[0])  # type: ignore[index]
    except (TypeError, ValueError, IndexError):
        return None
    return number if np.isfinite(number) else None


def _windowed(values: NDArray[np.float64], centre: float, width: float, function: str) -> NDArray[np.float64]:
    """Window to 0..255 by PS3.3 C.11.2.1.2 and C.11.2.1.3."""
    if function == "SIGMOID":
        return 255.0 / (1.0 + np.exp(np.clip(-4.0 * (values - centre) / width, -700.0, 700.0)))
    if function == "LINEAR_EXACT":
        return np.clip((values - centre) / width + 0.5, 0.0, 1.0) * 255.0
    if width == 1.0:
        return np.where(values > centre - 0.5, 255.0, 0.0)
    return np.clip((values - (centre - 0.5)) / (width - 1.0) + 0.5, 0.0, 1.0) * 255.0


def _high_byte(colour: NDArray[Any], bits: int) -> NDArray[np.uint8]:
    high: NDArray[np.uint8] = (colour >> max(0, bits - 8)).astype(np.uint8)
    return high


def _square(picture: Image.Image, dataset: Dataset) -> Image.Image:
    """Resample to square pixels, the closer side kept."""
    for name in ("PixelSpacing", "PixelAspectRatio", "ImagerPixelSpacing"):
        said = dataset.get(name)
        if said is None or isinstance(said, str) or len(said) != 2:
            continue
        down, across = float(said[0]), float(said[1])
        if not (0 < down < 1e6 and 0 < across < 1e6) or not 0.1 < down / across < 10:
            return picture
        if abs(down / across - 1.0) < 0.01:
            return picture
        finer = min(down, across)
        size = (round(picture.width * across / finer), round(picture.height * down / finer))
        return picture.resize(size, Image.Resampling.BILINEAR)
    return picture


def _quieten() -> None:
    # Their warnings and logs quote values of the file, and gdcm writes to the terminal by itself.
    for name in _TALKERS:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    ignore_warnings_of(_QUIET_MODULES)
    try:
        import gdcm
    except ImportError:
        return
    for off in (gdcm.Trace.DebugOff, gdcm.Trace.WarningOff, gdcm.Trace.ErrorOff):
        off()
