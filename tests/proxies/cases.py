"""What the tests of this room draw from: small worlds of images and descriptions with a modality gap, and sources."""

from __future__ import annotations

import numpy as np

from .transcription import unit

FEW = {"deadline": None, "max_examples": 25}  # a loaded machine must not fail a test


def random_rows(seed, n, dim):
    return unit(np.random.default_rng(seed).normal(size=(n, dim)))


def world(seed, n=120, n_classes=4, dim=16, m=5):
    """Images (n, d) of C unequal classes and C arrays of descriptions (m, d) that miss them by a gap and by noise."""
    return labelled_world(seed, n, n_classes, dim, m)[:2]


def labelled_world(seed, n=120, n_classes=4, dim=16, m=5):
    """The same with the classes (n,), in rising shares."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(n_classes, dim))
    labels = np.sqrt(rng.random(n) * n_classes**2).astype(int)
    gap = 2 * rng.normal(size=dim)
    images = unit(centres[labels] + gap + 0.8 * rng.normal(size=(n, dim)))
    descriptions = [unit(centre - gap + 0.7 * rng.normal(size=(m, dim))) for centre in centres]
    return images, descriptions, labels


class Chunked:
    """A re-iterable source of chunks that end at the given places, and counts its passes."""

    def __init__(self, rows, ends):
        self.blocks = np.split(rows, sorted(ends))
        self.passes = 0

    def __iter__(self):
        self.passes += 1
        return iter(self.blocks)
