from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpl.proxies.arrays import CHUNK_ROWS, unit_rows
from kpl.proxies.condensed import GROUPS, LEAST, condensed

from .cases import FEW, Chunked, random_rows


@settings(**FEW)
@given(st.integers(0, 99), st.integers(1, 400), st.booleans())
def test_groups_keep_the_sum_and_the_weight_and_are_never_of_few(seed, n, weighted):
    images = random_rows(seed, n, 6)
    weights = np.random.default_rng(seed).uniform(0.2, 3, n) if weighted else None
    own = np.ones(n) if weights is None else weights
    cut = n // 3
    later = None if weights is None else weights[cut:]
    earlier = condensed(images[:cut], None if weights is None else weights[:cut]) if cut else None
    for groups in (condensed(images, weights), condensed(images[cut:], later, earlier)):
        assert groups.weights.sum() == pytest.approx(own.sum())
        np.testing.assert_allclose(groups.weights @ groups.means, own @ images, atol=1e-9)
        assert len(groups.means) <= GROUPS
        assert groups.weights.min() >= min(LEAST, own.sum()) - 1e-9


def test_how_images_come_in_chunks_changes_nothing():
    images = random_rows(1, CHUNK_ROWS + 700, 5)
    whole = condensed(images, None)
    assert len(whole.means) == pytest.approx(GROUPS, abs=60)
    again = condensed(Chunked(images, [7, 900, 4097]), None)
    np.testing.assert_allclose(again.means, whole.means, rtol=0, atol=1e-12)


def test_groups_do_not_mix_what_lies_apart():
    rng = np.random.default_rng(0)
    centres = unit_rows(rng.normal(size=(8, 16)))
    truth = np.repeat(np.arange(8), 40)
    images = unit_rows(centres[truth] + 0.05 * rng.normal(size=(320, 16)))
    groups = condensed(images[160:], None, condensed(images[:160], None))
    nearest = groups.means @ centres.T
    assert len(groups.means) > 16
    assert (np.sort(nearest, axis=1)[:, -1] > 0.9).all()
