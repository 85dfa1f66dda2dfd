"""Descriptions of the kinds of cell, composed of phrases of a bank: for measuring, never for training."""

from __future__ import annotations

from typing import Final

import numpy as np

from captions import Bank, compose
from labels import KINDS

__all__ = ["PROMPT", "TYPICAL", "descriptions"]

TYPICAL: Final[dict[str, dict[str, str]]] = {
    "basophil": {"nucleus": "obscured", "granules": "dark", "cytoplasm_tone": "purple", "size": "medium"},
    "eosinophil": {
        "nucleus": "bilobed",
        "granules": "orange",
        "cytoplasm_tone": "orange",
        "shape": "round",
        "chromatin": "clumped",
    },
    "erythroblast": {
        "size": "small",
        "nucleus_form": "round",
        "nucleus_tone": "dark",
        "chromatin": "dense clumped",
        "cytoplasm_tone": "blue grey",
        "granules": "none",
        "nucleus_share": "half",
    },
    "ig": {
        "size": "large",
        "nucleus": "single",
        "nucleus_form": "oval indented",
        "chromatin": "open",
        "granules": "purple",
        "nucleus_place": "eccentric",
        "shape": "round",
        "cytoplasm_tone": "blue pink",
    },
    "lymphocyte": {
        "size": "small",
        "nucleus_form": "round",
        "nucleus_share": "nearly_all",
        "chromatin": "clumped dense",
        "cytoplasm_amount": "scant",
        "cytoplasm_tone": "blue",
        "granules": "none",
    },
    "monocyte": {
        "size": "large",
        "shape": "irregular",
        "nucleus_form": "folded indented",
        "chromatin": "open",
        "cytoplasm_tone": "grey",
        "cytoplasm_amount": "abundant",
        "vacuoles": "present",
        "granules": "fine",
    },
    "neutrophil": {
        "nucleus": "multilobed",
        "chromatin": "clumped",
        "cytoplasm_tone": "pink",
        "granules": "fine",
        "shape": "round",
    },
    "platelet": {"size": "tiny", "nucleus": "absent", "cytoplasm_tone": "purple", "granules": "purple fine"},
}
PROMPT: Final = "a photo of a [UNK], which has {}"


def descriptions(bank: Bank, rng: np.random.Generator, each: int) -> list[list[str]]:
    """`each` composed descriptions of every kind."""
    return [[PROMPT.format(compose(TYPICAL[kind], bank, rng)) for _ in range(each)] for kind in KINDS]
