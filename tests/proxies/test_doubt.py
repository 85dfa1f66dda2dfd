from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kpl.methods import KPL
from kpl.proxies.anchored import AnchoredRounds, AnchoredSettings, anchored_sums, solve_anchored
from kpl.proxies.arrays import softmax, unit_rows
from kpl.proxies.doubt import Doubt, _last, believed, halves
from kpl.proxies.passes import sampled
from kpl.proxies.retrieval import retrieve
from kpl.proxies.ridge import LinearScores
from kpl.proxies.sums import sum_images

from .cases import Chunked, random_rows


def clusters(seed, *, cut_across):
    """Three clusters; the sentences tell them apart, or tell something of each that its pictures do not show."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(3, 32))
    images = unit_rows(centres[np.repeat(np.arange(3), 80)] + 0.5 * rng.normal(size=(240, 32)))
    about = rng.normal(size=(3, 32)) if cut_across else centres
    texts = [unit_rows(0.4 * each + rng.normal(size=(8, 32))) for each in about]
    return images, texts


@pytest.mark.parametrize("seed", [3, 6])
def test_answers_are_as_sure_as_two_halves_of_the_knowledge_agree(seed):
    sure, unsure = (KPL().fit(*clusters(seed, cut_across=cut)) for cut in (False, True))
    assert sure.doubt_.agreement == pytest.approx(1)
    assert sure.doubt_.temperature == 1
    assert unsure.doubt_.agreement < 0.7
    confidence = unsure.predict_proba(clusters(seed, cut_across=True)[0]).max(axis=1)
    assert confidence.mean() == pytest.approx(unsure.doubt_.agreement, abs=1e-3)


def test_where_learning_drives_halves_apart_the_averaged_descriptions_speak():
    rows, texts = random_rows(0, 30, 5), random_rows(1, 3, 5)
    model = LinearScores(random_rows(2, 3, 5), np.arange(3.0))
    alone = believed(model, texts, Doubt(0.5, 0.8, 3.0), 0.01)(rows)
    np.testing.assert_allclose(softmax(alone), softmax(rows @ texts.T / 0.01))
    never = believed(model, texts, Doubt(0.9, 0.8, 2.0), 0.01)(rows)
    np.testing.assert_allclose(never, model(rows) / 2)


def test_learning_ends_before_halves_part_again():
    agree = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [1, 1, 1, 1, 0], [0, 1, 0, 0, 0]], dtype=float)
    few = np.full(5, 0.2)
    assert _last(agree, few, 5) == 2  # the fourth is clearly worse than the second, the third may be chance
    many = np.full(500, 1 / 500)
    assert _last(np.repeat(agree, 100, axis=1), many, 500) == 1
    assert _last(np.repeat(agree, 100, axis=1), many, 5) == 2  # a hundred slices of each of five units
    assert _last(agree[:2], few, 5) == 1


def test_single_descriptions_leave_nothing_to_doubt_by():
    images, texts = clusters(0, cut_across=False)
    found = KPL().fit(images, [each[:1] for each in texts]).doubt_
    assert (found.agreement, found.text_agreement, found.temperature) == pytest.approx((1, 1, 1))


def test_a_fit_ends_after_the_round_that_both_halves_came_to():
    images, texts = clusters(6, cut_across=True)
    settings, moments = AnchoredSettings(), sum_images(images)
    found = halves(images, None, texts, moments, settings)
    said = []
    for half in (0, 1):
        own = [each[half::2] for each in texts]
        at_most = replace(settings, rounds=found.rounds)
        sums, text = anchored_sums(images, AnchoredRounds(own, retrieve(moments.mean, own), moments, at_most))
        said.append(solve_anchored(sums, text.proxies, moments, settings)[0](images).argmax(axis=1))
    assert found.agreement == pytest.approx((said[0] == said[1]).mean())
    model = KPL().fit(images, texts)
    assert model.doubt_.rounds == found.rounds
    np.testing.assert_array_equal(KPL(rounds=found.rounds).fit(images, texts).sums_.weighted, model.sums_.weighted)


def test_a_sample_depends_on_the_order_of_rows_alone():
    images, weights = random_rows(3, 1000, 4), np.random.default_rng(3).uniform(0.5, 2, 1000)
    rows, own = sampled(images, weights, most=100)
    assert 50 < len(rows) <= 100
    assert own.sum() == pytest.approx(weights.sum())
    again = sampled(Chunked(images, [1, 13, 500, 503]), weights, most=100)
    np.testing.assert_array_equal(again[0], rows)
    np.testing.assert_allclose(again[1], own)


def test_sentences_of_other_classes_are_the_most_misplaced():
    images, texts = clusters(2, cut_across=False)
    texts[0][3] = texts[2][5]
    found = KPL().fit(images, texts).misplaced()
    assert (int(found.scores[0].argmax()), int(found.instead[0][3])) == (3, 2)
    assert [len(each) for each in found.scores] == [8, 8, 8]
