"""Grounds that are made: drawn cells with exact attributes amid stains and cameras, and synthetic many classes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from yaml import safe_load

from grounds import SEED, Ground, Problem, planted
from kpl.proxies.arrays import unit_rows
from picture_grounds import HERE, kept, read_all, reader
from rendered import TRAINING_WORLD, CellSpec, draw_cell, random_spec
from rendered.world import WorldSettings

__all__ = ["made_grounds"]

Floats = NDArray[np.floating[Any]]
DRAWN = 800
#: Laboratories: stain, background and camera, wider apart than mini's training ever was. A cell's is drawn at random.
LABORATORIES: tuple[WorldSettings, ...] = (
    TRAINING_WORLD,
    replace(
        TRAINING_WORLD,
        backgrounds=(((205, 215, 250), 1.0),),
        stain=((1.3, 1.5), (0.9, 1.1), (0.5, 0.6)),
        blur=(0.4, 0.6),
    ),
    replace(
        TRAINING_WORLD,
        backgrounds=(((250, 205, 190), 1.0),),
        stain=((0.55, 0.65), (1.0, 1.2), (1.2, 1.4)),
        blur=(1.6, 2.0),
    ),
    replace(TRAINING_WORLD, backgrounds=(((190, 190, 190), 1.0),), contrast=(0.6, 0.7), noise=(7.0, 9.0)),
)
SYNTHETIC = {"100-classes": (100, 2000, 128), "1000-classes": (1000, 5000, 256)}  # classes, images, dimensions


def _specs() -> list[tuple[CellSpec, WorldSettings, np.random.Generator]]:
    made = []
    for number in range(DRAWN):
        rng = np.random.default_rng([SEED, 7, number])
        made.append((random_spec(rng), LABORATORIES[int(rng.integers(len(LABORATORIES)))], rng))
    return made


def _draw() -> Floats:
    rows = []
    for start in range(0, DRAWN, 50):
        cells = [draw_cell(spec, rng, world=world) for spec, world, rng in _specs()[start : start + 50]]
        rows.append(reader().encode_images(cells))
    return np.concatenate(rows)


@cache
def _drawn() -> dict[str, Problem]:
    base = safe_load((HERE / "knowledge" / "drawn-cell-attributes.yaml").read_text(encoding="utf-8"))
    images, specs = kept("drawn", _draw), [spec.values() for spec, _, _ in _specs()]
    found = {}
    for name, values in base.items():
        truth = np.array([list(values).index(v) if (v := spec[name]) in values else -1 for spec in specs])
        rows = np.flatnonzero(truth >= 0)
        found[name] = Problem(images[rows], read_all(values.values()), truth[rows], rows)
    return found


def _drawn_problems(regime: str, member: str) -> Iterator[Problem]:
    return planted(_drawn()[member]) if regime == "wrong-40" else iter([_drawn()[regime]])


def _synthetic(regime: str, member: str) -> Iterator[Problem]:
    """Gaussian classes of Zipf-like sizes under one covariance of falling spectrum, with texts a gap away."""
    del member
    n_classes, n, d = SYNTHETIC[regime]
    rng = np.random.default_rng([SEED, 8, n_classes])
    spectrum = np.arange(1, d + 1) ** -0.5
    means = rng.normal(size=(n_classes, d)) * spectrum**0.5
    shares = 1.0 / (np.arange(n_classes) + 10.0)
    truth = np.sort(
        np.concatenate([np.arange(n_classes), rng.choice(n_classes, n - n_classes, p=shares / shares.sum())])
    )
    turn = np.linalg.qr(rng.normal(size=(d, d)))[0]
    images = means[truth] + 1.2 * (rng.normal(size=(n, d)) * spectrum**0.25) @ turn + 2.0 * spectrum
    told = means + spectrum**0.5 * rng.normal(size=means.shape) + 2.0 * spectrum[::-1]  # what the text means by a class
    texts = tuple(unit_rows(mean + spectrum**0.5 * rng.normal(size=(4, d))) for mean in told)
    yield Problem(unit_rows(images), texts, truth.astype(np.intp), np.arange(n))


def made_grounds() -> Iterator[Ground]:
    """Drawn cells by attribute, and synthetic classes."""
    base = safe_load((HERE / "knowledge" / "drawn-cell-attributes.yaml").read_text(encoding="utf-8"))
    yield Ground(
        "drawn",
        (*((name, name) for name in base), *(("wrong-40", name) for name in base)),
        _drawn_problems,
        DRAWN,
        f"{DRAWN} drawn cells with exact attributes, in four laboratories that differ in stain and camera",
    )
    for regime, (n_classes, n, _) in SYNTHETIC.items():
        yield Ground(
            f"synthetic-{n_classes}",
            ((regime, "made"),),
            _synthetic,
            n,
            f"synthetic: {n} Gaussian points of {n_classes} classes; nothing of real encoders",
            version=2,
        )
