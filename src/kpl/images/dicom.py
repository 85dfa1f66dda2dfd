"""One frame of a DICOM file as the picture that a viewer shows, in 8 bits, or the reason why there is none.

From stored value to grey, in this order: padding is left out and black at the end; the modality LUT, or slope and
intercept; the window that was asked for, else the VOI LUT, else the file's first window with its function, else for a
CT whose values are said to be in Hounsfield units 40/400, else 8 stored bits as they are, else the 0.5 to 99.5
percentiles of what is no padding in all of the series; last and once, MONOCHROME1 or an inverse presentation is turned
over. Colour: palettes through their tables, YBR to RGB, more than 8 bits by the high byte. Overlays are not drawn.
Pixels that are not square are resampled.

Of stored values of up to 16 bits there are so few that a table takes each to its grey: it is made by the same rules,
once for all pictures that share them.

Nothing of what a file says about a patient is in a reason, a log or a warning.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kpl.errors import PictureError
from kpl.images.dicom_header import floats, frame_group, open_dicom, text, whole
from kpl.images.dicom_kinds import refuse_what_is_no_picture
from kpl.images.dicom_pixels import stored_values
from kpl.images.shaping import finished, square_size
from kpl.images.windows import Window

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

PERCENTILES = (0.5, 99.5)
_CT = Window(40.0, 400.0)
_TABLES = 16


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

    def read() -> NDArray[np.uint8]:
        dataset = open_dicom(data)
        refuse_what_is_no_picture(dataset, max_pixels)
        if (frames := whole(dataset, "NumberOfFrames", 1)) > 1:
            raise PictureError(f"DICOM of {frames} frames: give the file by its name or folder, not what it holds")
        left, top, right, bottom = regions_of(dataset) or (0, 0, None, None)
        return finished(picture_of(dataset)[top:bottom, left:right], square_size_of(dataset), shrink_to)

    return said_without_the_patient(read)


def regions_of(dataset: Dataset) -> tuple[int, int, int, int] | None:
    """Return one (left, top, right, bottom) around the regions of ultrasound, those of two dimensions first."""
    items = list(dataset.get("SequenceOfUltrasoundRegions") or ())
    flat = [item for item in items if whole(item, "RegionSpatialFormat") == 1] or items
    names = ("RegionLocationMinX0", "RegionLocationMinY0", "RegionLocationMaxX1", "RegionLocationMaxY1")
    boxes = [tuple(whole(item, name, -1) for name in names) for item in flat]
    if not boxes:
        return None
    left, top = min(box[0] for box in boxes), min(box[1] for box in boxes)
    right, bottom = max(box[2] for box in boxes) + 1, max(box[3] for box in boxes) + 1
    inside = 0 <= left < right <= whole(dataset, "Columns") and 0 <= top < bottom <= whole(dataset, "Rows")
    return (left, top, right, bottom) if inside else None


def said_without_the_patient(read: Callable[[], NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Read pixels; whatever else goes wrong becomes a reason that quotes nothing of the file.

    Raises:
        PictureError: it cannot be read.
    """
    try:
        return read()
    except PictureError:
        raise
    except MemoryError:
        raise PictureError("not enough memory to decode it") from None
    except Exception:  # an element that holds no sense can raise anything; the error's text may name the patient
        raise PictureError("DICOM whose elements contradict each other, or whose pixels are cut short") from None


def picture_of(
    dataset: Dataset,
    frame: int = 0,
    *,
    path: Path | None = None,
    windows: tuple[Window, ...] = (),
    spread: tuple[float, float] | None = None,
) -> NDArray[np.uint8]:
    """Return a frame by the rules at the head of this module.

    Args:
        dataset: of the file.
        frame: which one.
        path: of the file, where `dataset` was read without its pixels.
        windows: in the place of the file's own; three make the channels of a colour picture.
        spread: what becomes 0 and 255 where there is no window; None takes the percentiles of this frame.

    Returns:
        (height, width) of grey, or (height, width, 3).

    Raises:
        PictureError: its pixels cannot be decoded.
    """
    from pydicom.pixels import apply_color_lut

    stored = stored_values(dataset, frame, path)
    kind = text(dataset, "PhotometricInterpretation")
    if kind == "PALETTE COLOR":
        colour = np.asarray(apply_color_lut(stored, _with_palettes_turned(dataset)))
        return _high_byte(colour, 8 * colour.dtype.itemsize)
    if stored.ndim == 3:
        return _high_byte(stored, whole(dataset, "BitsStored", 8))
    return _grey(stored, dataset, frame, windows, spread)


