from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kpl.errors import InputError
from kpl.methods import KPL, ClosedKPL, CuPL, explain
from kpl.proxies.anchored import AnchoredSettings, learn_anchored
from kpl.proxies.doubt import believed
from kpl.proxies.retrieval import retrieve
from kpl.proxies.sums import sum_images

from .cases import Chunked, planted, unit

RARE = (0.75, 0.05, 0.05, 0.05, 0.05, 0.05)
ABSENT = (0.5, 0.3, 0.2, 0.0, 0.0, 0.0)


def right(model, world):
    images, descriptions, truth = world
    return model.fit(images, descriptions).predict(images) == truth


@pytest.mark.parametrize("seed", [16, 17, 19])
def test_planted_rare_classes_are_recovered_where_averaged_descriptions_fail(seed):
    world = planted(seed, RARE, n=1000, dim=64, m=2, scatter=2)
    truth, kpl, cupl = world[2], right(KPL(), world), right(CuPL(), world)
    assert cupl.mean() < 0.89
    assert kpl.mean() > 0.99
    assert min(kpl[truth == c].mean() for c in range(len(RARE))) > 0.95


def test_distances_tell_what_no_class_was_learnt_from():
    images, descriptions, truth = planted(3, (0.2,) * 5, n=600, dim=32, scatter=1.0)
    learnt, listed = truth < 3, np.arange(len(images)) % 2 == 0
    model = KPL().fit(images[learnt & listed], descriptions[:3])
    own, new = model.distances(images[learnt & listed]), model.distances(images[learnt & ~listed])
    assert own.mean() == pytest.approx(1, abs=0.2)
    assert np.mean(new > 3.5) < 0.05
    assert np.mean(model.distances(images[~learnt]) > np.quantile(new, 0.95)) > 0.9


def test_few_mistakes_are_left_of_those_of_averaged_descriptions():
    worlds = [planted(seed, RARE, n=600, dim=64, scatter=2) for seed in range(10)]
    wrong = {method: sum((~right(method(), world)).sum() for world in worlds) for method in (KPL, CuPL)}
    assert wrong[KPL] < 0.2 * wrong[CuPL]


@pytest.mark.parametrize("seed", [0, 1, 3, 4])
def test_listed_classes_that_are_absent_get_no_images(seed):
    images, descriptions, truth = planted(seed, ABSENT, n=1000, dim=64, scatter=1.5)
    model = KPL().fit(images, descriptions)
    assert set(CuPL().fit(images, descriptions).predict(images)) > {0, 1, 2}
    assert (model.predict(images) == truth).mean() > 0.99
    assert set(model.predict(images)) == {0, 1, 2}
    assert (model.prior_[3:] < 1e-3).all()


@pytest.mark.parametrize("shares", [RARE, ABSENT, (0.25,) * 4, (0.95, 0.05)])
def test_the_estimated_prior_is_near_the_planted_shares(shares):
    images, descriptions, _ = planted(0, shares, n=1000, dim=64, scatter=1.5)
    model = KPL().fit(images, descriptions)
    np.testing.assert_allclose(model.prior_, shares, atol=0.01)
    assert model.prior_.sum() == pytest.approx(1, abs=1e-12)


def test_many_images_settle_what_is_learnt():
    images, descriptions, _ = planted(1, n=12000, dim=16, scatter=1.2)
    fresh, parts = images[:2000], [images[2000:7000], images[7000:]]
    first, second = (KPL().fit(part, descriptions) for part in parts)
    assert (first.predict(fresh) == second.predict(fresh)).mean() > 0.99
    np.testing.assert_allclose(first.prior_, second.prior_, atol=0.02)

    def off(n):
        """How far a fit on some n images is from the one on all, by the probabilities of fresh ones."""
        whole = KPL().fit(images[2000:], descriptions).predict_proba(fresh)
        return np.abs(KPL().fit(images[2000 : 2000 + n], descriptions).predict_proba(fresh) - whole).mean()

    assert off(5000) < off(500) < off(50)


def test_streaming_equals_memory():
    images, descriptions, _ = planted(2, RARE, n=5000, dim=32)
    expected = KPL().fit(images, descriptions)
    model = KPL().fit(Chunked(images, range(0, 5000, 777)), descriptions)
    size = np.abs(expected.model_.proxies).max()
    np.testing.assert_allclose(model.model_.proxies, expected.model_.proxies, rtol=0, atol=1e-10 * size)
    np.testing.assert_allclose(model.model_.offsets, expected.model_.offsets, rtol=0, atol=1e-10 * size)
    np.testing.assert_allclose(model.prior_, expected.prior_, rtol=0, atol=1e-10)
    np.testing.assert_allclose(model.predict_proba(images), expected.predict_proba(images), rtol=0, atol=1e-10)


def test_the_settings_reach_the_class_models():
    images, descriptions, _ = planted(3)
    chosen = {
        "temperature": 0.03,
        "text_weight": 0.8,
        "anchor_images": 5.0,
        "ridge": 0.4,
        "rounds": 3,
        "few_images": 9.0,
    }
    model = KPL(k=2, **chosen).fit(images, descriptions)
    expected, prior = learn_anchored(images, model.text_.proxies, sum_images(images), AnchoredSettings(**chosen))
    assert [len(kept) for kept in model.text_.chosen] == [2] * 4
    averaged = retrieve(sum_images(images).mean, descriptions, 2).proxies
    expected = believed(expected, averaged, model.doubt_, 0.03)
    np.testing.assert_allclose(model.scores(images), expected(images), rtol=1e-10)
    np.testing.assert_allclose(model.prior_, prior, rtol=1e-10)


