"""How well `kpl classify --other` tells pictures of no listed class, and what it costs those of the listed.

    python benchmarks/unlisted.py --json benchmarks/results/unlisted.json

On the grounds of the contest whose problems list three classes or more, in the regimes named here. Labels serve to draw
and to score. `found` and `lost` are the shares of the unlisted and of the listed images that are called none of these
by the default; means over the first two problems of a member, then over members; `worst` is the problem that lost most.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np

from common import parser, print_table, save
from grounds import Problem, all_grounds
from kpl.evaluation.metrics import auroc
from kpl.methods import KPL
from kpl.proxies.outside import unlike_texts
from picture_grounds import EACH, OTHERS

DRAWS = 2  # at most, of a regime and a member
REGIMES = {
    "aerial": ("half-listed", "balanced-19", "longtail-19", "balanced-5", "longtail-5", "absent-14"),
    "cells": ("half-listed", "other-pictures", "whole", "long-tail"),
    "attributes": ("nucleus_shape", "cytoplasm_colour", "granule_type", "granule_colour"),
}


def figures(problem: Problem) -> dict[str, float]:
    """AUROC of unlisted against listed images, and the shares called none of these; NaN without either."""
    text = KPL().fit(problem.images, problem.texts).text_
    unlike, listed = unlike_texts(problem.images, text.proxies), problem.truth >= 0
    both = listed.any() and not listed.all()
    return {
        "auroc": auroc((~listed).astype(np.intp), np.stack([-unlike, unlike], axis=1)) if both else np.nan,
        "found": float((unlike[~listed] >= 1).mean()) if not listed.all() else np.nan,
        "lost": float((unlike[listed] >= 1).mean()) if listed.any() else np.nan,
    }


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
            rows = []
            for own, member in grounds[name].units:
                if own == regime:
                    rows.append(
                        [
                            list(figures(problem).values())
                            for problem in islice(grounds[name].problems(regime, member), DRAWS)
                        ]
                    )
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
