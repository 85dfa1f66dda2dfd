"""The reader of NIfTI and its kin by nibabel: NIfTI-1 and -2, Analyze, MGH, MINC, PAR/REC and AFNI."""

from __future__ import annotations

import gzip
import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kpl.errors import MissingExtraError, PictureError
from kpl.images.decoding import read_picture_bytes
from kpl.images.formats import unread_format
from kpl.images.hushed import ignore_warnings_of
from kpl.images.records import Asked, Planned
from kpl.images.voxels import Grid, VoxelReader

_PARTS = {".img": ".hdr", ".rec": ".par", ".brik": ".head"}
"""The second file of a pair, and the first, which names it."""
SECOND_SUFFIXES = frozenset(_PARTS)
"""Of files that are a part of another one."""
_BY_NAME = frozenset({".mgh", ".mgz", ".mnc", ".par", ".head"})
_TITLES = {
    ".mgh": "MGH",
    ".mgz": "MGH",
    ".mnc": "MINC",
    ".par": "PAR/REC",
    ".rec": "PAR/REC",
    ".head": "AFNI",
    ".brik": "AFNI",
}
_OBLIQUE = 5.0  # degrees
_LABELS = 1002


class NiftiReader(VoxelReader):
    """Volumes that nibabel opens."""

    name = "nifti"
    title = "NIfTI"
    extra: str | None = "nifti"
    module: str | None = "nibabel"
    suffixes = frozenset({".nii", ".gz", ".hdr", ".img", *_PARTS, *_BY_NAME})

    def probe(self, head: bytes, path: Path) -> bool:
        """Say by its first bytes whether a file is NIfTI or Analyze; the others are known by their names."""
        if path.suffix.lower() in _BY_NAME:
            return len(head) > 4
        return _is_second(path) or unread_format(head) in ("NIfTI", "Analyze")

    def plan(self, files: Any, asked: Asked) -> Planned:  # noqa: ANN401 - as its base has it
        """Make a unit of each volume; the second file of a pair is a part of its first."""
        return super().plan([(name, path) for name, path in files if not _is_second(path)], asked)

    def title_of(self, path: Path) -> str:
        """Name the format of a file by its suffix, for reasons."""
        return _TITLES.get(
            path.with_suffix("").suffix.lower() if path.suffix == ".gz" else path.suffix.lower(), "NIfTI"
        )

    def opened(self, path: Path, part: str | None = None) -> Grid:
        """Open a volume without reading its voxels.

        Raises:
            PictureError: it is damaged, or no volume of grey.
        """
        del part  # it holds one
        from nibabel import io_orientation
        from nibabel.affines import obliquity, voxel_sizes

        logging.getLogger("nibabel").setLevel(logging.CRITICAL + 1)
        ignore_warnings_of(r"nibabel\.")
        image = _loaded(path)
        if not all(Path(held.filename).is_file() for held in image.file_map.values() if held.filename):
            raise FileNotFoundError
        shape = tuple(int(side) for side in image.shape)
        kind = np.dtype(image.get_data_dtype())
        if kind.names or kind.kind not in "iuf":
            raise PictureError("NIfTI of colours or complex numbers: no volume of grey")
        if _intent(image) == _LABELS:
            raise PictureError("NIfTI, a map of labels: outlines drawn for training, no picture")
        notes = []
        if (times := int(np.prod(shape[3:], dtype=np.float64))) > 1:
            notes.append(f"{times} volumes in one file (4-D): the first is read")
        flat = (*shape[:3], 1, 1, 1)[:3]
        affine = np.asarray(image.affine, np.float64)
        if not np.isfinite(affine).all():
            raise PictureError("NIfTI that does not say how it lies in space")
        angle = float(np.degrees(obliquity(affine)).max())
        if angle > _OBLIQUE:
            notes.append(f"its slices are oblique by {angle:.0f} degrees: shown in their own planes")
        turned = io_orientation(affine)
        if np.isnan(turned).any():
            raise PictureError("NIfTI that does not say how it lies in space")
        axes = tuple((int(axis), int(flip)) for axis, flip in turned[:3])
        rest = (0,) * (len(shape) - 3)

        def block(start: int, stop: int) -> NDArray[Any]:
            held: NDArray[Any] = np.asanyarray(image.dataobj[(slice(None), slice(None), slice(start, stop), *rest)])
            return held

        def small(start: int, stop: int) -> NDArray[Any]:
            del start, stop  # one slice
            return np.asanyarray(image.dataobj)

        spacing = voxel_sizes(affine)
        return Grid(
            (flat[0], flat[1], flat[2]),
            axes,
            (float(spacing[0]), float(spacing[1]), float(spacing[2])),
            block if len(shape) >= 3 else small,
            tuple(notes),
        )


def _loaded(path: Path) -> Any:  # noqa: ANN401 - of a library without types
    import nibabel
    from nibabel.filebasedimages import ImageFileError
    from nibabel.tripwire import TripWireError

    try:
        return nibabel.load(path, **_kept_open(path))
    except TripWireError:
        raise PictureError(str(MissingExtraError("reading MINC 2", "arrays"))) from None
    except ImageFileError:  # known by its name alone there: here by what it holds
        data = gzip.decompress(held) if (held := read_picture_bytes(path)).startswith(b"\x1f\x8b") else held
        kind = nibabel.Nifti2Image if data[4:7] == b"n+2" else nibabel.Nifti1Image
        return kind.from_bytes(data)


def _kept_open(path: Path) -> dict[str, bool]:
    # A packed file is read forward once; opened anew for each block, it would be unpacked from its beginning.
    return {"keep_file_open": True} if path.name.lower().endswith((".nii.gz", ".nii")) else {}


def _intent(image: Any) -> int:  # noqa: ANN401 - of a library without types
    try:
        return int(image.header["intent_code"])
    except (KeyError, IndexError, TypeError, ValueError):
        return 0


def _plain(path: Path) -> Path:
    return path.with_suffix("") if path.suffix.lower() == ".gz" else path


def _is_second(path: Path) -> bool:
    plain = _plain(path)
    first = _PARTS.get(plain.suffix.lower())
    return first is not None and any(plain.with_suffix(each).is_file() for each in (first, first.upper()))
