"""What a run says at each level above its classes, where these form a tree: probabilities summed upward."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path

from kpl.knowledge import KnowledgeBase, levels
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
