"""What every method of the registry keeps to; a new method is tested here by being registered."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import typing

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kpl.methods
from kpl.errors import FeaturesError, InputError, NotFittedError, UnknownNameError
from kpl.methods import METHODS, Reading, explain, make_method
from kpl.proxies.arrays import CHUNK_ROWS, softmax
from kpl.proxies.sums import sum_images
from kpl.testing import METHOD_CHECKS, texts_for

from . import cases
from .cases import EVERY, FEW, STEPS, Chunked, quick, random_rows

planted = functools.partial(cases.planted, m=6)  # even: what reads pairs takes half of them as absent

LABEL_LIKE = ("label", "target", "truth", "answer", "gold", "supervis", "annotation")

every = pytest.mark.parametrize("name", EVERY)
seeds = given(st.integers(0, 1000))


def fitted(name, images, descriptions, **settings):
    return quick(name, **settings).fit(images, descriptions)


def settings_of(model):
    return {f.name: getattr(model, f.name) for f in dataclasses.fields(model) if f.init}


# The constructor, and what is learnt


def test_the_registry_goes_by_the_methods_own_names():
    assert len(METHODS) == 20
    for name, method in METHODS.items():
        assert method.name == name
        assert method.reads in typing.get_args(Reading)
        assert method.summary
        assert method.__name__ in kpl.methods.__all__


@every
def test_the_constructor_takes_keywords_and_only_stores(name):
    parameters = inspect.signature(METHODS[name]).parameters
    assert {p.kind for p in parameters.values()} == {inspect.Parameter.KEYWORD_ONLY}
    given_settings = {key: object() for key in parameters}
    model = METHODS[name](**given_settings)
    for key, value in given_settings.items():
        assert getattr(model, key) is value
    assert not [key for key in vars(model) if key not in parameters and key != "fitted_"]


@every
def test_fit_returns_self_keeps_the_settings_and_learns_what_ends_in_an_underscore(name):
    images, descriptions, _ = planted(0)
    model = quick(name)
    before = settings_of(model)
    assert model.fit(images, descriptions) is model
    assert settings_of(model) == before
    learnt = set(vars(model)) - set(before)
    assert {"text_", "descriptions_", "fitted_"} <= learnt
    assert all(key.endswith("_") and not key.startswith("_") for key in learnt)


@every
def test_replace_gives_an_unfitted_copy(name):
    images, descriptions, _ = planted(0)
    model = fitted(name, images, descriptions, temperature=0.02)
    copy = dataclasses.replace(model)
    assert settings_of(copy) == settings_of(model)
    with pytest.raises(NotFittedError):
        copy.predict(images)
    np.testing.assert_allclose(copy.fit(images, descriptions).scores(images), model.scores(images), rtol=1e-12)
    assert dataclasses.replace(model, k=1).fit(images, descriptions).k == 1


@every
def test_no_label_can_come_in(name):
    method = METHODS[name]
    expected = {
        method.fit: ["self", "images", "descriptions", "weights"],
        method.fit_moments: ["self", "images", "moments", "descriptions", "weights"],
        method.predict: ["self", "images"],
        method.predict_proba: ["self", "images"],
        method.scores: ["self", "images"],
        explain: ["method", "images", "refit_on", "top", "average", "weights", "sides", "progress"],
    }
    for function, parameters in expected.items():
        assert list(inspect.signature(function).parameters) == parameters
    for key in (f.name for f in dataclasses.fields(method)):
        assert key not in ("y", "ys")
        assert not any(word in key for word in LABEL_LIKE)


@every
def test_fitting_reads_its_inputs_only_and_draws_nothing(name):
    images, descriptions, _ = planted(1)
    for rows in (images, *descriptions):
        rows.flags.writeable = False
    expected = fitted(name, images, descriptions).scores(images)
    np.testing.assert_array_equal(fitted(name, images, descriptions).scores(images), expected)


@every
def test_fitting_again_forgets_what_was_learnt_before(name):
    old, new = planted(2), planted(3, shares=(0.5, 0.3, 0.2), n=60)
    model = fitted(name, *old[:2]).fit(*new[:2])
    np.testing.assert_allclose(model.scores(new[0]), fitted(name, *new[:2]).scores(new[0]), rtol=1e-12)


@every
def test_known_moments_give_the_same_fit(name):
    images, descriptions, _ = planted(4)
    again = quick(name).fit_moments(images, sum_images(images), descriptions)
    np.testing.assert_allclose(again.scores(images), fitted(name, images, descriptions).scores(images), rtol=1e-12)


@every
@pytest.mark.parametrize("check", METHOD_CHECKS)
def test_the_checks_that_are_offered_to_others_pass(name, check):
    METHOD_CHECKS[check](lambda: quick(name))


# What is predicted


@every
@settings(**FEW)
@seeds
def test_predictions_are_the_largest_scores_and_probabilities_sum_to_one(name, seed):
    images, descriptions, _ = planted(seed)
    model = fitted(name, images, descriptions)
    scores, probabilities, predicted = model.scores(images), model.predict_proba(images), model.predict(images)
    assert scores.shape == probabilities.shape == (len(images), len(descriptions))
    assert np.isfinite(scores).all()
    assert (probabilities >= 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-12)
    np.testing.assert_array_equal(predicted, scores.argmax(axis=1))
    np.testing.assert_array_equal(predicted, model.logits(images).argmax(axis=1))
    np.testing.assert_array_equal(probabilities, softmax(model.logits(images)))
    assert np.issubdtype(predicted.dtype, np.integer)
    # The probabilities rank as the scores do, up to those that round to the same.
    np.testing.assert_array_equal(np.take_along_axis(probabilities, predicted[:, None], 1)[:, 0], probabilities.max(1))


@every
@settings(**FEW)
@seeds
def test_permuted_images_permute_the_predictions(name, seed):
    images, descriptions, _ = planted(seed)
    order = np.random.default_rng(seed).permutation(len(images))
    # At .01 some rows are one-hot in float64, and the published greedy updates break their ties by order.
    expected = fitted(name, images, descriptions, temperature=0.05).scores(images)[order]
    scores = fitted(name, images[order], descriptions, temperature=0.05).scores(images[order])
    np.testing.assert_allclose(scores, expected, atol=1e-8)


@every
@settings(**FEW)
@seeds
def test_permuted_classes_permute_the_columns(name, seed):
    images, descriptions, _ = planted(seed)
    order = np.random.default_rng(seed).permutation(len(descriptions))
    expected = fitted(name, images, descriptions, temperature=0.05).scores(images)[:, order]
    permuted = fitted(name, images, [descriptions[c] for c in order], temperature=0.05).scores(images)
    np.testing.assert_allclose(permuted, expected, atol=1e-8)


@every
@settings(**FEW)
@given(st.lists(st.integers(0, 90), max_size=4), st.sampled_from([np.float16, np.float32, np.float64]))
def test_chunks_give_what_an_array_gives(name, ends, dtype):
    images, descriptions, _ = planted(5)
    images = images.astype(dtype)
    expected = fitted(name, images, descriptions)
    source = Chunked(images, ends)
    model = fitted(name, source, descriptions)
    np.testing.assert_allclose(model.scores(source), expected.scores(images), rtol=1e-10, atol=1e-10)
    np.testing.assert_array_equal(model.predict(source), expected.predict(images))
    assert model.predict_proba(source).dtype == np.float64


@every
def test_an_image_scores_the_same_alone_and_among_others(name):
    images, descriptions, _ = planted(6)
    model = fitted(name, images, descriptions)
    alone = np.concatenate([model.scores(images[i : i + 1]) for i in range(10)])
    np.testing.assert_allclose(alone, model.scores(images)[:10], rtol=1e-12, atol=1e-10)


def test_more_images_than_one_working_block_keep_their_order():
    images, descriptions, _ = planted(7, n=50)
    model = fitted("kpl", images, descriptions)
    many = np.resize(images, (CHUNK_ROWS + 150, images.shape[1]))
    np.testing.assert_array_equal(model.predict(many), np.resize(model.predict(images), len(many)))


# What cannot be used is refused


@every
@pytest.mark.parametrize("call", ["predict", "predict_proba", "scores"])
def test_nothing_is_predicted_before_fit(name, call):
    with pytest.raises(NotFittedError, match=r"call fit\(images, descriptions\) first"):
        getattr(make_method(name), call)(random_rows(0, 3, 4))


@every
def test_a_one_shot_iterator_is_refused(name):
    images, descriptions, _ = planted(8)
    with pytest.raises(FeaturesError, match="one-shot"):
        quick(name).fit((block for block in [images]), descriptions)
    model = fitted(name, images, descriptions)
    for call in (model.predict, model.predict_proba, model.scores):
        with pytest.raises(FeaturesError, match="one-shot"):
            call(iter([images]))


def spoilt_images(images):
    nan, zero = images.copy(), images.copy()
    nan[3, 2] = np.nan
    zero[5] = 0
    return {
        "row 3 is not finite": nan,
        "row 5 is all zero": zero,
        "no row": images[:0],
        r"must be \(n, d\)": images[0],
    }


def spoilt_descriptions(descriptions):
    first, second, *rest = descriptions
    nan, zero = second.copy(), second.copy()
    nan[1] = np.inf
    zero[0] = 0
    return {
        "class 1: row 1 is not finite": [first, nan, *rest],
        "class 1: row 0 is all zero": [first, zero, *rest],
        r"class 1 must be \(m, 16\) with m >= 1, got \(6, 15\)": [first, second[:, :15], *rest],
        r"class 0 must be \(m, 16\)": [rows[:, :15] for rows in descriptions],
        r"class 1 must be \(m, 16\) with m >= 1, got \(0, 16\)": [first, second[:0], *rest],
        r"class 1 must be \(m, 16\) with m >= 1, got \(0,\)": [first, [], *rest],
        r"class 0 must be \(m, 16\) with m >= 1, got \(16,\)": [rows[0] for rows in descriptions],
        "at least two classes are needed to tell apart, got 1": [first],
        "at least two classes are needed to tell apart, got 0": [],
    }


@every
def test_features_that_cannot_be_used_are_refused(name):
    images, descriptions, _ = planted(9)
    model = fitted(name, images, descriptions)
    for message, wrong in spoilt_images(images).items():
        for call in (lambda rows: quick(name).fit(rows, descriptions), model.predict, model.predict_proba):
            with pytest.raises(FeaturesError, match=message):
                call(wrong)
    for message, wrong in spoilt_descriptions(descriptions).items():
        with pytest.raises(FeaturesError, match=message):
            quick(name).fit(images, wrong)


@every
def test_images_of_another_dimension_are_refused(name):
    images, descriptions, _ = planted(9)
    model = fitted(name, images, descriptions)
    for call in (model.predict, model.predict_proba, model.scores):
        with pytest.raises(FeaturesError, match="with d = 16, got a block"):
            call(images[:, :7])
    with pytest.raises(FeaturesError, match="d = 16"):
        quick(name).fit([images, images[:, :7]], descriptions)


@every
@pytest.mark.parametrize("setting", ["k", "temperature"])
def test_a_refused_fit_leaves_nothing_to_predict_with(name, setting):
    images, descriptions, _ = planted(10)
    model = fitted(name, images, descriptions)
    setattr(model, setting, 0)
    with pytest.raises(InputError, match=f"{setting}.*got 0"):
        model.fit(images, descriptions)
    with pytest.raises(NotFittedError):
        model.predict(images)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [(name, {"learning_rate": 0.0}) for name in STEPS]
    + [(name, {"image_temperature": -1.0}) for name in STEPS]
    + [
        ("kpl", {"ridge": 0.0}),
        ("kpl", {"rounds": 0}),
        ("kpl-closed", {"ridge": -1.0}),
        ("text", {"retrieval": "both"}),
    ],
)
def test_settings_without_a_meaning_are_refused_before_they_predict(name, wrong):
    images, descriptions, _ = planted(10)
    model = quick(name, **wrong)
    with pytest.raises(InputError, match=next(iter(wrong)).replace("_", " ")):
        model.fit(images, descriptions)
    with pytest.raises(NotFittedError):
        model.predict(images)


# Small, equal and degenerate: a defined result

SIZES = {
    "one image": (random_rows(0, 1, 8), [random_rows(c, 3, 8) for c in range(1, 4)]),
    "fewer images than classes": (random_rows(0, 3, 8), [random_rows(c, 3, 8) for c in range(1, 9)]),
    "two classes": (random_rows(0, 30, 8), [random_rows(c, 3, 8) for c in (1, 2)]),
    "more dimensions than images": (random_rows(0, 6, 40), [random_rows(c, 3, 40) for c in range(1, 4)]),
    "one dimension": (np.array([[1.0], [-1.0], [1.0]]), [np.array([[1.0]]), np.array([[-1.0]])]),
    "one description each": (random_rows(0, 30, 8), [random_rows(c, 1, 8) for c in range(1, 4)]),
    "unequal numbers of descriptions": (random_rows(0, 30, 8), [random_rows(c, c * c, 8) for c in (1, 2, 7)]),
    "identical images": (np.repeat(random_rows(0, 1, 8), 40, axis=0), [random_rows(c, 3, 8) for c in range(1, 5)]),
    "every image twice": (random_rows(0, 30, 8)[np.tile(range(30), 2)], [random_rows(c, 3, 8) for c in range(1, 4)]),
    "a description in two classes": (
        random_rows(0, 30, 8),
        [np.vstack([random_rows(c, 2, 8), random_rows(9, 1, 8)]) for c in (1, 2, 3)],
    ),
    "all classes with the same descriptions": (random_rows(0, 30, 8), [random_rows(1, 3, 8)] * 3),
    "descriptions that cancel out": (
        random_rows(0, 30, 8),
        [np.vstack([random_rows(1, 1, 8), -random_rows(1, 1, 8)]), random_rows(2, 2, 8)],
    ),
    "descriptions that cancel out in every class": (
        random_rows(0, 30, 8),
        [np.vstack([random_rows(1, 1, 8), -random_rows(1, 1, 8)])] * 2,
    ),
    "images that cancel out": (
        np.vstack([random_rows(0, 30, 8), -random_rows(0, 30, 8)]),
        [random_rows(c, 3, 8) for c in range(1, 4)],
    ),
}


@every
@pytest.mark.parametrize("case", SIZES)
@pytest.mark.parametrize("temperature", [0.01, 1.0])
def test_degenerate_worlds_have_a_finite_result(name, case, temperature):
    images, descriptions = SIZES[case]
    descriptions = texts_for(METHODS[name].reads, descriptions)
    model = fitted(name, images, descriptions, temperature=temperature)
    assert np.isfinite(model.scores(images)).all()
    np.testing.assert_allclose(model.predict_proba(images).sum(axis=1), 1, atol=1e-12)
    assert set(model.predict(images)) <= set(range(len(descriptions)))
    for row in explain(model, images[:3], refit_on=images, top=1):
        assert np.isfinite([row.text_margin, row.proxy_margin, *(s.text_share for s in row.sentences)]).all()
        assert np.isfinite([s.proxy_effect for s in row.sentences if s.proxy_effect is not None]).all()


@every
def test_equal_images_get_equal_scores(name):
    for case in ("identical images", "every image twice"):
        images, descriptions = SIZES[case]
        scores = fitted(name, images, texts_for(METHODS[name].reads, descriptions)).scores(images)
        np.testing.assert_allclose(scores[:20], scores[len(images) // 2 :][:20], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", sorted(set(EVERY) - set(STEPS)))  # the greedy updates break ties by order
def test_classes_with_the_same_descriptions_get_the_same_scores_and_the_first_is_taken(name):
    images, descriptions = SIZES["all classes with the same descriptions"]
    model = fitted(name, images, texts_for(METHODS[name].reads, descriptions))
    scores = model.scores(images)
    np.testing.assert_allclose(scores, np.broadcast_to(scores[:, :1], scores.shape), atol=1e-9)
    np.testing.assert_allclose(model.predict_proba(images), 1 / 3, atol=1e-9)


# Names


@pytest.mark.parametrize(
    ("given_name", "nearest"), [("kpll", "kpl"), ("KPL", "kpl"), ("in-map", "inmap"), ("tex", "text")]
)
def test_an_unknown_method_is_refused_with_the_nearest(given_name, nearest):
    with pytest.raises(UnknownNameError, match=f"unknown method '{given_name}': did you mean '{nearest}'"):
        make_method(given_name)


def test_a_class_in_the_place_of_a_name_is_refused_as_unknown():
    with pytest.raises(UnknownNameError, match=r"unknown method .*KPL.*Known: "):
        make_method(kpl.KPL)


@pytest.mark.parametrize(
    ("name", "setting", "nearest"),
    [("kpl", "anchor_image", "anchor_images"), ("text", "retreival", "retrieval"), ("inmap", "round", "rounds")],
)
def test_an_unknown_setting_is_refused_with_the_nearest(name, setting, nearest):
    with pytest.raises(UnknownNameError, match=f"unknown setting of {name} '{setting}': did you mean '{nearest}'"):
        make_method(name, **{setting: 1})


@every
@pytest.mark.parametrize("key", ["labels", "text_", "fitted_", "reads"])
def test_what_is_learnt_or_fixed_is_no_setting(name, key):
    with pytest.raises(UnknownNameError, match=f"unknown setting of {name} '{key}'"):
        make_method(name, **{key: 1})


@every
def test_settings_left_out_keep_their_defaults_and_none_is_a_value(name):
    assert settings_of(make_method(name)) == settings_of(METHODS[name]())
    assert make_method(name, k=None).k is None
    assert make_method(name, k=3).k == 3
