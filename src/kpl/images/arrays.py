"""The reader of arrays in `.npy`, `.npz` and HDF5 files; nothing is unpickled, and no link in a file is followed.

Which array: the one that was asked for by its name, else the only one that can be pictures, those that are called after
labels or masks left out. What it is:

- (height, width), (height, width, 3 or 4): a picture; of a single plane of floats only where it was asked for
- (n, height, width, 1, 3 or 4), (n, 1 or 3, height, width), and (n, height, width) of 8 bits: n pictures
- (n, height, width) of any other type: a volume of n slices, as stored; grey by the rules of `kpl.images.voxels`
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePath
from threading import Lock
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from kpl.errors import PictureError, from_extra
from kpl.images.decoding import eight_bits
from kpl.images.drawings import hints_at_a_drawing
from kpl.images.records import Asked, Instance, Planned, SetAside, Unit
from kpl.images.shaping import finished
from kpl.images.voxels import Grid, VoxelReader

_SMALLEST: Final = 8  # pixels of a side
_MOST_ARRAYS: Final = 1000
_MOST_BYTES: Final = 1 << 32  # of an array in an archive, which is unpacked as a whole
_ONLY: Final = "array"  # what the array of a .npy file is called
_LISTED: Final = 5


@dataclass(frozen=True, slots=True)
class ArrayReading:
    """A picture in an array, by the array's name."""

    array: str
    reader: ClassVar[str] = "arrays"


