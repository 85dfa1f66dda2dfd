from __future__ import annotations

import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpl.errors import FeaturesError
from kpl.proxies.sums import ClassSums, ImageSums, sum_images

from .cases import FEW, Chunked, random_rows

N, DIM, CLASSES = 37, 5, 3
ROWS = random_rows(1, N, DIM)
SHARES = np.random.default_rng(2).dirichlet(np.ones(CLASSES), N)
places = st.lists(st.integers(0, N), max_size=6).map(sorted)


def image_sums(index):
    return ImageSums(DIM).update(ROWS[index])


def class_sums(index):
    return ClassSums(CLASSES, DIM).update(ROWS[index], SHARES[index])


def assert_same_moments(found, expected):
    assert found.count == expected.count
    np.testing.assert_allclose(found.mean, expected.mean, rtol=0, atol=1e-10)
    np.testing.assert_allclose(found.gram, expected.gram, rtol=0, atol=1e-10)


def test_moments_are_what_they_are_called():
    found = sum_images(ROWS)
    assert found.count == N
    np.testing.assert_allclose(found.mean, ROWS.mean(0), atol=1e-14)
    np.testing.assert_allclose(found.gram, sum(np.outer(x, x) for x in ROWS) / N, atol=1e-14)
    np.testing.assert_allclose(found.covariance, np.cov(ROWS.T, bias=True), atol=1e-14)


def test_class_means_are_weighted_means():
    sums = class_sums(slice(None))
    np.testing.assert_allclose(sums.mass, SHARES.sum(0), atol=1e-13)
    expected = [np.average(ROWS, axis=0, weights=SHARES[:, c]) for c in range(CLASSES)]
    np.testing.assert_allclose(sums.finish(), expected, atol=1e-14)


@settings(**FEW)
@given(places, st.randoms(use_true_random=False))
def test_shards_in_any_order_and_any_nesting_are_the_whole(ends, random):
    shards = np.split(np.arange(N), ends)
    random.shuffle(shards)
    images, classes = [image_sums(s) for s in shards], [class_sums(s) for s in shards]
    while len(images) > 1:
        a = random.randrange(len(images) - 1)
        images[a] = images[a].merge(images.pop(a + 1))
        classes[a] = classes[a].merge(classes.pop(a + 1))
    assert_same_moments(images[0].finish(), sum_images(ROWS))
    np.testing.assert_allclose(classes[0].finish(), class_sums(slice(None)).finish(), rtol=0, atol=1e-10)


@settings(**FEW)
@given(places)
def test_chunk_boundaries_do_not_matter(ends):
    assert_same_moments(sum_images(Chunked(ROWS, ends)), sum_images(ROWS))


def test_finish_can_be_followed_by_more():
    sums = image_sums(slice(0, 10))
    first = copy.deepcopy(sums.finish())
    kept = sums.finish()
    sums.update(ROWS[10:])
    assert_same_moments(kept, first)
    assert_same_moments(sums.finish(), sum_images(ROWS))


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_sums_are_taken_in_float64_whatever_the_storage(dtype):
    rows, shares = ROWS.astype(dtype), SHARES.astype(dtype)
    images = ImageSums(DIM).update(rows).finish()
    np.testing.assert_allclose(images.gram, rows.astype(float).T @ rows.astype(float) / N, atol=1e-15)
    classes = ClassSums(CLASSES, DIM).update(rows, shares)
    np.testing.assert_allclose(classes.weighted, shares.astype(float).T @ rows.astype(float), atol=1e-14)


def test_a_class_without_mass_has_a_mean_of_zero():
    assert ClassSums(2, 2).update(np.eye(2), np.array([[1.0, 0], [1, 0]])).finish().tolist() == [[0.5, 0.5], [0, 0]]


def test_sums_that_do_not_fit_are_refused():
    for wrong in (ImageSums(DIM + 1), ImageSums(1)):
        with pytest.raises(FeaturesError, match="cannot be merged"):
            image_sums(slice(None)).merge(wrong)
    for wrong in (ClassSums(CLASSES, 1), ClassSums(1, DIM)):
        with pytest.raises(FeaturesError, match="cannot be merged"):
            class_sums(slice(None)).merge(wrong)
    with pytest.raises(FeaturesError, match="shape"):
        ImageSums(DIM).update(ROWS[:, :1])
    with pytest.raises(FeaturesError, match="shape"):
        ClassSums(CLASSES, DIM).update(ROWS, SHARES[:, :1])


def test_no_images_have_no_moments():
    with pytest.raises(FeaturesError, match="no image"):
        ImageSums(3).finish()
    with pytest.raises(FeaturesError, match="no row"):
        sum_images([])
