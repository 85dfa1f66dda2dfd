"""Learning on from corrections: the sums are clamped, and what nobody said changes nothing."""

from __future__ import annotations

import numpy as np
import pytest

from kpl.curation.learning import CorrectedKPL
from kpl.curation.queue import _most_typical
from kpl.errors import InputError
from kpl.methods import KPL, METHODS
from kpl.testing.worlds import planted


@pytest.fixture(scope="module")
def world():
    return planted(3, n=120)


def test_without_a_correction_it_is_kpl(world):
    plain = KPL().fit(world.images, world.texts)
    own = CorrectedKPL().fit_corrected(world.images, world.texts, {})
    np.testing.assert_array_equal(own.predict_proba(world.images), plain.predict_proba(world.images))


def test_it_is_no_method_of_the_registry():
    assert CorrectedKPL.name not in METHODS


def test_classes_named_the_other_way_round_are_learnt_from_corrections(world):
    swapped = [world.texts[c] for c in (1, 0, 2, 3)]
    rows = np.concatenate([np.flatnonzero(world.classes == c)[:6] for c in range(4)])
    said = {int(row): int(world.classes[row]) for row in rows}
    rest = np.setdiff1d(np.arange(len(world.images)), rows)
    before = KPL().fit(world.images, swapped).predict(world.images)[rest]
    after = CorrectedKPL().fit_corrected(world.images, swapped, said).predict(world.images)[rest]
    assert np.mean(after == world.classes[rest]) > np.mean(before == world.classes[rest]) + 0.2


def test_pictures_of_none_of_the_classes_take_no_part(world):
    noise = np.random.default_rng(0).normal(size=(20, world.images.shape[1]))
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    both = np.concatenate([world.images, noise])
    none = dict.fromkeys(range(len(world.images), len(both)))
    own = CorrectedKPL().fit_corrected(both, world.texts, none)
    plain = KPL().fit(world.images, world.texts)
    np.testing.assert_array_equal(own.predict_proba(world.images), plain.predict_proba(world.images))


def test_all_corrected_leaves_nothing_to_learn(world):
    with pytest.raises(InputError, match="every picture is corrected"):
        CorrectedKPL().fit_corrected(world.images, world.texts, dict.fromkeys(range(len(world.images)), 0))


def test_the_most_typical_of_the_largest_group_comes_first():
    features = np.array([[0.0], [0.1], [0.3], [5.0], [5.2]])
    assert _most_typical(features, np.array([[0.1], [5.0], [9.0]]), np.array([0, 0, 0, 1, 1])) == [1, 3]
