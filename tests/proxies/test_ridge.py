from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpl.errors import FeaturesError, InputError
from kpl.proxies.ridge import LinearScores, closed_proxies, ridge_discriminant, text_class_means
from kpl.proxies.sums import sum_images

from . import transcription
from .cases import FEW, Chunked, world


def case(seed=0, **sizes):
    images, descriptions = world(seed, **sizes)
    return images, transcription.text_proxies(images, descriptions, 3)


@settings(**FEW)
@given(st.integers(0, 99), st.floats(0.003, 0.1), st.floats(1e-3, 1), st.booleans(), st.booleans())
def test_scores_follow_the_formula(seed, tau, ridge, intercept, with_prior):
    images, texts = case(seed, n=40)
    prior = np.log([0.1, 0.2, 0.3, 0.4]) if with_prior else None
    found = closed_proxies(images, texts, text_temperature=tau, ridge=ridge, intercept=intercept, log_prior=prior)
    expected = transcription.ridge_scores(
        images, texts, tau, ridge, intercept=intercept, log_prior=0 if prior is None else prior
    )
    np.testing.assert_allclose(found(images), expected, rtol=1e-8, atol=1e-8)


def test_the_default_ridge_is_the_one_of_the_loop():
    images, texts = case()
    ridge = 0.04 * np.linalg.norm(images.mean(0))
    np.testing.assert_allclose(
        closed_proxies(images, texts).proxies, closed_proxies(images, texts, ridge=ridge).proxies
    )
    twice = closed_proxies(images, texts, image_temperature=0.08).proxies
    np.testing.assert_allclose(twice, closed_proxies(images, texts, ridge=2 * ridge).proxies)


def test_the_intercept_is_minus_half_the_energy_and_the_prior_is_added():
    images, texts = case(1)
    moments, means = sum_images(images), text_class_means(images, texts, 0.01).finish()
    inverse = np.linalg.inv(moments.gram + 0.1 * np.eye(images.shape[1]))
    prior = np.log(np.arange(1, 5) / 10)
    found = ridge_discriminant(moments.gram, means, 0.1, intercept=True, log_prior=prior)
    np.testing.assert_allclose(found.offsets, [p - 0.5 * b @ inverse @ b for p, b in zip(prior, means, strict=True)])
    np.testing.assert_array_equal(ridge_discriminant(moments.gram, means, 0.1).offsets, np.zeros(4))
    np.testing.assert_array_equal(ridge_discriminant(moments.gram, means, 0.1, log_prior=prior).offsets, prior)
    np.testing.assert_allclose(prior, np.log(np.arange(1, 5) / 10))  # and is not written to


def test_a_large_ridge_leaves_the_direction_of_the_soft_means():
    images, texts = case(2)
    means = transcription.soft_class_means(images, texts, 0.01)
    found = closed_proxies(images, texts, ridge=1e9)
    np.testing.assert_allclose(found.proxies * 1e9, means, rtol=1e-7, atol=1e-8)
    np.testing.assert_array_equal(found(images).argmax(1), (images @ means.T).argmax(1))


def test_a_small_ridge_leaves_least_squares():
    images, texts = case(3)
    means = transcription.soft_class_means(images, texts, 0.01)
    expected = np.linalg.solve(images.T @ images / len(images), means.T).T
    np.testing.assert_allclose(closed_proxies(images, texts, ridge=1e-12).proxies, expected, rtol=1e-6, atol=1e-6)


def test_a_cold_text_makes_hard_means_and_a_hot_one_the_mean_image():
    images, texts = case(4)
    nearest = (images @ texts.T).argmax(1)
    cold = text_class_means(images, texts, 1e-9)
    np.testing.assert_allclose(cold.mass, np.bincount(nearest, minlength=4), atol=1e-12)
    for c in set(nearest):
        np.testing.assert_allclose(cold.finish()[c], images[nearest == c].mean(0), atol=1e-12)
    hot = text_class_means(images, texts, 1e12).finish()
    np.testing.assert_allclose(hot, np.tile(images.mean(0), (4, 1)), atol=1e-10)


@settings(**FEW)
@given(st.lists(st.integers(0, 60), max_size=5))
def test_chunks_and_known_moments_change_nothing(ends):
    images, texts = case(5, n=60)
    whole, source = closed_proxies(images, texts, intercept=True), Chunked(images, ends)
    for found in (
        closed_proxies(source, texts, intercept=True),
        closed_proxies(source, texts, intercept=True, moments=sum_images(images)),
    ):
        np.testing.assert_allclose(found.proxies, whole.proxies, rtol=0, atol=1e-10)
        np.testing.assert_allclose(found.offsets, whole.offsets, rtol=0, atol=1e-10)
    assert source.passes == 3  # two, and one where the moments were known


def test_permuted_images_and_classes():
    images, texts = case(6)
    expected, rng = closed_proxies(images, texts, intercept=True), np.random.default_rng(0)
    np.testing.assert_allclose(closed_proxies(rng.permutation(images), texts).proxies, expected.proxies, atol=1e-10)
    order = rng.permutation(4)
    permuted = closed_proxies(images, texts[order], intercept=True)
    np.testing.assert_allclose(permuted.proxies, expected.proxies[order], atol=1e-10)
    np.testing.assert_allclose(permuted.offsets, expected.offsets[order], atol=1e-10)


def test_images_in_half_precision_are_computed_in_double():
    images, texts = case(7)
    half = images.astype(np.float16)
    found = closed_proxies(half, texts).proxies
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, closed_proxies(transcription.unit(half), texts).proxies, atol=1e-10)


def test_a_class_without_images_keeps_finite_scores():
    images, texts = case(8)
    found = closed_proxies(images, np.vstack([texts, -images.mean(0)]), text_temperature=1e-4, intercept=True)
    assert np.isfinite(found(images)).all()


def test_linear_scores_are_linear():
    scores = LinearScores(np.array([[1.0, 2], [3, 4]]), np.array([0.5, -0.5]))
    assert scores(np.array([[1.0, 1], [0, 1]])).tolist() == [[3.5, 6.5], [2.5, 3.5]]


def test_settings_without_a_meaning_are_refused():
    images, texts = case(9, n=10, dim=16)
    for ridge in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(InputError, match="ridge must be"):
            closed_proxies(images, texts, ridge=ridge)
    with pytest.raises(InputError, match="raise it"):  # ten images do not span sixteen dimensions
        closed_proxies(images, texts, ridge=1e-30)
    for temperature in (0.0, -0.01, np.nan):
        with pytest.raises(InputError, match="text temperature"):
            closed_proxies(images, texts, text_temperature=temperature)
    with pytest.raises(InputError, match="log_prior"):
        closed_proxies(images, texts, log_prior=np.zeros(3))
    with pytest.raises(FeaturesError, match="d = 15"):
        closed_proxies(images, texts[:, :15])
