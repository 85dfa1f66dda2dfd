"""Find the cell in the middle of a real picture and measure it, without any learned model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi
from skimage import feature, filters, measure, segmentation

__all__ = ["Segmentation", "background_of", "density_of", "measure_cell", "segment"]

Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Segmentation:
    """The middle cell of one picture: optical density (h, w, 3), cell mask and nucleus mask (h, w)."""

    density: Floats
    cell: Mask
    nucleus: Mask


def background_of(picture: NDArray[np.uint8]) -> Floats:
    """The colour (3,) of the empty slide, from the bright part of the picture."""
    pixels = picture.reshape(-1, 3).astype(np.float32)
    bright = pixels[pixels[:, 1] >= np.percentile(pixels[:, 1], 60)]
    return np.asarray(np.percentile(bright, 70, axis=0), dtype=np.float32)


def density_of(picture: NDArray[np.uint8]) -> Floats:
    """Optical density (h, w, 3) against the empty slide (Beer-Lambert)."""
    return np.asarray(np.log((background_of(picture) + 1) / (picture.astype(np.float32) + 1)), dtype=np.float32)


def _labels(mask: Mask) -> NDArray[np.int64]:
    return np.asarray(measure.label(mask), dtype=np.int64)


def _fill_small_holes(mask: Mask, area: int) -> Mask:
    holes = _labels(~mask)
    small = np.bincount(holes.ravel()) < area
    small[0] = False
    return np.asarray(mask | small[holes])


def _most_central(mask: Mask, gap: int, radius: NDArray[np.float64], reach: float, least: int) -> Mask | None:
    """The part of `mask` (parts closer than `gap` count as one) that is large and near the middle."""
    labels = _labels(ndi.binary_dilation(mask, iterations=gap)) * mask
    best, best_score = None, 0.0
    for k in range(1, int(labels.max()) + 1):
        part = labels == k
        if (n := int(part.sum())) >= least:
            score = n * float(np.exp(-((radius[part].mean() / reach) ** 2)))
            if score > best_score:
                best, best_score = part, score
    return best if best_score >= least / 2 else None


def segment(picture: NDArray[np.uint8]) -> Segmentation:
    """Separate the middle cell and its nucleus from the slide and the red cells around it.

    The nucleus is the dark part in red light; the cell is the watershed basin of the nucleus in the distance
    transform of everything that is stained. Without a nucleus the nucleus mask is empty.
    """
    density = np.asarray(ndi.gaussian_filter(density_of(picture), (0.7, 0.7, 0)), dtype=np.float32)
    red, green = density[..., 0], density[..., 1]
    h, w = red.shape
    rows, columns = np.mgrid[:h, :w]
    radius = np.hypot(rows - h / 2, columns - w / 2)
    middle = red[(radius < 36) & (red > 0.15)]
    threshold = float(np.clip(filters.threshold_otsu(middle), 0.42, 0.75)) if middle.size > 50 else 0.55
    dark = ndi.binary_opening(ndi.binary_closing(red > threshold))
    nucleus = _most_central(dark, 3, radius, 35.0, 25)
    if nucleus is None:
        stained = (red > 0.2) & (radius < 30) & (green > 0.25) & (red > 0.5 * green)
        core = _most_central(stained, 1, radius, 20.0, 2)
        nucleus = np.zeros((h, w), dtype=bool)
        if core is None:
            return Segmentation(density, radius < 9, nucleus)
    else:
        nucleus = _fill_small_holes(nucleus, 25)
        core = nucleus
    return Segmentation(density, _cell_around(core, green > 0.11), nucleus)


def _cell_around(core: Mask, stained: Mask) -> Mask:
    stained = _fill_small_holes(stained | core, 300)
    stained = ndi.binary_opening(stained) | core
    depth = ndi.gaussian_filter(ndi.distance_transform_edt(stained), 1.0)
    away = ndi.distance_transform_edt(~core)
    markers = np.zeros(core.shape, dtype=np.int64)
    markers[core] = 1
    peaks = feature.peak_local_max(depth, min_distance=5, threshold_abs=4, exclude_border=False)
    for k, (y, x) in enumerate(peaks):
        markers[y, x] = 1 if away[y, x] < 5 else k + 2
    cell = segmentation.watershed(-depth + 0.02 * away, markers, mask=stained) == 1
    labels = _labels(ndi.binary_opening(cell, iterations=2) | core)
    hits = np.bincount(labels[core], minlength=2)
    hits[0] = 0
    return np.asarray(ndi.binary_fill_holes(labels == hits.argmax()))


def measure_cell(found: Segmentation) -> dict[str, float]:
    """Measures of the cell: lengths in pixels of a 144-pixel picture, shares of the cell, optical densities."""
    cell, nucleus, density = found.cell, found.nucleus, found.density
    area = float(cell.sum())
    shape = measure.regionprops(cell.astype(np.int64))[0]
    values = {
        "diameter": 2 * float(np.sqrt(area / np.pi)),
        "roundness": float(shape.axis_minor_length / max(shape.axis_major_length, 1)),
        "solidity": float(shape.solidity),
        "share": float(nucleus.sum()) / area,
    }
    if nucleus.sum() > 20:
        inner = measure.regionprops(nucleus.astype(np.int64))[0]
        depth = ndi.gaussian_filter(ndi.distance_transform_edt(nucleus), 1.0)
        lobes = feature.peak_local_max(depth, min_distance=4, threshold_abs=2.0, exclude_border=False)
        offset = np.hypot(*(np.array(shape.centroid) - np.array(inner.centroid)))
        values |= {
            "nucleus_area": float(nucleus.sum()),
            "nucleus_solidity": float(inner.solidity),
            "nucleus_roundness": float(inner.axis_minor_length / max(inner.axis_major_length, 1)),
            "nucleus_density": float(density[nucleus][:, 0].mean()),
            "nucleus_offset": float(offset / np.sqrt(area / np.pi)),
            "lobes": float(len(lobes)),
        }
    cytoplasm = cell & ~ndi.binary_dilation(nucleus, iterations=2) & ndi.binary_erosion(cell, iterations=2)
    if cytoplasm.sum() > 15:
        middle = np.median(density[cytoplasm], axis=0)
        values |= {"blueness": float(middle[0] / max(middle[1], 0.05)), "cytoplasm_density": float(middle[1])}
    return values
