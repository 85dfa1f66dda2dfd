"""Exact transport against a linear programme, and against POT where that is installed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from kpl.errors import InputError
from kpl.methods.otter import exact_transport

FEW = {"deadline": None, "max_examples": 40}


def drawn(seed, n, n_classes, tied):
    rng = np.random.default_rng(seed)
    cost = rng.integers(0, 3, (n, n_classes)).astype(float) if tied else rng.normal(size=(n, n_classes))
    mass = rng.integers(0, 3, n_classes) + rng.random(n_classes) * rng.integers(0, 2, n_classes)
    mass[0] += 1.0
    return cost, mass * n / mass.sum()


def least_cost(cost, mass):
    n, n_classes = cost.shape
    rows, columns = np.kron(np.eye(n), np.ones(n_classes)), np.kron(np.ones(n), np.eye(n_classes))
    return linprog(cost.ravel(), A_eq=np.vstack([rows, columns]), b_eq=np.concatenate([np.ones(n), mass])).fun


@settings(**FEW)
@given(st.integers(0, 1000), st.integers(1, 12), st.integers(1, 5), st.booleans())
def test_the_plan_costs_what_a_linear_programme_costs(seed, n, n_classes, tied):
    cost, mass = drawn(seed, n, n_classes, tied)
    found = exact_transport(cost, mass)
    assert (found.plan * cost).sum() == pytest.approx(least_cost(cost, mass), abs=1e-7)
    np.testing.assert_allclose(found.plan.sum(axis=1), 1, atol=1e-7)
    np.testing.assert_allclose(found.plan.sum(axis=0), mass, atol=1e-6)
    assert (found.plan >= 0).all()


@settings(**FEW)
@given(st.integers(0, 1000), st.integers(1, 60), st.integers(2, 6))
def test_the_prices_give_the_assignment_back(seed, n, n_classes):
    cost, mass = drawn(seed, n, n_classes, tied=False)
    found = exact_transport(cost, mass)
    np.testing.assert_array_equal((cost - found.prices).argmin(axis=1), found.assignment)


def test_rows_that_are_all_alike_fill_the_columns():
    found = exact_transport(np.tile([0.0, 1.0, 5.0], (400, 1)), np.array([100.0, 100.0, 200.0]))
    np.testing.assert_allclose(found.plan.sum(axis=0), [100, 100, 200])


@pytest.mark.parametrize(
    ("cost", "mass"),
    [
        (np.zeros(3), [1.0, 2.0]),
        (np.full((2, 2), np.nan), [1.0, 1.0]),
        (np.zeros((2, 2)), [1.0, 1.0, 0.0]),
        (np.zeros((2, 2)), [3.0, -1.0]),
        (np.zeros((2, 2)), [1.0, 0.5]),
    ],
)
def test_what_has_no_plan_is_refused(cost, mass):
    with pytest.raises(InputError):
        exact_transport(cost, np.array(mass))


def test_pot_finds_the_same():
    ot = pytest.importorskip("ot", reason="not installed: POT, of the group test")
    cost, mass = drawn(3, 200, 7, tied=False)
    expected = ot.emd(np.ones(200), mass, cost)
    assert (exact_transport(cost, mass).plan * cost).sum() == pytest.approx((expected * cost).sum())
