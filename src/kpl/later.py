"""Names of a package that load on first use, so that who needs few of them waits for few."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def on_first_use(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the `__getattr__` of a package: it loads a name's module when the name is first asked for.

    Args:
        package: its `__name__`.
        homes: by name the module below the package that holds it.
    """

    def load(name: str) -> Any:  # noqa: ANN401 - whatever the module holds under that name
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{package}.{homes[name]}"), name)
        setattr(sys.modules[package], name, value)
        return value

    return load
