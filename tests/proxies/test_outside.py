"""None of these, by the texts alone."""

import numpy as np
import pytest

from kpl.errors import FeaturesError, InputError
from kpl.proxies.outside import text_fits, unlike_fits


def world(classes: int, listed: int, others: int, noise: float = 0.02):
    """Unit texts of some classes, and pictures of these and of other things, all with something in common."""
    rng = np.random.default_rng(0)
    eye = np.eye(32)
    texts = 0.5 * eye[:classes] + eye[31]
    pictures = [0.4 * np.repeat(eye[:classes], listed, axis=0), 0.4 * eye[rng.integers(classes, 24, others)]]
    rows = np.concatenate([rows + eye[31] + noise * rng.normal(size=rows.shape) for rows in pictures])
    return tuple(each / np.linalg.norm(each, axis=1, keepdims=True) for each in (texts, rows))


@pytest.mark.parametrize("classes", [2, 3, 8])
def test_pictures_without_what_tells_texts_apart_are_none_of_these(classes):
    texts, images = world(classes, 20, 30)
    strange = unlike_fits(text_fits(images, texts, 0.01), classes) >= 1
    assert strange[20 * classes :].all()
    assert not strange[: 20 * classes].any()


@pytest.mark.parametrize("classes", [2, 8])
def test_where_nothing_is_listed_all_are_none_of_these(classes):
    texts, images = world(classes, 20, 30, noise=0.005)
    others = images[20 * classes :]
    assert (unlike_fits(text_fits(others, texts, 0.01), classes) >= 1).all()


@pytest.mark.parametrize("classes", [2, 8])
def test_a_folder_of_one_class_alone_is_listed(classes):
    texts, images = world(classes, 20, 30)
    assert not (unlike_fits(text_fits(images[:20], texts, 0.01), classes) >= 1).any()


def test_a_class_that_is_near_every_picture_does_not_count_for_it():
    texts, images = world(6, 20, 30)
    pulled = images + 0.3 * texts[0]  # whatever it shows
    pulled /= np.linalg.norm(pulled, axis=1, keepdims=True)
    fits = text_fits(pulled, texts, 0.01)
    assert fits[120:].max() < fits[:120].min()


def test_chunks_weights_and_order_change_nothing():
    texts, images = world(4, 10, 10)
    whole = text_fits(images, texts, 0.01)
    assert text_fits([images[:13], images[13:]], texts, 0.01) == pytest.approx(whole)
    assert text_fits(images[::-1], texts, 0.01)[::-1] == pytest.approx(whole)
    twice = np.concatenate([images, images[:5]])
    halves = np.concatenate([np.where(np.arange(len(images)) < 5, 0.5, 1.0), np.full(5, 0.5)])
    assert text_fits(twice, texts, 0.01, halves)[: len(images)] == pytest.approx(whole)
    with pytest.raises(FeaturesError, match="weights"):
        text_fits(images, texts, 0.01, halves)


def test_one_text_cannot_tell():
    with pytest.raises(InputError, match="one class"):
        text_fits(np.eye(3), np.eye(3)[:1], 0.01)
