"""What loads on first use, so that who needs little waits for little: names of a package, what other packages offer."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.metadata import EntryPoints, entry_points
from typing import Any


def on_first_use(package: str, homes: Mapping[str, Sequence[str]]) -> Callable[[str], Any]:
    """Return the `__getattr__` of a package: it loads a name's module when the name is first asked for.

    Args:
        package: its `__name__`.
        homes: by module below the package the names that it holds.
    """
    home_of = {name: home for home, names in homes.items() for name in names}

    def load(name: str) -> Any:  # noqa: ANN401 - whatever the module holds under that name
        if name not in home_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{package}.{home_of[name]}"), name)
        setattr(sys.modules[package], name, value)
        return value

    return load


@cache
def _installed() -> Any:  # noqa: ANN401 - of another type from Python 3.12 on
    return entry_points()


def offered(group: str) -> EntryPoints:
    """Return what installed packages offer under a name; all of them are looked through once."""
    found: EntryPoints = _installed().select(group=group)
    return found
