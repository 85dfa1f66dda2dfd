"""Pictures that are in memory: of Pillow, arrays, tensors, the bytes of a file, an open file, a row of a data set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kpl.errors import InputError, PictureError
from kpl.images.cohorts import find_inputs
from kpl.images.decoding import as_rgb, eight_bits, read_picture_bytes
from kpl.images.records import Asked, Found, Instance, Unit

Pictures = Any
"""Folders and files by their paths; or pictures in memory, one or many: see `find_given`."""
_COLUMNS = ("image", "picture", "path", "file", "file_name", "filename", "img")


def find_given(pictures: Pictures, asked: Asked | None = None) -> Found:
    """Make a list of records of whatever pictures are given.

    Args:
        pictures: folders and files by their paths, as in `find_pictures`, also as a Series or a column of a table; or
            pictures of Pillow, (height, width), (height, width, 3) or (height, width, 4) arrays, tensors (3, height,
            width), the bytes of files, open files, or a `datasets.Dataset` or its column: one or many. A picture in
            memory is called by its place, `000000` and so on, and is brought to bytes when it is read.
        asked: of the readers of files, see `find_pictures`.

    Raises:
        InputError: there is none, paths and pictures are mixed, or it is nothing that pictures can be read from.
    """
    if isinstance(pictures, str | Path):
        return find_inputs(pictures, asked)
    if _is_one(pictures):
        pictures = [pictures]
    column = _column(pictures)
    paths = [isinstance(each, str | Path) for each in _cheap(column)]
    if paths and all(paths):
        return find_inputs([Path(str(each)) for each in column], asked)
    if any(paths):
        raise InputError("paths and pictures in memory are mixed: give either the ones or the others")
    if not len(column):
        raise InputError("no picture was given: give at least one")
    width = max(6, len(str(len(column) - 1)))
    records = [
        Instance(f"{place:0{width}d}", Path(f"{place:0{width}d}"), data=partial(_read, column, place))
        for place in range(len(column))
    ]
    return Found([Unit.of(record) for record in records], [], 0)


def _is_one(given: object) -> bool:
    if isinstance(given, Image.Image | bytes | bytearray | memoryview) or callable(getattr(given, "read", None)):
        return True
    if hasattr(given, "column_names") or hasattr(given, "columns"):
        return False
    return getattr(given, "ndim", None) in (2, 3) and not hasattr(given, "to_numpy")


def _column(given: Any) -> Sequence[Any]:  # noqa: ANN401 - whatever the user has
    """Return the pictures of a data set or a table, or the sequence that was given."""
    named: Any = getattr(given, "column_names", None)
    names = [str(name) for name in (getattr(given, "columns", ()) if named is None else named)]
    if names:
        found = [name for name in names if name in _COLUMNS]
        if len(names) != 1 and len(found) != 1:
            raise InputError(f"which of the columns {', '.join(names)} holds the pictures? Give that column alone")
        name = found[0] if found else names[0]
        if hasattr(given, "features") and not hasattr(given, "to_numpy"):  # a data set decodes row by row
            return _Rows(given, name)
        given = given[name]
    if hasattr(given, "to_list"):
        given = given.to_list()
    if isinstance(given, Mapping) or not isinstance(given, Iterable):
        raise InputError(
            f"pictures are paths, or pictures in memory, got {type(given).__name__}: see the documentation of classify"
        )
    held: Any = given
    return held if hasattr(held, "__len__") and hasattr(held, "__getitem__") else list(held)


class _Rows(Sequence[Any]):
    """A column of a `datasets.Dataset`, which reads a row when it is asked for."""

    def __init__(self, rows: Any, name: str) -> None:  # noqa: ANN401 - of a library that need not be installed
        self.rows, self.name = rows, name

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: Any) -> Any:  # noqa: ANN401 - a picture
        return self.rows[int(place)][self.name]


def _cheap(column: Sequence[Any]) -> Iterable[Any]:
    """Return what is looked at to tell paths from pictures: all, but of a data set the first."""
    return column if isinstance(column, list | tuple) else [column[0]] if len(column) else []


def _read(column: Sequence[Any], place: int) -> bytes:
    try:
        return picture_bytes(column[place])
    except PictureError:
        raise
    except Exception as error:  # somebody else's object: whatever it raises, one picture must not stop a run
        raise PictureError(f"cannot be read from memory: {type(error).__name__}: {str(error)[:100]}") from error


def picture_bytes(picture: Any) -> bytes:  # noqa: ANN401 - see `find_given`
    """Return a picture in memory as the bytes of a file; pixels become a file that holds them as they are.

    Raises:
        PictureError: it is none.

    Example:
        >>> picture_bytes(np.zeros((1, 2, 3), np.uint8))[:9]
        b'P6 2 1 25'
    """
    if isinstance(picture, bytes | bytearray | memoryview):
        return bytes(picture)
    if isinstance(picture, str | Path):
        return read_picture_bytes(Path(picture))
    if isinstance(picture, Mapping) and ("bytes" in picture or "path" in picture):  # a data set's undecoded row
        held = picture.get("bytes")
        return bytes(held) if held is not None else read_picture_bytes(Path(str(picture["path"])))
    if callable(getattr(picture, "read", None)):
        if callable(getattr(picture, "seek", None)):
            picture.seek(0)
        return bytes(picture.read())
    pixels = pixels_of(picture)
    return b"P6 %d %d 255 " % (pixels.shape[1], pixels.shape[0]) + pixels.tobytes()


def pixels_of(picture: Any) -> NDArray[np.uint8]:  # noqa: ANN401 - see `find_given`
    """Return the pixels of a picture of Pillow, an array or a tensor, (height, width, 3) of 0..255.

    Values become 0..255 as those of a file do: 0..1 of floats are stretched, of 16 bits the upper eight are taken.

    Raises:
        PictureError: it has no such pixels.
    """
    if isinstance(picture, Image.Image):
        return as_rgb(picture)
    if hasattr(picture, "detach"):
        picture = picture.detach().cpu()
        picture = (picture.float() if "bfloat16" in str(picture.dtype) else picture).numpy()
        if picture.ndim == 3 and picture.shape[0] in (1, 3, 4) and picture.shape[2] not in (1, 3, 4):
            picture = picture.transpose(1, 2, 0)
    values = np.asarray(picture)
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[:, :, 0]
    if values.dtype == np.uint8 and values.ndim == 3 and values.shape[2] == 3 and 0 not in values.shape:
        return np.ascontiguousarray(values)
    if values.ndim not in (2, 3) or 0 in values.shape or (values.ndim == 3 and values.shape[2] not in (3, 4)):
        raise PictureError(
            f"an array of {values.shape} {values.dtype} is no picture: (height, width), (height, width, 3) or "
            "(height, width, 4) is one"
        )
    return as_rgb(Image.fromarray(_eight_bits(values)))


def _eight_bits(values: NDArray[Any]) -> NDArray[np.uint8]:
    if values.dtype == np.uint8:
        return np.ascontiguousarray(values)
    if values.dtype == np.bool_:
        return np.ascontiguousarray(values.astype(np.uint8) * 255)
    if values.dtype == np.uint16:
        return eight_bits(values)[0]
    if values.dtype.kind == "f" and np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1:
        return np.ascontiguousarray((values.astype(np.float64) * 255).round().astype(np.uint8))
    raise PictureError(f"values of {values.dtype} are no picture: 0 to 255 as uint8, uint16, or floats from 0 to 1 are")
