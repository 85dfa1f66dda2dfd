"""The reader of NRRD and MetaImage by SimpleITK, which brings many megabytes and is an extra of its own."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kpl.errors import PictureError
from kpl.images.records import Asked, Planned
from kpl.images.voxels import Grid, VoxelReader

_RIGHT_FRONT_UP = ((0, 1), (1, 1), (2, 1))
_META_HEADER = 1 << 16
_VALUES = frozenset({".raw", ".zraw"})
_HEADERS = (".mhd", ".nhdr")
_BYTES = {b"CHAR": 1, b"UCHAR": 1, b"SHORT": 2, b"USHORT": 2, b"INT": 4, b"UINT": 4, b"FLOAT": 4, b"DOUBLE": 8}
_SEGMENTATION = "Segment0_ID"  # what 3D Slicer writes beside the values of its drawings


class VolumeReader(VoxelReader):
    """Volumes that SimpleITK opens."""

    name = "volumes"
    title = "a volume file"
    extra: str | None = "volumes"
    module: str | None = "SimpleITK"
    suffixes = frozenset({".nrrd", ".nhdr", ".mha", ".mhd"})

    def probe(self, head: bytes, path: Path) -> bool:
        """Say by its first bytes whether a file is NRRD or MetaImage; a drawing of outlines is none."""
        lower = path.name.lower()
        if lower.endswith((".seg.nrrd", ".seg.nhdr")):
            return False
        if _is_second(path):
            return True
        return head.startswith(b"NRRD000") or (path.suffix.lower() in (".mha", ".mhd") and b"=" in head[:64])

    def plan(self, files: Sequence[tuple[str, Path]], asked: Asked) -> Planned:
        """Make a unit of each volume; the values that lie in a file of their own are a part of its header."""
        return super().plan([(name, path) for name, path in files if not _is_second(path)], asked)

    def opened(self, path: Path, part: str | None = None) -> Grid:
        """Open a volume without reading its voxels.

        Raises:
            PictureError: it is damaged, or no volume of grey.
        """
        del part  # it holds one
        import SimpleITK

        SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
        if path.suffix.lower() in (".mha", ".mhd"):
            _check_meta_header(path)
        reader = SimpleITK.ImageFileReader()
        reader.SetFileName(str(path))
        reader.SetImageIO("NrrdImageIO" if path.suffix.lower() in (".nrrd", ".nhdr") else "MetaImageIO")
        reader.ReadImageInformation()
        if reader.HasMetaDataKey(_SEGMENTATION):
            raise PictureError("a segmentation, no picture")
        if reader.GetNumberOfComponents() != 1 or reader.GetDimension() not in (2, 3):
            raise PictureError("a volume file of colours, or of more than three dimensions: no volume of grey")
        # Its axes are brought to the right, to the front and to the head, so the size is that of the turned volume.
        size, spacing = _turned(reader)
        held: list[NDArray[Any]] = []

        def block(start: int, stop: int) -> NDArray[Any]:
            if not held:
                image = reader.Execute()
                turned = SimpleITK.DICOMOrient(image, "RAS") if image.GetDimension() == 3 else image
                values = SimpleITK.GetArrayFromImage(turned)
                held.append(values.T if values.ndim == 3 else values.T[:, :, None])
            return held[0][:, :, start:stop]

        return Grid(size, _RIGHT_FRONT_UP, spacing, block)


def _is_second(path: Path) -> bool:
    plain = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    return plain.suffix.lower() in _VALUES and any(plain.with_suffix(each).is_file() for each in _HEADERS)


def _check_meta_header(path: Path) -> None:
    """Refuse what its library would complain of on the terminal by itself."""
    with path.open("rb") as file:
        head = file.read(_META_HEADER)
    said, _, data = head.partition(b"ElementDataFile")
    if not data or not all(_said(said, word) for word in (b"NDims", b"DimSize")):
        raise PictureError("a volume file whose header is damaged, or that is cut short")
    name = data.partition(b"\n")[0].strip(b" =\t\r").decode("utf-8", "surrogateescape")
    if name.split(" ")[0] == "LIST" or "%" in name:
        return  # a slice a file
    held = path if name.upper() == "LOCAL" else path.parent / name
    if not held.is_file():
        raise FileNotFoundError
    begins = len(said) + len(b"ElementDataFile") + data.index(b"\n") + 1 if held is path and b"\n" in data else 0
    width = _BYTES.get(_said(said, b"ElementType").removeprefix(b"MET_"))
    packed = _said(said, b"CompressedData").lower() == b"true"
    sides = [int(side) for side in _said(said, b"DimSize").split() if side.isdigit()]
    if width and not packed and held.stat().st_size - begins < width * math.prod(sides):
        raise PictureError("a volume file whose voxels are cut short")


def _said(header: bytes, word: bytes) -> bytes:
    """Return what a header of MetaImage says under a word; nothing where it does not."""
    found = re.search(rb"^\s*%s\s*=\s*([^\r\n]*)" % word, header, re.MULTILINE)
    return found[1].strip() if found else b""


def _turned(reader: Any) -> tuple[tuple[int, int, int], tuple[float, float, float]]:  # noqa: ANN401 - of a library
    size, spacing = [*reader.GetSize(), 1][:3], [*reader.GetSpacing(), 1.0][:3]
    if reader.GetDimension() == 3:
        directions = np.abs(np.asarray(reader.GetDirection(), np.float64).reshape(3, 3))
        order = [int(directions[axis].argmax()) for axis in range(3)]
        if sorted(order) == [0, 1, 2]:
            size, spacing = [size[axis] for axis in order], [spacing[axis] for axis in order]
    return (size[0], size[1], size[2]), (spacing[0], spacing[1], spacing[2])
