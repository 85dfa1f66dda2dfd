"""Small seeded worlds to try methods on: images around class centres, descriptions across a modality gap."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from kpl.methods.contract import Reading
from kpl.proxies.arrays import Floats, unit_rows


class World(NamedTuple):
    """Images (n, d), texts of C classes (m_c, d), and the class of each image (n,), which no method sees."""

    images: Floats
    texts: list[Floats]
    classes: np.ndarray[tuple[int, ...], np.dtype[np.intp]]


def planted(
    seed: int = 0,
    *,
    n: int = 60,
    n_classes: int = 4,
    dim: int = 16,
    m: int = 4,
    reads: Reading = "descriptions",
) -> World:
    """Draw a world whose cosines lie as close together as those of CLIP models.

    Example:
        >>> world = planted(n=10, n_classes=3)
        >>> world.images.shape, [rows.shape for rows in world.texts]
        ((10, 16), [(4, 16), (4, 16), (4, 16)])
    """
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(n_classes, dim))
    classes = np.arange(n) % n_classes
    common, gap = 6.0 * rng.normal(size=(2, dim))
    images = unit_rows(centres[classes] + common + 0.5 * rng.normal(size=(n, dim)))
    descriptions = [unit_rows(centre + common + gap + 0.5 * rng.normal(size=(m, dim))) for centre in centres]
    return World(images, texts_for(reads, descriptions), classes)


def texts_for(reads: Reading, descriptions: list[Floats]) -> list[Floats]:
    """Return the texts that a method gets that reads so: one row for names, present and absent rows for pairs."""
    if reads == "names":
        return [rows[:1] for rows in descriptions]
    if reads == "pairs":
        return [np.concatenate([rows, -rows]) for rows in descriptions]
    return descriptions


class Chunked:
    """A source of chunks that can be iterated again and again."""

    def __init__(self, rows: Floats, ends: tuple[int, ...]) -> None:
        self.blocks = np.split(rows, ends)

    def __iter__(self) -> Iterator[Floats]:
        """Start anew."""
        return iter(self.blocks)
