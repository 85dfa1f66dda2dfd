"""Drawings of outlines (masks, maps of labels) that public data keep beside pictures: known by name and content.

A name alone is enough where the picture lies beside it (`x_mask.png` beside `x.png`). Any other name or folder that
speaks of masks is a hint, and what the picture holds decides: two values, or flat regions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SURE = re.compile(
    r"(?P<picture>.+?)[ _.-](?:cp[_-])?(?:masks?|segm?|segmentations?|ground[ _-]?truth|superpixels)(?:[_-]?\d+)?"
)
_WORDS = (
    "mask masks seg segm segmentation segmentations segmented gt groundtruth truth label labels labelmap labelmaps "
    "annotation annotations annot anno superpixel superpixels manual outline outlines contour contours trimap "
    "trimaps aseg aparc wmparc parcellation brainmask instances ho roi rois lesion matte"
)
_HINTS = frozenset(_WORDS.split())
_OF_FOLDERS = _HINTS - {"lesion", "instances", "ho", "roi", "rois", "matte", "contour", "contours"}
_WORD = re.compile(r"[A-Z]{2,}(?![a-z])|[A-Z]?[a-z]+")

_BLACK, _WHITE = 24, 231  # what counts as one of the two values of a mask that a lossy format kept
_TWO_VALUED = 0.97
_FLAT = 0.85  # share of neighbours that are equal, outside the commonest value
_FEW = 8
_LOOKED_AT = 4096


def plain_stem(path: PurePath) -> str:
    """Return a file's name in small letters without its suffix, `.nii.gz` whole.

    Example:
        >>> plain_stem(PurePath("a/B (1).nii.gz"))
        'b (1)'
    """
    name = path.name.lower().removesuffix(".gz")
    return name.removesuffix(PurePath(name).suffix)


def masks_beside(paths: Iterable[Path]) -> dict[Path, str]:
    """Of files of one kind find those that are by name the masks of another one in their folder, with its name.

    Example:
        >>> list(masks_beside([Path("a.png"), Path("a_mask_1.png"), Path("b_mask.png")]).values())
        ['a.png']
    """
    listed = list(paths)
    beside = {(path.parent, plain_stem(path)): path.name for path in listed}
    found = {}
    for path in listed:
        named = _SURE.fullmatch(plain_stem(path))
        if named and (picture := beside.get((path.parent, named["picture"]))):
            found[path] = picture
    return found


def is_named_as_mask(path: PurePath) -> bool:
    """Whether a file's name is that of a mask, should its picture lie beside it."""
    return _SURE.fullmatch(plain_stem(path)) is not None


def hints_at_a_drawing(relative: PurePath) -> bool:
    """Whether the name of a file, or of a folder that it lies in, speaks of masks or labels.

    Example:
        >>> hints_at_a_drawing(PurePath("leftMask/1.png")), hints_at_a_drawing(PurePath("masked balls/1.png"))
        (True, False)
    """
    stem = relative.name.removesuffix(".gz").removesuffix(".nii")
    return bool(_words(stem) & _HINTS) or any(_words(part) & _OF_FOLDERS for part in relative.parts[:-1])


def _words(name: str) -> set[str]:
    words = [word.lower() for word in _WORD.findall(name)]
    return {*words, *("".join(pair) for pair in pairwise(words))}


def is_drawing(pixels: NDArray[np.uint8]) -> bool:
    """Whether a picture is a drawing of outlines or a map of labels: two values, up to loss, or regions of one value.

    Args:
        pixels: (height, width, 3) of 0..255.
    """
    grey = pixels.max(axis=-1)
    if np.mean((grey <= _BLACK) | (grey >= _WHITE)) >= _TWO_VALUED and np.array_equal(pixels[..., 0], pixels[..., 1]):
        return True
    values = _packed(pixels)
    seen, counts = np.unique(values, return_counts=True)
    if len(seen) <= 2:
        return True
    rest = values != seen[counts.argmax()]
    inside = rest[:, 1:] & rest[:, :-1]
    return bool(inside.any()) and float(np.mean(values[:, 1:][inside] == values[:, :-1][inside])) >= _FLAT


def few_values(pixels: NDArray[np.uint8]) -> int | None:
    """Count the different colours of a picture; None for more than a few."""
    step = max(1, int((pixels.shape[0] * pixels.shape[1] / _LOOKED_AT) ** 0.5))
    if len(np.unique(_packed(pixels[::step, ::step]))) > _FEW:
        return None
    count = len(np.unique(_packed(pixels)))
    return count if count <= _FEW else None


def _packed(pixels: NDArray[np.uint8]) -> NDArray[Any]:
    wide = pixels.astype(np.uint32)
    packed: NDArray[Any] = wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]
    return packed
