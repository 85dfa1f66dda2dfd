from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpl.errors import InputError
from rendered import ATTRIBUTES, CellSpec, allowed_values, random_spec, sample_spec

from .rendered_measures import PLAIN


@given(st.integers(0, 2**32))
@settings(max_examples=100, deadline=None)
def test_random_specs_keep_their_own_rules(seed: int) -> None:
    spec = random_spec(np.random.default_rng(seed))
    assert CellSpec(**spec.values()) == spec
    assert list(spec.values()) == list(ATTRIBUTES)
    assert spec.seen() == {k: v for k, v in spec.values().items() if v is not None}
    for name, value in spec.seen().items():
        assert value in ATTRIBUTES[name]


def test_random_specs_show_every_value_of_every_attribute() -> None:
    rng = np.random.default_rng(0)
    specs = [random_spec(rng) for _ in range(1500)]
    seen = {(name, value) for spec in specs for name, value in spec.seen().items()}
    assert seen == {(name, value) for name, values in ATTRIBUTES.items() for value in values}
    assert 0.2 < np.mean([spec.nucleus == "absent" for spec in specs]) < 0.45
    assert len(set(specs)) > 1200


@pytest.mark.parametrize(
    "change",
    [
        {"nucleus_form": "spiral"},
        {"nucleus": "absent"},
        {"nucleus": "obscured"},
        {"size": "tiny", "nucleus_form": "band"},
        {"nucleoli": "present"},
        {"cytoplasm_amount": "scant"},
        {"pallor": "present"},
        {"inclusion": "ring"},
        {"granules": None},
    ],
)
def test_what_cannot_be_seen_together_is_refused(change: dict[str, str | None]) -> None:
    with pytest.raises(InputError, match="choose one of"):
        CellSpec(**(PLAIN | change))


def test_the_refusal_names_the_value_and_what_is_allowed() -> None:
    with pytest.raises(InputError, match=r"size='huge' given nothing else: choose one of \['tiny', 'small'"):
        CellSpec(**(PLAIN | {"size": "huge"}))


def test_weights_are_followed_where_a_picture_can_show_them() -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        spec = sample_spec(rng, {"size": {"tiny": 1}, "nucleus": {"multilobed": 1}, "granules": {"dark": 1}})
        assert spec.size == "tiny"
        assert spec.nucleus in ("absent", "single"), "no lobes can be counted in a fragment"


@pytest.mark.parametrize("weights", [{"colour": {"red": 1}}, {"size": {"huge": 1}}])
def test_unknown_weights_are_refused(weights: dict[str, dict[str, float]]) -> None:
    with pytest.raises(InputError, match="unknown attribute or value"):
        sample_spec(np.random.default_rng(0), weights)


def test_allowed_values_are_those_of_the_vocabulary_or_none() -> None:
    assert allowed_values("size", {}) == tuple(ATTRIBUTES["size"])
    assert allowed_values("chromatin", {"size": "small", "nucleus": "obscured"}) == (None,)
