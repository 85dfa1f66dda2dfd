from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from kpl.errors import PictureError
from kpl.images import Instance, decode_many, default_workers, ordered_map


def write(path: Path, grey: int) -> Instance:
    Image.new("L", (4, 4), grey).save(path)
    return Instance(path.name, path)


def test_order_is_kept_and_bad_pictures_come_as_errors(tmp_path: Path) -> None:
    records = [write(tmp_path / f"{i}.png", i) for i in range(20)]
    records[7].path.write_bytes(b"")
    results = list(decode_many(records, workers=4))
    assert [record for record, _ in results] == records
    for i, (_, picture) in enumerate(results):
        if i == 7:
            assert isinstance(picture, PictureError)
        else:
            assert isinstance(picture, np.ndarray)
            assert (picture == i).all()


def test_it_reads_ahead_but_not_far(tmp_path: Path) -> None:
    taken = 0

    def endless() -> Iterator[Instance]:
        nonlocal taken
        for record in itertools.repeat(write(tmp_path / "a.png", 1)):
            taken += 1
            yield record

    pictures = decode_many(endless(), workers=2)
    for used in range(1, 10):
        next(pictures)
        assert used < taken <= used + 5
    pictures.close()


@given(st.lists(st.integers()), st.integers(1, 4), st.integers(0, 5))
def test_ordered_map_is_map(items: list[int], workers: int, look_ahead: int) -> None:
    assert list(ordered_map(str, items, workers=workers, look_ahead=look_ahead)) == list(map(str, items))


def test_leaving_early_leaves_no_thread_behind() -> None:
    before = threading.active_count()
    results = ordered_map(abs, itertools.count(), workers=3, look_ahead=6)
    assert next(results) == 0
    results.close()
    for thread in threading.enumerate():
        if thread.name.startswith("kpl-ahead"):
            thread.join(60)  # nobody waits for them, but they end
    assert threading.active_count() == before


def test_an_error_of_the_function_comes_through() -> None:
    with pytest.raises(ZeroDivisionError):
        list(ordered_map(lambda x: 1 // x, [1, 0], workers=1, look_ahead=1))


def test_there_is_always_a_worker() -> None:
    assert 1 <= default_workers() <= 8


def test_leaving_early_waits_for_no_thread() -> None:
    release = threading.Event()

    def wait(item: int) -> int:
        if item:
            release.wait(60)
        return item

    results = ordered_map(wait, range(9), workers=2, look_ahead=4)
    assert next(results) == 0
    results.close()  # would hang here if it joined the threads
    release.set()
