from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from kpl.errors import FeaturesError, InputError
from kpl.proxies.arrays import CHUNK_ROWS, check_positive, checked_descriptions, chunks, log_odds, softmax, unit_rows

from . import transcription
from .cases import FEW, Chunked, random_rows

matrices = arrays(np.float64, array_shapes(min_dims=2, max_dims=2), elements=st.floats(-1e4, 1e4))


@settings(**FEW)
@given(matrices, st.floats(-1e4, 1e4))
def test_softmax_rows_are_probabilities_that_shifts_do_not_touch(logits, shift):
    probabilities = softmax(logits)
    np.testing.assert_allclose(probabilities.sum(1), 1)
    np.testing.assert_allclose(probabilities, transcription.softmax(logits), rtol=1e-9, atol=1e-300)
    np.testing.assert_allclose(softmax(logits + shift), probabilities, rtol=1e-7, atol=1e-300)


@settings(**FEW)
@given(arrays(np.float64, st.tuples(st.integers(1, 9), st.integers(2, 6)), elements=st.floats(-8, 8)))
def test_log_odds_are_those_of_the_softmax_where_it_does_not_round(logits):
    p = softmax(logits)
    np.testing.assert_allclose(log_odds(logits), np.log(p) - np.log1p(-p), atol=1e-8)


@settings(**FEW)
@given(st.lists(st.integers(0, 10**6), min_size=2, max_size=8, unique=True))
def test_log_odds_rank_where_probabilities_round_to_one(leads):
    logits = np.array([[0.0, lead + 40.0, -1.0] for lead in leads])
    assert set(softmax(logits)[:, 1]) == {1.0}
    assert (np.argsort(log_odds(logits)[:, 1]) == np.argsort(leads)).all()
    assert (np.argsort(-log_odds(logits)[:, 0]) == np.argsort(leads)).all()


def test_log_odds_of_what_cannot_be_are_infinite():
    assert log_odds(np.array([[0.0, -np.inf], [-np.inf, 3.0]])).tolist() == [[np.inf, -np.inf], [-np.inf, np.inf]]
    assert log_odds(np.array([[0.0, -np.inf, 0.0]])).tolist() == [[0.0, -np.inf, 0.0]]


def test_softmax_leaves_its_argument_alone():
    logits = np.array([[1.0, 2.0]])
    softmax(logits)
    assert logits.tolist() == [[1.0, 2.0]]


@settings(**FEW)
@given(matrices)
def test_unit_rows_have_length_one_or_are_zero(rows):
    rows[np.abs(rows) < 1e-100] = 0
    lengths = np.linalg.norm(unit_rows(rows), axis=1)
    np.testing.assert_allclose(lengths, (rows != 0).any(1).astype(float))


@settings(**FEW)
@given(st.integers(1, 40), st.lists(st.integers(0, 40), max_size=5), st.sampled_from([np.float16, np.float32, float]))
def test_chunks_put_together_are_the_unit_rows(n, ends, dtype):
    stored = (3 * random_rows(n, n, 6)).astype(dtype)
    expected = transcription.unit(stored)
    for source in (stored, Chunked(stored, [e for e in ends if e <= n]), list(np.array_split(stored, 2))):
        for _ in range(2):
            blocks = list(chunks(source))
            assert all(block.dtype == np.float64 for block in blocks)
            np.testing.assert_allclose(np.concatenate(blocks), expected, rtol=0, atol=1e-15)


def test_chunks_are_bounded_and_read_a_file_that_is_mapped(tmp_path):
    np.save(tmp_path / "x.npy", random_rows(0, CHUNK_ROWS + 5, 3).astype(np.float16))
    assert [len(block) for block in chunks(np.load(tmp_path / "x.npy", mmap_mode="r"))] == [CHUNK_ROWS, 5]


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (iter([np.eye(3)]), "one-shot"),
        ((block for block in [np.eye(3)]), "one-shot"),
        (map(np.asarray, [np.eye(3)]), "one-shot"),
        ([], "no row"),
        (np.empty((0, 3)), "no row"),
        (np.ones((3, 0)), r"\(n, d\)"),
        (np.ones(3), r"\(n, d\)"),
        ([np.eye(3), np.eye(2)], "d = 3"),
        (np.array([[1, np.nan]]), "row 0 is not finite"),
        (np.array([[1, 0], [np.inf, 0]]), "row 1 is not finite"),
        (np.array([[1, 0], [1e300, 1e300]]), "row 1 is not finite"),
        ([np.eye(3), np.zeros((2, 3))], "row 3 is all zero"),
    ],
)
def test_images_that_cannot_be_used_are_refused(images, message):
    with pytest.raises(FeaturesError, match=message):
        list(chunks(images))


def test_a_row_is_named_by_its_place_in_the_whole_source():
    rows = np.ones((CHUNK_ROWS + 10, 2))
    rows[CHUNK_ROWS + 7] = 0
    with pytest.raises(FeaturesError, match=f"row {CHUNK_ROWS + 7} is all zero"):
        list(chunks(rows))


def test_the_dimension_can_be_asked_for():
    assert len(list(chunks(np.eye(3), 3))) == 1
    with pytest.raises(FeaturesError, match="d = 4"):
        list(chunks(np.eye(3), 4))


def test_descriptions_come_back_as_unit_rows_in_float64():
    checked = checked_descriptions([np.array([[3, 4]], np.float16), np.array([[0, 2], [1, 0]], np.float32)], 2)
    assert [rows.tolist() for rows in checked] == [[[0.6, 0.8]], [[0.0, 1.0], [1.0, 0.0]]]
    assert all(rows.dtype == np.float64 for rows in checked)


@pytest.mark.parametrize(
    ("descriptions", "message"),
    [
        ([], "two classes"),
        ([np.eye(2)], "two classes"),
        ([np.eye(2), np.empty((0, 2))], "class 1"),
        ([np.eye(2), np.eye(3)], "class 1"),
        ([np.ones(2), np.eye(2)], "class 0"),
        ([np.eye(2), np.array([[np.nan, 1]])], "descriptions of class 1: row 0 is not finite"),
        ([np.eye(2), np.array([[1.0, 1], [0, 0]])], "descriptions of class 1: row 1 is all zero"),
    ],
)
def test_descriptions_that_cannot_be_used_are_refused(descriptions, message):
    with pytest.raises(FeaturesError, match=message):
        checked_descriptions(descriptions)


def test_descriptions_must_have_the_dimension_of_the_images():
    with pytest.raises(FeaturesError, match=r"\(m, 3\)"):
        checked_descriptions([np.eye(2), np.eye(2)], 3)


@pytest.mark.parametrize("value", [0, -1, np.nan, np.inf])
def test_settings_that_must_be_positive(value):
    check_positive(temperature=1e-9)
    with pytest.raises(InputError, match="text temperature must be"):
        check_positive(text_temperature=value)
