"""What a method learnt survives being written down, bit for bit; and more images can be learnt from later."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpl.errors import FeaturesError, InputError, ModelError, NotFittedError
from kpl.methods import KPL, METHODS, make_method
from kpl.methods.saving import flatten, restore

from . import cases
from .cases import EVERY, FEW, quick

planted = functools.partial(cases.planted, m=6)  # even: what reads pairs takes half of them as absent

INDUCTIVE = [name for name in EVERY if not METHODS[name].batch_only]


def settings_of(model):
    return {f.name: getattr(model, f.name) for f in dataclasses.fields(model) if f.init}


def copy_of(model):
    return type(model).from_state(model.state(), **settings_of(model))


@pytest.mark.parametrize("name", INDUCTIVE)
@pytest.mark.parametrize("seed", range(3))
def test_a_restored_method_predicts_the_same_bits(name, seed):
    images, descriptions, _ = planted(seed)
    new, _, _ = planted(seed + 50)
    model = quick(name, **({"k": 3} if seed else {})).fit(images, descriptions)
    copy = copy_of(model)
    assert settings_of(copy) == settings_of(model)
    for rows in (images, new, new[:1]):
        assert copy.scores(rows).tobytes() == model.scores(rows).tobytes()
        assert copy.predict_proba(rows).tobytes() == model.predict_proba(rows).tobytes()
    assert {key: array.tobytes() for key, array in copy.state().items()} == {
        key: array.tobytes() for key, array in model.state().items()
    }


@pytest.mark.parametrize("name", INDUCTIVE)
def test_the_state_is_named_arrays_and_nothing_else(name):
    images, descriptions, _ = planted(0)
    for key, array in quick(name).fit(images, descriptions).state().items():
        assert key.split(".")[0].endswith("_")
        assert isinstance(array, np.ndarray)
        assert array.dtype.kind in "fiub"
        assert array.flags.c_contiguous


@pytest.mark.parametrize("name", INDUCTIVE)
def test_there_is_no_state_before_fit_and_no_method_of_half_a_state(name):
    with pytest.raises(NotFittedError):
        make_method(name).state()
    images, descriptions, _ = planted(0)
    model = quick(name).fit(images, descriptions)
    state = model.state()
    state.pop("text_.proxies")
    with pytest.raises(KeyError):
        type(model).from_state(state, **settings_of(model))


def test_a_method_of_the_batch_at_hand_has_no_state(monkeypatch):
    images, descriptions, _ = planted(0)
    monkeypatch.setattr(METHODS["cupl"], "batch_only", "it judges a batch as a whole")
    with pytest.raises(ModelError, match="method 'cupl' cannot be saved: it judges a batch as a whole"):
        make_method("cupl").fit(images, descriptions).state()


def test_what_is_no_array_is_refused_by_name():
    with pytest.raises(TypeError, match=r"rows_\.1 holds str"):
        dict(flatten("rows_", [1.0, "two"]))


@dataclasses.dataclass
class _Learnt:
    count: int
    share: float
    rows: tuple[np.ndarray, ...]
    rest: np.ndarray | None


@pytest.mark.parametrize("rest", [None, np.arange(3)])
def test_numbers_sequences_and_what_may_be_none_come_back(rest):
    arrays = dict(flatten("x_", _Learnt(3, 0.25, (np.eye(2), np.ones(1)), rest)))
    found = restore("x_", _Learnt, arrays)
    assert (found.count, found.share, type(found.count)) == (3, 0.25, int)
    assert [rows.tolist() for rows in found.rows] == [[[1, 0], [0, 1]], [1]]
    np.testing.assert_equal(found.rest, rest)


# More images, later


@pytest.mark.parametrize("name", ["names", "cupl", "text", "kpl-closed"])
@settings(**FEW)
@given(st.integers(0, 100), st.integers(1, 89))
def test_an_exact_update_is_the_fit_on_all_images(name, seed, cut):
    images, descriptions, _ = planted(seed)
    model = make_method(name, temperature=0.05).fit(images[:cut], descriptions)
    whole = make_method(name, temperature=0.05).fit(images, descriptions)
    assert model.update(images[cut:])  # each class has fewer descriptions than k: the text proxies stay
    np.testing.assert_allclose(model.scores(images), whole.scores(images), rtol=1e-6, atol=1e-8)
    assert model.moments_.count == len(images)


@pytest.mark.parametrize("name", ["cupl", "kpl-closed", "kpl"])
def test_an_update_weighs_images_as_a_fit_does(name):
    images, descriptions, _ = planted(3)
    times = 1 + np.arange(len(images) - 40) % 3
    again, weights = np.repeat(images[40:], times, axis=0), np.repeat(1 / times, times)
    model, expected = (make_method(name).fit(images[:40], descriptions) for _ in range(2))
    model.update(again, weights=weights)
    expected.update(images[40:])
    np.testing.assert_allclose(model.predict_proba(images), expected.predict_proba(images), rtol=0, atol=1e-10)
    with pytest.raises(FeaturesError, match="weights for"):
        model.update(again, weights=weights[1:])


def test_an_update_knows_when_it_is_approximate():
    images, descriptions, _ = planted(3)
    assert not make_method("kpl").fit(images[:40], descriptions).update(images[40:])
    exact = []
    for seed in range(10):
        images, descriptions, _ = planted(seed)
        model = make_method("kpl-closed", k=2).fit(images[:5], descriptions)
        before = model.text_
        whole = make_method("kpl-closed", k=2).fit(images, descriptions)
        exact.append(model.update(images[5:]))
        assert model.text_ is before
        assert exact[-1] == model.text_.same_choice(whole.text_)
        assert exact[-1] == np.allclose(model.scores(images), whole.scores(images), rtol=1e-6, atol=1e-8)
    assert set(exact) == {True, False}


def test_retrieval_follows_the_images_when_nothing_else_is_learnt():
    images, descriptions, _ = planted(4)
    model = make_method("text", k=2).fit(images[:5], descriptions)
    assert model.update(images[5:])
    np.testing.assert_allclose(
        model.scores(images), make_method("text", k=2).fit(images, descriptions).scores(images), rtol=1e-12
    )


def test_an_approximate_update_moves_towards_the_full_fit():
    near, far = [], []
    for seed in range(8):
        images, descriptions, _ = planted(seed, n=600)
        whole = make_method("kpl").fit(images, descriptions).predict_proba(images)
        model = make_method("kpl").fit(images[:100], descriptions)
        far.append(np.abs(model.predict_proba(images) - whole).mean())
        model.update(images[100:])
        near.append(np.abs(model.predict_proba(images) - whole).mean())
    assert np.mean(near) < np.mean(far)


@pytest.mark.parametrize("seed", range(4))
def test_updates_in_order_of_class_come_to_what_a_fit_on_all_comes_to(seed):
    images, descriptions, truth = planted(seed, (1 / 6,) * 6, n=900, dim=64, scatter=2)
    whole = (make_method("kpl").fit(images, descriptions).predict(images) == truth).mean()
    parts = np.array_split(np.argsort(truth, kind="stable"), 6)
    model = make_method("kpl").fit(images[parts[0]], descriptions)
    for part in parts[1:]:
        assert not model.update(images[part])
    assert (model.predict(images) == truth).mean() > whole - 0.02


def test_a_model_without_groups_or_doubt_predicts_and_updates():
    images, descriptions, truth = planted(2, (0.25,) * 4, n=600, dim=32)
    learnt = make_method("kpl").fit(images[:300], descriptions)
    arrays = {key: rows for key, rows in learnt.state().items() if not key.startswith(("groups_", "doubt_"))}
    earlier = KPL.from_state(arrays)
    np.testing.assert_array_equal(earlier.predict_proba(images), learnt.predict_proba(images))
    earlier.update(images[300:])
    assert (earlier.predict(images) == truth).mean() > 0.95


def test_what_cannot_be_learnt_from_is_refused():
    images, descriptions, _ = planted(5)
    with pytest.raises(NotFittedError):
        make_method("kpl").update(images)
    with pytest.raises(FeaturesError, match=r"images must be \(n, 16\), got d = 7"):
        make_method("kpl").fit(images, descriptions).update(images[:, :7])
    with pytest.raises(InputError, match="method 'inmap' cannot learn from images one after the other"):
        quick("inmap").fit(images, descriptions).update(images)