def _with_palettes_turned(dataset: Dataset) -> Dataset:
    """Bring the palettes of a big-endian file to little endian, which pydicom takes them for."""
    if dataset.original_encoding[1]:
        return dataset
    from pydicom.dataset import Dataset as Fresh

    turned = Fresh()
    for colour in ("Red", "Green", "Blue"):
        for what in ("Descriptor", "Data"):
            name = f"{colour}PaletteColorLookupTable{what}"
            if name in dataset:
                turned[name] = dataset[name]
        words = turned.get(f"{colour}PaletteColorLookupTableData")
        if isinstance(words, bytes) and len(words) % 2 == 0:
            setattr(
                turned, f"{colour}PaletteColorLookupTableData", np.frombuffer(words, np.uint16).byteswap().tobytes()
            )
    return turned


def grey_values(
    dataset: Dataset, frame: int = 0, path: Path | None = None
) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
    """Return a frame's values after slope and intercept, and where it is padding (None for nowhere)."""
    stored = stored_values(dataset, frame, path)
    return _modality(stored, dataset, frame), _padding(stored, dataset)


def _grey(
    stored: NDArray[Any], dataset: Dataset, frame: int, windows: tuple[Window, ...], spread: tuple[float, float] | None
) -> NDArray[np.uint8]:
    own = None if windows else own_window(dataset, frame)
    if spread is None and not windows and own is None and not _has_table(dataset, frame):
        spread = _spread(stored, dataset, frame)
    chosen = windows or (() if own is None else (own,))

    def layers(values: NDArray[Any]) -> NDArray[np.uint8]:
        made = [_shown(values, dataset, frame, window, spread) for window in chosen or (None,)]
        return made[0] if len(made) == 1 else np.stack(made, axis=-1)

    if stored.dtype.itemsize > 2:
        return layers(stored)
    unsigned = np.dtype(f"u{stored.dtype.itemsize}")
    table = _table(_rules(dataset, frame, stored.dtype.str, chosen, spread), stored.dtype, layers)
    return np.take(table, stored.astype(stored.dtype.newbyteorder("="), copy=False).view(unsigned), axis=0)


_tables: OrderedDict[Hashable, NDArray[np.uint8]] = OrderedDict()
_tables_lock = Lock()


def _table(
    rules: Hashable | None, kind: np.dtype[Any], made: Callable[[NDArray[Any]], NDArray[np.uint8]]
) -> NDArray[np.uint8]:
    """The grey of every value that there can be, by its bits; kept for the next picture of the same rules."""
    with _tables_lock:
        if rules is not None and rules in _tables:
            _tables.move_to_end(rules)
            return _tables[rules]
    every = np.arange(256**kind.itemsize, dtype=f"u{kind.itemsize}").view(kind.newbyteorder("="))
    table = made(every)
    with _tables_lock:
        if rules is not None:
            _tables[rules] = table
            while len(_tables) > _TABLES:
                _tables.popitem(last=False)
    return table


def _rules(
    dataset: Dataset, frame: int, kind: str, windows: tuple[Window, ...], spread: tuple[float, float] | None
) -> Hashable | None:
    """All that a table is made from; None where that is a table of the file itself."""
    if _has_table(dataset, frame) or dataset.get("ModalityLUTSequence"):
        return None
    names = ("BitsStored", "PixelRepresentation", "PhotometricInterpretation", "PresentationLUTShape", "BitsAllocated")
    rescale = frame_group(dataset, "PixelValueTransformationSequence", frame)
    said = tuple(text(dataset, name) for name in (*names, "PixelPaddingValue", "PixelPaddingRangeLimit"))
    return (kind, windows, spread, said, text(rescale, "RescaleSlope"), text(rescale, "RescaleIntercept"))


