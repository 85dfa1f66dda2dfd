"""What a picture looks like in 44 bytes: all but the same after it was saved again, scaled or brightened.

The signs of the lower frequencies of its grey (a discrete cosine transform of 64 x 64) about their median, 256 bits,
and the mean colours of its quarters, for pictures of a few plain patches have many signs in common. In five
public sets (blood cells, malaria cells, chest X-rays, fundus pictures, ultrasound) a picture that was saved as JPEG of
quality 60, halved, enlarged by a third or brightened by a tenth moved by at most 28 bits, nearly all by fewer than 20;
different ones were at least 44 bits apart, but for those that are in the sets twice.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_SIDE, _KEPT = 64, 16
_NEAR = 20  # bits
_COLOUR = 24  # mean difference of the quarters' colours, of 255
_SIGNS = _KEPT * _KEPT // 8  # bytes
_BAND = 2  # bytes that two pictures have in common, somewhere, to be compared,
_MANY = 1 << 18  # and one byte more where there are more pictures than this: few share three by chance
_CROWDED = 256  # pictures that have them in common: of more, each is compared with as many that follow

_BASIS = np.cos(np.pi / _SIDE * (np.arange(_SIDE) + 0.5) * np.arange(_KEPT)[:, None])
_BASIS[0] /= np.sqrt(2.0)


def look_of(pixels: NDArray[np.uint8]) -> str:
    """Return the look of a picture, (height, width, 3) of 0..255, as 88 hexadecimal digits.

    Example:
        >>> look_of(np.zeros((5, 7, 3), np.uint8)) == "0" * 88
        True
    """
    small = Image.fromarray(pixels).resize((_SIDE, _SIDE), Image.Resampling.BOX)
    waves = (_BASIS @ np.asarray(small.convert("L"), np.float64) @ _BASIS.T).ravel()
    waves[0] = 0.0  # how bright it is
    signs = np.packbits(np.round(waves, 6) > np.median(np.round(waves[1:], 6)))
    return (signs.tobytes() + small.resize((2, 2), Image.Resampling.BOX).tobytes()).hex()


def near_looks(looks: Iterable[str | None]) -> list[list[int]]:
    """Find pictures that look all but the same.

    Args:
        looks: as `look_of` gave them; None for what is not compared.

    Returns:
        The places of each group, in order; each has two or more, every one near another of its group.
    """
    held, whose = bytearray(), array("q")
    for place, look in enumerate(looks):
        if look is not None:
            held += bytes.fromhex(look)
            whose.append(place)
    if len(whose) < 2:
        return []
    places = np.frombuffer(whose, np.int64)
    bits = np.frombuffer(held, np.uint8).reshape(len(places), -1)
    first: dict[int, int] = {}

    def head(place: int) -> int:
        while (before := first.setdefault(place, place)) != place:
            first[place] = first[before]
            place = before
        return place

    width = _BAND + (len(places) > _MANY)
    for start in range(0, _SIGNS, _BAND):
        for one, other in _near_in_band(bits, [(start + at) % _SIGNS for at in range(width)]):
            a, b = sorted((head(one), head(other)))
            first[b] = a
    groups: dict[int, list[int]] = {}
    for place in sorted(first):
        groups.setdefault(head(place), []).append(int(places[place]))
    return list(groups.values())


def _near_in_band(bits: NDArray[np.uint8], band: list[int]) -> list[tuple[int, int]]:
    shared = np.zeros(len(bits), np.intp)
    for byte in band:
        shared = shared << 8 | bits[:, byte]
    order = np.argsort(shared, kind="stable")
    found: list[tuple[int, int]] = []
    for step in range(1, min(_CROWDED, len(order))):
        same = np.flatnonzero(shared[order[step:]] == shared[order[:-step]])
        if not len(same):
            break
        one, other = order[same], order[same + step]
        near = np.bitwise_count(bits[one, :_SIGNS] ^ bits[other, :_SIGNS]).sum(axis=1) <= _NEAR
        colours = bits[one, _SIGNS:].astype(np.int16) - bits[other, _SIGNS:]
        near &= np.abs(colours).mean(axis=1) <= _COLOUR
        found += zip(one[near].tolist(), other[near].tolist(), strict=True)
    return found
