"""Presence of each class on its own: an independent computation, properties, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, logit

from kpl.errors import FeaturesError, InputError
from kpl.proxies import multi_label_probabilities
from kpl.proxies.arrays import softmax, unit_rows
from kpl.proxies.multi_label import multi_label_shares, other_texts, parting_thresholds


def rows(rng, *shape):
    return unit_rows(rng.normal(size=shape))


@settings(deadline=None)
@given(st.integers(0, 100), st.floats(0.005, 2))
def test_it_is_the_geometric_mean_of_two_way_softmaxes_for_and_against(seed, temperature):
    rng = np.random.default_rng(seed)
    images, present, absent = rows(rng, 5, 4), [rows(rng, 3, 4), rows(rng, 1, 4)], [rows(rng, 3, 4), rows(rng, 1, 4)]
    found = multi_label_probabilities(images, present, absent, temperature=temperature)
    for i in range(5):
        for c in range(2):
            pairs = [
                log_softmax(np.array([images[i] @ p, images[i] @ a]) / temperature)
                for p, a in zip(present[c], absent[c], strict=True)
            ]
            assert found[i, c] == pytest.approx(softmax(np.mean(pairs, axis=0))[0], rel=1e-9)
    assert ((found >= 0) & (found <= 1)).all()


@settings(deadline=None)
@given(st.integers(0, 100), st.floats(0.1, 2), st.floats(0.01, 0.99))
def test_shares_of_sentences_sum_to_the_margin_above_the_threshold(seed, temperature, threshold):
    rng = np.random.default_rng(seed)
    image, present, absent = rows(rng, 1, 4)[0], rows(rng, 5, 4), rows(rng, 5, 4)
    whole = multi_label_probabilities(image[None], [present] * 2, [absent] * 2, temperature=temperature)[0, 0]
    chances, shares = multi_label_shares(image, (present - absent) / temperature, threshold)
    assert shares.sum() == pytest.approx(logit(whole) - logit(threshold), rel=1e-6, abs=1e-6)
    assert ((shares > 0) == (chances > threshold)).all()
    for j in range(5):
        alone = multi_label_probabilities(image[None], [present[[j]]] * 2, [absent[[j]]] * 2, temperature=temperature)
        assert chances[j] == pytest.approx(alone[0, 0], rel=1e-9)


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_a_threshold_of_zero_or_one_has_no_distance(threshold):
    with pytest.raises(InputError, match="threshold"):
        multi_label_shares(np.ones(2), np.ones((1, 2)), threshold)


def test_a_class_without_stated_absence_is_held_against_the_others():
    rng = np.random.default_rng(4)
    present = [rows(rng, 3, 5), rows(rng, 2, 5), rows(rng, 4, 5)]
    found = other_texts(present)
    one, two = (unit_rows(rows_.mean(axis=0)) for rows_ in (present[0], present[2]))
    assert [other.shape for other in found] == [(1, 5)] * 3
    np.testing.assert_allclose(found[1][0], unit_rows((one + two) / 2), atol=1e-12)


def test_classes_do_not_depend_on_each_other_nor_images_on_chunks():
    rng = np.random.default_rng(0)
    images, present, absent = rows(rng, 9, 6), [rows(rng, 2, 6) for _ in "abc"], [rows(rng, 2, 6) for _ in "abc"]
    whole = multi_label_probabilities(images, present, absent)
    part = multi_label_probabilities([images[:4], images[4:]], present[1:], absent[1:])
    assert part == pytest.approx(whole[:, 1:])


def test_one_absent_sentence_stands_against_all():
    rng = np.random.default_rng(1)
    images, present, single = rows(rng, 4, 5), [rows(rng, 3, 5), rows(rng, 2, 5)], rows(rng, 1, 5)
    once = multi_label_probabilities(images, present, [single, single])
    assert (
        once == multi_label_probabilities(images, present, [np.repeat(single, 3, 0), np.repeat(single, 2, 0)])
    ).all()


def test_swapping_a_single_pair_gives_the_other_probability():
    rng = np.random.default_rng(2)
    images, a, b = rows(rng, 6, 5), [rows(rng, 1, 5), rows(rng, 1, 5)], [rows(rng, 1, 5), rows(rng, 1, 5)]
    assert multi_label_probabilities(images, a, b) + multi_label_probabilities(images, b, a) == pytest.approx(1)


def test_what_makes_no_pairs_is_refused():
    rng = np.random.default_rng(3)
    images, three, two = rows(rng, 4, 5), rows(rng, 3, 5), rows(rng, 2, 5)
    with pytest.raises(FeaturesError, match="class 1 has 3 present and 2 absent"):
        multi_label_probabilities(images, [three, three], [three, two])
    with pytest.raises(FeaturesError, match="3 classes have present sentences, 2 absent"):
        multi_label_probabilities(images, [three] * 3, [three] * 2)
    with pytest.raises(InputError, match="temperature"):
        multi_label_probabilities(images, [three] * 2, [three] * 2, temperature=0)


def test_thresholds_part_images_where_their_log_odds_fall_into_two_groups():
    rng = np.random.default_rng(0)
    odds = np.stack([np.r_[rng.normal(-9, 1, 80), rng.normal(-3, 1, 20)], np.full(100, -4.0)], axis=1)
    chances = 1 / (1 + np.exp(-odds))
    least = parting_thresholds(rng.permutation(chances))
    assert -8 < logit(least[0]) < -4
    assert (chances[:, 0] >= least[0]).sum() == 20
    assert least[1] == 0.5, "all alike"
    x = np.sort(odds[:, 0])
    within = [x[:k].var() * k + x[k:].var() * (100 - k) for k in range(1, 100)]
    cut = int(np.argmin(within))
    assert logit(least[0]) == pytest.approx((x[cut] + x[cut + 1]) / 2)
    assert parting_thresholds(chances[:1]).tolist() == [0.5, 0.5]
    assert parting_thresholds(np.array([[0.0], [0.0], [1.0]])).tolist() == [0.5]
