"""Names of more pictures than memory holds, on the disk: what stands for a table where a folder was given."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from tempfile import TemporaryFile

from kpl.tables import Slice

_BLOCK = 1 << 20


class Spool:
    r"""Names in a temporary file, read again in slices as those of a table are.

    Example:
        >>> spool = Spool()
        >>> spool.add(["a.png", "b\n.png", "c.png"])
        >>> [names for _, names, _ in spool.slices(2, [0, 1, 2])]
        [['a.png', 'b\n.png'], ['c.png']]
    """

    name = said = ""
    notes: tuple[str, ...] = ()

    def __init__(self) -> None:
        self._file = TemporaryFile()  # noqa: SIM115 - it goes with this
        weakref.finalize(self, self._file.close)

    def add(self, names: Sequence[str]) -> None:
        """Add names, which come behind those before; before any is read."""
        self._file.write("".join(f"{name}\0" for name in names).encode())

    def slices(self, size: int, numbers: Iterable[int]) -> Iterator[tuple[Slice, list[str], list[str | None]]]:
        """Read some of the slices, as `OpenedCohort.slices` does; nobody said a patient."""
        names, place = self._names(), 0
        for number in numbers:
            skipped = number * size - place
            some = list(islice(names, skipped, skipped + size))
            if not some:
                return
            place += skipped + len(some)
            yield Slice(number, (), [some]), some, [None] * len(some)

    def _names(self) -> Iterator[str]:
        place, rest = 0, b""
        while True:
            self._file.seek(place)  # others may read too
            block = self._file.read(_BLOCK)
            if not block:
                return
            place += len(block)
            whole, end, rest = (rest + block).rpartition(b"\0")
            if end:
                yield from whole.decode().split("\0")
