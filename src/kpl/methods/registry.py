"""The methods by name."""

from __future__ import annotations

import dataclasses
from typing import Any

from kpl.errors import InputError, UnknownNameError
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
        UnknownNameError: no such method; suggests the nearest.
        InputError: a setting that the method does not have.

    Example:
        >>> make_method("text", k=5).k
        5
    """
    if name not in METHODS:
        raise UnknownNameError("method", name, METHODS)
    known = {f.name for f in dataclasses.fields(METHODS[name]) if f.init}
    given = {key: value for key, value in settings.items() if value is not None}
    if unknown := set(given) - known:
        raise InputError(f"method {name!r} has no setting {sorted(unknown)}; it has {sorted(known)}")
    return METHODS[name](**given)
