"""The association of two codings: against an independent computation, and by what shuffling it is tested."""

import numpy as np
import pytest

from kpl.curation.association import cramers_v
from kpl.curation.auditing import _coded, _followed


def test_v_is_that_of_the_formula():
    table = np.array([[20.0, 5, 5], [5, 25, 10]])
    n, (rows, columns) = table.sum(), table.shape
    expected = np.outer(table.sum(1), table.sum(0)) / n
    phi2 = ((table - expected) ** 2 / expected).sum() / n
    phi2 = max(0, phi2 - (rows - 1) * (columns - 1) / (n - 1))
    least = min(rows - (rows - 1) ** 2 / (n - 1), columns - (columns - 1) ** 2 / (n - 1)) - 1
    assert cramers_v(table) == pytest.approx(np.sqrt(phi2 / least))
    assert cramers_v(np.diag([10.0, 12.0])) == pytest.approx(1.0, abs=0.02)
    assert cramers_v(np.array([[3.0, 4.0]])) == 0


def test_pictures_of_one_patient_are_no_evidence_of_their_own():
    """Six patients of fifty like pictures: by pictures the column explains all, by patients it is six against six."""
    rng = np.random.default_rng(0)
    site = np.repeat([0, 0, 1, 1, 0, 1], 50)
    said = np.repeat([0, 0, 1, 1, 1, 1], 50)
    patients = [f"P{at // 50}" for at in range(300)]
    alone = _followed(said, site, "AB", 2, None, 200, rng)
    together = _followed(said, site, "AB", 2, patients, 200, rng)
    assert alone.v == together.v > 0.5
    assert alone.p_value < 0.01
    assert together.p_value > 0.1
    assert together.interval[1] - together.interval[0] > 2 * (alone.interval[1] - alone.interval[0])


def test_a_column_that_changes_within_patients_is_shuffled_within_them():
    rng = np.random.default_rng(0)
    said = np.tile([0, 1], 100)
    assert _followed(said, said, "AB", 2, [f"P{at // 2}" for at in range(200)], 200, rng).p_value < 0.01
    by_patient = np.repeat([0, 1], 100)
    noise = rng.integers(0, 2, 200)
    assert _followed(by_patient, noise, "AB", 2, ["P0"] * 100 + ["P1"] * 100, 200, rng).p_value > 0.9


@pytest.mark.parametrize(
    ("cells", "values", "reason"),
    [
        (["2019-03-01", "2020-01-01"] * 6, ("2019", "2020"), ""),
        ([str(number) for number in range(40)], ("up to 9.75", "up to 19.5", "up to 29.25", "above 29.25"), ""),
        (["1", "2", None] * 6, ("1", "2"), ""),
        (["10", "9"] * 6, ("9", "10"), ""),
        ([f"x{n}" for n in range(30)], (), "30 different values: an identifier or free text"),
        (["a"] * 20, (), "every picture has 'a'"),
        (["a", "b"] * 3, (), "6 of 6 pictures have a value, 10 are needed"),
    ],
)
def test_a_column_is_taken_by_what_it_holds(cells, values, reason):
    found = _coded(cells)
    assert (found[0], found[2]) == (values, reason)


def test_false_alarms_are_as_rare_as_is_said():
    rng = np.random.default_rng(1)
    alarms = [
        _followed(rng.integers(0, 3, 60), rng.integers(0, 4, 60), "ABCD", 3, None, 99, rng).p_value < 0.05
        for _ in range(120)
    ]
    assert np.mean(alarms) < 0.12