def _shown(
    stored: NDArray[Any], dataset: Dataset, frame: int, window: Window | None, spread: tuple[float, float] | None
) -> NDArray[np.uint8]:
    from pydicom.pixels import apply_voi

    values = _modality(stored, dataset, frame)
    if window is not None:
        grey = window.grey(np.asarray(values, np.float64))
    elif _has_table(dataset, frame):
        said = frame_group(dataset, "FrameVOILUTSequence", frame)
        bits = int(said.VOILUTSequence[0].LUTDescriptor[2])
        grey = apply_voi(np.asarray(values).astype(np.int64), said) * (255.0 / (2**bits - 1))
    elif spread is None:
        bits = whole(dataset, "BitsStored", 8)
        low: float = -(2 ** (bits - 1)) if whole(dataset, "PixelRepresentation") else 0
        grey = (stored.astype(np.float64) - low) * (255.0 / (2**bits - 1))
    else:
        low, high = spread
        grey = (np.asarray(values, np.float64) - low) * (255.0 / (high - low) if high > low else 0.0)
    shown: NDArray[np.uint8] = np.clip(np.rint(grey), 0, 255).astype(np.uint8)
    turned = text(dataset, "PhotometricInterpretation") == "MONOCHROME1"
    if turned or text(dataset, "PresentationLUTShape") == "INVERSE":
        np.invert(shown, out=shown)
    if (padding := _padding(stored, dataset)) is not None:
        shown[padding] = 0
    return shown


def _modality(stored: NDArray[Any], dataset: Dataset, frame: int) -> NDArray[Any]:
    from pydicom.pixels import apply_modality_lut

    return np.asarray(apply_modality_lut(stored, frame_group(dataset, "PixelValueTransformationSequence", frame)))


def _spread(stored: NDArray[Any], dataset: Dataset, frame: int) -> tuple[float, float] | None:
    """What becomes black and white without any window; None for 8 bits, which stay as they are."""
    values = _modality(stored, dataset, frame)
    if whole(dataset, "BitsStored", 16) <= 8 and np.array_equal(values, stored):
        return None
    padding = _padding(stored, dataset)
    seen = values if padding is None or padding.all() else values[~padding]
    low, high = np.percentile(seen, PERCENTILES)
    return float(low), float(high)


def _padding(stored: NDArray[Any], dataset: Dataset) -> NDArray[np.bool_] | None:
    first = floats(dataset, "PixelPaddingValue")
    if not first:
        return None
    last = floats(dataset, "PixelPaddingRangeLimit") or first
    edges = sorted(_asstored_values(int(edge), dataset) for edge in (first[0], last[0]))
    found: NDArray[np.bool_] = (stored >= edges[0]) & (stored <= edges[1])
    return found if found.any() else None


def _asstored_values(value: int, dataset: Dataset) -> int:
    """The value in the sign of the pixels: files write it in the other one too."""
    size = 1 << whole(dataset, "BitsAllocated", 16)
    value %= size
    return value - size if whole(dataset, "PixelRepresentation") and value >= size // 2 else value


def _has_table(dataset: Dataset, frame: int) -> bool:
    return bool(frame_group(dataset, "FrameVOILUTSequence", frame).get("VOILUTSequence"))


def own_window(dataset: Dataset, frame: int = 0) -> Window | None:
    """Return the file's first window that means anything, or that of Hounsfield units; None before a VOI LUT."""
    if _has_table(dataset, frame):
        return None
    said = frame_group(dataset, "FrameVOILUTSequence", frame)
    centre, width = floats(said, "WindowCenter"), floats(said, "WindowWidth")
    if centre and width and width[0] >= 1:
        return Window(centre[0], width[0], text(said, "VOILUTFunction") or "LINEAR")
    rescale = frame_group(dataset, "PixelValueTransformationSequence", frame)
    hounsfield = text(dataset, "Modality") == "CT" and text(rescale, "RescaleType") == "HU"
    return _CT if hounsfield else None


def _high_byte(colour: NDArray[Any], bits: int) -> NDArray[np.uint8]:
    high: NDArray[np.uint8] = (colour >> max(0, bits - 8)).astype(np.uint8)
    return high


def square_size_of(dataset: Dataset) -> Callable[[int, int], tuple[int, int] | None]:
    """Return how a picture of some width and height becomes one of square pixels, see `kpl.images.shaping`."""
    measures = frame_group(dataset, "PixelMeasuresSequence", 0)
    for where, name in ((measures, "PixelSpacing"), (dataset, "PixelAspectRatio"), (dataset, "ImagerPixelSpacing")):
        if len(said := floats(where, name)) == 2:
            return partial(square_size, down=said[0], across=said[1])
    return partial(square_size, down=1.0, across=1.0)
