from __future__ import annotations

import numpy as np
import pytest

from kpl.errors import UnknownNameError
from rendered import CELL_CLASSES, cell_of_class

TELLING = {
    "basophil": {"granules": {"dark"}, "size": {"small", "medium"}},
    "eosinophil": {"granules": {"orange"}, "nucleus": {"bilobed", "multilobed"}},
    "erythroblast": {"nucleus": {"single"}, "granules": {"none"}},
    "ig": {"nucleus": {"single"}, "granules": {"purple", "fine", "none"}},
    "lymphocyte": {"nucleus_share": {"most", "nearly_all"}, "cytoplasm_tone": {"blue"}, "nucleus": {"single"}},
    "monocyte": {"nucleus_form": {"indented", "folded"}, "cytoplasm_tone": {"grey", "blue"}},
    "neutrophil": {"nucleus": {"multilobed", "single"}, "cytoplasm_tone": {"pink", "clear"}},
    "platelet": {"size": {"tiny"}, "nucleus": {"absent"}},
    "parasitised_red_cell": {"inclusion": {"ring", "parasite"}, "cytoplasm_tone": {"red"}},
    "normal_red_cell": {"inclusion": {"none"}, "cytoplasm_tone": {"red"}, "nucleus": {"absent"}},
}


@pytest.mark.parametrize("key", CELL_CLASSES)
def test_each_kind_keeps_what_tells_it_and_varies_otherwise(key: str) -> None:
    rng = np.random.default_rng(0)
    specs = [cell_of_class(key, rng) for _ in range(60)]
    for attribute, allowed in TELLING[key].items():
        assert {getattr(spec, attribute) for spec in specs} <= allowed
    assert len(set(specs)) > 5


def test_an_unknown_kind_gets_a_suggestion() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'monocyte'"):
        cell_of_class("monocytes", np.random.default_rng(0))
