"""What a method learnt, as named arrays and back: the types of its learnt fields say how.

A learnt field is an array, a number, a dataclass of these (such as `LinearScores`), or a list or tuple of these.
`model_.proxies` and `text_.chosen.3` are then names of arrays. Nothing else is stored, and nothing is executed when it
is read back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]


def flatten(name: str, value: object) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield the arrays of a learnt value under names that begin with `name`, contiguous.

    Raises:
        TypeError: it holds something that is no array, number, dataclass or sequence of these.

    Example:
        >>> [(key, array.tolist()) for key, array in flatten("rows_", [np.zeros(2), np.ones(1)])]
        [('rows_.0', [0.0, 0.0]), ('rows_.1', [1.0])]
    """
    if isinstance(value, np.ndarray | np.generic | int | float):
        yield name, np.array(value, order="C")
    elif is_dataclass(value):
        for part in fields(value):
            yield from flatten(f"{name}.{part.name}", getattr(value, part.name))
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from flatten(f"{name}.{number}", item)
    elif value is not None:
        raise TypeError(f"{name} holds {type(value).__name__}: learnt state is arrays, numbers and dataclasses of them")


def restore(name: str, kind: Any, arrays: Arrays) -> Any:  # noqa: ANN401 - whatever the type says
    """Build a value of a type from the arrays that `flatten` gave for it.

    Every array is copied, so that it lies in memory as one that was just learnt: the same sums give the same bits.

    Raises:
        KeyError: an array is missing.

    Example:
        >>> restore("rows_", list[NDArray[np.float64]], {"rows_.0": np.zeros(2), "rows_.1": np.ones(1)})
        [array([0., 0.]), array([1.])]
    """
    if (origin := get_origin(kind)) in (Union, UnionType):
        inner = [option for option in get_args(kind) if option is not NoneType]
        held = any(key == name or key.startswith(f"{name}.") for key in arrays)
        return restore(name, inner[0], arrays) if held else None
    if is_dataclass(kind) and isinstance(kind, type):
        return _restored_dataclass(name, kind, arrays)
    if origin in (list, tuple):
        items: list[Any] = []
        while any(key == f"{name}.{len(items)}" or key.startswith(f"{name}.{len(items)}.") for key in arrays):
            items.append(restore(f"{name}.{len(items)}", get_args(kind)[0], arrays))
        return origin(items)
    if kind in (int, float, bool):
        return arrays[name].item()
    return np.array(arrays[name], order="C")


def _restored_dataclass(name: str, kind: type, arrays: Arrays) -> object:
    """Make it without its constructor: what was learnt is complete, and is not to be computed again."""
    hints = get_type_hints(kind)
    made: object = object.__new__(kind)
    for part in fields(kind):
        object.__setattr__(made, part.name, restore(f"{name}.{part.name}", hints[part.name], arrays))
    return made
