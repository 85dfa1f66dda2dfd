"""The settings of a method by name: which there are, and their values from text."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from kpl.errors import InputError, UnknownNameError
from kpl.methods.contract import Method
from kpl.methods.registry import METHODS, make_method


def settings_of(method: type[Method] | Method) -> list[str]:
    """Return the names of a method's settings."""
    return [field.name for field in dataclasses.fields(method) if field.init]


def read_settings(method: str, given: Iterable[str]) -> dict[str, Any]:
    """Read `name=value` settings of a method, each value by the setting's type; "none" is no value.

    Raises:
        UnknownNameError: no such method, or no such setting of it; suggests the nearest.
        InputError: one is not name=value, is given twice, or has a value of the wrong type.

    Example:
        >>> read_settings("text", ["k=none", "retrieval=image", "temperature=0.02"])
        {'k': None, 'retrieval': 'image', 'temperature': 0.02}
    """
    if method not in METHODS:
        make_method(method)  # says which was meant
    kind, read = METHODS[method], dict[str, Any]()
    hints = get_type_hints(kind)
    for item in given:
        name, equals, text = (part.strip() for part in item.partition("="))
        if not equals:
            raise InputError(f"a setting is NAME=VALUE, such as temperature=0.01: got {item!r}")
        if name not in settings_of(kind):
            raise UnknownNameError(f"setting of {method}", name, settings_of(kind))
        if name in read:
            raise InputError(f"setting {name!r} is given twice: give it once")
        read[name] = _value(f"{method}: {name}", text, hints[name])
    return read


def _value(name: str, text: str, hint: Any) -> Any:  # noqa: ANN401 - whatever the setting's type says
    wanted = TypeAdapter(hint)
    for candidate in (*_values(text), text):
        try:
            return wanted.validate_python(candidate, strict=True)
        except ValidationError:
            continue
    allowed = getattr(hint, "__name__", None) or str(hint).replace("typing.", "")
    raise InputError(f"setting {name} cannot be {text!r}: give a value of type {allowed}")


def _values(text: str) -> list[Any]:
    """What a text may mean beside itself."""
    if text.lower() == "none":
        return [None]
    for form in (text.lower() if text.lower() in ("true", "false") else text, f"[{text}]"):
        try:
            value = json.loads(form)
        except ValueError:
            continue
        return [tuple(value) if isinstance(value, list) else value]
    return []
