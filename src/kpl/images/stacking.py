"""Slices put in their order in space: positions along the normal, gaps and repeats, and which of them are read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_GAP = 1.5  # times the median distance
_SAME = 1e-3  # of the same unit as positions: closer ones are one position
_OBLIQUE = 5.0  # degrees


def evenly(count: int, most: int) -> list[int]:
    """Choose at most `most` of `count` places, evenly, first and last among them.

    Example:
        >>> evenly(7, 3), evenly(2, 64), evenly(9, 1)
        ([0, 3, 6], [0, 1], [4])
    """
    if count <= most:
        return list(range(count))
    if most == 1:
        return [count // 2]
    return [round(place) for place in np.linspace(0, count - 1, most).tolist()]


def along_the_normal(position: Sequence[float], orientation: Sequence[float]) -> float | None:
    """Return how far along its plane's normal a slice lies; None where it does not say so.

    Args:
        position: of its first pixel, three numbers.
        orientation: of its rows and columns, six numbers.
    """
    if len(position) != 3 or len(orientation) != 6:
        return None
    a, b, c, d, e, f = orientation  # by hand: numpy's own cross product takes longer than the header's reading
    return (b * f - c * e) * position[0] + (c * d - a * f) * position[1] + (a * e - b * d) * position[2]


def name_of_plane(orientation: Sequence[float]) -> str | None:
    """Name the plane of a slice; None where there is no orientation.

    Example:
        >>> name_of_plane([1, 0, 0, 0, 1, 0]), name_of_plane([1, 0, 0, 0, 0, -1])
        ('axial', 'coronal')
    """
    if len(orientation) != 6:
        return None
    normal = np.cross(orientation[:3], orientation[3:])
    length = float(np.linalg.norm(normal))
    if not length > 0:
        return None
    axis = int(np.abs(normal).argmax())
    angle = float(np.degrees(np.arccos(min(1.0, abs(normal[axis]) / length))))
    name = ("sagittal", "coronal", "axial")[axis]
    return name if angle <= _OBLIQUE else f"{name}, oblique by {angle:.0f} degrees"


def remarks_on(positions: Sequence[float]) -> list[str]:
    """Say what is odd in the positions of a series, in their order: gaps, and positions that repeat.

    Example:
        >>> remarks_on([0, 5, 10, 30, 30])
        ['1 gap among its slices, of up to 20 mm where 5 mm are usual', '1 slice lies where another one lies']
    """
    steps = np.diff(np.asarray(positions, np.float64))
    apart = steps[steps > _SAME]
    remarks = []
    if len(apart) and len(gaps := apart[apart > _GAP * np.median(apart)]):
        usual = float(np.median(apart))
        remarks.append(
            f"{_many(len(gaps), 'gap')} among its slices, of up to {gaps.max():g} mm where {usual:g} mm are usual"
        )
    if repeats := len(steps) - len(apart):
        remarks.append(f"{_many(repeats, 'slice')} {'lies' if repeats == 1 else 'lie'} where another one lies")
    return remarks


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"
