"""Features of sentences, kept on disk between runs.

The same bytes come out with the cache and without it: a sentence is always encoded alone, and the key holds everything
that its features depend on. A row carries a checksum; what is damaged is encoded again, and a cache that cannot be used
is done without.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from kpl.home import home

MAX_BYTES: Final = 256 << 20
"""Of features; a row of 512 columns has 2 KiB."""

_SECONDS_TO_WAIT = 2.0  # for another run that writes
_LAYOUT: Final = "CREATE TABLE IF NOT EXISTS rows (key BLOB PRIMARY KEY, value BLOB, checksum INT, used INT)"

Result = TypeVar("Result")


class TextCache:
    """Rows by key in one SQLite file; the rows that were used longest ago go when it is full.

    Args:
        path: the file; None takes `texts.sqlite` in the folder of what KPL keeps for the user (`$KPL_HOME`).
        max_bytes: of features that are kept at most.

    Example:
        >>> import tempfile
        >>> cache = TextCache(Path(tempfile.mkdtemp()) / "texts.sqlite")
        >>> cache.put({"a": np.ones(2, np.float32)})
        >>> cache.get(["a", "b"], dim=2)
        {'a': array([1., 1.], dtype=float32)}
    """

    def __init__(self, path: Path | None = None, *, max_bytes: int = MAX_BYTES) -> None:
        self.path = path or home() / "texts.sqlite"
        self._max_bytes = max_bytes

    def get(self, keys: Sequence[str], *, dim: int) -> dict[str, NDArray[np.float32]]:
        """Find the rows of these keys, (dim,) each; those that are not there, or damaged, are left out."""

        def read(base: sqlite3.Connection) -> dict[str, NDArray[np.float32]]:
            found = {}
            for key in dict.fromkeys(keys):
                row = base.execute("SELECT value, checksum FROM rows WHERE key = ?", (_short(key),)).fetchone()
                if row and isinstance(row[0], bytes) and zlib.crc32(row[0]) == row[1] and len(row[0]) == 4 * dim:
                    found[key] = np.frombuffer(row[0], "<f4").astype(np.float32)
            use = _next_use(base)
            base.executemany("UPDATE rows SET used = ? WHERE key = ?", [(use, _short(key)) for key in found])
            return found

        return (self._transact(read) or {}) if self.path.is_file() else {}

    def put(self, rows: Mapping[str, NDArray[np.float32]]) -> None:
        """Keep rows, all or none of them."""

        def write(base: sqlite3.Connection) -> None:
            use = _next_use(base)
            values = [(_short(key), row.astype("<f4").tobytes()) for key, row in rows.items()]
            base.executemany(
                "INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?)",
                [(key, value, zlib.crc32(value), use) for key, value in values],
            )
            _forget(base, self._max_bytes)

        if rows:
            self._transact(write)

    def _transact(self, work: Callable[[sqlite3.Connection], Result]) -> Result | None:
        """Do all of the work or none of it; None when the cache cannot be used. A damaged file is dropped."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.closing(sqlite3.connect(self.path, timeout=_SECONDS_TO_WAIT)) as base, base:
                base.execute(_LAYOUT)
                return work(base)
        except (OSError, sqlite3.OperationalError):  # no permission, no space, another run writes
            return None
        except sqlite3.DatabaseError:
            with contextlib.suppress(OSError):
                self.path.unlink()
            return None


def _forget(base: sqlite3.Connection, max_bytes: int) -> None:
    (held,) = base.execute("SELECT coalesce(sum(length(value)), 0) FROM rows").fetchone()
    if held <= max_bytes:
        return
    # Down to half, so that a full cache is not sorted on every call.
    for key, size in base.execute("SELECT key, length(value) FROM rows ORDER BY used, key").fetchall():
        base.execute("DELETE FROM rows WHERE key = ?", (key,))
        held -= size
        if held <= max_bytes // 2:
            break


def _next_use(base: sqlite3.Connection) -> int:
    return int(base.execute("SELECT coalesce(max(used), 0) + 1 FROM rows").fetchone()[0])


def _short(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
