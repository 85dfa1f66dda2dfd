"""What a fitted method says of the rows of features, in order: worked out here, or by the workers of a cluster."""

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
class _Answers:
    """Answers for a shard: columns of logits, of text logits, and the distance where there is one."""

    method: Method
    folder: Path

    def answer(self, rows: FeatureRows, place: int) -> None:
        """Write them beside those of the others."""
        columns = [
            np.concatenate([ask(c) for c in chunks(rows)]) for ask in (self.method.logits, self.method.text_logits)
        ]
        if (far := self.method.distances(rows)) is not None:
            columns.append(far[:, None])
        held = io.BytesIO()
        np.save(held, np.hstack(columns), allow_pickle=False)
        write_file(_file(self.folder, place), held.getvalue())


@dataclass(frozen=True)
class _Written(Said):
    """What workers wrote, read a shard at a time."""

    spread: SpreadFeatures
    folder: Path

    @property
    def held(self) -> Spread | None:
        return self.spread

    def logits(self) -> Iterator[Floats]:
        return self._columns(lambda rows, n_classes: rows[:, :n_classes])

    def text_logits(self) -> Iterator[Floats]:
        return self._columns(lambda rows, n_classes: rows[:, n_classes : 2 * n_classes])

    def distances(self) -> Floats | None:
        found = np.concatenate(list(self._columns(lambda rows, n_classes: rows[:, 2 * n_classes :])))
        return found[:, 0] if found.shape[1] else None

    def _columns(self, chosen: Callable[[NDArray[np.float64], int], Floats]) -> Iterator[Floats]:
        for place in range(self.spread.shards):
            rows = np.load(_file(self.folder, place), allow_pickle=False)
            own = np.ascontiguousarray(chosen(rows, len(self.method.text_.proxies)))
            for first in range(0, len(own), CHUNK_ROWS):
                yield own[first : first + CHUNK_ROWS]


def _file(folder: Path, place: int) -> Path:
    return folder / f"said-{place:05}.npy"


@contextmanager
def on_cluster(method: Method, features: FeatureFolder, folder: Path, address: str | None) -> Iterator[Said]:
    """Let the workers of a cluster answer, a shard at a time; `folder` is where all of them can write.

    Raises:
        KplError: as `spread`, and what a worker cannot read or write.
    """
    there = folder.absolute() / _FOLDER
    shutil.rmtree(there, ignore_errors=True)
    there.mkdir()
    try:
        with spread(features, address, "classifying on a cluster") as held:
            held.each(_Answers(method, there))
            yield _Written(method, features, held, there)
    finally:
        shutil.rmtree(there, ignore_errors=True)
