"""What a run says at each level above its classes, where these form a tree: probabilities summed upward."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from kpl.evaluation import Predicted, Table, compare
from kpl.evaluation.weighted import IntArray
from kpl.knowledge import KnowledgeBase, Level, levels
from kpl.proxies.arrays import Floats
from kpl.runs.tables import write_csv

LEVELS_FILE = "levels.csv"


def write_levels(
    folder: Path, ids: Iterable[str], base: KnowledgeBase, chances: Callable[[], Iterable[Floats]]
) -> None:
    """Write `levels.csv`, a row a picture and level; nothing where the classes form no tree.

    Args:
        folder: of the run.
        ids: n pictures.
        base: the classes.
        chances: begins blocks of probabilities (n_k, C), in the order of the ids.
    """
    found = levels(base)
    if not found:
        return

    def rows() -> Iterator[list[str]]:
        names = iter(ids)
        for own in chain.from_iterable(chances()):
            image = next(names)
            for level in found:
                summed = level.summed(own[None])[0]
                best = int(summed.argmax())
                yield [image, str(level.number), level.names[best], f"{summed[best]:.6f}"]

    write_csv(folder / LEVELS_FILE, ["image", "level", "label", "confidence"], rows())


def compared_above(
    found: Sequence[Level],
    truth: Mapping[int, IntArray],
    results: Mapping[str, Predicted],
    *,
    reference: str | None,
    **alike: Any,  # noqa: ANN401 - what `compare` takes
) -> dict[int, Table]:
    """Score methods at each level that labels name, the outermost first: probabilities are summed.

    Args:
        found: the levels.
        truth: number of a level to the (n,) places in its names, -1 for none.
        results: what each method said of the classes; those without probabilities are left out.
        reference, alike: as `compare` takes them.
    """
    tables = {}
    tiny = np.finfo(np.float64).tiny
    for level in found:
        summed = {
            name: Predicted.of_logits(np.log(np.maximum(level.summed(each.probabilities), tiny)))
            for name, each in results.items()
            if each.probabilities is not None
        }
        if not summed or not (truth[level.number] >= 0).any():
            continue
        tables[level.number] = compare(
            truth[level.number],
            summed,
            n_classes=len(level.names),
            classes=level.names,
            reference=reference if reference in summed else None,
            **alike,
        )
    return tables
