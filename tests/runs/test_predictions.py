"""The predictions file, written and read back."""

from __future__ import annotations

import csv
import string
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpl.runs.plan import Plan
from kpl.runs.predictions import read_predictions, write_predictions

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(
    ids=st.lists(TEXT | st.text(" ,\"'\n\r;\t=😀", min_size=1), min_size=1, max_size=12),
    keys=st.lists(TEXT, min_size=2, max_size=5, unique=True),
    block=st.integers(1, 5),
    seed=st.integers(0, 9),
)
def test_any_names_come_back(tmp_path_factory, ids, keys, block, seed):
    path = tmp_path_factory.getbasetemp() / "round-trip.csv"
    chances = np.random.default_rng(seed).dirichlet(np.ones(len(keys)), size=len(ids))
    blocks = (chances[start : start + block] for start in range(0, len(ids), block))
    winners = write_predictions(path, ids, keys, blocks)
    names, again, read = read_predictions(path, keys)
    assert names == ids
    assert np.array_equal(winners, chances.argmax(axis=1))
    assert np.array_equal(again, winners)
    assert np.allclose(read, chances, atol=5.1e-7)


@given(names=st.lists(st.text("=+-@\t\r'a1.", min_size=1, max_size=6), min_size=2, max_size=6, unique=True))
def test_no_name_is_a_formula_in_a_spreadsheet(tmp_path_factory, names):
    path = tmp_path_factory.getbasetemp() / "formulas.csv"
    write_predictions(path, names, names, [np.eye(len(names))])
    with path.open(encoding="utf-8", newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    for cell in cells:
        with suppress(ValueError):
            float(cell)
            continue
        assert cell[0] not in "=+-@\t\r"
    assert read_predictions(path, names)[0] == names


def test_ties_go_to_the_first_class(tmp_path):
    winners = write_predictions(tmp_path / "p.csv", ["x"], ["a", "b"], [np.array([[0.5, 0.5]])])
    assert winners.tolist() == [0]
    assert (tmp_path / "p.csv").read_bytes().splitlines()[1] == b"x,a,0.500000,0.000000,b,0.500000,0.500000"


HEX = st.text(string.hexdigits, min_size=1, max_size=8)


@given(HEX, HEX, HEX, st.dictionaries(st.sampled_from(["k", "ridge", "rounds"]), st.integers(0, 99) | st.none()))
def test_a_plan_is_named_by_all_of_it(encoder, knowledge, pictures, settings):
    plan = Plan(encoder, knowledge, pictures, "kpl", settings)
    turned = Plan(encoder, knowledge, pictures, "kpl", dict(reversed(settings.items())))
    assert plan.content_hash() == turned.content_hash()
    others = [
        Plan(encoder + "x", knowledge, pictures, "kpl", settings),
        Plan(encoder, knowledge + "x", pictures, "kpl", settings),
        Plan(encoder, knowledge, pictures + "x", "kpl", settings),
        Plan(encoder, knowledge, pictures, "text", settings),
        Plan(encoder, knowledge, pictures, "kpl", {**settings, "more": True}),
    ]
    assert plan.content_hash() not in {other.content_hash() for other in others}


def test_a_plan_cannot_be_changed():
    with pytest.raises(AttributeError):
        Plan("e", "k", "p", "m", {}).method = "other"
