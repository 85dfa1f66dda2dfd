"""How far pictures are from those learnt from: without bias, blind to the mix of classes, alike however they come."""

from __future__ import annotations

from copy import copy
from dataclasses import asdict

import numpy as np
import pytest

from kpl.proxies.arrays import unit_rows
from kpl.proxies.site import Arrivals, nobodys, sums_by_class
from kpl.proxies.sums import ClassSums, ImageMoments, sum_images

DIM, CLASSES = 24, 4
SHAPE = np.linspace(0.2, 0.02, DIM)  # of a class, along each axis


def world(rng, count, shares=(0.25,) * CLASSES, moved=0.0):
    """Rows of unit length around class means, and the class of each."""
    classes = rng.choice(CLASSES, count, p=shares)
    rows = np.eye(DIM)[classes] + rng.normal(size=(count, DIM)) * SHAPE
    rows[:, -1] += moved
    return rows / np.linalg.norm(rows, axis=1, keepdims=True), classes


def classes_of(rows):
    return rows[:, :CLASSES].argmax(axis=1)


@pytest.fixture(scope="module")
def known() -> Arrivals:
    rows, _ = world(np.random.default_rng(0), 2000)
    return Arrivals(sum_images(rows), sums_by_class(rows, classes_of, CLASSES))


def moved_of(known, rows, sizes=None):
    arrivals = copy(known)
    arrivals.add(rows, classes_of(rows), sizes)
    return arrivals.moved()


def test_the_sums_are_those_of_the_classes_whatever_the_chunks():
    rows, _ = world(np.random.default_rng(1), 500)
    weights = np.random.default_rng(2).uniform(0.2, 1, 500)
    sums = sums_by_class([rows[:7], rows[7:300], rows[300:]], classes_of, CLASSES, weights)
    for c in range(CLASSES):
        own = classes_of(rows) == c
        assert sums.mass[c] == pytest.approx(weights[own].sum())
        assert sums.weighted[c] == pytest.approx(weights[own] @ rows[own])


def test_the_same_place_has_no_shift_on_average_however_few_they_are(known):
    for count in (3, 20, 200):
        found = []
        for seed in range(300):
            moved = moved_of(known, world(np.random.default_rng([3, count, seed]), count)[0])
            found.append(moved)
        assert np.mean([each.far for each in found]) <= 0.05
        assert np.median([each.shift for each in found]) < np.median([each.far_from for each in found]) / 2
    assert np.mean([each.spread for each in found]) == pytest.approx(1.0, abs=0.05)


def test_other_shares_of_the_classes_are_no_shift(known):
    rows, _ = world(np.random.default_rng(4), 400, shares=(0.9, 0.1, 0.0, 0.0))
    moved = moved_of(known, rows)
    assert not moved.far
    assert moved.prior == pytest.approx(0.65, abs=0.05)


def test_another_place_is_far_the_surer_the_more_there_are(known):
    shifts = [moved_of(known, world(np.random.default_rng(5), count, moved=0.05)[0]) for count in (5, 50, 500)]
    assert shifts[-1].far
    assert shifts[0].far_from > shifts[1].far_from > shifts[2].far_from
    assert shifts[2].shift == pytest.approx(shifts[1].shift, rel=0.3)
    wide, _ = world(np.random.default_rng(6), 500)
    centres = np.eye(DIM)[classes_of(wide)]
    assert moved_of(known, centres + 2 * (wide - centres)).spread > 3


def test_lots_and_units_add_up(known):
    rows, _ = world(np.random.default_rng(7), 60, moved=0.05)
    whole, parts = moved_of(known, rows), copy(known)
    for start in range(0, 60, 7):
        parts.add(rows[start : start + 7], classes_of(rows[start : start + 7]))
    assert parts.moved().shift == pytest.approx(whole.shift)
    assert parts.moved().spread == pytest.approx(whole.spread)
    thrice = moved_of(known, np.repeat(rows, 3, axis=0), [3] * 60)  # three like slices of a patient count as one
    assert (thrice.pictures, thrice.shift) == (60, pytest.approx(whole.shift))
    assert thrice.far_from == pytest.approx(whole.far_from)
    assert known.moved() is None, "a copy goes on by itself"


def test_what_is_hardly_known_counts_for_the_shares_alone():
    classes = np.array([0] * 40 + [1] * 6 + [2] * 2)
    rows = np.eye(3)[classes] + 0.01 * np.random.default_rng(8).normal(size=(48, 3))
    sums = ClassSums(3, 3).update(rows, np.eye(3)[classes])
    assert nobodys(sums).mass.tolist() == [40, 0, 0], "what is left over is of eight, not of two"
    arrivals = Arrivals(sum_images(rows), sums)
    arrivals.add(np.eye(3)[[1] * 20], np.array([1] * 20))
    assert arrivals.moved() is None
    arrivals.add(rows[:20], classes[:20])
    moved = arrivals.moved()
    assert (moved.pictures, moved.far) == (20, False)
    assert moved.prior == pytest.approx(40 / 48 - 0.5)


def test_pictures_all_alike_raise_nothing():
    rows = np.ones((10, 4)) / 2
    moments = ImageMoments(10, rows[0], np.outer(rows[0], rows[0]))
    arrivals = Arrivals(moments, ClassSums(2, 4).update(rows, np.eye(2)[[0] * 10]))
    arrivals.add(rows[:5], np.zeros(5, np.intp))
    moved = arrivals.moved()
    assert not moved.far
    assert np.isfinite([moved.shift, moved.far_from, moved.spread, moved.prior]).all()


def test_pictures_that_come_in_chunks_anywhere_are_the_same(known):
    rows = unit_rows(world(np.random.default_rng(6), 300)[0])
    one, all_at_once = copy(known), copy(known)
    one.add(rows, classes_of(rows))
    for part in ([rows[:50], rows[50:90]], rows[90:]):
        all_at_once.add_all(part, classes_of)
    assert asdict(all_at_once.moved()) == pytest.approx(asdict(one.moved()))