@dataclass(frozen=True, slots=True)
class _Array:
    """An array that was found: its name, shape and type."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def count(self) -> int | None:
        """How many pictures or slices; None for a single picture."""
        return None if self._is_single else self.shape[0]

    @property
    def is_volume(self) -> bool:
        """Whether it is a volume of slices."""
        return len(self.shape) == 3 and not self._is_single and self.dtype.itemsize > 1

    @property
    def fits(self) -> bool:
        """Whether it can be pictures at all."""
        shape = self.shape
        sides: tuple[int, ...]
        if len(shape) == 4:
            sides = shape[1:3] if shape[3] in (1, 3, 4) else shape[2:] if shape[1] in (1, 3) else (0,)
        else:
            sides = shape[:2] if self._is_single else shape[1:] if len(shape) == 3 else (0,)
        return self.dtype.kind in "buif" and min(shape, default=0) > 0 and min(sides) >= _SMALLEST

    @property
    def looks_like_numbers(self) -> bool:
        """Whether it is a single plane of floats, as tables and features are."""
        return len(self.shape) == 2 and self.dtype.kind == "f"

    @property
    def _is_single(self) -> bool:
        return len(self.shape) == 2 or (len(self.shape) == 3 and self.shape[2] in (1, 3, 4))

    def __str__(self) -> str:
        return f"{self.name} ({' x '.join(map(str, self.shape)) or 'one number'}, {self.dtype})"


class ArrayReader(VoxelReader):
    """Pictures and volumes that are kept as arrays."""

    name = "arrays"
    title = "an array file"
    suffixes = frozenset({".npy", ".npz", ".h5", ".hdf5"})

    def probe(self, head: bytes, path: Path) -> bool:
        """Say by its first bytes whether a file is one of NumPy; archives and HDF5 by their suffixes too."""
        suffix = path.suffix.lower()
        if suffix == ".npz":
            return head.startswith(b"PK\3\4")
        return head.startswith(b"\x93NUMPY") or (suffix in (".h5", ".hdf5") and head.startswith(b"\x89HDF\r\n\x1a\n"))

    def plan(self, files: Sequence[tuple[str, Path]], asked: Asked) -> Planned:
        """Make a unit of each picture or volume in the array that was asked for, or is the only one."""
        units: list[Unit] = []
        set_aside: list[SetAside] = []
        for name, path in files:
            try:
                array = _chosen(_arrays(path), asked.array)
                if array.is_volume:
                    planned = self.planned(name, path, asked, part=array.name)
                    notes = (*planned.notes, _ONE_VOLUME)
                    units.append(Unit(**{**_fields(planned), "notes": notes}))
                else:
                    units += _pictures(name, path, array, asked)
            except PictureError as error:
                set_aside.append(SetAside(name, str(error)))
        return Planned(units, set_aside)

    def opened(self, path: Path, part: str | None = None) -> Grid:
        """Open an array of slices.

        Raises:
            PictureError: it is damaged, or no volume of grey.
        """
        array = _chosen(_arrays(path), part)
        count, height, width = array.shape

        def block(start: int, stop: int) -> NDArray[Any]:
            # From the order of pictures to that of voxels, which becomes that of pictures again.
            return _values(path, array.name, start, stop).transpose(2, 1, 0)[::-1, ::-1]

        return Grid((width, height, count), _AS_STORED, (1.0, 1.0, 1.0), block, plane="as stored")

    def pixels(self, instance: Instance, *, shrink_to: int | None, max_pixels: int) -> NDArray[np.uint8]:
        """Return a picture, or a slice of a volume.

        Raises:
            PictureError: it cannot be read.
        """
        reading = instance.reading
        if not isinstance(reading, ArrayReading):
            return super().pixels(instance, shrink_to=shrink_to, max_pixels=max_pixels)
        place = instance.frame
        try:
            with _one_at_a_time:
                values = _values(instance.path, reading.array, place or 0, (place or 0) + 1, single=place is None)
        except PictureError:
            raise
        except MemoryError:
            raise PictureError("not enough memory to read it") from None
        except Exception:  # a damaged file can raise anything, and its text may quote it
            raise PictureError("an array file that is damaged or cut short") from None
        values = values if place is None else values[0]
        if values.ndim == 3 and values.shape[2] not in (1, 3, 4):
            values = values.transpose(1, 2, 0)
        if values.shape[0] * values.shape[1] > max_pixels:
            raise PictureError(f"{values.shape[1]} x {values.shape[0]} pixels, more than the allowed")
        grey = eight_bits(values[..., 0] if values.ndim == 3 and values.shape[2] == 1 else values)[0]
        return finished(grey, lambda _width, _height: None, shrink_to)


_AS_STORED: Final = ((0, 1), (1, 1), (2, 1))
_ONE_VOLUME: Final = "an array of planes, read as one volume; pictures of their own are kept in 8 bits"


def _fields(unit: Unit) -> dict[str, Any]:
    return {name: getattr(unit, name) for name in Unit.__slots__}


def _pictures(name: str, path: Path, array: _Array, asked: Asked) -> list[Unit]:
    reading, count = ArrayReading(array.name), array.count
    only = asked.only.get(path)
    places = range(count or 1) if only is None else sorted(place for place in only if place < (count or 1))
    if not places:
        raise PictureError(f"none of the frames asked for: it has {count or 1}, counted from 0")
    if count is None:
        return [Unit.of(Instance(name, path, reading=reading))]
    digits = max(3, len(str(count - 1)))
    return [Unit.of(Instance(f"{name}#{place:0{digits}d}", path, frame=place, reading=reading)) for place in places]


def _chosen(arrays: list[_Array], asked: str | None) -> _Array:
    listed = ", ".join(map(str, arrays[:_LISTED])) + (", ..." if len(arrays) > _LISTED else "")
    if asked is not None and any(array.name == asked for array in arrays):
        (array,) = [array for array in arrays if array.name == asked]
        if not array.fits:
            raise PictureError(f"an array that is no picture nor several: {array}")
        return array
    fitting = [array for array in arrays if array.fits and not hints_at_a_drawing(PurePath(array.name))]
    if len(fitting) == 1 and fitting[0].looks_like_numbers:
        raise PictureError(f"an array of numbers, {listed}: if it is a picture, name it with --array {fitting[0].name}")
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        raise PictureError(f"an array file without pictures: it holds {listed or 'no array of numbers'}")
    raise PictureError(f"a file of several arrays, {listed}: name the one to read with --array")


def _arrays(path: Path) -> list[_Array]:
    """List the arrays of a file by their headers.

    Raises:
        PictureError: it is damaged, holds objects, or needs an extra that is not installed.
    """
    try:
        if path.suffix.lower() == ".npz":
            return _in_archive(path)
        if path.suffix.lower() in (".h5", ".hdf5"):
            return _in_hdf5(path)
        held = np.load(path, mmap_mode="r", allow_pickle=False)
        return [_Array(_ONLY, held.shape, held.dtype)]
    except PictureError:
        raise
    except Exception as error:  # a damaged header can raise anything, and its text may quote it
        if "Python objects" in str(error):
            raise PictureError("an array of Python objects, which are never unpickled: save it as numbers") from None
        raise PictureError("an array file whose header is damaged, or that is cut short") from None


def _in_archive(path: Path) -> list[_Array]:
    found = []
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist()[:_MOST_ARRAYS]:
            if not info.filename.endswith(".npy"):
                continue
            with archive.open(info) as file:
                version = np.lib.format.read_magic(file)
                read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                shape, _, dtype = read(file)
            if not dtype.hasobject:
                found.append(_Array(info.filename.removesuffix(".npy"), shape, dtype))
    return found


def _in_hdf5(path: Path) -> list[_Array]:
    found: list[_Array] = []

    def look(name: str, item: Any) -> bool | None:  # noqa: ANN401 - of a library without types
        kind = getattr(item, "dtype", None)
        if isinstance(kind, np.dtype) and kind.kind in "buif" and not item.external and not item.is_virtual:
            found.append(_Array(name, tuple(item.shape or ()), kind))
        return True if len(found) >= _MOST_ARRAYS else None

    with _hdf5().File(path, "r") as file:
        file.visititems(look)  # which follows no link out of the file
    return found


def _hdf5() -> Any:  # noqa: ANN401 - of a library without types
    with from_extra("arrays", "reading HDF5", PictureError):
        import h5py
    return h5py


def _values(path: Path, name: str, start: int, stop: int, *, single: bool = False) -> NDArray[Any]:
    """Read some of the pictures or slices of an array, or a `single` one that is all of it."""
    part = slice(None) if single else slice(start, stop)
    suffix = path.suffix.lower()
    if suffix in (".h5", ".hdf5"):
        with _hdf5().File(path, "r") as file:
            return np.asarray(file[name][part])
    if suffix == ".npz":
        stat = path.stat()
        return _unpacked(path, name, stat.st_mtime_ns, stat.st_size)[part]
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False)[part])


_one_at_a_time = Lock()


@lru_cache(maxsize=1)
def _unpacked(path: Path, name: str, changed: int, size: int) -> NDArray[Any]:
    del changed, size  # they only say that it is still the same file
    (array,) = [each for each in _in_archive(path) if each.name == name]
    needed = int(np.prod(array.shape, dtype=np.float64)) * array.dtype.itemsize
    with zipfile.ZipFile(path) as archive:
        if not needed <= min(archive.getinfo(f"{name}.npy").file_size, _MOST_BYTES):
            raise PictureError("an array file that is damaged, or too large to unpack")
    with np.load(path, allow_pickle=False) as held:
        return np.asarray(held[name])
