"""Features as people have them: lists, tables, tensors; and methods as scikit-learn handles estimators."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
from sklearn.base import clone

import kpl
from kpl.errors import FeaturesError, InputError, LabelsError, NotFittedError, UnknownNameError
from kpl.methods import KPL, METHODS, make_method
from kpl.testing.worlds import planted

WORLD = planted(n=40, n_classes=3)


def frame(rows: np.ndarray) -> object:
    return importlib.import_module("pandas").DataFrame(rows)


def polars(rows: np.ndarray) -> object:
    return importlib.import_module("polars").DataFrame(rows)


@pytest.mark.parametrize(
    "make", [np.ndarray.tolist, tuple, list, *(pytest.param(m, marks=pytest.mark.torch) for m in (frame, polars))]
)
def test_tables_and_lists_are_taken_like_arrays(make):
    expected = KPL().fit(WORLD.images, WORLD.texts).predict_proba(WORLD.images)
    model = KPL().fit(make(WORLD.images), [make(rows) for rows in WORLD.texts])
    np.testing.assert_allclose(model.predict_proba(make(WORLD.images)), expected, atol=1e-12)


@pytest.mark.torch
@pytest.mark.parametrize("grad", [False, True])
def test_tensors_are_taken_like_arrays(grad):
    torch = importlib.import_module("torch")
    rows = torch.tensor(WORLD.images, requires_grad=grad)
    expected = KPL().fit(WORLD.images, WORLD.texts)
    model = KPL().fit(rows, [torch.tensor(each, requires_grad=grad) for each in WORLD.texts])
    np.testing.assert_array_equal(model.predict(rows), expected.predict(WORLD.images))
    half = KPL().fit(torch.tensor(WORLD.images).bfloat16(), WORLD.texts)
    assert np.abs(half.predict_proba(WORLD.images) - expected.predict_proba(WORLD.images)).max() < 0.2
    assert model.score(rows, torch.tensor(WORLD.classes)) == expected.score(WORLD.images, WORLD.classes)


@pytest.mark.parametrize(
    "spoilt",
    [
        "features",
        b"features",
        3.0,
        None,
        [["a", "b"]],
        [[1.0], [1.0, 2.0]],
        [1.0, 2.0],
        np.zeros((2, 2), complex),
        [{}],
    ],
)
def test_what_holds_no_features_is_refused_by_a_typed_error(spoilt):
    with pytest.raises(FeaturesError):
        KPL().fit(spoilt, WORLD.texts)
    with pytest.raises(FeaturesError):
        KPL().fit(WORLD.images, [WORLD.texts[0], spoilt])


@pytest.mark.parametrize("name", METHODS)
def test_a_method_is_cloned_with_its_settings(name):
    method = make_method(name, k=2)
    twin = clone(method)
    assert type(twin) is type(method)
    assert twin.get_params() == method.get_params()
    assert not twin.fitted_


def test_settings_are_values_none_too():
    assert make_method("kpl", k=None).k is None
    with pytest.raises(UnknownNameError, match="setting of kpl"):
        make_method("kpl", kk=None)
    with pytest.raises(UnknownNameError, match="setting of kpl"):
        KPL().set_params(labels=[0])
    with pytest.raises(InputError, match="whole number"):
        KPL(k=2.5).fit(WORLD.images, WORLD.texts)
    with pytest.raises(InputError, match="above zero"):
        KPL(temperature="hot").fit(WORLD.images, WORLD.texts)


def test_a_score_needs_one_class_an_image():
    model = KPL().fit(WORLD.images, WORLD.texts)
    for wrong in (WORLD.classes[:3], WORLD.classes + 0.5, ["a"] * 40):
        with pytest.raises((LabelsError, FeaturesError)):
            model.score(WORLD.images, wrong)
    with pytest.raises(NotFittedError):
        KPL().score(WORLD.images, WORLD.classes)


def test_the_package_says_its_version():
    assert kpl.__version__.count(".") >= 1
