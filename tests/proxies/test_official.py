from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from kpl.errors import InputError
from kpl.proxies.arrays import softmax
from kpl.proxies.official import harden, official_proxies, proxy_descent

from . import transcription
from .cases import FEW, random_rows, world


def case(seed=0, n=300, n_classes=6):
    images, descriptions = world(seed, n, n_classes, dim=24)
    return images, transcription.text_proxies(images, descriptions, 3)


@settings(**FEW)
@given(
    arrays(np.float64, array_shapes(min_dims=2, max_dims=2), elements=st.floats(-5, 5)).map(softmax),
    st.floats(0, 1),
)
def test_only_rows_above_alpha_become_one_hot(p, alpha):
    hardened = harden(p, alpha)
    for before, after in zip(p, hardened, strict=True):
        expected = np.eye(len(before))[before.argmax()] if before.max() > alpha else before
        np.testing.assert_array_equal(after, expected)
    assert hardened is not p


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("steps", [1, 100])
def test_the_routine_agrees_with_its_transcription(seed, steps):
    images, texts = case(seed)
    found = official_proxies(images, texts, steps=steps)
    np.testing.assert_allclose(found, transcription.official(images, texts, steps), rtol=0, atol=1e-8)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1)
    assert found.dtype == np.float64


def test_every_setting_is_the_one_of_the_formula():
    images, texts = case(2)
    found = official_proxies(
        images,
        texts,
        text_temperature=0.03,
        image_temperature=0.1,
        alpha=0.002,
        learning_rate=3.0,
        steps=50,
        updates=9,
    )
    options = {"updates": 9, "alpha": 0.002, "tau_t": 0.03, "tau_i": 0.1, "rate": 3.0}
    np.testing.assert_allclose(found, transcription.official(images, texts, 50, **options), rtol=0, atol=1e-8)
    assert np.abs(found - transcription.official(images, texts, 50)).max() > 0.01


@pytest.mark.parametrize("rate", [0.01, 1.0, 1000.0])
def test_the_descent_agrees_with_its_transcription_whether_or_not_the_rate_is_halved(rate):
    images, texts = case(3)
    target = softmax(images @ texts.T / 0.1)
    found = proxy_descent(images, texts, target, learning_rate=rate, steps=60)
    expected = transcription.descent(images, texts, target, 0.04, rate, 60)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-8)


def test_permuted_images_and_classes():
    images, texts = case(4)
    expected = official_proxies(images, texts, steps=60)
    rng = np.random.default_rng(0)
    np.testing.assert_allclose(official_proxies(rng.permutation(images), texts, steps=60), expected, atol=1e-8)
    order = rng.permutation(len(texts))
    np.testing.assert_allclose(official_proxies(images, texts[order], steps=60), expected[order], atol=1e-8)


@pytest.mark.parametrize("order", ["C", "F"])
def test_nothing_handed_in_is_changed(order):
    images, texts = case(5, n=40)
    start, target = np.array(texts, order=order), softmax(images @ texts.T)
    copies = images.copy(), start.copy(), target.copy()
    proxy_descent(images, start, target, steps=3)
    official_proxies(images, start, steps=3)
    for given_in, copy in zip((images, start, target), copies, strict=True):
        np.testing.assert_array_equal(given_in, copy)


def test_no_steps_leave_the_text_proxies():
    images, texts = case(6, n=30)
    np.testing.assert_allclose(official_proxies(images, texts, steps=0), texts, atol=1e-15)


@pytest.mark.parametrize(("stored", "used"), [("float64", "float64"), ("float32", "float32"), ("float16", "float32")])
def test_the_arithmetic_is_in_the_dtype_of_the_images_but_never_in_half_precision(stored, used):
    images, texts = case(7, n=50)
    found = official_proxies(images.astype(stored), texts, steps=5)
    assert found.dtype == used
    np.testing.assert_allclose(found, official_proxies(images, texts, steps=5), atol=0.1)


@pytest.mark.parametrize("setting", ["text_temperature", "image_temperature", "learning_rate"])
@pytest.mark.parametrize("value", [0.0, -1.0, np.nan])
def test_settings_without_a_meaning_are_refused(setting, value):
    with pytest.raises(InputError, match=setting.replace("_", " ")):
        official_proxies(random_rows(0, 5, 3), random_rows(1, 2, 3), **{setting: value})
