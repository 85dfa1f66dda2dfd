"""How well `kpl classify --other` tells pictures of no listed class, and what it costs those of the listed.

    python benchmarks/unlisted.py --json benchmarks/results/unlisted.json

On grounds of the contest, in the regimes named here, and with two classes listed among pictures of two others. Labels
serve to draw and to score. The texts are the averaged descriptions; `kpl` leaves out what the pictures contradict.
`found` and `lost` are the shares of the unlisted and of the listed images that are called none of these by the default;
means over the first two problems of a member, then over members; `worst` is the problem that lost most.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np

from common import parser, print_table, save
from grounds import SEED, Ground, Problem, all_grounds
from kpl.evaluation.metrics import auroc
from kpl.methods import make_method
from kpl.proxies.outside import text_fits, unlike_fits
from picture_grounds import EACH, OTHERS

DRAWS = 2  # at most, of a regime and a member
ATTRIBUTES = (
    *("nucleus_shape", "cytoplasm_colour", "granule_type", "granule_colour", "cell_size", "cell_shape"),
    *("nuclear_cytoplasmic_ratio", "chromatin_density", "cytoplasm_vacuole", "cytoplasm_texture", "granularity"),
)
REGIMES = {
    "aerial": (
        *("half-listed", "two-listed", "one-class", "balanced-19", "longtail-19", "balanced-5", "longtail-5"),
        *("pair-80-20", "pair-95-5", "absent-14", "few-64", "few-16"),
    ),
    "cells": ("half-listed", "two-listed", "other-pictures", "one-class", "whole", "long-tail", "few-64", "few-16"),
    "attributes": ATTRIBUTES,
}


def figures(problem: Problem) -> dict[str, float]:
    """AUROC of unlisted against listed images, and the shares called none of these; NaN without either."""
    method = make_method("cupl").fit(problem.images, problem.texts)
    fits = text_fits(problem.images, method.text_.proxies, method.temperature)
    unlike, listed = unlike_fits(fits, len(problem.texts)), problem.truth >= 0
    both = listed.any() and not listed.all()
    return {
        "auroc": auroc((~listed).astype(np.intp), np.stack([-unlike, unlike], axis=1)) if both else np.nan,
        "found": float((unlike[~listed] >= 1).mean()) if not listed.all() else np.nan,
        "lost": float((unlike[listed] >= 1).mean()) if listed.any() else np.nan,
    }


def two_listed(source: Problem) -> Iterator[Problem]:
    """Two classes listed, among pictures of two others."""
    present = np.unique(source.truth)
    for draw in range(4):
        chosen = np.random.default_rng([SEED, 7, draw]).permutation(present)[:4]
        yield source.only(np.flatnonzero(np.isin(source.truth, chosen))).listing([int(c) for c in chosen[:2]])


def one_class(source: Problem) -> Iterator[Problem]:
    """All classes listed, pictures of a single one."""
    for kind in np.unique(source.truth).tolist():
        yield source.only(np.flatnonzero(source.truth == kind))


OWN = {"two-listed": two_listed, "one-class": one_class}
"""Draws from the ground's whole set."""
WHOLE = {"aerial": "balanced-19", "cells": "whole"}


def drawn(ground: Ground, regime: str) -> Iterator[tuple[str, Iterator[Problem]]]:
    """The problems of a regime by member, DRAWS of each; of one class all."""
    for own, member in ground.units:
        if own == regime:
            yield member, islice(ground.problems(regime, member), DRAWS)
        elif regime in OWN and own == WHOLE[ground.name]:
            yield member, OWN[regime](next(ground.problems(own, member)))


def foreign(mixed: Problem) -> Iterator[tuple[str, Problem]]:
    """Pictures of other modalities alone, by the knowledge of blood cells."""
    only = mixed.only(np.flatnonzero(mixed.truth < 0))
    for number, name in enumerate(OTHERS):
        yield name, only.only(np.arange(number * EACH, (number + 1) * EACH))


def main() -> None:
    """Measure and print."""
    options = parser(__doc__).parse_args()
    grounds, told = all_grounds(), {}
    for name, regimes in REGIMES.items():
        for regime in regimes:
            members = drawn(grounds[name], regime)
            rows = [[list(figures(problem).values()) for problem in problems] for _, problems in members]
            lost = max(problem[2] for member in rows for problem in member)
            means = np.mean([np.mean(member, axis=0) for member in rows], axis=0).tolist()
            told[f"{name}, {regime}"] = dict(zip(("auroc", "found", "lost", "worst"), (*means, lost), strict=True))
    for name, problem in foreign(next(grounds["cells"].problems("other-pictures", "mini"))):
        told[f"{name} alone"] = {**figures(problem), "worst": np.nan}
    print_table(
        "None of these",
        ("ground", "AUROC", "found", "lost", "worst"),
        [(name, *(f"{value:.3f}" if value == value else "" for value in row.values())) for name, row in told.items()],
    )
    save(options.json, {n: {k: v for k, v in row.items() if v == v} for n, row in told.items()})


if __name__ == "__main__":
    main()
