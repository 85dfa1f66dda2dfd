"""The methods by name."""

from __future__ import annotations

import dataclasses
from typing import Any

from kpl.errors import UnknownNameError
from kpl.methods.contract import Method
from kpl.methods.descent import InMaP, OfficialKPL
from kpl.methods.kpl import KPL, ClosedKPL
from kpl.methods.textual import ClassNames, CuPL, TextProxy

__all__ = ["METHODS", "make_method"]

METHODS: dict[str, type[Method]] = {
    method.name: method for method in (ClassNames, CuPL, TextProxy, InMaP, OfficialKPL, ClosedKPL, KPL)
}


def make_method(name: str, **settings: Any) -> Method:  # noqa: ANN401 - each method has its own settings
    """Return an unfitted method by its registry name; settings left out or None keep their defaults.

    Raises:
        UnknownNameError: no such method, or a setting that the method does not have; suggests the nearest.

    Example:
        >>> make_method("text", k=5).k
        5
    """
    if name not in METHODS:
        raise UnknownNameError("method", name, METHODS)
    known = {f.name for f in dataclasses.fields(METHODS[name]) if f.init}
    given = {key: value for key, value in settings.items() if value is not None}
    if unknown := sorted(set(given) - known):
        raise UnknownNameError(f"setting of {name}", unknown[0], known)
    return METHODS[name](**given)
