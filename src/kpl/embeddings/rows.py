"""Feature rows on disk, read in chunks: memory holds one chunk, whatever the files hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kpl.errors import FeaturesError

CHUNK_ROWS = 4096

_UNIT_TOLERANCE = 5e-3  # float16 rounding moves a row's length by up to 0.0007 in features published by others


class FeatureRows:
    """Unit rows in one or more .npy files, as a re-iterable source of chunks.

    Every pass yields float32 arrays of at most `CHUNK_ROWS` rows, checked and brought to unit length; they are new
    arrays that can be kept and changed.

    Args:
        paths: the .npy files, (rows, d) each, float16, float32 or float64.

    Raises:
        FeaturesError: a file is missing or damaged, or the files do not fit together. A row that is not finite, zero
            or far from unit length is found when it is read.

    Attributes:
        n: rows in all files
        d: columns
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        """Look at the shape and type of every file; no row is read yet."""
        self._paths = tuple(paths)
        if not self._paths:
            raise FeaturesError("no file of features is named: at least one is needed")
        shapes = [map_array(path).shape for path in self._paths]  # one at a time: a mapping holds its file open
        for path, shape in zip(self._paths, shapes, strict=True):
            if len(shape) != 2 or shape[1] != shapes[0][1] or shape[1] == 0:
                raise FeaturesError(
                    f"{str(path)!r} has the shape {shape}: features are (rows, d), d the same in every file"
                )
        self.n = sum(shape[0] for shape in shapes)
        self.d: int = shapes[0][1]
        if self.n == 0:
            raise FeaturesError(f"{str(self._paths[0])!r} holds no row: at least one picture is needed")

    @property
    def weights(self) -> NDArray[np.float64] | None:
        """How much each row counts in what is learnt, (n,); None where all count alike."""
        return None

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        """Yield (at most `CHUNK_ROWS`, d) float32 unit rows, in order."""
        for path in self._paths:
            rows = map_array(path).shape[0]
            for start in range(0, rows, CHUNK_ROWS):
                # Mapped anew for every chunk: pages of a mapping that is kept would count as used memory.
                yield unit_rows(map_array(path)[start : start + CHUNK_ROWS], f"{str(path)!r}", first_row=start)

    def rows_at(self, places: NDArray[np.intp]) -> NDArray[np.float32]:
        """Read rows by their places in ascending order, (places,) to (places, d); nothing else is read."""
        found, start = [], 0
        for path in self._paths:
            array = map_array(path)
            here = places[(places >= start) & (places < start + len(array))] - start
            if len(here):
                found.append(unit_rows(array[here], f"{str(path)!r}"))
            start += len(array)
        return np.concatenate(found)

    def load(self) -> NDArray[np.float32]:
        """Read everything into one (n, d) float32 array of unit rows."""
        whole = np.empty((self.n, self.d), np.float32)
        start = 0
        for chunk in self:
            whole[start : start + len(chunk)] = chunk
            start += len(chunk)
        return whole


def read_npy(path: Path) -> NDArray[Any]:
    """Map a .npy file of plain numbers without reading it: no header makes it larger than its file.

    Raises:
        FeaturesError: it is missing, damaged, or holds something else.
    """
    if not path.is_file():  # a pipe would wait for ever
        raise FeaturesError(f"{str(path)!r} is missing: the folder is incomplete")
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # a damaged header can raise anything in numpy
        raise FeaturesError(f"{str(path)!r} is not a readable .npy file: copy or make it again") from error
    if not isinstance(array, np.ndarray):
        raise FeaturesError(f"{str(path)!r} holds an archive: one array is read, copy or make it again")
    return array


def map_array(path: Path) -> NDArray[Any]:
    """Map a .npy file of floating point numbers without reading it.

    Raises:
        FeaturesError: it is missing, damaged, or holds something else.
    """
    array = read_npy(path)
    if array.dtype not in (np.float16, np.float32, np.float64):
        raise FeaturesError(f"{str(path)!r} holds {array.dtype}: features are float16, float32 or float64")
    return array


def unit_rows(values: NDArray[Any], source: str, *, first_row: int = 0) -> NDArray[np.float32]:
    """Check rows that should have unit length and take the rounding of their storage away.

    Args:
        values: (rows, d) floats.
        source: what to call the rows in an error.
        first_row: number of the first row in its source, for the error.

    Returns:
        (rows, d) float32, a new array; every row has length 1 to float32 rounding.

    Raises:
        FeaturesError: a row is not finite, zero, or not of unit length up to float16 rounding.

    Example:
        >>> unit_rows(np.array([[0.0, 1.001]], np.float16), "example").tolist()
        [[0.0, 1.0]]
    """
    rows = np.array(values, np.float32)
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    good = np.abs(lengths - 1.0) <= _UNIT_TOLERANCE  # false for NaN too
    if not good.all():
        bad = int(np.argmin(good))
        where = f"{source}, row {first_row + bad},"
        if not np.isfinite(rows[bad]).all():
            raise FeaturesError(f"{where} holds values that are not finite numbers: make the features again")
        if lengths[bad] == 0:
            raise FeaturesError(f"{where} is zero and has no direction: leave that picture out")
        raise FeaturesError(
            f"{where} has length {lengths[bad]:.4g}: rows must have unit length, divide each by its norm"
        )
    rows /= lengths[:, None]
    return rows
