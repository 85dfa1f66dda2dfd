"""What a user says of single classes by their names: shares that are known, and from which confidence to believe."""

from __future__ import annotations

from collections.abc import Mapping

from kpl.errors import InputError, UnknownNameError
from kpl.knowledge import KnowledgeBase


def known_prior(base: KnowledgeBase, shares: Mapping[str, float]) -> tuple[float, ...]:
    """Return the class prior (C,) for shares of some classes by key, name or alias; the others share the rest evenly.

    Raises:
        UnknownNameError: no such class.
        InputError: a class given twice, a share below zero, or shares that cannot sum to one.

    Example:
        >>> base = KnowledgeBase.model_validate({"kpl_knowledge": 1, "task": {"name": "shapes"}, "classes": [
        ...     {"key": key, "descriptions": [key]} for key in ("disc", "box", "star")]})
        >>> known_prior(base, {"Disc": 0.5})
        (0.5, 0.25, 0.25)
    """
    given = _by_key(base, shares, "share")
    if any(not 0 <= share <= 1 for share in given.values()):
        raise InputError(f"a share of a class is from 0 to 1, got {dict(shares)}")
    others, rest = len(base.classes) - len(given), 1.0 - sum(given.values())
    if rest < -1e-9 or (not others and abs(rest) > 1e-9):
        raise InputError(f"the shares of the classes sum to {1 - rest:g}: they must sum to 1")
    each = max(rest, 0.0) / others if others else 0.0
    return tuple(given.get(entry.key, each) for entry in base.classes)


def thresholds_of(base: KnowledgeBase, given: Mapping[str | None, float] | None) -> dict[str, float] | None:
    """Return class key to the confidence from which its label is given, None for none; None as a name is all others.

    Raises:
        UnknownNameError: no such class.
        InputError: a class given twice.
    """
    if not given:
        return None
    own = _by_key(base, {name: share for name, share in given.items() if name is not None}, "threshold")
    common = given.get(None)
    return own if common is None else {entry.key: own.get(entry.key, common) for entry in base.classes}


def _by_key(base: KnowledgeBase, given: Mapping[str, float], what: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, value in given.items():
        index = base.resolve(name)
        if index is None:
            raise UnknownNameError("class", name, [entry.key for entry in base.classes])
        key = base.classes[index].key
        if key in found:
            raise InputError(f"class {key!r} has two values for its {what}: give one")
        found[key] = value
    return found
