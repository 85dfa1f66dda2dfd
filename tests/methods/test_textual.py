from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpl.methods import ClassNames, CuPL, TextProxy

from .cases import FEW, Chunked, planted, random_rows, unit

drawn_from = (st.integers(0, 1000), st.lists(st.integers(1, 6), min_size=2, max_size=4), st.integers(1, 7))


def drawn(seed, sizes):
    return random_rows(seed, 15, 6), [random_rows(seed + 1 + c, m, 6) for c, m in enumerate(sizes)]


def best(rows, image, k):
    return sorted(range(len(rows)), key=lambda j: -(image @ rows[j]))[:k]


@settings(**FEW)
@given(*drawn_from[:2])
def test_cupl_is_the_cosine_with_the_averaged_descriptions(seed, sizes):
    images, descriptions = drawn(seed, sizes)
    expected = images @ unit(np.array([rows.mean(axis=0) for rows in descriptions])).T
    np.testing.assert_allclose(CuPL().fit(images, descriptions).scores(images), expected, atol=1e-12)


def test_the_class_names_are_read_in_the_place_of_descriptions():
    images, names = drawn(0, [1, 1, 1])
    model = ClassNames().fit(images, names)
    assert (ClassNames.reads, CuPL.reads) == ("names", "descriptions")
    np.testing.assert_allclose(model.scores(images), images @ np.concatenate(names).T, atol=1e-12)


def test_textual_scores_do_not_depend_on_the_other_images_unless_they_choose_the_descriptions():
    images, descriptions, _ = planted(1)
    for model in (CuPL(), TextProxy(k=2, retrieval="image")):
        expected = model.fit(images, descriptions).scores(images[:10])
        np.testing.assert_allclose(model.fit(images[:10], descriptions).scores(images[:10]), expected, atol=1e-12)


@settings(**FEW)
@given(*drawn_from)
def test_retrieval_per_data_set_averages_the_k_nearest_to_the_mean_image(seed, sizes, k):
    images, descriptions = drawn(seed, sizes)
    kept = [rows[best(rows, images.mean(axis=0), k)] for rows in descriptions]
    expected = images @ unit(np.array([rows.sum(axis=0) for rows in kept])).T
    model = TextProxy(k=k).fit(images, descriptions)
    np.testing.assert_allclose(model.scores(images), expected, atol=1e-12)
    # New images are scored by the descriptions that the fitted ones called for.
    fresh = random_rows(seed + 99, 5, 6)
    np.testing.assert_allclose(model.scores(fresh), fresh @ model.text_.proxies.T, atol=1e-12)


@settings(**FEW)
@given(*drawn_from)
def test_retrieval_per_image_averages_the_k_nearest_to_each_image(seed, sizes, k):
    images, descriptions = drawn(seed, sizes)
    scores = TextProxy(k=k, retrieval="image").fit(Chunked(images, [4, 9]), descriptions).scores(images)
    for x, row in zip(images, scores, strict=True):
        expected = [x @ unit(rows[best(rows, x, k)].sum(axis=0)) for rows in descriptions]
        np.testing.assert_allclose(row, expected, atol=1e-10)


@pytest.mark.parametrize("retrieval", ["dataset", "image"])
def test_taking_all_descriptions_is_cupl(retrieval):
    images, descriptions, _ = planted(2)
    expected = CuPL().fit(images, descriptions).scores(images)
    model = TextProxy(k=99, retrieval=retrieval).fit(images, descriptions)
    np.testing.assert_allclose(model.scores(images), expected, atol=1e-12)


def test_probabilities_are_the_softmax_at_the_temperature():
    images, descriptions = drawn(3, [2, 3])
    model = TextProxy(temperature=0.1).fit(images, descriptions)
    odds = np.exp(np.diff(model.scores(images), axis=1)[:, 0] / 0.1)
    np.testing.assert_allclose(model.predict_proba(images)[:, 1], odds / (1 + odds), atol=1e-12)
