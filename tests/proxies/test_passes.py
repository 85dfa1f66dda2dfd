"""A pass over images gives the same bits in any order and any split."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpl.proxies.anchored import AnchoredRounds, AnchoredSettings
from kpl.proxies.passes import Exact, Placed, Spread, add_up, added_up, sampled
from kpl.proxies.retrieval import retrieve
from kpl.proxies.sums import ClassSums, sum_images

from .cases import FEW, random_rows

N = 60


class _Elsewhere:
    """Images in shards that others hold, added up in an order of their own."""

    def __init__(self, shards, order):
        self.shards, self.order = shards, order
        self.n = sum(map(len, shards))

    def rows_at(self, places):
        return np.concatenate(self.shards)[places]

    def add_up(self, work, step, weights, grains):
        starts = np.cumsum([0, *map(len, self.shards)])
        own = Exact(grains)
        for hand in (self.order[::2], self.order[1::2]):  # two workers, each with a copy of the work
            theirs, held = Exact(grains), copy.deepcopy(work)
            for place in hand:
                rows = slice(starts[place], starts[place + 1])
                given = None if weights is None else weights[rows]
                theirs.merge(added_up(self.shards[place], held, step, given, grains, first=int(starts[place])))
            own.merge(theirs)
        return own


@settings(**FEW)
@given(st.permutations(range(5)), st.booleans(), st.integers(0, 9))
def test_a_fit_has_the_same_bits_wherever_the_images_are(order, weighted, seed):
    images = random_rows(seed, N, 8)
    weights = np.random.default_rng(seed).uniform(0.01, 40, N) if weighted else None
    shards = np.split(images, [7, 20, 21, 50])
    texts = [random_rows(100 + c, 3, 8) for c in range(3)]
    elsewhere = _Elsewhere(shards, order)
    assert isinstance(elsewhere, Spread)
    found = []
    for source in (shards, elsewhere):
        moments = sum_images(source, weights)
        rounds = AnchoredRounds(texts, retrieve(moments.mean, texts), moments, AnchoredSettings())
        step, sums = rounds.start(), None
        while step is not None:
            sums = ClassSums.of(*add_up(source, rounds, weights, step, most=moments.count))
            step = rounds.after(step, sums)
        found.append((moments.mean, moments.gram, sums.mass, sums.weighted, sampled(source, weights, most=20)[0]))
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


@settings(**FEW)
@given(st.floats(1e-200, 1e200), st.integers(0, 9))
def test_sums_are_as_fine_as_those_in_float64(scale, seed):
    images, weights = random_rows(seed, N, 5), np.random.default_rng(seed).uniform(0.5, 1, N) * scale
    moments = sum_images(images, weights)
    assert moments.count == pytest.approx(weights.sum(), rel=1e-15)
    wanted = (images * weights[:, None]).T @ images / weights.sum()
    np.testing.assert_allclose(moments.gram, wanted, rtol=0, atol=1e-15)


def test_what_is_merged_stays_as_it_is():
    one, other = Exact((40,)), Exact((40,))
    one.add((np.ones(2),))
    other.add((np.full(2, 0.5),))
    before = copy.deepcopy(other.floats())
    one.merge(other)
    one.merge(Exact((40,)))
    assert one.floats()[0].tolist() == [1.5, 1.5]
    np.testing.assert_array_equal(other.floats(), before)
    one.merge(one)
    assert one.floats()[0].tolist() == [3.0, 3.0]


def test_arrays_and_chunks_are_no_placed_images():
    assert not isinstance(np.eye(2), Placed)
    assert not isinstance([np.eye(2)], Placed)
