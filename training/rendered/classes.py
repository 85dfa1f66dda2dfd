"""How often each attribute is seen in ten kinds of blood cell. For the demo and tests, never for training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from kpl.errors import UnknownNameError
from rendered.spec import CellSpec, Weights, sample_spec

__all__ = ["CELL_CLASSES", "cell_of_class"]

_WHITE_CELL: Final[dict[str, Mapping[str, float]]] = {
    "shape": {"round": 0.75, "oval": 0.13, "irregular": 0.12},
    "border": {"smooth": 0.85, "ragged": 0.15},
    "nucleus_tone": {"violet": 0.35, "dark": 0.65},
    "chromatin": {"clumped": 1.0},
    "nucleoli": {"absent": 1.0},
    "vacuoles": {"absent": 0.95, "present": 0.05},
    "inclusion": {"none": 1.0},
    "pallor": {"absent": 1.0},
}
_RED_CELL: Final[dict[str, Mapping[str, float]]] = {
    "size": {"small": 1.0},
    "shape": {"round": 0.75, "oval": 0.18, "irregular": 0.07},
    "border": {"smooth": 0.92, "ragged": 0.08},
    "nucleus": {"absent": 1.0},
    "cytoplasm_tone": {"red": 1.0},
    "granules": {"none": 1.0},
    "vacuoles": {"absent": 1.0},
}

# General knowledge of haematology: what a peripheral smear in a May-Grünwald-Giemsa or Wright stain shows.
_CLASSES: Final[dict[str, Weights]] = {
    "basophil": _WHITE_CELL
    | {
        "size": {"small": 0.2, "medium": 0.8},
        "border": {"smooth": 0.7, "ragged": 0.3},
        "nucleus": {"obscured": 0.75, "bilobed": 0.25},
        "cytoplasm_tone": {"pink": 0.3, "purple": 0.7},
        "granules": {"dark": 1.0},
    },
    "eosinophil": _WHITE_CELL
    | {
        "size": {"medium": 0.9, "large": 0.1},
        "nucleus": {"bilobed": 0.82, "multilobed": 0.18},
        "nucleus_share": {"small": 0.35, "half": 0.65},
        "cytoplasm_tone": {"orange": 0.85, "pink": 0.15},
        "granules": {"orange": 1.0},
    },
    "erythroblast": _WHITE_CELL
    | {
        "size": {"small": 0.8, "medium": 0.2},
        "nucleus": {"single": 1.0},
        "nucleus_form": {"round": 0.9, "oval": 0.1},
        "nucleus_share": {"small": 0.25, "half": 0.55, "most": 0.2},
        "nucleus_place": {"central": 0.6, "eccentric": 0.4},
        "nucleus_tone": {"dark": 0.9, "violet": 0.1},
        "chromatin": {"dense": 0.6, "clumped": 0.4},
        "cytoplasm_tone": {"grey": 0.45, "blue": 0.35, "red": 0.2},
        "granules": {"none": 1.0},
        "vacuoles": {"absent": 1.0},
    },
    "ig": _WHITE_CELL
    | {
        "size": {"medium": 0.65, "large": 0.35},
        "nucleus": {"single": 1.0},
        "nucleus_form": {"round": 0.2, "oval": 0.35, "indented": 0.45},
        "nucleus_share": {"half": 0.65, "most": 0.35},
        "nucleus_place": {"eccentric": 0.75, "central": 0.25},
        "nucleus_tone": {"violet": 0.75, "dark": 0.25},
        "chromatin": {"open": 0.6, "clumped": 0.4},
        "nucleoli": {"present": 0.35, "absent": 0.65},
        "cytoplasm_tone": {"blue": 0.3, "pink": 0.25, "purple": 0.45},
        "cytoplasm_amount": {"moderate": 1.0},
        "granules": {"purple": 0.7, "fine": 0.3},
    },
    "lymphocyte": _WHITE_CELL
    | {
        "size": {"small": 0.8, "medium": 0.2},
        "nucleus": {"single": 1.0},
        "nucleus_form": {"round": 0.75, "oval": 0.2, "indented": 0.05},
        "nucleus_share": {"nearly_all": 0.5, "most": 0.5},
        "nucleus_tone": {"dark": 0.65, "violet": 0.35},
        "chromatin": {"clumped": 0.75, "dense": 0.25},
        "cytoplasm_tone": {"blue": 1.0},
        "cytoplasm_amount": {"scant": 1.0},
        "granules": {"none": 1.0},
        "vacuoles": {"absent": 1.0},
    },
    "monocyte": _WHITE_CELL
    | {
        "size": {"large": 0.85, "medium": 0.15},
        "shape": {"round": 0.4, "oval": 0.2, "irregular": 0.4},
        "border": {"smooth": 0.7, "ragged": 0.3},
        "nucleus": {"single": 1.0},
        "nucleus_form": {"indented": 0.5, "folded": 0.5},
        "nucleus_share": {"half": 0.8, "most": 0.2},
        "nucleus_tone": {"violet": 0.8, "pale": 0.2},
        "chromatin": {"open": 1.0},
        "cytoplasm_tone": {"grey": 0.85, "blue": 0.15},
        "cytoplasm_amount": {"moderate": 0.4, "abundant": 0.6},
        "granules": {"none": 0.6, "fine": 0.4},
        "vacuoles": {"present": 0.5, "absent": 0.5},
    },
    "neutrophil": _WHITE_CELL
    | {
        "size": {"medium": 0.95, "large": 0.05},
        "nucleus": {"multilobed": 0.85, "single": 0.15},
        "nucleus_form": {"band": 1.0},
        "nucleus_share": {"small": 0.55, "half": 0.45},
        "cytoplasm_tone": {"pink": 0.95, "clear": 0.05},
        "cytoplasm_amount": {"abundant": 0.6, "moderate": 0.4},
        "granules": {"fine": 0.9, "none": 0.1},
    },
    "platelet": {
        "size": {"tiny": 1.0},
        "shape": {"round": 0.4, "oval": 0.25, "irregular": 0.35},
        "border": {"smooth": 0.35, "ragged": 0.65},
        "nucleus": {"absent": 1.0},
        "cytoplasm_tone": {"purple": 0.5, "pink": 0.25, "blue": 0.25},
        "granules": {"purple": 0.8, "fine": 0.2},
    },
    "parasitised_red_cell": _RED_CELL
    | {"inclusion": {"ring": 0.6, "parasite": 0.4}, "pallor": {"absent": 0.7, "present": 0.3}},
    "normal_red_cell": _RED_CELL | {"inclusion": {"none": 1.0}, "pallor": {"present": 0.85, "absent": 0.15}},
}
CELL_CLASSES: Final[tuple[str, ...]] = tuple(_CLASSES)
"""The kinds of cell that the demo draws."""


def cell_of_class(key: str, rng: np.random.Generator) -> CellSpec:
    """A cell of one kind with its natural variation.

    Raises:
        UnknownNameError: the kind is not one of CELL_CLASSES.

    Example:
        >>> import numpy as np
        >>> cell_of_class("eosinophil", np.random.default_rng(0)).granules
        'orange'
    """
    if key not in _CLASSES:
        raise UnknownNameError("kind of cell", key, _CLASSES)
    return sample_spec(rng, _CLASSES[key])
