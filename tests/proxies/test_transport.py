from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from kpl.errors import InputError
from kpl.proxies.transport import official_greenkhorn, sinkhorn

from . import transcription
from .cases import FEW


@st.composite
def problems(draw):
    """Logits in [-1, 1] and masses with one total; columns may be empty, not all of them."""
    n, n_classes = draw(st.integers(1, 8)), draw(st.integers(1, 5))
    logits = draw(arrays(np.float64, (n, n_classes), elements=st.floats(-1, 1)))
    rows = draw(arrays(np.float64, n, elements=st.floats(1e-3, 1)))
    columns = draw(arrays(np.float64, n_classes, elements=st.just(0.0) | st.floats(1e-3, 1)))
    columns[draw(st.integers(0, n_classes - 1))] = 0.5
    return logits, rows, columns * rows.sum() / columns.sum()


def random_problem(seed, n=12, n_classes=4):
    rng = np.random.default_rng(seed)
    columns = rng.dirichlet(np.ones(n_classes))
    return rng.uniform(-1, 1, (n, n_classes)), rng.dirichlet(np.ones(n)), columns


def without_rows(table):
    return table - table.mean(1, keepdims=True)


@settings(**FEW)
@given(problems(), st.sampled_from([1e-4, 0.01, 0.1, 1.0]))
def test_every_plan_is_finite_keeps_its_rows_and_says_how_far_it_came(problem, temperature):
    logits, rows, columns = problem
    found = sinkhorn(logits, temperature, row_mass=rows, column_mass=columns, max_iterations=200)
    assert np.isfinite(found.plan).all()
    assert (found.plan >= 0).all()
    assert (found.plan[:, columns == 0] == 0).all()
    np.testing.assert_allclose(found.plan.sum(1), rows, rtol=1e-9)
    off = np.abs(found.plan.sum(1) - rows).sum() + np.abs(found.plan.sum(0) - columns).sum()
    assert found.marginal_error == pytest.approx(off / rows.sum(), abs=1e-12)
    if found.converged:
        assert found.marginal_error < 1e-8
    assert 1 <= found.iterations <= 200


@settings(**FEW)
@given(problems())
def test_both_marginals_hold_for_any_masses(problem):
    logits, rows, columns = problem
    found = sinkhorn(logits, 1.0, row_mass=rows, column_mass=columns)
    assert found.converged
    np.testing.assert_allclose(found.plan.sum(1), rows, atol=1e-8)
    np.testing.assert_allclose(found.plan.sum(0), columns, atol=1e-8)
    # A plan with these marginals is the optimal one if its logarithm splits: log P = L / tau + f_i + g_j.
    held = columns > 0
    rest = without_rows(np.log(found.plan[:, held]) - logits[:, held])
    np.testing.assert_allclose(rest, np.broadcast_to(rest[0], rest.shape), atol=1e-7)


@settings(**FEW)
@given(problems(), st.sampled_from([0.2, 0.5, 1.0]))
def test_plans_agree_with_the_iteration_in_logarithms(problem, temperature):
    logits, rows, columns = problem
    expected = transcription.log_transport(logits, temperature, rows, columns, 300)
    options = {"row_mass": rows, "column_mass": columns}
    found = sinkhorn(logits, temperature, **options, tolerance=0, max_iterations=300)
    np.testing.assert_allclose(found.plan, expected, atol=1e-9)


@pytest.mark.parametrize("temperature", [1e-4, 1e-3, 0.01])
def test_a_cold_kernel_that_underflows_agrees_with_the_iteration_in_logarithms(temperature):
    logits, rows, columns = random_problem(0)
    logits[:, 0] -= 3  # no row reaches this class: exp(-3 / 1e-4) is zero
    expected = transcription.log_transport(logits, temperature, rows, columns, 100)
    found = sinkhorn(logits, temperature, row_mass=rows, column_mass=columns, tolerance=0, max_iterations=100)
    np.testing.assert_allclose(found.plan, expected, atol=1e-9)
    assert found.plan[:, 0].sum() > 0.01


@settings(**FEW)
@given(problems(), st.sampled_from([0.05, 1.0]), st.randoms(use_true_random=False))
def test_permuted_images_permute_the_plan_and_shifted_rows_change_nothing(problem, temperature, random):
    logits, rows, columns = problem
    options = {"column_mass": columns, "tolerance": 0, "max_iterations": 30}
    plan = sinkhorn(logits, temperature, row_mass=rows, **options).plan
    order = random.sample(range(len(rows)), len(rows))
    permuted = sinkhorn(logits[order], temperature, row_mass=rows[order], **options).plan
    np.testing.assert_allclose(permuted, plan[order], atol=1e-10)
    shifted = logits + np.linspace(-3, 3, len(rows))[:, None]
    np.testing.assert_allclose(sinkhorn(shifted, temperature, row_mass=rows, **options).plan, plan, atol=1e-10)


