"""What is said of the rows of features, in order: worked out here, or by the workers of a cluster."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kpl.embeddings import CHUNK_ROWS, FeatureFolder, FeatureRows
from kpl.files import write_file
from kpl.methods import Method
from kpl.proxies.arrays import Floats, chunks
from kpl.proxies.passes import Spread
from kpl.runs.spread import SpreadFeatures, spread

_FOLDER = ".said"


@dataclass(frozen=True)
class Said:
    """What a method says of features, worked out anew whenever it is asked for.

    Attributes:
        method: fitted.
        features: n rows.
    """

    method: Method
    features: FeatureFolder

    @property
    def held(self) -> Spread | None:
        """The features where workers hold them."""
        return None

    def logits(self) -> Iterator[Floats]:
        """Yield log probabilities (n_k, C), each row up to a constant."""
        return map(self.method.logits, chunks(self.features))

    def text_logits(self) -> Iterator[Floats]:
        """Yield those of the text alone."""
        return map(self.method.text_logits, chunks(self.features))

    def distances(self) -> Floats | None:
        """Return how far each row is from the nearest class model, (n,), where the method knows."""
        return self.method.distances(self.features)


@dataclass(frozen=True)
class _OfMethod:
    """Of rows: columns of logits, of text logits, and the distance where there is one."""

    method: Method

    def __call__(self, rows: FeatureRows) -> Floats:
        both = (self.method.logits, self.method.text_logits)
        columns = [np.concatenate([ask(chunk) for chunk in chunks(rows)]) for ask in both]
        if (far := self.method.distances(rows)) is not None:
            columns.append(far[:, None])
        return np.hstack(columns)


@dataclass(frozen=True)
class _Writer:
    """Writes what is said of a shard beside what is said of the others."""

    say: Callable[[FeatureRows], Floats]
    folder: Path

    def answer(self, rows: FeatureRows, place: int) -> None:
        held = io.BytesIO()
        np.save(held, self.say(rows), allow_pickle=False)
        write_file(_file(self.folder, place), held.getvalue())


@dataclass(frozen=True)
class Written:
    """What workers said of the rows, as often as it is asked for.

    Attributes:
        spread: the features, held by them.
    """

    spread: SpreadFeatures
    _folder: Path

    def __iter__(self) -> Iterator[Floats]:
        """Yield it shard by shard."""
        for place in range(self.spread.shards):
            yield np.load(_file(self._folder, place), allow_pickle=False)


@dataclass(frozen=True)
class _SaidThere(Said):
    """What a method said on a cluster."""

    written: Written

    @property
    def held(self) -> Spread | None:
        return self.written.spread

    def logits(self) -> Iterator[Floats]:
        return self._columns(lambda rows, n_classes: rows[:, :n_classes])

    def text_logits(self) -> Iterator[Floats]:
        return self._columns(lambda rows, n_classes: rows[:, n_classes : 2 * n_classes])

    def distances(self) -> Floats | None:
        found = np.concatenate(list(self._columns(lambda rows, n_classes: rows[:, 2 * n_classes :])))
        return found[:, 0] if found.shape[1] else None

    def _columns(self, chosen: Callable[[NDArray[np.float64], int], Floats]) -> Iterator[Floats]:
        for rows in self.written:
            own = np.ascontiguousarray(chosen(rows, len(self.method.text_.proxies)))
            for first in range(0, len(own), CHUNK_ROWS):
                yield own[first : first + CHUNK_ROWS]


def _file(folder: Path, place: int) -> Path:
    return folder / f"said-{place:05}.npy"


@contextmanager
def said_on_cluster(
    say: Callable[[FeatureRows], Floats], features: FeatureFolder, folder: Path, address: str | None
) -> Iterator[Written]:
    """Let the workers of a cluster say something of each row, a shard at a time.

    Args:
        say: gives (n, k) of the rows of a shard.
        folder: where all of them can write.
        address: of the cluster's head.

    Raises:
        KplError: as `spread`, and what a worker cannot read or write.
    """
    there = folder.absolute() / _FOLDER
    shutil.rmtree(there, ignore_errors=True)
    there.mkdir()
    try:
        with spread(features, address, "classifying on a cluster") as held:
            held.each(_Writer(say, there))
            yield Written(held, there)
    finally:
        shutil.rmtree(there, ignore_errors=True)


@contextmanager
def on_cluster(method: Method, features: FeatureFolder, folder: Path, address: str | None) -> Iterator[Said]:
    """Let the workers of a cluster answer for a fitted method; arguments and errors as of `said_on_cluster`."""
    with said_on_cluster(_OfMethod(method), features, folder, address) as written:
        yield _SaidThere(method, features, written)
