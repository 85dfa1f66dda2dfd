"""Captions claim what they say, leave out what is kept for measuring, and never name a kind of cell."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from captions import FORBIDDEN, Caption, compose, is_held_out, load_bank, states_of, write_caption
from labels import COLUMNS, KINDS, columns_of, real_truth, rendered_truth, to_row
from rendered import ATTRIBUTES, random_spec
from wordings import TYPICAL, descriptions, typical_of
from words import CONTEXT, build_tokenizer

BANKS = ("textbook", "bench", "annotator", "atlas")
TRAINED = load_bank(BANKS, held_out=False)
KEPT = load_bank(BANKS, held_out=True)


def test_every_value_has_wordings_for_training_and_for_measuring() -> None:
    for pair in COLUMNS:
        assert len(TRAINED.phrases[pair]) >= 60
        assert len(KEPT.phrases[pair]) >= 5


def test_no_wording_is_in_both_parts() -> None:
    trained = {text.strip().lower() for text in TRAINED.texts()}
    assert not trained & {text.strip().lower() for text in KEPT.texts()}


def test_no_caption_and_no_word_names_a_kind_of_cell() -> None:
    assert not [text for text in TRAINED.texts() if FORBIDDEN.search(text)]
    assert not [word for word in build_tokenizer(TRAINED.texts()).get_vocab() if FORBIDDEN.search(word)]


def test_the_name_filter_knows_the_kinds() -> None:
    for name in (*(kind for kind in KINDS if kind != "ig"), "basophilic", "immature granulocyte", "malaria parasite"):
        assert FORBIDDEN.search(name)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_a_caption_holds_for_the_picture_it_was_written_for(seed: int) -> None:
    rng = np.random.default_rng(seed)
    row = to_row(rendered_truth(random_spec(rng).seen()))
    fits = np.flatnonzero(states_of(row[None], TRAINED.mixed)[0] == 1)
    caption = write_caption(row, fits, TRAINED, rng)
    assert states_of(row[None], [caption])[0, 0] == 1
    assert caption.text.strip()
    assert not FORBIDDEN.search(caption.text)


def test_logic_of_claims() -> None:
    row = np.zeros(len(COLUMNS), dtype=np.int8)
    small, medium, large = columns_of("size", ["small", "medium", "large"])
    row[[small, medium, large]] = 1, 0, -1
    captions = [
        Caption("", claims)
        for claims in [((small,),), ((medium,),), ((large,),), ((large, small),), ((small,), (large,))]
    ]
    assert states_of(row[None], captions)[0].tolist() == [1, 0, -1, 1, -1]


def test_held_out_wordings_are_a_fixed_share() -> None:
    assert is_held_out("A Cell ") == is_held_out("a cell")
    assert 0.1 < np.mean([is_held_out(f"phrase {k}") for k in range(2000)]) < 0.2


def test_an_unnamed_attribute_cannot_be_told() -> None:
    row = to_row({"size": ("small", "medium")})
    assert row[columns_of("size", ATTRIBUTES["size"])].tolist() == [-1, 1, 0, -1]
    assert not row[columns_of("granules", ATTRIBUTES["granules"])].any()


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_of_one_kind_differ_in_what_holds(kind: str) -> None:
    measures = {
        "diameter": 40.0, "roundness": 0.95, "solidity": 0.97, "share": 0.4, "nucleus_solidity": 0.95,
        "nucleus_roundness": 0.9, "nucleus_density": 1.2, "nucleus_offset": 0.05, "lobes": 2.0, "blueness": 0.85,
    }  # fmt: skip
    others = measures | {"diameter": 70.0, "roundness": 0.6, "share": 0.8, "nucleus_density": 0.7}
    assert (to_row(real_truth(kind, measures)) != to_row(real_truth(kind, others))).any()


def test_descriptions_say_what_is_typical_in_wordings_kept_out() -> None:
    texts = descriptions(KEPT, np.random.default_rng(0), 5)
    assert len(texts) == len(KINDS)
    kept = {t for phrases in KEPT.phrases.values() for t in phrases}
    sentence = compose(TYPICAL["platelet"], KEPT, np.random.default_rng(0), 1, 1)
    assert sentence in kept
    tokenizer = build_tokenizer(TRAINED.texts())
    assert max(len(tokenizer.encode(s).ids) for group in texts for s in group) <= CONTEXT


def test_a_value_is_typical_when_most_pictures_of_the_kind_have_it_and_most_others_do_not() -> None:
    kinds = np.repeat(np.arange(len(KINDS)), 4)
    states = np.zeros((len(kinds), len(COLUMNS)), dtype=np.int8)
    states[:, COLUMNS["pallor", "absent"]] = 1
    states[:2, COLUMNS["size", "large"]] = 1
    states[4, COLUMNS["size", "tiny"]] = 1
    found = typical_of(states, kinds)
    assert found[KINDS[0]] == {"size": "large"}
    assert not any(found[kind] for kind in KINDS[1:])
