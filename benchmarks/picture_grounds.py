"""Grounds of real pictures that `mini` reads: kinds of blood cell, and eleven attributes that pathologists gave."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from yaml import safe_load

from common import SHARED
from grounds import ANYWHERE, Ground, Problem, long_tail
from kpl.embeddings import embed_pictures
from kpl.encoders import Encoder, load_encoder
from kpl.images import find_pictures
from kpl.knowledge import load_knowledge
from kpl.methods import make_method
from kpl.runs import wanted_prompts

__all__ = ["kept", "picture_grounds", "read_all", "reader"]

Floats = NDArray[np.floating[Any]]
HERE = Path(__file__).resolve().parent
KEPT = HERE / "out" / "contest" / "features"
CELLS = SHARED / "images" / "pbc_blood_cells"
OTHERS = ("chest_xray_pneumonia", "idrid_retinopathy", "breast_ultrasound")
EACH = 100  # pictures of every other modality
SETTING = ("granule_colour", "cytoplasm_texture", "nucleus_shape")  # on which settings may be compared


@cache
def reader() -> Encoder:
    """The encoder that is part of the package."""
    return load_encoder("mini")


def read_all(sentences: Iterable[Sequence[str]]) -> tuple[Floats, ...]:
    """Features of the sentences of each class, (m_c, d), as `mini` reads them."""
    return tuple(reader().encode_texts(own) for own in sentences)


def kept(name: str, make: Callable[[], Floats]) -> Floats:
    """Features (n, d) that take a while: made once, then read from benchmarks/out."""
    path = KEPT / f"{name}.npy"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = make()
        aside = path.with_suffix(f".{np.random.default_rng().integers(1 << 40)}.npy")
        np.save(aside, rows)
        aside.replace(path)
    return np.asarray(np.load(path))


def _pictures(folder: Path) -> tuple[list[Path], Callable[[], Floats]]:
    records = find_pictures([folder]).pictures

    def make() -> Floats:
        with tempfile.TemporaryDirectory() as out:
            features = embed_pictures(records, reader(), Path(out) / "features")
            by_id = dict(zip(features.ids, features.load(), strict=True))
        return np.stack([by_id[record.id] for record in records])

    return [Path(record.id) for record in records], make


@cache
def _cells() -> Problem:
    base = load_knowledge("blood-cells")
    paths, make = _pictures(CELLS / "test")
    truth = np.array([base.resolve(path.parts[-2]) for path in paths], dtype=np.intp)
    others = (make_method(name) for name in ("names", "ensemble", "waffle", "chils", "xplainer"))
    readings: dict[str, tuple[Floats, ...]] = {
        method.reads: read_all(wanted_prompts(method, base)) for method in others
    }
    images = kept("cells-test", make)
    return Problem(images, read_all(base.prompts()), truth, np.arange(len(truth)), readings=readings)


def _with_others() -> Iterator[Problem]:
    """The cells among pictures of other modalities, whose classes nobody listed."""
    cells = _cells()
    foreign = [kept(name, _pictures(SHARED / "images" / name)[1])[:EACH] for name in OTHERS]
    images = np.concatenate([cells.images, *foreign])
    truth = np.concatenate([cells.truth, np.full(len(images) - len(cells.truth), -1)])
    yield replace(cells, images=images, truth=truth, rows=np.arange(len(truth)))


def _cell_problems(regime: str, member: str) -> Iterator[Problem]:
    del member
    if regime == "other-pictures":
        return _with_others()
    return {**ANYWHERE, "long-tail": long_tail}[regime](_cells())


@cache
def _attributes(part: str) -> dict[str, Problem]:
    base = safe_load((HERE / "knowledge" / "white-cell-attributes.yaml").read_text(encoding="utf-8"))
    paths, make = _pictures(CELLS / part)
    images = kept(f"cells-{part}", make)
    place = {"/".join(path.parts[-2:]): row for row, path in enumerate(paths)}
    with (SHARED / "attributes" / f"pbc_{part}.csv").open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    rows = np.array([place[line["image"]] for line in table])
    found = {}
    for name, values in base.items():
        truth = np.array([list(values).index(line[name]) for line in table])
        found[name] = Problem(images[rows], read_all(values.values()), truth, np.arange(len(rows)))
    return found


def _attribute_problems(part: str) -> Callable[[str, str], Iterator[Problem]]:
    def problems(regime: str, member: str) -> Iterator[Problem]:
        tasks = _attributes(part)
        return iter([tasks[regime]]) if regime in tasks else ANYWHERE[regime](tasks[member])

    return problems


def picture_grounds() -> Iterator[Ground]:
    """Cells by kind, and by attribute; only where the pictures are."""
    if not CELLS.is_dir():
        return
    base = safe_load((HERE / "knowledge" / "white-cell-attributes.yaml").read_text(encoding="utf-8"))
    yield Ground(
        "cells",
        tuple((regime, "mini") for regime in (*ANYWHERE, "long-tail", "other-pictures")),
        _cell_problems,
        480 + EACH * len(OTHERS),
        "480 blood cells of 8 kinds, 10 listed, read by mini with the shipped pack",
    )
    yield Ground(
        "attributes",
        (*((name, name) for name in base), *(("wrong-40", name) for name in base)),
        _attribute_problems("test"),
        300,
        "eleven attributes of 300 white cells (WBCAtt): classes that are not the clusters",
    )
    yield Ground(
        "attributes-train",
        (*((name, name) for name in SETTING), *(("wrong-40", name) for name in SETTING)),
        _attribute_problems("train"),
        1500,
        "three of them on 1500 cells that mini was trained on: to compare settings by",
        default=False,
    )
