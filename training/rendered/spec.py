"""What one cell looks like: one value per attribute, and the rules of which values can be seen together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Final

import numpy as np

from kpl.errors import InputError
from rendered.attributes import ATTRIBUTES

__all__ = ["CellSpec", "allowed_values", "random_spec", "sample_spec"]

Choice = str | None
Weights = Mapping[str, Mapping[str, float]]

_LOBED: Final = ("bilobed", "multilobed")
_UNSEEN: Final = ("absent", "obscured")
_AMOUNTS: Final[dict[Choice, tuple[Choice, ...]]] = {
    None: (None,),
    "small": ("abundant",),
    "half": ("moderate", "abundant"),
    "most": ("scant", "moderate"),
    "nearly_all": ("scant",),
}


@dataclass(frozen=True)
class CellSpec:
    """The visible attributes of one cell; None where an attribute cannot be told (the form of an absent nucleus).

    Raises:
        InputError: a value is unknown, or cannot be seen together with the values before it.

    Example:
        >>> import numpy as np
        >>> spec = random_spec(np.random.default_rng(0))
        >>> spec == CellSpec(**spec.values())
        True
    """

    size: str
    shape: str
    border: str
    nucleus: str
    nucleus_form: Choice
    nucleus_share: Choice
    nucleus_place: Choice
    nucleus_tone: Choice
    chromatin: Choice
    nucleoli: Choice
    cytoplasm_tone: str
    cytoplasm_amount: Choice
    granules: str
    vacuoles: str
    inclusion: str
    pallor: str

    def __post_init__(self) -> None:
        """Check each value against those before it."""
        earlier: dict[str, Choice] = {}
        for name, value in self.values().items():
            allowed = allowed_values(name, earlier)
            if value not in allowed:
                so_far = ", ".join(f"{k}={v}" for k, v in earlier.items() if v is not None) or "nothing else"
                raise InputError(
                    f"a cell cannot be drawn with {name}={value!r} given {so_far}: choose one of {list(allowed)}"
                )
            earlier[name] = value

    def values(self) -> dict[str, Choice]:
        """Every attribute and its value, in the order of ATTRIBUTES."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def seen(self) -> dict[str, str]:
        """The attributes that can be told from the picture, and their values."""
        return {name: value for name, value in self.values().items() if value is not None}


def allowed_values(attribute: str, earlier: Mapping[str, Choice]) -> tuple[Choice, ...]:
    """The values of an attribute that can be seen in a picture, given the attributes before it in ATTRIBUTES.

    (None,) means that the attribute cannot be told at all.

    Example:
        >>> allowed_values("nucleus_form", {"size": "small", "nucleus": "absent"})
        (None,)
    """
    everything: tuple[Choice, ...] = tuple(ATTRIBUTES[attribute])
    if attribute in ("size", "shape", "border", "cytoplasm_tone"):
        return everything
    if attribute == "nucleus":
        return ("absent", "single") if earlier["size"] == "tiny" else everything
    if attribute.startswith("nucle") or attribute == "chromatin":
        return _nucleus_values(attribute, earlier, everything)
    if attribute == "cytoplasm_amount":
        if earlier["nucleus_share"] == "most" and earlier["shape"] == "irregular":
            return ("moderate",)
        return _AMOUNTS[earlier["nucleus_share"]]
    return _content_values(attribute, earlier, everything)


def _nucleus_values(
    attribute: str, earlier: Mapping[str, Choice], everything: tuple[Choice, ...]
) -> tuple[Choice, ...]:
    """The rules of the nucleus: what is absent or hidden has no form; what is tiny shows no detail."""
    nucleus, tiny = earlier["nucleus"], earlier["size"] == "tiny"
    if nucleus in _UNSEEN or (attribute == "nucleus_form" and nucleus in _LOBED):
        return (None,)
    form, share = earlier.get("nucleus_form"), earlier.get("nucleus_share")
    if attribute == "nucleus_form":
        return ("round", "oval") if tiny else everything
    if attribute == "nucleus_share":
        if nucleus in _LOBED or form == "band":
            return ("small", "half")
        if tiny:
            return ("half", "most")
        return everything if form == earlier["shape"] else ("small", "half", "most")
    if attribute == "nucleus_place":
        crowded = (nucleus in _LOBED or form == "band") and share == "half"
        crowded = crowded or share == "nearly_all" or (share == "most" and earlier["shape"] == "irregular")
        return ("central",) if crowded else everything
    if attribute == "chromatin":
        return ("dense",) if tiny else everything
    if attribute == "nucleoli":
        too_small = share == "small" or form == "band" or nucleus in _LOBED
        return ("absent",) if too_small or earlier["chromatin"] == "dense" else everything
    return everything