def test_masses_are_equal_by_default():
    plan = sinkhorn(random_problem(2)[0], 0.5).plan
    np.testing.assert_allclose(plan.sum(1), 1 / 12, atol=1e-9)
    np.testing.assert_allclose(plan.sum(0), 1 / 4, atol=1e-8)
    counts = sinkhorn(random_problem(2)[0], 0.5, row_mass=np.ones(12)).plan
    np.testing.assert_allclose(counts, 12 * plan, atol=1e-7)


def test_totals_that_agree_up_to_float32_converge():
    columns = np.array([0.1, 0.2, 0.3, 0.4]) * (1 + 5e-7)
    assert sinkhorn(random_problem(3)[0], 0.5, column_mass=columns).converged


def test_a_plan_that_was_stopped_early_says_so():
    logits, rows, columns = random_problem(4)
    found = sinkhorn(logits, 0.01, row_mass=rows, column_mass=columns, max_iterations=1)
    assert (found.iterations, found.converged) == (1, False)
    assert found.marginal_error > 1e-3
    assert np.isfinite(found.plan).all()


@pytest.mark.parametrize("tiny", [1e-300, 5e-324])
def test_nearly_empty_columns_are_no_trouble(tiny):
    logits, columns = random_problem(7)[0], np.array([tiny, 0.3, 0.3, 0.4])
    found = sinkhorn(logits, 0.5, column_mass=columns)
    assert found.converged
    assert found.plan[:, 0].sum() < 1e-250


OK = np.zeros((2, 3))


@pytest.mark.parametrize(
    ("logits", "temperature", "masses", "message"),
    [
        (np.zeros(3), 1.0, {}, "shape"),
        (np.zeros((0, 3)), 1.0, {}, "shape"),
        (np.zeros((3, 0)), 1.0, {}, "shape"),
        (np.array([[np.nan, 0]]), 1.0, {}, "finite"),
        (np.array([[np.inf, 0]]), 1.0, {}, "finite"),
        (np.array([[-np.inf, 0]]), 1.0, {}, "finite"),
        (np.array([[1e308, -1e308]]), 1.0, {}, "spread"),
        (np.array([[1e306, 0]]), 1e-4, {}, "spread"),
        (OK, 0.0, {}, "temperature"),
        (OK, -1.0, {}, "temperature"),
        (OK, np.nan, {}, "temperature"),
        (OK, 1.0, {"row_mass": np.ones(3)}, r"\(2,\)"),
        (OK, 1.0, {"column_mass": np.ones(2) / 2}, r"\(3,\)"),
        (OK, 1.0, {"row_mass": np.array([1.0, 0.0])}, "positive"),
        (OK, 1.0, {"row_mass": np.array([2.0, -1.0])}, "positive"),
        (OK, 1.0, {"row_mass": np.array([np.nan, 1.0])}, "positive"),
        (OK, 1.0, {"column_mass": np.array([1.5, 0.0, -0.5])}, "zero or more"),
        (OK, 1.0, {"column_mass": np.array([np.inf, 0, 0])}, "finite"),
        (OK, 1.0, {"column_mass": np.array([0.5, 0.5, 0.5])}, "same total"),
        (OK, 1.0, {"row_mass": np.full(2, 1e-10), "column_mass": np.zeros(3)}, "same total"),
        (OK, 1.0, {"row_mass": np.full(2, 1e-10), "column_mass": np.full(3, 1e-9)}, "same total"),
    ],
)
def test_problems_without_a_plan_are_refused(logits, temperature, masses, message):
    with pytest.raises(InputError, match=message):
        sinkhorn(logits, temperature, **masses)


@pytest.mark.parametrize(("n", "n_classes", "updates"), [(200, 6, 20), (40, 19, 20), (300, 30, 10), (50, 2, 30)])
def test_the_released_transport_agrees_with_its_transcription(n, n_classes, updates):
    rng = np.random.default_rng(n)
    logits = rng.normal(size=(n, n_classes)) * 3
    log_p = logits - transcription.log_sum_exp(logits, 1)[:, None]
    before = np.exp(log_p)
    found = official_greenkhorn(before, updates)
    np.testing.assert_allclose(found, transcription.released_transport(log_p, updates), rtol=1e-10)
    np.testing.assert_array_equal(before, np.exp(log_p))


def test_the_first_released_updates_divide_each_column_by_its_sum():
    p = np.random.default_rng(0).dirichlet(np.ones(5), 400)
    np.testing.assert_allclose(official_greenkhorn(p, 5), p / p.sum(0) / 5, rtol=1e-12)
    np.testing.assert_array_equal(official_greenkhorn(p, 0), p)


def test_the_released_transport_leaves_a_class_that_nothing_reaches_empty():
    p = np.random.default_rng(1).dirichlet(np.ones(3), 50) @ np.eye(3, 4)
    found = official_greenkhorn(p, 20)
    assert np.isfinite(found).all()
    assert (found[:, 3] == 0).all()
