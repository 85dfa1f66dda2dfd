from __future__ import annotations

import numpy as np
import pytest

from kpl.methods import ClosedKPL, InMaP, OfficialKPL, inmap
from kpl.proxies.official import official_proxies, proxy_descent

from .cases import Chunked, planted, unit


def text_proxies(images, descriptions, k=None):
    kept = [rows[np.argsort(-(rows @ images.mean(axis=0)), kind="stable")[:k]] for rows in descriptions]
    return unit(np.array([rows.mean(axis=0) for rows in kept]))


@pytest.mark.parametrize(("k", "updates"), [(None, 12), (2, 2)])  # after few updates there are rows to harden
def test_official_is_the_released_routine_on_the_text_proxies(k, updates):
    images, descriptions, _ = planted(0)
    chosen = {"image_temperature": 0.06, "alpha": 0.9, "learning_rate": 5.0, "steps": 40, "updates": updates}
    expected = official_proxies(images, text_proxies(images, descriptions, k), text_temperature=0.02, **chosen)
    model = OfficialKPL(k=k, temperature=0.02, **chosen).fit(Chunked(images, [30, 31]), descriptions)
    np.testing.assert_allclose(model.proxies_, expected, atol=1e-10)
    np.testing.assert_allclose(model.scores(images), images @ expected.T, atol=1e-10)


def test_official_settings_are_the_released_ones():
    images, descriptions, _ = planted(1, n=30, dim=8)
    model = OfficialKPL().fit(images, descriptions)
    np.testing.assert_allclose(model.proxies_, official_proxies(images, text_proxies(images, descriptions)), atol=1e-8)


def test_the_loop_agrees_with_the_closed_form_on_clear_images():
    images, descriptions, truth = planted(2, shares=(0.25,) * 4, n=200, scatter=0.5)
    loop = OfficialKPL(steps=500).fit(images, descriptions).predict(images)
    closed = ClosedKPL().fit(images, descriptions).predict(images)
    assert (loop == closed).mean() > 0.97
    assert (loop == truth).mean() > 0.97


def test_inmap_is_the_loop_on_the_hardened_plan_of_equal_masses():
    images, descriptions, _ = planted(3)
    texts = text_proxies(images, descriptions)
    plan = np.exp(images @ texts.T / 0.03)
    plan /= plan.sum(axis=1, keepdims=True)
    for _ in range(6):
        plan *= (len(images) / len(texts)) / plan.sum(axis=0)
        plan /= plan.sum(axis=1, keepdims=True)
    sure = plan.max(axis=1) > 0.8
    assert 0 < sure.sum() < len(plan)
    plan[sure] = np.eye(len(texts))[plan[sure].argmax(axis=1)]
    loop = {"learning_rate": 4.0, "steps": 25}
    expected = proxy_descent(images, texts, plan, temperature=0.05, **loop)
    model = InMaP(temperature=0.03, image_temperature=0.05, alpha=0.8, rounds=6, **loop)
    np.testing.assert_allclose(model.fit(images, descriptions).proxies_, expected, atol=1e-10)


@pytest.fixture
def plans(monkeypatch):
    """The transport plans that InMaP hands on to be hardened."""
    seen = []
    monkeypatch.setattr(inmap, "harden", lambda plan, _alpha: seen.append(plan) or plan)
    return seen


def test_inmap_gives_every_image_one_and_every_class_its_equal_share(plans):
    images, descriptions, _ = planted(3)
    InMaP(rounds=2000, steps=1).fit(images, descriptions)
    (plan,) = plans
    np.testing.assert_allclose(plan.sum(axis=1), 1, atol=1e-9)
    np.testing.assert_allclose(plan.sum(axis=0), len(images) / len(descriptions), rtol=1e-6)
    # diag(u) exp(L / tau) diag(v) has the cross ratios of exp(L / tau).
    logits = images @ text_proxies(images, descriptions).T / 0.01
    held = np.log(np.maximum(plan, 1e-300))
    cross, expected = (m[1:, 1:] - m[:-1, 1:] - m[1:, :-1] + m[:-1, :-1] for m in (held, logits))
    clear = np.abs(expected) < 100  # nothing underflowed
    np.testing.assert_allclose(cross[clear], expected[clear], atol=1e-6)


def test_few_sweeps_still_give_every_image_one(plans):
    images, descriptions, _ = planted(3)
    InMaP(rounds=1, steps=1).fit(images, descriptions)
    np.testing.assert_allclose(plans[0].sum(axis=1), 1, atol=1e-12)


def test_inmap_takes_equal_classes_for_granted():
    images, descriptions, truth = planted(4, shares=(0.25,) * 4, n=200, scatter=0.5)
    assert (InMaP(steps=200).fit(images, descriptions).predict(images) == truth).mean() > 0.97
    images, descriptions, truth = planted(4, shares=(0.91, 0.03, 0.03, 0.03), n=200, scatter=0.5)
    predicted = InMaP(steps=200).fit(images, descriptions).predict(images)
    assert (predicted == 0).mean() < (truth == 0).mean()


def test_no_step_leaves_the_text_proxies():
    images, descriptions, _ = planted(5)
    for method in (InMaP, OfficialKPL):
        model = method(steps=0).fit(images, descriptions)
        np.testing.assert_allclose(model.proxies_, text_proxies(images, descriptions), atol=1e-12)
