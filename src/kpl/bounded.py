"""Files of others, read as far as is sensible: one that says nothing but fills the memory is refused by its size."""

from __future__ import annotations

import errno
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

LARGEST: Final = 128 << 20
"""Bytes of a description, a list or a vocabulary; the largest tokenizers that are published have 40 MB."""
_PARTS: Final = 8_000_000
"""Lists, mappings and what is in them: of `[],[],[],` a parser makes twenty times its size."""
_one_at_a_time = threading.RLock()


def read_bounded(path: Path, most: int = LARGEST) -> bytes:
    """Return the bytes of a file that somebody is about to parse.

    Raises:
        OSError: it cannot be read, or has more than so many bytes, or more parts than any such file needs.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size  # as much is taken as is asked for; a pipe has no size
        data = file.read(min(most, size or most) + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"it has more than {most >> 20} MiB", str(path))
    if len(data) > _PARTS and sum(map(data.count, (b",", b"[", b"{"))) > _PARTS:
        raise OSError(errno.EFBIG, f"it has more than {_PARTS // 1_000_000} million parts", str(path))
    return data


@contextmanager
def bounded_memory(more: int) -> Iterator[None]:
    """Let this process take so many bytes at most beside those it has, as long as the block lasts.

    What asks for more meets a `MemoryError`, or the error of its library. One block at a time; one within another
    changes nothing, and nor does any where the system has no such limit, which Linux has.
    """
    with _one_at_a_time:
        before = _limit_memory(more)
        try:
            yield
        finally:
            if before is not None:
                import resource

                resource.setrlimit(resource.RLIMIT_DATA, before)


def _limit_memory(more: int) -> tuple[int, int] | None:
    """Return the limits to go back to; None where nothing was changed."""
    if sys.platform != "linux":
        return None
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if soft != resource.RLIM_INFINITY:
        return None
    with suppress(OSError, ValueError):
        told = Path("/proc/self/status").read_text(encoding="ascii").partition("VmData:")[2].split()[0]
        resource.setrlimit(resource.RLIMIT_DATA, (1024 * int(told) + more, hard))
        return soft, hard
    return None


def half_of_memory() -> int | None:
    """Return half the bytes of this machine's memory; None where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (AttributeError, ValueError, OSError):
        return None
