"""What is said of the instances of a unit becomes what is said of the unit: scores are pooled, never features.

A study, a volume or a slide has many instances (slices, frames, tiles). With scores s_ic of instance i for class c:

    mean    the mean over the instances: for what shows everywhere (body part, sequence, stain)
    max     the largest: for a finding that may sit in a single instance
    top-K   the mean of the K largest, of each class by itself (MI-Zero, Lu et al., CVPR 2023): between the two
    top-K%  the same of the largest K in a hundred: of slides, whose tiles differ in number, which a fixed K would tell

Scores of classes that exclude each other are log probabilities up to a constant an instance; they are centred on their
mean over the classes first, so that the constant does not choose the instances. Then `mean` is the mean of log odds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kpl.errors import InputError
from kpl.proxies.arrays import Floats

# Nowhere behind the mean by .02 AUROC, and ahead where few slices show a finding: `benchmarks/pooling.py`.
DEFAULT_POOL = "top-5"
# Nearest to the best for slides of which 1 % or more show a finding: `benchmarks/slide_pooling.py`.
SLIDE_POOL = "top-20%"
_NAMES = re.compile(r"mean|max|top-(?P<count>[1-9]\d{0,5})|top-(?P<share>[1-9]\d?)%")


@dataclass(frozen=True)
class Pool:
    """How the scores of instances are pooled.

    Attributes:
        name: "mean", "max", "top-K" with a number of one or more, or "top-K%" with one below a hundred.

    Raises:
        InputError: it is another.

    Example:
        >>> scores = np.array([[1.0, 0.0], [5.0, 0.0], [3.0, 9.0]])
        >>> [Pool(name)(scores, [2, 1]).tolist() for name in ("mean", "max", "top-1")]
        [[[3.0, 0.0], [3.0, 9.0]], [[5.0, 0.0], [3.0, 9.0]], [[5.0, 0.0], [3.0, 9.0]]]
    """

    name: str

    def __post_init__(self) -> None:
        """Refuse a name without a meaning."""
        if not _NAMES.fullmatch(self.name):
            raise InputError(
                "scores are pooled by mean, max, top-K with a number such as top-5, or top-K% with a share such as "
                f"top-5%, got {self.name!r}"
            )

    def most(self, size: int) -> int:
        """Return how many instances decide about a unit of so many.

        Example:
            >>> [Pool(name).most(50) for name in ("mean", "max", "top-5", "top-5%")]
            [50, 1, 5, 3]
        """
        named = _NAMES.fullmatch(self.name)
        count, share = (named["count"], named["share"]) if named else (None, None)
        if share:
            return max(1, -(-size * int(share) // 100))
        return min(int(count), size) if count else 1 if self.name == "max" else size

    def __call__(self, scores: Floats, sizes: Sequence[int]) -> Floats:
        """Pool scores (n, C) of units of these sizes, one behind the other; returns (units, C)."""
        if len(sizes) == len(scores):  # units of one stay what they are, to the bit
            return scores
        starts = np.cumsum([0, *sizes[:-1]])
        if self.name == "max":
            return np.asarray(np.maximum.reduceat(scores, starts, axis=0))
        pooled = np.empty((len(sizes), scores.shape[1]))
        for unit, (start, size) in enumerate(zip(starts.tolist(), sizes, strict=True)):
            # Sorted, so that the sum is the same whatever the order of the instances.
            pooled[unit] = np.sort(scores[start : start + size], axis=0)[::-1][: self.most(size)].mean(axis=0)
        return pooled


def centred(logits: Floats) -> Floats:
    """Return log probabilities (n, C), each row up to a constant, with rows that sum to zero."""
    return np.asarray(logits - logits.mean(axis=1, keepdims=True))


def whole_units(blocks: Iterable[Floats], sizes: Sequence[int]) -> Iterator[tuple[Floats, list[int]]]:
    """Cut blocks of rows anew, so that each holds whole units; memory holds a block and a unit.

    Args:
        blocks: (n_k, C), the rows of a unit one behind the other.
        sizes: rows of each unit, in order.

    Yields:
        (rows, C) and the sizes of the units in it.

    Example:
        >>> [(len(rows), sizes) for rows, sizes in whole_units([np.zeros((3, 1)), np.zeros((2, 1))], [2, 2, 1])]
        [(2, [2]), (3, [2, 1])]
    """
    held, place = [], 0
    for block in blocks:
        held.append(block)
        rows, taken, first = sum(map(len, held)), 0, place
        while place < len(sizes) and taken + sizes[place] <= rows:
            taken += sizes[place]
            place += 1
        if place > first:
            whole = np.concatenate(held)
            yield whole[:taken], list(sizes[first:place])
            held = [whole[taken:]]


def key_rows(scores: NDArray[np.floating], sizes: Sequence[int], classes: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return of each unit the row of the instance that speaks loudest for a class, the first of equals, (units,).

    Args:
        scores: (n, C) of the instances, comparable from one to the other.
        sizes: of the units.
        classes: (units,) the class of each.
    """
    starts = np.cumsum([0, *sizes[:-1]])
    own = zip(starts.tolist(), sizes, classes.tolist(), strict=True)
    return np.array([start + int(scores[start : start + size, c].argmax()) for start, size, c in own], dtype=np.intp)