def _content_values(
    attribute: str, earlier: Mapping[str, Choice], everything: tuple[Choice, ...]
) -> tuple[Choice, ...]:
    """The rules of what lies in the cytoplasm: it needs room, and nothing over it."""
    tiny, nucleus = earlier["size"] == "tiny", earlier["nucleus"]
    clear, amount = earlier["cytoplasm_tone"] == "clear", earlier["cytoplasm_amount"]
    if attribute == "granules":
        if nucleus == "obscured":
            return ("purple", "orange", "dark")
        if amount == "scant":
            return ("none", "dark")
        return everything[1:] if clear and tiny and nucleus == "absent" else everything
    granules = earlier["granules"]
    if attribute == "vacuoles":
        return ("absent",) if tiny or clear or amount == "scant" or nucleus == "obscured" else everything
    if attribute == "inclusion":
        roomy = nucleus == "absent" or amount == "abundant"
        if tiny or not roomy or granules not in ("none", "fine"):
            return ("none",)
        return ("none", "parasite") if earlier["vacuoles"] == "present" else everything
    hollow = nucleus == "absent" and not tiny and not clear and granules in ("none", "fine")
    return everything if hollow else ("absent",)


# Chances of the values in the world of random combinations; what is not named is equally likely.
_ANY_CELL: Final[Weights] = {
    "size": {"tiny": 0.12, "small": 0.28, "medium": 0.32, "large": 0.28},
    "nucleus": {"absent": 0.16, "single": 0.42, "bilobed": 0.14, "multilobed": 0.17, "obscured": 0.11},
    "nucleoli": {"present": 0.4, "absent": 0.6},
    "granules": {"none": 0.28, "fine": 0.18, "purple": 0.18, "orange": 0.18, "dark": 0.18},
    "vacuoles": {"present": 0.3, "absent": 0.7},
    "inclusion": {"none": 0.7, "ring": 0.15, "parasite": 0.15},
}
_RED_CELL_LIKE: Final[Weights] = {
    "size": {"small": 0.7, "medium": 0.2, "large": 0.1},
    "shape": {"round": 0.55, "oval": 0.25, "irregular": 0.2},
    "border": {"smooth": 0.7, "ragged": 0.3},
    "nucleus": {"absent": 1.0},
    "cytoplasm_tone": {"red": 0.8, "pink": 0.1, "grey": 0.1},
    "granules": {"none": 0.9, "fine": 0.1},
    "vacuoles": {"present": 0.1, "absent": 0.9},
    "inclusion": {"none": 0.4, "ring": 0.3, "parasite": 0.3},
}
_RED_CELL_SHARE: Final = 0.18


def random_spec(rng: np.random.Generator) -> CellSpec:
    """A random combination of everything that can be drawn, most of it unlike any real cell.

    Every sixth or so is like a red cell: no nucleus, haemoglobin, often a pale centre or something inside.
    """
    return sample_spec(rng, _RED_CELL_LIKE if rng.random() < _RED_CELL_SHARE else _ANY_CELL)


def sample_spec(rng: np.random.Generator, weights: Weights) -> CellSpec:
    """A random cell whose attributes follow the given weights as far as a picture can show them.

    Attributes without weights take any allowed value, equally likely; so do those of whose weighted values none
    is allowed after the choices before.

    Raises:
        InputError: an attribute or value is unknown.

    Example:
        >>> import numpy as np
        >>> sample_spec(np.random.default_rng(0), {"nucleus": {"multilobed": 1}}).nucleus
        'multilobed'
    """
    for name, wanted in weights.items():
        unknown = set(wanted) - set(ATTRIBUTES.get(name, {}))
        if unknown or name not in ATTRIBUTES:
            raise InputError(f"unknown attribute or value: {name} {sorted(unknown)}; see rendered.ATTRIBUTES")
    chosen: dict[str, Choice] = {}
    for name in ATTRIBUTES:
        allowed = allowed_values(name, chosen)
        wanted = weights.get(name, {})
        chances = np.array([wanted.get(value, 0.0) if value else 0.0 for value in allowed])
        if chances.sum() <= 0:
            chances = np.ones(len(allowed))
        chosen[name] = allowed[int(np.searchsorted(np.cumsum(chances) / chances.sum(), rng.random(), "right"))]
    return CellSpec(**chosen)  # type: ignore[arg-type]  # the rules give None only where the field takes it
