"""`mini`: unit rows, independent of the batch, honest about words, blind to names."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpl.encoders import Encoder, load_encoder
from kpl.encoders.registry import _SHIPPED
from kpl.errors import InputError
from rendered import CellSpec, draw_cell, random_spec

CLASS_NAMES = (
    "neutrophil", "neutrophilic", "eosinophil", "eosinophilic", "basophil", "basophilic", "lymphocyte", "lymphoid",
    "monocyte", "monocytic", "erythroblast", "normoblast", "granulocyte", "myelocyte", "platelet", "thrombocyte",
    "blast", "leukocyte", "leucocyte", "erythrocyte", "malaria", "plasmodium", "trophozoite", "immature",
    "polymorphonuclear",
)  # fmt: skip


@pytest.fixture(scope="module")
def mini() -> Encoder:
    return load_encoder("mini")


def cells(n: int, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [draw_cell(random_spec(rng), rng, size=int(rng.integers(64, 160))) for _ in range(n)]


def test_pictures_become_unit_rows_whatever_the_batch(mini: Encoder) -> None:
    pictures = cells(40)
    rows = mini.encode_images(pictures)
    assert rows.shape == (40, mini.card.dim)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(mini.encode_images(pictures[35:]), rows[35:], atol=1e-5)


@settings(max_examples=10, deadline=None)
@given(st.lists(st.text(max_size=40), min_size=1, max_size=5))
def test_sentences_become_unit_rows_whatever_the_batch(sentences: list[str]) -> None:
    mini = load_encoder("mini")
    rows = mini.encode_texts(sentences)
    assert rows.shape == (len(sentences), mini.card.dim)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(mini.encode_texts(sentences[-1:]), rows[-1:], atol=1e-5)


def test_nothing_gives_no_rows(mini: Encoder) -> None:
    assert mini.encode_images([]).shape == (0, mini.card.dim)
    assert mini.encode_texts([]).shape == (0, mini.card.dim)


def test_case_and_punctuation_do_not_count(mini: Encoder) -> None:
    rows = mini.encode_texts(["a dark nucleus, no granules", "A Dark Nucleus; no granules!"])
    np.testing.assert_allclose(rows[0], rows[1], atol=1e-6)


def test_a_sentence_that_is_too_long_is_refused(mini: Encoder) -> None:
    sentence = "cell " * (mini.context_length + 1)
    assert mini.count_tokens(sentence) == mini.context_length + 1
    with pytest.raises(InputError, match="too long for 'mini'"):
        mini.encode_texts([sentence])


def test_unknown_words_are_reported_once_as_written(mini: Encoder) -> None:
    assert mini.unknown_words("a Quux nucleus, 12 quux Quux") == ["Quux", "quux"]
    assert mini.unknown_words("a dark nucleus") == []


def test_no_class_name_is_in_the_vocabulary(mini: Encoder) -> None:
    assert mini.unknown_words(" ".join(CLASS_NAMES)) == list(CLASS_NAMES)


def test_names_of_one_word_read_the_same(mini: Encoder) -> None:
    rows = mini.encode_texts([f"a photo of a {name}." for name in ("neutrophil", "lymphocyte", "gribbledore")])
    np.testing.assert_allclose(rows, rows[[0, 0, 0]], atol=1e-6)


def test_the_towers_fit_in_five_megabytes() -> None:
    assert sum(path.stat().st_size for path in (Path(_SHIPPED) / "mini").glob("weights/*.onnx")) <= 5_000_000


BASE = {
    "size": "large", "shape": "round", "border": "smooth", "nucleus": "single", "nucleus_form": "round",
    "nucleus_share": "half", "nucleus_place": "central", "nucleus_tone": "violet", "chromatin": "clumped",
    "nucleoli": "absent",
    "cytoplasm_tone": "blue", "cytoplasm_amount": "moderate", "granules": "none", "vacuoles": "absent",
    "inclusion": "none", "pallor": "absent",
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "yes", "no"),
    [
        ({"cytoplasm_tone": "orange", "granules": "orange"}, "large orange granules", "no granules"),
        ({}, "sky-blue cytoplasm without granules", "orange granules"),
        ({"cytoplasm_tone": "pink"}, "pale pink cytoplasm", "deep blue cytoplasm"),
        ({"size": "small"}, "about the size of a red cell", "a very large cell"),
    ],
)
def test_a_drawn_cell_is_nearer_to_what_it_shows(mini: Encoder, changes: dict[str, str], yes: str, no: str) -> None:
    rng = np.random.default_rng(0)
    pictures = [draw_cell(CellSpec(**(BASE | changes)), rng) for _ in range(12)]
    scores = mini.encode_images(pictures) @ mini.encode_texts([yes, no]).T
    assert (scores[:, 0] > scores[:, 1]).mean() > 0.75
