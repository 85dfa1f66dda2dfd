"""Volumes of voxels as axial slices, as a radiologist sees them: front on top, the patient's right on the left.

Grey: the window that was asked for; else, where the values are in Hounsfield units (their first percentile is below
-500), the knowledge's window or 40/400; else the 1 to 99 percentiles of all voxels of the volume that are not zero.
What is no number is black.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from threading import Lock
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kpl.errors import PictureError
from kpl.images.decoding import MAX_PIXELS
from kpl.images.pseudonyms import pseudonym
from kpl.images.records import Asked, Instance, Planned, SetAside, Unit
from kpl.images.shaping import finished, square_size
from kpl.images.stacking import evenly
from kpl.images.windows import Window, read_window

_HOUNSFIELD: Final = -500.0
_CT: Final = Window(40.0, 400.0)
_SAMPLED: Final = 1 << 23  # voxels that percentiles are taken from, at most
_BLOCK: Final = 1 << 24  # voxels that are read at once
_LARGEST: Final = 1 << 33


@dataclass(frozen=True, slots=True)
class Grid:
    """An opened volume.

    Attributes:
        shape: voxels along each of its three axes
        axes: of each the canonical axis (0 to the right, 1 to the front, 2 to the head) and 1, or -1 where it runs back
        spacing: distances along each
        block: values from one place of the last axis up to another
        notes: what a user should know
        plane: of its slices
    """

    shape: tuple[int, int, int]
    axes: tuple[tuple[int, int], ...]
    spacing: tuple[float, float, float]
    block: Callable[[int, int], NDArray[Any]]
    notes: tuple[str, ...] = ()
    plane: str = "axial"

    @property
    def up(self) -> int:
        """The axis along which the axial slices lie."""
        return [axis for axis, _ in self.axes].index(2)


@dataclass(frozen=True, slots=True)
class VoxelReading:
    """How slices are read: by which reader, of which part of a file, with which windows, with which others together."""

    reader: str
    window: Window | None = None
    ct_window: Window | None = None
    part: str | None = None
    slices: tuple[int, ...] = field(default=(), repr=False)


class VoxelReader:
    """What readers of volumes have in common; each opens its own files."""

    name: str
    title: str
    extra: str | None = None
    module: str | None = None
    suffixes: frozenset[str] = frozenset()

    def title_of(self, path: Path) -> str:
        """Name the format of a file, for reasons."""
        del path
        return self.title

    def opened(self, path: Path, part: str | None = None) -> Grid:
        """Open a volume without reading its voxels.

        Args:
            path: of the file.
            part: of a file that may hold several, its name.

        Raises:
            PictureError: it is damaged, or no volume of grey.
        """
        raise NotImplementedError

    def planned(self, name: str, path: Path, asked: Asked, part: str | None = None) -> Unit:
        """Make a unit of one volume.

        Raises:
            PictureError: it is damaged, no volume of grey, or has none of the slices asked for.
        """
        window, ct_window = (said and read_window(said) for said in (asked.window, asked.ct_window))
        how = VoxelReading(self.name, window or None, ct_window or None, part)
        return _unit(name, path, _checked(self, path, part), asked, how)

    def plan(self, files: Sequence[tuple[str, Path]], asked: Asked) -> Planned:
        """Make a unit of each volume."""
        units, set_aside = [], []
        for name, path in files:
            try:
                units.append(self.planned(name, path, asked))
            except PictureError as error:
                set_aside.append(SetAside(name, str(error)))
        return Planned(units, set_aside)

    def pixels(self, instance: Instance, *, shrink_to: int | None, max_pixels: int) -> NDArray[np.uint8]:
        """Return a slice by the rules at the head of this module.

        Raises:
            PictureError: it cannot be read.
        """
        reading, path = instance.reading, instance.path
        if not isinstance(reading, VoxelReading) or instance.frame is None:
            raise PictureError("a volume that this reader did not plan")
        try:
            stat = path.stat()
        except OSError as error:
            raise PictureError(f"cannot be read: {error.strerror or type(error).__name__}") from None
        with _one_at_a_time:
            read = _read_once(self, path, stat.st_mtime_ns, stat.st_size, reading.slices, reading.part)
        if isinstance(read, PictureError):
            raise PictureError(str(read))
        values = read.slices[instance.frame]
        if values.size > max_pixels:
            raise PictureError(f"slices of {values.size} pixels: at most {max_pixels / 10**6:g} megapixels are allowed")
        grey = _windowed(values, read, reading)
        return finished(grey, partial(square_size, down=read.down, across=read.across), shrink_to)


def _checked(reader: VoxelReader, path: Path, part: str | None) -> Grid:
    try:
        grid = reader.opened(path, part)
    except PictureError:
        raise
    except MemoryError:
        raise PictureError("not enough memory to read it") from None
    except FileNotFoundError:
        raise PictureError(f"{reader.title_of(path)} in two files, one of which is missing") from None
    except Exception:  # a damaged header can raise anything, and its text may quote it
        raise PictureError(f"{reader.title_of(path)} whose header is damaged, or that is cut short") from None
    voxels = int(np.prod(grid.shape, dtype=np.float64))
    if min(grid.shape) < 1 or voxels > _LARGEST or voxels // grid.shape[grid.up] > MAX_PIXELS:
        raise PictureError(f"a volume of {' x '.join(str(side) for side in grid.shape)} voxels: too large, or empty")
    return grid


def _unit(name: str, path: Path, grid: Grid, asked: Asked, how: VoxelReading) -> Unit:
    count = grid.shape[grid.up]
    only = asked.only.get(path)
    chosen = tuple(evenly(count, asked.slices) if only is None else sorted(place for place in only if place < count))
    if not chosen:
        raise PictureError(f"none of the frames asked for: it has {count}, counted from 0")
    how = replace(how, slices=chosen)
    ct = f"{how.ct_window} (knowledge)" if how.ct_window else "40/400"
    reading: dict[str, Any] = {
        "window": f"{how.window} (asked)" if how.window else f"{ct} if in HU, else 1 to 99 percentile of the volume",
        "slices": [len(chosen), count],
        "plane": grid.plane,
    }
    if grid.plane == "axial":
        reading["orientation"] = "front on top, right on the left"
    if how.part is not None:
        reading["array"] = how.part
    instances = tuple(Instance(f"{name}#{place:03d}", path, name, None, place, how) for place in chosen)
    source = (pseudonym("path", name), None)
    notes = (*grid.notes, *asked.lacking(path, count))
    return Unit(name, "volume", instances, sources=(source,) * len(chosen), notes=notes, reading=reading)


@dataclass(frozen=True, slots=True)
class _Read:
    slices: dict[int, NDArray[np.float32]]
    first: float
    low: float
    high: float
    down: float
    across: float


_one_at_a_time = Lock()


@lru_cache(maxsize=2)
def _read_once(
    reader: VoxelReader, path: Path, changed: int, size: int, chosen: tuple[int, ...], part: str | None
) -> _Read | PictureError:
    """Go through a volume once for all of its slices, one that is damaged too."""
    del changed, size  # they only say that it is still the same file
    try:
        return _read(reader, path, chosen, part)
    except PictureError as error:
        return error


def _read(reader: VoxelReader, path: Path, chosen: tuple[int, ...], part: str | None = None) -> _Read:
    """Return the slices that are wanted, and the percentiles of all of the volume."""
    grid = _checked(reader, path, part)
    try:
        slices, sample = _walk(grid, chosen)
    except MemoryError:
        raise PictureError("not enough memory to read it") from None
    except Exception:  # a damaged file can raise anything, and its text may quote it
        raise PictureError(f"{reader.title_of(path)} whose voxels are damaged or cut short") from None
    if not sample.size:
        raise PictureError("a volume without one number in it")
    first = float(np.percentile(sample, 1))
    inside = sample[sample != 0]
    low, high = np.percentile(inside, (1, 99)) if inside.size else (0.0, 0.0)
    flat = [axis for axis in range(3) if axis != grid.up]
    across, down = sorted(flat, key=lambda axis: grid.axes[axis][0])
    shown = {place: _upright(values, grid, flat) for place, values in slices.items()}
    return _Read(shown, first, float(low), float(high), grid.spacing[down], grid.spacing[across])


def _walk(grid: Grid, chosen: tuple[int, ...]) -> tuple[dict[int, NDArray[np.float32]], NDArray[np.float32]]:
    up, turned = grid.up, grid.axes[grid.up][1] < 0
    places = {place: grid.shape[up] - 1 - place if turned else place for place in chosen}
    flat = [side for axis, side in enumerate(grid.shape) if axis != up]
    slices = {place: np.zeros(flat, np.float32) for place in chosen}
    area = grid.shape[0] * grid.shape[1]
    step = max(1, _BLOCK // area)
    every = max(1, area * grid.shape[2] // _SAMPLED)
    samples = []
    for start in range(0, grid.shape[2], step):
        stop = min(start + step, grid.shape[2])
        block = np.asarray(grid.block(start, stop), np.float32).reshape(*grid.shape[:2], stop - start)
        seen = block.ravel()[::every]
        samples.append(seen[np.isfinite(seen)])
        for place, own in places.items():
            if up != 2:
                slices[place][:, start:stop] = block[own] if up == 0 else block[:, own]
            elif start <= own < stop:
                slices[place][:] = block[:, :, own - start]
    return slices, np.concatenate(samples)


def _upright(values: NDArray[np.float32], grid: Grid, flat: list[int]) -> NDArray[np.float32]:
    """From the file's axes to rows from front to back and columns from the patient's right to left."""
    for place, axis in enumerate(flat):
        if grid.axes[axis][1] < 0:
            values = np.flip(values, place)
    if grid.axes[flat[0]][0] == 1:
        values = values.T
    return values[::-1, ::-1].T


def _windowed(values: NDArray[np.float32], read: _Read, reading: VoxelReading) -> NDArray[np.uint8]:
    if not np.isfinite(values).any():
        raise PictureError("a slice without one number in it")
    wide = values.astype(np.float64)
    window = reading.window or ((reading.ct_window or _CT) if read.first < _HOUNSFIELD else None)
    if window is not None:
        grey = window.grey(wide)
    else:
        grey = (wide - read.low) * (255.0 / (read.high - read.low) if read.high > read.low else 0.0)
    grey = np.nan_to_num(grey, nan=0.0, posinf=255.0, neginf=0.0)
    return np.clip(np.rint(grey), 0, 255).astype(np.uint8)
