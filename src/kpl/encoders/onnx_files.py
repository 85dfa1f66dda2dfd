"""What an ONNX graph keeps in other files, found without the library: its file is walked field by field, never built.

Nothing is trusted to the runtime here: weights outside the folder, or beside the graph and not in the card's list,
would be read without a hash.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Final

# Of onnx.proto3: message to the fields that can hold a tensor, and what these are.
_FIELDS: Final = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}
_DEEPEST: Final = 64
_MOST_PARTS: Final = 2_000_000
_LARGEST: Final = 2 << 30  # of a protocol buffer; larger weights lie beside the graph
_VARINT, _LONG, _BYTES, _SHORT = 0, 1, 2, 5


def external_files(path: Path) -> set[str]:
    """Name the files that a graph keeps weights in, as it names them.

    Raises:
        ValueError: it is no such file, or nested too deeply.
        OSError: it cannot be read.
    """
    if path.stat().st_size >= _LARGEST:
        raise ValueError("an ONNX graph has less than 2 GiB")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return set(_places(data, 0, len(data), "model", 0, iter(range(_MOST_PARTS))))


def _places(data: mmap.mmap, start: int, end: int, kind: str, depth: int, budget: Iterator[int]) -> Iterator[str]:
    if depth > _DEEPEST:
        raise ValueError("an ONNX graph is nested too deeply")
    key = b""
    for number, begin, stop in _parts(data, start, end, budget):
        if kind == "entry":
            value = data[begin : min(stop, begin + 4096)]
            if number == 1:
                key = value
            elif number == 2 and key in (b"location", b""):
                yield value.decode("utf-8", "replace")
        elif inner := _FIELDS[kind].get(number):
            yield from _places(data, begin, stop, inner, depth + 1, budget)


def _parts(data: mmap.mmap, start: int, end: int, budget: Iterator[int]) -> Iterator[tuple[int, int, int]]:
    """Yield the fields of a message that have a length: number, begin, end."""
    at = start
    while at < end:
        if next(budget, None) is None:
            raise ValueError(f"an ONNX graph has more than {_MOST_PARTS // 1_000_000} million parts")
        tag, at = _varint(data, at, end)
        wire = tag & 7
        if wire == _BYTES:
            size, at = _varint(data, at, end)
            if at + size > end:
                raise ValueError("an ONNX graph is cut short")
            yield tag >> 3, at, at + size
            at += size
        elif wire == _VARINT:
            _, at = _varint(data, at, end)
        elif wire in (_LONG, _SHORT):
            at += 8 if wire == _LONG else 4
        else:
            raise ValueError("a file is no ONNX graph")


def _varint(data: mmap.mmap, at: int, end: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= end:
            break
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise ValueError("an ONNX graph is cut short")
