"""Descriptions of the kinds of cell, composed of phrases of a bank: for measuring, never for training.

What they say is not picked by hand. A value is typical of a kind when it holds in at least half of the training
pictures of the kind and in fewer than half of those of the other kinds.
"""

from __future__ import annotations

from pprint import pp
from typing import Final

import numpy as np
from numpy.typing import NDArray

from captions import Bank, compose
from labels import COLUMNS, KINDS

__all__ = ["PROMPT", "TYPICAL", "descriptions", "typical_of"]

TYPICAL: Final[dict[str, dict[str, str]]] = {
    "basophil": {"size": "medium", "nucleus": "obscured", "cytoplasm_tone": "purple", "granules": "dark"},
    "eosinophil": {
        "size": "medium",
        "nucleus_share": "half",
        "nucleus_place": "eccentric",
        "chromatin": "clumped",
        "cytoplasm_tone": "orange",
        "cytoplasm_amount": "abundant",
        "granules": "orange",
    },
    "erythroblast": {
        "border": "smooth",
        "nucleus": "single",
        "nucleus_form": "round",
        "nucleus_share": "half",
        "nucleus_tone": "dark",
        "chromatin": "clumped dense",
        "cytoplasm_tone": "grey",
        "cytoplasm_amount": "abundant",
        "granules": "none",
    },
    "ig": {
        "size": "large",
        "nucleus": "single",
        "nucleus_form": "indented",
        "nucleus_share": "half",
        "nucleus_place": "central",
        "chromatin": "open",
        "cytoplasm_amount": "moderate",
        "granules": "purple",
    },
    "lymphocyte": {
        "size": "medium",
        "nucleus": "single",
        "nucleus_form": "round",
        "nucleus_share": "nearly_all",
        "nucleus_place": "central",
        "chromatin": "clumped dense",
        "cytoplasm_tone": "blue",
        "cytoplasm_amount": "scant",
        "granules": "none",
    },
    "monocyte": {
        "size": "large",
        "nucleus": "single",
        "nucleus_form": "indented folded",
        "nucleus_share": "half",
        "nucleus_place": "central",
        "chromatin": "open",
        "cytoplasm_tone": "grey",
        "cytoplasm_amount": "moderate",
        "granules": "fine",
    },
    "neutrophil": {
        "size": "medium",
        "nucleus": "multilobed",
        "nucleus_share": "half",
        "nucleus_place": "central",
        "chromatin": "clumped",
        "cytoplasm_tone": "pink",
        "cytoplasm_amount": "abundant",
        "granules": "fine",
    },
    "platelet": {
        "size": "tiny",
        "border": "ragged",
        "nucleus": "absent",
        "cytoplasm_tone": "purple",
        "granules": "fine purple",
    },
}
"""What is typical of each kind: `python training/wordings.py` prints it from the training pictures."""
PROMPT: Final = "a photo of a [UNK], which has {}"


def descriptions(bank: Bank, rng: np.random.Generator, each: int) -> list[list[str]]:
    """`each` composed descriptions of every kind."""
    return [[PROMPT.format(compose(TYPICAL[kind], bank, rng)) for _ in range(each)] for kind in KINDS]


def typical_of(states: NDArray[np.int8], kinds: NDArray[np.int64]) -> dict[str, dict[str, str]]:
    """What is typical of each kind, from the states (n, len(COLUMNS)) and kinds (n,) of the training pictures."""
    holds = np.stack([(states[kinds == k] == 1).mean(axis=0) for k in range(len(KINDS))])
    elsewhere = (holds.sum(axis=0) - holds) / (len(KINDS) - 1)
    typical: dict[str, dict[str, str]] = {}
    for k, kind in enumerate(KINDS):
        values: dict[str, list[str]] = {}
        for (attribute, value), column in COLUMNS.items():
            if holds[k, column] >= 0.5 > elsewhere[k, column]:
                values.setdefault(attribute, []).append(value)
        typical[kind] = {attribute: " ".join(names) for attribute, names in values.items()}
    return typical


if __name__ == "__main__":
    from pools import DATA, load_pictures, real_pool

    pp(typical_of(real_pool(DATA / "train").states, load_pictures(DATA / "train")[1]), width=110)
