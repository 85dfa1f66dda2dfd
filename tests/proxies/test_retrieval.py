from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpl.errors import InputError
from kpl.proxies.arrays import unit_rows
from kpl.proxies.retrieval import best_k, confirm, description_spreads, image_scores, reads_like_others, retrieve
from kpl.proxies.sums import ClassSums, sum_images

from . import transcription
from .cases import FEW, random_rows

sizes = st.lists(st.integers(1, 7), min_size=2, max_size=5)
any_k = st.none() | st.integers(1, 9)


def drawn(sizes, dim=6):
    return [random_rows(10 * c + m, m, dim) for c, m in enumerate(sizes)]


@settings(**FEW)
@given(st.lists(st.integers(-3, 3), min_size=1), any_k)
def test_the_best_come_first_and_ties_in_order(scores, k):
    best = best_k(np.array(scores, dtype=float), k)
    assert best.tolist() == sorted(range(len(scores)), key=lambda j: (-scores[j], j))[:k]


@settings(**FEW)
@given(sizes, any_k)
def test_no_class_gives_more_than_it_has_or_takes_from_another(sizes, k):
    descriptions = drawn(sizes)
    mean_image = random_rows(0, 30, 6).mean(0)
    found = retrieve(mean_image, descriptions, k)
    assert [len(index) for index in found.chosen] == [min(k or m, m) for m in sizes]
    for c, rows in enumerate(descriptions):
        assert len(set(found.chosen[c])) == len(found.chosen[c])
        assert set(found.chosen[c]) <= set(range(len(rows)))
        # The same class beside quite other ones keeps the same proxy.
        other = retrieve(mean_image, [rows, -rows], k)
        np.testing.assert_array_equal(other.chosen[0], found.chosen[c])
        np.testing.assert_allclose(other.proxies[0], found.proxies[c], atol=1e-14)


@settings(**FEW)
@given(sizes, any_k)
def test_retrieval_follows_its_formula(sizes, k):
    images, descriptions = random_rows(3, 20, 6), drawn(sizes)
    found = retrieve(images.mean(0), descriptions, k)
    np.testing.assert_allclose(found.proxies, transcription.text_proxies(images, descriptions, k), atol=1e-12)
    for rows, relevance in zip(descriptions, found.relevance, strict=True):
        np.testing.assert_allclose(relevance, [np.mean(images @ e) for e in rows], atol=1e-12)


@settings(**FEW)
@given(sizes, any_k)
def test_image_scores_equal_the_loop(sizes, k):
    images, descriptions = random_rows(4, 9, 6), drawn(sizes)
    scores = image_scores(images, descriptions, k)
    np.testing.assert_allclose(scores, transcription.image_scores(images, descriptions, k), atol=1e-10)
    assert (np.abs(scores) <= 1 + 1e-12).all()


@settings(**FEW)
@given(sizes)
def test_an_image_that_takes_all_scores_the_cosine_with_the_averaged_proxy(sizes):
    images, descriptions = random_rows(5, 9, 6), drawn(sizes)
    expected = images @ retrieve(images.mean(0), descriptions, None).proxies.T
    for k in (None, 7):
        np.testing.assert_allclose(image_scores(images, descriptions, k), expected, atol=1e-10)


def test_one_description_per_image_is_the_best_cosine():
    images, descriptions = random_rows(6, 9, 6), drawn([3, 5])
    expected = np.stack([(images @ rows.T).max(1) for rows in descriptions], axis=1)
    np.testing.assert_allclose(image_scores(images, descriptions, 1), expected, atol=1e-12)


def test_ties_of_an_image_are_taken_in_order():
    image = np.array([[1.0, 0, 0]])
    tied = np.array([[0.6, 0.8, 0], [0.6, -0.8, 0], [0.6, 0, 0.8], [0.6, 0, -0.8]])
    assert image_scores(image, [tied, tied[[0, 2, 1, 3]]], 2)[0] == pytest.approx([1, 0.6 / np.sqrt(0.68)])


