"""What the tests of this room draw from: planted worlds, chunked sources, and the methods made quick."""

from __future__ import annotations

import dataclasses

import numpy as np

from kpl.methods import METHODS, make_method

FEW = {"deadline": None, "max_examples": 20}  # a loaded machine must not fail a test

EVERY = sorted(METHODS)
# Gradient loops take a few steps, and so does what grows with the square of the number of classes.
STEPS = {name: {"steps": 30} for name in EVERY if "steps" in {f.name for f in dataclasses.fields(METHODS[name])}}


QUICK = {**STEPS, "em-dirichlet": {"rounds": 2, "inner_rounds": 1}}


def quick(name, **settings):
    """The method by its registry name; gradient loops take a few steps."""
    return make_method(name, **QUICK.get(name, {}), **settings)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def random_rows(seed, n, dim):
    return unit(np.random.default_rng(seed).normal(size=(n, dim)))


def planted(seed, shares=(0.4, 0.3, 0.2, 0.1), n=90, dim=16, m=5, scatter=1.2):
    """A world of C classes that have the given shares of n images, and descriptions that sit across a modality gap.

    Images scatter much more along a few directions than along others, which no description tells.

    Returns:
        Images (n, d), C arrays of descriptions (m, d), and the classes (n,).
    """
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(len(shares), dim))
    truth = rng.permutation(np.repeat(range(len(shares)), np.rint(np.multiply(shares, n)).astype(int)))
    spread = np.where(np.arange(dim) < dim // 4, 2.0, 0.5) * scatter
    gap = 2 * rng.normal(size=dim)
    images = unit(centres[truth] + gap + spread * rng.normal(size=(len(truth), dim)))
    descriptions = [unit(centre - gap + 0.8 * rng.normal(size=(m, dim))) for centre in centres]
    return images, descriptions, truth


class Chunked:
    """A re-iterable source of chunks that end at the given places."""

    def __init__(self, rows, ends):
        self.blocks = np.split(rows, sorted(ends))

    def __iter__(self):
        return iter(self.blocks)