@pytest.mark.parametrize("method", [KPL, ClosedKPL])
def test_probabilities_are_the_softmax_of_the_scores_themselves(method):
    images, descriptions, _ = planted(4)
    model = method().fit(images, descriptions)
    weights = np.exp(model.scores(images) - model.scores(images).max(axis=1, keepdims=True))
    np.testing.assert_allclose(model.predict_proba(images), weights / weights.sum(axis=1, keepdims=True), atol=1e-12)


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("ridge", [None, 0.3])
def test_closed_follows_its_formula(ridge, intercept):
    images, descriptions, _ = planted(5)
    texts = unit(np.array([rows.mean(axis=0) for rows in descriptions]))
    logits = images @ texts.T / 0.05
    soft = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    means = (soft.T @ images) / soft.sum(axis=0)[:, None]
    weight = 0.04 * np.linalg.norm(images.mean(axis=0)) if ridge is None else ridge
    inverse = np.linalg.inv(images.T @ images / len(images) + weight * np.eye(16))
    expected = images @ inverse @ means.T
    if intercept:
        expected -= 0.5 * np.einsum("cd,de,ce->c", means, inverse, means)
    model = ClosedKPL(temperature=0.05, ridge=ridge, intercept=intercept)
    np.testing.assert_allclose(model.fit(Chunked(images, [40]), descriptions).scores(images), expected, atol=1e-10)


def test_a_known_prior_is_a_setting_like_any_other():
    images, descriptions, _ = planted(3, (0.5, 0.3, 0.2), n=120, dim=16)
    given = (0.2, 0.3, 0.5)
    fitted = KPL().fit(images, descriptions)
    before, mass = fitted.scores(images), fitted.sums_.mass.copy()
    moved, anew = fitted.with_prior(given), KPL(prior=given).fit(images, descriptions)
    np.testing.assert_allclose(moved.scores(images), anew.scores(images), rtol=0, atol=1e-9)
    np.testing.assert_allclose(moved.prior_, given)
    np.testing.assert_allclose(moved.with_prior(fitted.prior_).scores(images), before, rtol=0, atol=1e-9)
    moved.update(images[:5])
    np.testing.assert_allclose(moved.prior_, given, err_msg="it stays when more is learnt")
    assert moved.sums_.mass.sum() == pytest.approx(125)
    np.testing.assert_array_equal(fitted.sums_.mass, mass)
    np.testing.assert_array_equal(fitted.scores(images), before)
    anew.update(images[:5])
    np.testing.assert_allclose(moved.scores(images), anew.scores(images), rtol=0, atol=1e-9)
    told = explain(anew, images[:1], refit_on=images, top=1)[0]
    s = told.sentences[0]
    less = [np.delete(d, s.index, axis=0) if c == s.class_index else d for c, d in enumerate(descriptions)]
    again = anew.learnt_again(images, sum_images(images), less)
    np.testing.assert_allclose(again.prior_, given)
    scores = again.scores(images[:1])[0]
    assert s.proxy_effect == pytest.approx(told.proxy_margin - (scores[told.winner] - scores[told.runner_up]))


@pytest.mark.parametrize("prior", ["uniform", (0.5, 0.6), (1.0,), (0.5, float("nan"))])
def test_a_prior_that_is_none_is_refused(prior):
    images, descriptions, _ = planted(3, (0.5, 0.5), n=20)
    with pytest.raises(InputError, match="prior must"):
        KPL(prior=prior).fit(images, descriptions)


def test_a_share_of_zero_never_wins_even_where_all_images_are_alike():
    images, descriptions, _ = planted(3, (0.5, 0.5), n=40, dim=16)
    same = np.repeat(images[:1], 40, axis=0)
    model = KPL().fit(same, descriptions)
    for c in (0, 1):
        moved = model.with_prior(np.eye(2)[c])
        assert set(moved.predict(same)) == {c}
        assert moved.predict_proba(same)[:, c].tolist() == [1.0] * 40


def test_what_the_images_speak_against_is_left_out_and_named():
    rng = np.random.default_rng(0)
    images = unit(np.eye(16)[rng.integers(0, 3, 150)] + 0.1 * rng.normal(size=(150, 16)))
    right = [unit(row + 0.1 * rng.normal(size=(6, 16))) for row in np.eye(16)[:3]]
    wrong = [np.vstack([right[c], right[(c + 1) % 3][:2]]) for c in range(3)]
    model = KPL().fit(images, wrong)
    found = model.contradicted()
    assert {(said.class_index, said.description) for said in found} == {(c, j) for c in range(3) for j in (6, 7)}
    assert all(said.instead == (said.class_index + 1) % 3 for said in found)
    assert [said.score for said in found] == sorted((said.score for said in found), reverse=True)
    assert KPL().fit(images, right).contradicted() == KPL(rounds=1).fit(images, wrong).contradicted() == ()


def test_nothing_is_said_of_descriptions_where_the_images_cannot_tell():
    rng = np.random.default_rng(0)
    images = unit(np.eye(16)[rng.integers(0, 3, 150)] + 0.1 * rng.normal(size=(150, 16)))
    right = [unit(row + 0.1 * rng.normal(size=(6, 16))) for row in np.eye(16)[:3]]
    wrong = [np.vstack([right[c], right[(c + 1) % 3][:2]]) for c in range(3)]
    assert KPL().fit(images[:14], wrong).contradicted() == (), "fewer than five images a class"
    absent = [*wrong, np.vstack([right[0][:1], unit(np.eye(16)[5:6])])]
    assert {said.class_index for said in KPL().fit(images, absent).contradicted()} == {0, 1, 2}
    model = KPL().fit(images, wrong)
    model.doubt_ = replace(model.doubt_, agreement=0.8, text_agreement=0.9)
    assert model.contradicted() == (), "learning drove the halves apart"
