"""Pools of training pictures on disk: real, edited and rendered, each with what is true of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edits import Sample, edited, load_sample, red_cell
from labels import KINDS, real_truth, rendered_truth, to_row
from rendered import TRAINING_WORLD, draw_cell, random_spec

__all__ = ["DATA", "WORK", "Pool", "edited_pool", "load_pictures", "real_pool", "rendered_pool", "validation_rows"]

WORK: Final = Path(__file__).parent / "work"
DATA: Final = Path(__file__).parents[1] / "../shared/data/images/pbc_blood_cells"
SIDE: Final = 144
_SPARSE: Final = ("platelet", "lymphocyte", "erythroblast")


@dataclass(frozen=True)
class Pool:
    """Pictures (n, SIDE, SIDE, 3) uint8, states (n, len(COLUMNS)) int8, and of which kinds' pictures each was made:
    sources (n,) uint8, bit k for KINDS[k]."""

    pictures: NDArray[np.uint8]
    states: NDArray[np.int8]
    sources: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.pictures)

    def pick(self, rows: NDArray[np.bool_]) -> Pool:
        """The part of the pool where `rows` holds."""
        return Pool(self.pictures[rows], self.states[rows], self.sources[rows])


def load_pictures(folder: Path) -> tuple[list[NDArray[np.uint8]], NDArray[np.int64]]:
    """The pictures of one folder a kind, at the common size, and their kinds."""
    pictures, kinds = [], []
    for k, kind in enumerate(KINDS):
        for path in sorted((folder / kind).glob("*.jpg")):
            picture = Image.open(path).convert("RGB")
            if picture.size != (SIDE, SIDE):
                picture = picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
            pictures.append(np.asarray(picture))
            kinds.append(k)
    return pictures, np.array(kinds)


def _write(name: str, pool: Pool) -> None:
    WORK.mkdir(exist_ok=True)
    temporary = WORK / f"{name}.{os.getpid()}.npz"
    np.savez(temporary, pictures=pool.pictures, states=pool.states, sources=pool.sources)
    temporary.replace(WORK / f"{name}.npz")


def _read(name: str) -> Pool | None:
    path = WORK / f"{name}.npz"
    if not path.exists():
        return None
    with np.load(path) as arrays:
        return Pool(arrays["pictures"], arrays["states"], arrays["sources"])


def _stack(pictures: Sequence[NDArray[np.uint8]], rows: Sequence[NDArray[np.int8]], sources: Sequence[int]) -> Pool:
    return Pool(np.stack(pictures), np.stack(rows), np.array(sources, dtype=np.uint8))


def _samples(folder: Path) -> list[Sample]:
    pictures, kinds = load_pictures(folder)
    with ProcessPoolExecutor(2) as workers:
        return list(workers.map(load_sample, [KINDS[k] for k in kinds], pictures, chunksize=50))


def real_pool(folder: Path) -> Pool:
    """The real pictures, in the order of `load_pictures`."""
    if (pool := _read("real")) is None:
        pictures, kinds = load_pictures(folder)
        rows = [to_row(real_truth(s.kind, s.measures)) for s in _samples(folder)]
        pool = _stack(pictures, rows, [1 << int(k) for k in kinds])
        _write("real", pool)
    return pool


def edited_pool(folder: Path, count: int) -> Pool:
    """`count` edited cells and red cells, made of the real pictures that are not kept for validation."""
    name = f"edited-{count}"
    if (pool := _read(name)) is None:
        samples = _samples(folder)
        samples = [s for s, kept in zip(samples, validation_rows(len(samples)), strict=True) if not kept]
        with ProcessPoolExecutor(2) as workers:
            pool = _join(list(workers.map(_edit_some, [(samples, count // 8, seed) for seed in range(8)])))
        _write(name, pool)
    return pool


def validation_rows(count: int) -> NDArray[np.bool_]:
    """The tenth of the real pictures on which recipes are compared."""
    return np.asarray(np.arange(count) % 10 == 3)


def _join(parts: Sequence[Pool]) -> Pool:
    return Pool(
        np.concatenate([p.pictures for p in parts]),
        np.concatenate([p.states for p in parts]),
        np.concatenate([p.sources for p in parts]),
    )


def _edit_some(job: tuple[list[Sample], int, int]) -> Pool:
    samples, count, seed = job
    rng = np.random.default_rng([seed, 7])
    by_kind = {kind: [s for s in samples if s.kind == kind and s.clean] for kind in KINDS}
    pictures: list[NDArray[np.uint8]] = []
    rows: list[NDArray[np.int8]] = []
    sources: list[int] = []

    def any_of(names: Sequence[str]) -> Sample:
        group = by_kind[names[int(rng.integers(len(names)))]]
        return group[int(rng.integers(len(group)))]

    while len(pictures) < count:
        if rng.random() < 0.15:
            sample = any_of(KINDS)
            used = [sample]
            if (found := red_cell(sample, rng)) is None:
                continue
            picture, truth = found
        else:
            picture, truth, used = edited(any_of(KINDS), any_of(KINDS), any_of(_SPARSE), rng)
        pictures.append(picture)
        rows.append(to_row(truth))
        sources.append(sum({1 << KINDS.index(s.kind) for s in used}))
    return _stack(pictures, rows, sources)


def rendered_pool(count: int) -> Pool:
    """`count` cells of the rendered world, random combinations of attributes."""
    name = f"rendered-{count}"
    if (pool := _read(name)) is None:
        with ProcessPoolExecutor(2) as workers:
            parts = list(workers.map(_render_some, [(count // 16, seed) for seed in range(16)]))
        pool = _join(parts)
        _write(name, pool)
    return pool


def _render_some(job: tuple[int, int]) -> Pool:
    count, seed = job
    rng = np.random.default_rng([seed, 3])
    specs = [random_spec(rng) for _ in range(count)]
    pictures = [draw_cell(spec, rng, SIDE, TRAINING_WORLD) for spec in specs]
    return _stack(pictures, [to_row(rendered_truth(spec.seen())) for spec in specs], [0] * count)
