"""The predictions file, written and read back."""

from __future__ import annotations

import csv
import string
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpl.errors import FeaturesError
from kpl.proxies.arrays import softmax
from kpl.runs.plan import Plan
from kpl.runs.prediction_files import read_predictions, write_predictions
from kpl.runs.scores import SCORES_FILE, write_scores

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
    read = read_predictions(path, keys)
    assert list(read.ids) == ids
    assert np.array_equal(winners, chances.argmax(axis=1))
    assert np.array_equal(read.winners, winners)
    assert np.allclose(read.probabilities, chances, atol=5.1e-7)


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
    assert read_predictions(path, names).ids == tuple(names)


def test_ties_go_to_the_first_class(tmp_path):
    winners = write_predictions(tmp_path / "p.csv", ["x"], ["a", "b"], [np.array([[0.5, 0.5]])])
    assert winners.tolist() == [0]
    assert (tmp_path / "p.csv").read_bytes().splitlines()[1] == b"x,a,0.500000,0.000000,b,0.500000,0.500000"


KEYS = ["a", "b", "c"]


def written(folder, leads):
    """A run's table and scores: the first class leads by so much in each image."""
    logits = np.array([[0.0, -lead, -lead - 1.0] for lead in leads])
    ids = [f"{number}.png" for number in range(len(leads))]
    write_predictions(folder / "predictions.csv", ids, KEYS, [softmax(logits)])
    write_scores(folder / SCORES_FILE, np.array_split(logits, 2), *logits.shape)
    return folder / "predictions.csv"


@given(st.lists(st.integers(15, 700), min_size=2, max_size=9, unique=True))
def test_the_surest_are_found_where_six_decimals_round_to_one(tmp_path_factory, leads):
    path = written(tmp_path_factory.mktemp("run"), leads)
    said = read_predictions(path, KEYS)
    assert (np.argsort(said.sureness) == np.argsort(leads)).all()
    np.testing.assert_allclose(said.probabilities.sum(axis=1), 1)
    assert [np.argsort(-said.ranking[:, c]).tolist() for c in (1, 2)] == [np.argsort(leads).tolist()] * 2
    (path.parent / SCORES_FILE).unlink()
    old = read_predictions(path, KEYS)
    assert old.ranking is None
    assert set(old.sureness) == {1.0}, "an earlier version's run has only the rounded table"


def test_the_same_scores_give_the_same_bytes_however_they_come(tmp_path):
    scores = np.random.default_rng(0).normal(size=(7, 3))
    for name, blocks in (("one", [scores]), ("many", np.array_split(scores, 4))):
        write_scores(tmp_path / name, blocks, 7, 3)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "many").read_bytes()


def test_scores_that_are_not_the_tables_are_refused(tmp_path):
    path = written(tmp_path, [1.0, 2.0, 3.0])
    read_predictions(path, KEYS, ["0.png", "1.png", "2.png"])
    with pytest.raises(FeaturesError, match="of different pictures"):
        read_predictions(path, KEYS, ["0.png", "2.png", "1.png"])
    write_scores(tmp_path / SCORES_FILE, [np.zeros((3, 3))], 3, 3)
    with pytest.raises(FeaturesError, match=r"does not agree with scores\.npy"):
        read_predictions(path, KEYS)
    write_scores(tmp_path / SCORES_FILE, [np.zeros((2, 3))], 2, 3)
    with pytest.raises(FeaturesError, match=r"does not agree with scores\.npy"):
        read_predictions(path, KEYS)
    (tmp_path / SCORES_FILE).write_bytes(b"torn")
    with pytest.raises(FeaturesError, match="is damaged: classify again"):
        read_predictions(path, KEYS)


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
