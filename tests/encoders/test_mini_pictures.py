"""`mini` on real pictures that it was not trained on: descriptions tell the cells apart, names do not."""

from pathlib import Path

import numpy as np
import pytest

from kpl.encoders import load_encoder
from kpl.images import decode
from kpl.knowledge import load_knowledge

EACH = 12


@pytest.mark.shared
def test_descriptions_tell_real_cells_apart_and_names_do_not(shared: Path) -> None:
    folder = shared / "images" / "pbc_blood_cells" / "test"
    mini, base = load_encoder("mini"), load_knowledge("blood-cells")
    kinds = sorted(path.name for path in folder.iterdir())
    places = [base.resolve("immature granulocyte" if kind == "ig" else kind) for kind in kinds]
    pictures = [decode(path) for kind in kinds for path in sorted((folder / kind).glob("*.jpg"))[:EACH]]
    truth = np.repeat(np.arange(len(kinds)), EACH)
    images = mini.encode_images(pictures)
    prompts = base.prompts()
    proxies = np.stack([mini.encode_texts(prompts[place or 0]).mean(axis=0) for place in places])
    proxies /= np.linalg.norm(proxies, axis=1, keepdims=True)
    assert (np.argmax(images @ proxies.T, axis=1) == truth).mean() > 0.7
    names = mini.encode_texts([base.name_prompts()[place or 0] for place in places])
    assert (np.argmax(images @ names.T, axis=1) == truth).mean() < 0.3
