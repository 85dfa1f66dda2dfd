"""Decoding in threads ahead of whoever uses the pictures; Pillow releases the interpreter lock while it decodes."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from kpl.errors import PictureError
from kpl.images.readers import load_instance
from kpl.images.records import Instance

Item = TypeVar("Item")
Result = TypeVar("Result")


def default_workers() -> int:
    """Count the threads to decode with: one a core, at most eight."""
    return min(8, os.cpu_count() or 1)


def decode_many(
    records: Iterable[Instance], *, workers: int | None = None, shrink_to: int | None = None
) -> Generator[tuple[Instance, NDArray[np.uint8] | PictureError], None, None]:
    """Decode pictures in threads, in order; a picture that cannot be read comes as its error and stops nothing.

    Args:
        records: pictures to read; may be endless.
        workers: threads, by default one a core and at most eight. At most twice as many pictures are held decoded.
        shrink_to: see `decode`.

    Yields:
        The record with its (height, width, 3) array of 0..255, or with the error.
    """

    def attempt(record: Instance) -> tuple[Instance, NDArray[np.uint8] | PictureError]:
        return record, load_instance(record, shrink_to=shrink_to)[1]

    workers = workers or default_workers()
    return ordered_map(attempt, records, workers=workers, look_ahead=2 * workers)


def ordered_map(
    function: Callable[[Item], Result], items: Iterable[Item], *, workers: int, look_ahead: int
) -> Generator[Result, None, None]:
    """Map in threads, keep the order, and never run more than `look_ahead` items ahead of the consumer.

    Leaving the iterator early cancels what has not started.

    Example:
        >>> list(ordered_map(abs, [-2, 3], workers=2, look_ahead=4))
        [2, 3]
    """
    waiting: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="kpl-ahead")
    finished = False
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > look_ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
        finished = True
    finally:
        # Ctrl-C may fall while a lock of the pool is taken, and its threads then wait for ever: so none waits for them.
        pool.shutdown(wait=finished, cancel_futures=True)