def test_descriptions_that_cancel_out_leave_finite_scores():
    images, thirds = random_rows(7, 50, 7), 2 * np.pi * np.arange(3) / 3
    for seed in range(30):
        plane = np.linalg.qr(random_rows(seed, 7, 7))[0][:2]
        cancel = np.stack([np.cos(thirds), np.sin(thirds)], axis=1) @ plane  # the sum is zero up to rounding
        descriptions = [cancel, plane]
        assert np.isfinite(image_scores(images, descriptions, None)).all()
        assert np.isfinite(retrieve(images.mean(0), descriptions, None).proxies).all()


@pytest.mark.parametrize("k", [0, -1])
def test_k_below_one_is_refused(k):
    images, descriptions = random_rows(8, 3, 6), drawn([2, 2])
    for call in (lambda: retrieve(images.mean(0), descriptions, k), lambda: image_scores(images, descriptions, k)):
        with pytest.raises(InputError, match=f"whole number from 1, or None, got {k}"):
            call()


def confirmed(images, shares, descriptions):
    moments = sum_images(images)
    text = retrieve(moments.mean, descriptions)
    sums = ClassSums(len(descriptions), images.shape[1]).update(images, shares)
    spreads = description_spreads(descriptions, moments.covariance)
    return text, confirm(text, descriptions, spreads, reads_like_others(descriptions), sums, moments.mean, 1.5)


def labelled(seed, *, n=120):
    """Images of three classes around three directions, what is true of them, and the classes as certain shares."""
    rng = np.random.default_rng(seed)
    centres = np.eye(16)[:3]
    truth = rng.integers(0, 3, n)
    images = unit_rows(centres[truth] + 0.1 * rng.normal(size=(n, 16)))
    return images, np.eye(3)[truth], [unit_rows(centre + 0.1 * rng.normal(size=(6, 16))) for centre in centres]


@pytest.mark.parametrize("seed", range(5))
def test_descriptions_of_another_class_are_left_out_and_true_ones_stay(seed):
    images, shares, right = labelled(seed)
    text, found = confirmed(images, shares, right)
    assert found.same_choice(text)
    swapped = [np.vstack([right[c], right[(c + 1) % 3][:3]]) for c in range(3)]
    _, found = confirmed(images, shares, swapped)
    assert [sorted(chosen.tolist()) for chosen in found.chosen] == [list(range(6))] * 3
    np.testing.assert_allclose(found.proxies, text.proxies, atol=1e-12)


def test_what_another_class_claims_by_its_sentences_and_by_its_images_is_left_out():
    images, shares, right = labelled(0)
    common = unit_rows(np.eye(16)[:2].sum(axis=0) + np.eye(16)[:1] * 0.3)
    alone = [right[0], np.vstack([right[1], common]), right[2]]  # true of the second class, truer of the first
    _, found = confirmed(images, shares, alone)
    assert 6 not in found.chosen[1]
    support = common @ ((images * shares[:, [1]]).sum(axis=0) / shares[:, 1].sum() - images.mean(axis=0))
    assert support > 0  # its own images do not speak against it
    moments, sums = sum_images(images), ClassSums(3, 16).update(images, shares)
    spreads = description_spreads(alone, moments.covariance)
    nobody = [np.zeros((len(rows), 3), dtype=bool) for rows in alone]
    text = retrieve(moments.mean, alone)
    assert 6 in confirm(text, alone, spreads, nobody, sums, moments.mean, 1.5).chosen[1]


def test_a_class_without_images_or_without_a_good_word_keeps_its_descriptions():
    images, shares, right = labelled(0)
    absent = [*right, right[0]]
    text, found = confirmed(images, np.hstack([shares, np.zeros((len(images), 1))]), absent)
    assert set(found.chosen[3].tolist()) == set(text.chosen[3].tolist())
    _, found = confirmed(images, shares, [right[1], right[1], right[2]])
    assert len(found.chosen[0]) == 6
