"""The grounds of the contest: pictures, descriptions and true classes, drawn in the ways that break methods.

A *source* is one encoder's view of one labelled set. A *regime* draws problems from it: all images, a few of them, a
long tail, wrong sentences among the right ones, images of classes that are not listed. A *member* of a ground is one
source (an encoder, or a task); figures are means over the problems of a member, then over members. Everything is drawn
by fixed seeds, the same for every encoder and method. Labels serve to draw and to score; none reaches a method.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common import SHARED
from kpl.embeddings import is_bundle, open_bundle

__all__ = ["Ground", "Problem", "all_grounds", "bundle_ground"]

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.intp]
SEED = 20261128
DRAWINGS = 10  # of wrong sentences
WRONG = 0.4
PARTS = 6  # of an update in order of class
WITHOUT_DESCRIPTIONS = ("names", "templates", "random")


@dataclass(frozen=True)
class Problem:
    """What a method gets, and what it is scored by.

    Attributes:
        images: (n, d) unit rows.
        texts: per class (m_c, d) unit rows.
        truth: (n,) place among the classes; -1 for an image whose class is not listed.
        rows: (n,) which image of the set each is: bootstrap draws are common to all that share images.
        templates: prompts behind the rows of `texts`, where they are the same for all classes.
        parts: the order in which images come, where a method has to `update`; None where they come all at once.
        planted: per class (m_c,) whether a sentence is wrong on purpose; None where none is.
        readings: what methods that read something else than descriptions get in their place, by `Method.reads`.
    """

    images: Floats
    texts: tuple[Floats, ...]
    truth: Ints
    rows: Ints
    templates: tuple[str, ...] = ()
    parts: tuple[Ints, ...] | None = None
    planted: tuple[NDArray[np.bool_], ...] | None = None
    readings: Mapping[str, tuple[Floats, ...]] = field(default_factory=dict)

    def only(self, chosen: Ints) -> Problem:
        """Keep these images."""
        return replace(self, images=self.images[chosen], truth=self.truth[chosen], rows=self.rows[chosen])

    def listing(self, classes: Sequence[int]) -> Problem:
        """List these classes only, in this order; images of others become unlisted."""
        place = np.full(len(self.texts) + 1, -1)
        place[list(classes)] = range(len(classes))
        readings = {name: tuple(texts[c] for c in classes) for name, texts in self.readings.items()}
        texts = tuple(self.texts[c] for c in classes)
        return replace(self, texts=texts, truth=place[self.truth], readings=readings)


Draw = Callable[[Problem], Iterator[Problem]]


@dataclass(frozen=True)
class Ground:
    """A ground of the contest.

    Attributes:
        name: of the ground, a folder's name.
        units: every (regime, member).
        problems: of a regime and a member.
        count: images that `Problem.rows` counts, (0..count-1).
        told: what it is, in a sentence.
        version: raised when its problems change: results of other versions are not used again.
        default: whether it takes part when no ground is named.
    """

    name: str
    units: tuple[tuple[str, str], ...]
    problems: Callable[[str, str], Iterator[Problem]]
    count: int
    told: str
    version: int = 1
    default: bool = True


def _rng(*key: int) -> np.random.Generator:
    return np.random.default_rng([SEED, *key])


def whole(source: Problem) -> Iterator[Problem]:
    """All images at once."""
    yield source


def few(source: Problem, *, images: int, draws: int = 10) -> Iterator[Problem]:
    """A few images, drawn at random."""
    for draw in range(draws):
        yield source.only(_rng(1, images, draw).choice(len(source.truth), images, replace=False))


def long_tail(source: Problem, *, draws: int = 6) -> Iterator[Problem]:
    """Classes in random order, from all their images down to three, in equal ratios."""
    present = np.unique(source.truth)
    for draw in range(draws):
        rng = _rng(2, draw)
        most = np.bincount(source.truth)[present].min()
        sizes = np.geomspace(most, 3, len(present)).round().astype(int)
        pick = [
            rng.choice(np.flatnonzero(source.truth == c), n, replace=False)
            for c, n in zip(rng.permutation(present), sizes, strict=True)
        ]
        yield source.only(np.sort(np.concatenate(pick)))


def fifty_to_one(source: Problem, *, draws: int = 20) -> Iterator[Problem]:
    """Two listed classes; fifty images of the one, a single image of the other."""
    present = np.unique(source.truth)
    for draw in range(draws):
        rng = _rng(3, draw)
        common, rare = rng.choice(present, 2, replace=False)
        many = rng.permutation(np.flatnonzero(source.truth == common))[:50]
        one = rng.choice(np.flatnonzero(source.truth == rare), 1)
        yield source.only(np.sort(np.concatenate([many, one]))).listing([int(common), int(rare)])


def planted(source: Problem, *, draws: int = DRAWINGS) -> Iterator[Problem]:
    """Four in ten sentences of every class replaced by sentences of other classes."""
    for draw in range(draws):
        rng, texts, marks = _rng(4, draw), [], []
        for c, own in enumerate(source.texts):
            wrong = np.zeros(len(own), dtype=bool)
            wrong[rng.choice(len(own), round(WRONG * len(own)), replace=False)] = True
            others = np.concatenate([rows for k, rows in enumerate(source.texts) if k != c])
            mixed = own.copy()
            mixed[wrong] = others[rng.choice(len(others), int(wrong.sum()), replace=False)]
            texts.append(mixed)
            marks.append(wrong)
        right = {name: rows for name, rows in source.readings.items() if name in WITHOUT_DESCRIPTIONS}
        yield replace(source, texts=tuple(texts), planted=tuple(marks), templates=(), readings=right)


def half_listed(source: Problem, *, draws: int = 4) -> Iterator[Problem]:
    """Half of the classes are listed; the images are of all."""
    for draw in range(draws):
        listed = _rng(5, draw).permutation(len(source.texts))[: max(2, len(source.texts) // 2)]
        yield source.listing(sorted(int(c) for c in listed))


def in_order(source: Problem, *, mixed: bool = False) -> Iterator[Problem]:
    """Six parts to `update` with, one after the other: in order of class, or mixed."""
    order = _rng(6).permutation(len(source.truth)) if mixed else np.argsort(source.truth, kind="stable")
    yield replace(source, parts=tuple(np.array_split(order, PARTS)))


def merged(source: Problem, groups: Sequence[Sequence[int]]) -> Problem:
    """Merge groups of classes, with all their descriptions."""
    place = np.full(len(source.texts), -1)
    for new, group in enumerate(groups):
        place[list(group)] = new
    texts = tuple(np.concatenate([source.texts[c] for c in group]) for group in groups)
    return replace(source, texts=texts, truth=place[source.truth], templates=())


ANYWHERE: dict[str, Draw] = {
    "whole": whole,
    "few-16": partial(few, images=16),
    "few-64": partial(few, images=64),
    "pair-50-1": fifty_to_one,
    "wrong-40": planted,
    "half-listed": half_listed,
    "update-sorted": in_order,
    "update-mixed": partial(in_order, mixed=True),
}
"""Regimes that any labelled set can be drawn in."""


@cache
def bundle_source(folder: Path) -> Problem:
    """A feature bundle with labels as one source."""
    bundle = open_bundle(folder)
    if bundle.labels is None:
        raise SystemExit(f"{folder} has no labels to score with")
    truth = bundle.labels.astype(np.intp)
    return Problem(bundle.images.load(), bundle.descriptions, truth, np.arange(len(truth)), bundle.templates)


def bundle_ground(folder: Path) -> Ground:
    """One's own bundle as a ground.

    Args:
        folder: a feature bundle with labels, or a folder of such bundles of the same images by several encoders.
    """
    members = [folder] if is_bundle(folder) else sorted(p for p in folder.iterdir() if is_bundle(p))
    if not members:
        raise SystemExit(f"{folder} holds no feature bundle: make one with benchmarks/make_ground.py")
    counts = [len(bundle_source(path).truth) for path in members]
    if len(set(counts)) > 1:
        raise SystemExit(f"{folder}: bundles of one ground must hold the same images, got {counts}")
    smallest = np.bincount(bundle_source(members[0]).truth)
    fits = {
        "few-16": counts[0] > 16,
        "few-64": counts[0] > 64,
        "pair-50-1": bool((smallest[smallest > 0] >= 50).all()),
        "half-listed": len(smallest) >= 4,
    }
    regimes = [name for name in ANYWHERE if fits.get(name, True)]
    places = {path.name: path for path in members}
    return Ground(
        folder.name,
        tuple((regime, name) for regime in regimes for name in places),
        lambda regime, member: ANYWHERE[regime](bundle_source(places[member])),
        counts[0],
        f"bundle of {counts[0]} images",
    )


def _aerial(features: Path) -> Iterator[Ground]:
    folders = {path.name: path for path in sorted(features.glob("*")) if is_bundle(path)}
    cases = json.loads((features / "regimes.json").read_text(encoding="utf-8"))
    pairings = json.loads((features / "merged.json").read_text(encoding="utf-8"))
    own = list(dict.fromkeys(case["regime"] for case in cases))
    anywhere = [name for name in ANYWHERE if name != "whole"]  # it is balanced-19

    def problems(regime: str, member: str) -> Iterator[Problem]:
        source = bundle_source(folders[member])
        if regime in ANYWHERE:
            yield from ANYWHERE[regime](source)
        for case in cases:
            if case["regime"] == regime:
                yield source.only(np.array(case["images"])).listing(case["classes"])

    def two_looks(regime: str, member: str) -> Iterator[Problem]:
        source = bundle_source(folders[member])
        for pairing in pairings:
            if pairing["name"] == regime:
                yield merged(source, pairing["groups"])
        for case in cases:
            if case["regime"] == regime:
                yield merged(source.only(np.array(case["images"])), pairings[case["rep"] % len(pairings)]["groups"])

    names = [pairing["name"] for pairing in pairings] + ["longtail-19", "absent-14"]
    yield Ground(
        "aerial",
        tuple((regime, member) for regime in [*own, *anywhere] for member in folders),
        problems,
        1005,
        "1005 aerial scenes of 19 classes (WHURS19) by six encoders; 106 templates a class",
    )
    yield Ground(
        "aerial-merged",
        tuple((regime, member) for regime in names for member in folders),
        two_looks,
        1005,
        "the same scenes, classes merged by pairs: eight of the eleven have two looks",
    )


def all_grounds(bundles: Sequence[Path] = ()) -> dict[str, Ground]:
    """Every ground by name: those whose data is here, and one's own bundles."""
    from made_grounds import made_grounds
    from picture_grounds import picture_grounds

    features = SHARED / "features"
    found = [*_aerial(features)] if features.is_dir() else []
    found += [*picture_grounds(), *made_grounds(), *map(bundle_ground, bundles)]
    return {ground.name: ground for ground in found}
