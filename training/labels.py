"""What is true of a picture: +1 (holds), 0 (cannot be told) or -1 (does not hold) for every attribute value.

A real picture gets what is known of its kind of cell (several values, or none, where the cells vary), narrowed by
what is measured in that very picture. The name of the kind serves to look this up and goes nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rendered.attributes import ATTRIBUTES

__all__ = ["COLUMNS", "KINDS", "Truth", "columns_of", "real_truth", "red_cell_truth", "rendered_truth", "to_row"]

Truth = dict[str, tuple[str, str]]
"""attribute -> (values that hold, values that may hold), each separated by spaces; every other value does not hold."""

COLUMNS: Final[dict[tuple[str, str], int]] = {
    pair: k for k, pair in enumerate((a, v) for a, values in ATTRIBUTES.items() for v in values)
}
KINDS: Final = ("basophil", "eosinophil", "erythroblast", "ig", "lymphocyte", "monocyte", "neutrophil", "platelet")

_ALL: Final[Truth] = {"inclusion": ("none", ""), "pallor": ("absent", "")}
_KNOWN: Final[dict[str, Truth]] = {
    "basophil": {
        "nucleus": ("obscured", "bilobed multilobed single"),
        "nucleoli": ("absent", ""),
        "cytoplasm_tone": ("purple", "pink blue clear grey"),
        "granules": ("dark", ""),
    },
    "eosinophil": {
        "nucleus_form": ("", "band indented folded"),
        "chromatin": ("clumped", "dense"),
        "nucleoli": ("absent", ""),
        "cytoplasm_tone": ("orange", "pink red"),
        "granules": ("orange", ""),
    },
    "erythroblast": {
        "border": ("smooth", "ragged"),
        "nucleus": ("single", ""),
        "chromatin": ("clumped dense", ""),
        "nucleoli": ("absent", ""),
        "granules": ("none", ""),
        "vacuoles": ("absent", ""),
    },
    "ig": {
        "nucleus": ("single", ""),
        "chromatin": ("open", "clumped"),
        "granules": ("purple", "fine dark"),
        "vacuoles": ("absent", "present"),
    },
    "lymphocyte": {
        "nucleus": ("single", ""),
        "chromatin": ("clumped dense", ""),
        "nucleoli": ("absent", ""),
        "cytoplasm_tone": ("blue", "clear grey purple"),
        "granules": ("none", "fine purple"),
        "vacuoles": ("absent", "present"),
    },
    "monocyte": {
        "nucleus": ("single", "bilobed"),
        "chromatin": ("open", ""),
        "nucleoli": ("absent", "present"),
        "cytoplasm_tone": ("grey", "blue"),
        "granules": ("fine", "none"),
    },
    "neutrophil": {
        "chromatin": ("clumped", "dense"),
        "nucleoli": ("absent", ""),
        "cytoplasm_tone": ("pink", "clear"),
        "granules": ("fine", "none purple"),
        "vacuoles": ("absent", "present"),
    },
    "platelet": {
        "border": ("ragged", "smooth"),
        "nucleus": ("absent", ""),
        "cytoplasm_tone": ("purple", "blue pink clear"),
        "granules": ("purple fine", ""),
        "vacuoles": ("absent", "present"),
    },
}
_NUCLEUS: Final = ("nucleus_form", "nucleus_share", "nucleus_place", "nucleus_tone", "chromatin")


def columns_of(attribute: str, values: Iterable[str]) -> list[int]:
    """The columns of some values of one attribute."""
    return [COLUMNS[attribute, value] for value in values]


def to_row(truth: Truth) -> NDArray[np.int8]:
    """The states (len(COLUMNS),) of one picture. Attributes that `truth` does not name cannot be told."""
    row = np.zeros(len(COLUMNS), dtype=np.int8)
    for attribute, (holds, may) in truth.items():
        row[columns_of(attribute, ATTRIBUTES[attribute])] = -1
        row[columns_of(attribute, may.split())] = 0
        row[columns_of(attribute, holds.split())] = 1
    return row


def _between(value: float, edges: tuple[float, ...], names: tuple[str, ...], doubt: float) -> tuple[str, str]:
    """The name of the interval that holds `value`; its neighbour may hold where an edge is nearer than `doubt`."""
    k = int(np.searchsorted(edges, value))
    near = [names[j + (j >= k)] for j, edge in enumerate(edges) if abs(value / edge - 1) < doubt]
    return names[k], " ".join(near)


def _size_and_outline(m: Mapping[str, float]) -> Truth:
    # A red cell of these pictures is about 32 pixels wide.
    truth: Truth = {
        "size": _between(m["diameter"] / 32.0, (0.95, 1.3, 1.78), ("tiny", "small", "medium", "large"), 0.07)
    }
    if m["solidity"] < 0.925:
        truth["shape"] = ("irregular", "oval round")
    elif m["roundness"] < 0.78:
        truth["shape"] = ("oval", "irregular")
    else:
        truth["shape"] = ("round", "oval irregular") if m["roundness"] < 0.87 else ("round", "")
    return truth


def _nucleus(kind: str, m: Mapping[str, float]) -> Truth:
    share, tone = m["share"], m["nucleus_density"]
    truth: Truth = {"nucleus_tone": _between(tone, (0.8, 1.12), ("pale", "violet", "dark"), 0.09)}
    if kind == "basophil":
        return truth
    truth["nucleus_share"] = _between(share, (0.36, 0.58, 0.78), ("small", "half", "most", "nearly_all"), 0.1)
    if share > 0.75:
        truth["cytoplasm_amount"] = ("scant", "")
    elif share > 0.58:
        truth["cytoplasm_amount"] = ("scant moderate", "") if share > 0.66 else ("moderate", "scant abundant")
    else:
        truth["cytoplasm_amount"] = ("moderate", "abundant") if share > 0.48 else ("abundant", "moderate")
    if m["nucleus_offset"] > 0.2:
        truth["nucleus_place"] = ("eccentric", "")
    else:
        truth["nucleus_place"] = ("central", "" if m["nucleus_offset"] < 0.1 else "eccentric")
    return truth


def _single_form(m: Mapping[str, float]) -> tuple[str, str]:
    solidity, roundness = m["nucleus_solidity"], m["nucleus_roundness"]
    if solidity > 0.93:
        return ("round", "oval") if roundness > 0.85 else ("oval", "round indented")
    if solidity > 0.8:
        return "indented", "oval folded band" + (" round" if solidity > 0.9 and roundness > 0.8 else "")
    return "indented band", "folded"


def _kind_and_measure(kind: str, m: Mapping[str, float]) -> Truth:
    """Attributes for which the kind of cell says what may be and the measure says what is."""
    lobes = m["lobes"]
    if kind == "eosinophil":
        return {"nucleus": ("bilobed", "multilobed") if lobes == 2 else ("", "bilobed multilobed single")}
    if kind == "neutrophil":
        if lobes >= 2 or m["nucleus_solidity"] < 0.8:
            nucleus = ("multilobed", "bilobed") if lobes >= 3 else ("multilobed", "bilobed single")
            return {"nucleus": nucleus, "nucleus_form": ("", "band indented folded")}
        return {"nucleus": ("", "single multilobed bilobed"), "nucleus_form": ("band", "indented folded")}
    if kind in ("erythroblast", "lymphocyte"):
        round_ = m["nucleus_roundness"] > 0.82
        return {"nucleus_form": ("round", "oval indented") if round_ else ("oval round", "indented")}
    if kind == "ig":
        holds, may = _single_form(m)
        return {"nucleus_form": (holds, may.replace("folded", ""))}
    if kind == "monocyte":
        holds, may = _single_form(m)
        # Folds do not show in an outline: they hold for whatever is not plainly round.
        if holds == "round":
            return {"nucleus_form": ("indented folded", "round oval band")}
        return {"nucleus_form": ("indented folded", "oval band") if holds == "oval" else (holds + " folded", may)}
    return {}


def _colour(kind: str, m: Mapping[str, float]) -> Truth:
    blue = m.get("blueness")
    if kind == "erythroblast":
        if blue is None or 0.74 < blue < 0.82:
            return {"cytoplasm_tone": ("grey", "blue red pink purple")}
        return {"cytoplasm_tone": ("blue grey", "purple red") if blue > 0.8 else ("grey red", "pink purple blue")}
    if kind == "ig":
        if blue is None or 0.66 < blue < 0.74:
            return {"cytoplasm_tone": ("", "blue pink purple")}
        return {"cytoplasm_tone": ("blue", "purple pink") if blue > 0.7 else ("pink", "purple blue")}
    return {}


def real_truth(kind: str, m: Mapping[str, float]) -> Truth:
    """What is true of a real picture whose middle cell is of `kind` and measures `m` (segment.measure_cell)."""
    truth = _ALL | _KNOWN[kind] | _size_and_outline(m)
    if kind == "platelet":
        return truth | dict.fromkeys(_NUCLEUS, ("", ""))
    if "nucleus_density" in m:
        truth |= _nucleus(kind, m) | _kind_and_measure(kind, m)
    elif kind in ("eosinophil", "neutrophil"):
        truth["nucleus"] = ("bilobed" if kind == "eosinophil" else "multilobed", "bilobed multilobed")
    return truth | _colour(kind, m)


def red_cell_truth(pale: bool) -> Truth:
    """What is true of a plain red cell of a real smear."""
    truth: Truth = dict.fromkeys(_NUCLEUS, ("", ""))
    return truth | {
        "size": ("small", "tiny"),
        "nucleus": ("absent", ""),
        "cytoplasm_tone": ("red", "pink grey"),
        "granules": ("none", ""),
        "vacuoles": ("absent", ""),
        "inclusion": ("none", ""),
        "pallor": ("present", "") if pale else ("absent", ""),
    }


def rendered_truth(seen: Mapping[str, str]) -> Truth:
    """What is true of a rendered cell, from the attributes that its drawing shows (`CellSpec.seen`)."""
    truth: Truth = {name: (value, "") for name, value in seen.items()}
    if seen["nucleus"] == "absent":
        truth |= dict.fromkeys(_NUCLEUS, ("", ""))
    elif seen["nucleus"] in ("bilobed", "multilobed"):
        truth["nucleus_form"] = ("", "band indented folded")
    return truth
