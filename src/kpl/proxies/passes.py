"""A pass over images, wherever these are: what it adds up has the same bits in memory, from disk and on a cluster.

The sums of a chunk are rounded to multiples of a power of two and added as integers, which is the same in any order and
any split. One such grain of 2^-61 of what no entry exceeds is finer than what a sum in float64 loses; where that bound
is not known, what a coarse grain leaves is counted in a fine one.
"""

from __future__ import annotations

from typing import Any, Final, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from kpl.proxies.arrays import CHUNK_ROWS, Floats, Images, chunks, weighted_chunks

_BITS: Final = 61  # of an integer, so that rounding up many chunks does not overflow it
_COARSE, _FINE = 20, 60
_EXTREME: Final = 1000  # the largest power of two that is used as a factor
Parts = tuple[Floats, ...]
"""The arrays of a sum."""


class Summed(Protocol):
    """What a pass adds up of a chunk."""

    @property
    def parts(self) -> Parts:
        """Its arrays; the same of every chunk but for their values."""


class Work(Protocol):
    """What is to be added up in a pass. On a cluster it is sent to each worker once; what changes is the step."""

    def partial(self, step: Any, chunk: Floats, weights: Floats | None, first: int | None = None) -> Summed:  # noqa: ANN401 - each work has its own
        """Return the sums of a (n_k, d) chunk of unit rows, the first of which is the row `first` of all."""


@runtime_checkable
class Placed(Protocol):
    """Images whose rows can be had by their places."""

    n: int

    def rows_at(self, places: NDArray[np.intp]) -> NDArray[np.floating]:
        """Return rows."""


@runtime_checkable
class Spread(Placed, Protocol):
    """Images that other processes hold."""

    def add_up(self, work: Work, step: Any, weights: Floats | None, grains: tuple[int, ...]) -> Exact:  # noqa: ANN401 - as above
        """Return the sums over all images."""


class Exact:
    """A sum of arrays that is the same in whatever order its parts come, and wherever.

    Args:
        grains: powers of two that it is counted in, 2^-each, the coarse first.

    Example:
        >>> tenths = [(np.array([0.1 * k]),) for k in range(10)]
        >>> one, other = Exact((58,)), Exact((58,))
        >>> for parts in tenths:
        ...     one.add(parts)
        >>> for parts in reversed(tenths):
        ...     other.add(parts)
        >>> one.floats()[0] == other.floats()[0], round(float(one.floats()[0][0]), 12)
        (array([ True]), 4.5)
    """

    def __init__(self, grains: tuple[int, ...]) -> None:
        self._grains = grains
        self._totals: list[list[NDArray[np.int64]]] = []

    def add(self, parts: Parts) -> None:
        """Add the arrays of a chunk."""
        self._merge([self._counted(part) for part in parts])

    def merge(self, other: Exact) -> None:
        """Add what another of the same grains has."""
        self._merge(other._totals)

    def floats(self) -> Parts:
        """Return the sums."""
        return tuple(
            np.sum([total * 2.0**-bits for total, bits in zip(own, self._grains, strict=True)], axis=0)
            for own in self._totals
        )

    def _counted(self, values: Floats) -> list[NDArray[np.int64]]:
        found = []
        for bits in self._grains:
            counted = np.rint(np.multiply(values, 2.0**bits))
            found.append(counted.astype(np.int64))
            if bits != self._grains[-1]:
                values = values - counted * 2.0**-bits
        return found

    def _merge(self, totals: list[list[NDArray[np.int64]]]) -> None:
        if not self._totals or not totals:
            self._totals = self._totals or totals
            return
        pairs = zip(self._totals, totals, strict=True)  # never in place: what comes from another process is read-only
        self._totals = [[own + more for own, more in zip(*pair, strict=True)] for pair in pairs]


def add_up(
    images: Images | Spread,
    work: Work,
    weights: Floats | None = None,
    step: Any = None,  # noqa: ANN401 - each work has its own
    *,
    dim: int | None = None,
    most: float | None = None,
) -> Parts:
    """Return the sums of a pass over all images.

    Args:
        images: (n, d) unit rows, a re-iterable of chunks, or images that other processes hold.
        work: what to add up.
        weights: (n,) above zero; None counts every image once.
        step: of the work.
        dim: the d that is needed.
        most: what no entry of any sum exceeds, if that is known.

    Raises:
        FeaturesError: as `weighted_chunks`.
    """
    grains = _grains(weights, most)
    if isinstance(images, Spread):
        return images.add_up(work, step, weights, grains).floats()
    return added_up(images, work, step, weights, grains, dim=dim).floats()


def added_up(
    images: Images,
    work: Work,
    step: Any,  # noqa: ANN401 - each work has its own
    weights: Floats | None,
    grains: tuple[int, ...],
    *,
    dim: int | None = None,
    first: int = 0,
) -> Exact:
    """Do as `add_up` does with images that are here, of which the first is the row `first` of all."""
    found = Exact(grains)
    for chunk, own in weighted_chunks(images, weights, dim):
        found.add(work.partial(step, chunk, own, first).parts)
        first += len(chunk)
    return found


def _grains(weights: Floats | None, most: float | None) -> tuple[int, ...]:
    """Choose grains so that the sums fit 64 bits: of a bound, or of 2^42 images of the largest weight."""
    if most is not None:
        return (int(np.clip(_BITS - np.frexp(most)[1], -_EXTREME, _EXTREME)),)
    unit = 0 if weights is None else int(np.frexp(weights.max())[1])
    return tuple(int(np.clip(bits - unit, -_EXTREME, _EXTREME)) for bits in (_COARSE, _FINE))


def sampled(images: Images | Spread, weights: Floats | None, most: int = CHUNK_ROWS) -> tuple[Floats, Floats]:
    """Return at most `most` rows, evenly spaced, and weights that add up to those of all.

    In one pass; where rows can be had by their places, these alone are read.

    Example:
        >>> rows, weights = sampled(np.eye(3)[[0, 0, 1, 1, 2, 2]], None, most=3)
        >>> rows.argmax(axis=1).tolist(), weights.tolist()
        ([0, 1, 2], [2.0, 2.0, 2.0])
    """
    if isinstance(images, Placed):
        every = 1
        while -(-images.n // every) > most:
            every *= 2
        places = np.arange(0, images.n, every)
        own = np.ones(len(places)) if weights is None else weights[places]
        total = float(images.n) if weights is None else float(weights.sum())
        return np.concatenate(list(chunks(images.rows_at(places)))), own * (total / own.sum())
    rows: list[Floats] = []
    kept: list[Floats] = []
    seen, held, every, total = 0, 0, 1, 0.0
    for chunk, given in weighted_chunks(images, weights):
        own = np.ones(len(chunk)) if given is None else given
        total += float(own.sum())
        first = -seen % every
        seen += len(chunk)
        rows.append(chunk[first::every].copy())
        kept.append(own[first::every])
        held += len(rows[-1])
        while held > most:
            rows, kept = [np.concatenate(rows)[::2]], [np.concatenate(kept)[::2]]
            held, every = len(rows[0]), 2 * every
    chosen = np.concatenate(kept)
    return np.concatenate(rows), chosen * (total / chosen.sum())
