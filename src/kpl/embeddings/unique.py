"""Which ids are there twice, and which are gone, of more than memory holds: by hash, in partitions on the disk."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from tempfile import TemporaryFile
from typing import Any

import numpy as np
from numpy.typing import NDArray

_PARTITIONS = 64
_ROW = np.dtype([("hash", np.int64), ("row", np.int64)])


class Hashed:
    """Ids as 64 bits each, which this process alone understands, with their places.

    Example:
        >>> with Hashed() as some, Hashed() as others:
        ...     some.add(["a", "b", "a"])
        ...     others.add(["b"])
        ...     some.repeated().tolist(), some.count_beside(others)
        ([0, 2], 2)
    """

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._files = [self._stack.enter_context(TemporaryFile()) for _ in range(_PARTITIONS)]  # noqa: SIM115 - they are
        self._count = 0

    def __enter__(self) -> Hashed:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def add(self, ids: Sequence[str]) -> None:
        """Add ids, whose places go on from those before."""
        rows = np.empty(len(ids), _ROW)
        rows["hash"] = np.fromiter(map(hash, ids), np.int64, len(ids))
        rows["row"] = np.arange(self._count, self._count + len(ids))
        self._count += len(ids)
        part = rows["hash"] % _PARTITIONS
        order = np.argsort(part, kind="stable")
        ends = np.searchsorted(part[order], np.arange(1, _PARTITIONS))
        for file, own in zip(self._files, np.split(rows[order], ends), strict=True):
            file.write(own.tobytes())

    def _partition(self, at: int) -> NDArray[Any]:
        self._files[at].seek(0)
        return np.frombuffer(self._files[at].read(), _ROW)

    def repeated(self) -> NDArray[np.int64]:
        """Return the places of ids that seem to be there more than once, in order; look at the ids to be sure."""
        found = []
        for at in range(_PARTITIONS):
            rows = self._partition(at)
            rows = rows[np.argsort(rows["hash"], kind="stable")]
            same = rows["hash"][1:] == rows["hash"][:-1]
            twice = np.zeros(len(rows), bool)
            twice[1:] |= same
            twice[:-1] |= same
            found.append(rows["row"][twice])
        return np.sort(np.concatenate(found))

    def count_beside(self, others: Hashed) -> int:
        """Count the ids that are not among others."""
        return sum(
            int((~np.isin(self._partition(at)["hash"], others._partition(at)["hash"])).sum())
            for at in range(_PARTITIONS)
        )
