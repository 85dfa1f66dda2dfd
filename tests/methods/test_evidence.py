from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpl.errors import FeaturesError, InputError, NotFittedError
from kpl.methods import KPL, CuPL, TextProxy, explain
from kpl.proxies.sums import sum_images

from .cases import EVERY, FEW, Chunked, planted, quick, unit

every = pytest.mark.parametrize("name", EVERY)


def sentence_ids(row):
    return {(s.class_index, s.index) for s in row.sentences}


def loudest(row, top):
    """The sentences at both ends of `sentences`; all when they meet."""
    n = len(row.sentences)
    return [s for place, s in enumerate(row.sentences) if n <= 2 * top or place < top or place >= n - top]


@every
@settings(**FEW)
@given(st.integers(0, 1000), st.sampled_from([1, 3, 40]))
def test_text_shares_sum_to_the_margin_of_the_text_proxies(name, seed, k):
    images, descriptions, _ = planted(seed, n=30, m=6)
    model = quick(name, k=k).fit(images, descriptions)
    scores = model.scores(images)
    for x, row_scores, row in zip(images, scores, explain(model, images), strict=True):
        first, second = np.sort(row_scores)[:-3:-1]
        assert row.winner == row_scores.argmax()
        assert row.runner_up != row.winner
        assert row_scores[row.runner_up] == second
        assert row.proxy_margin == first - second
        margin = x @ (model.text_.proxies[row.winner] - model.text_.proxies[row.runner_up])
        assert row.text_margin == pytest.approx(margin, abs=1e-12)
        assert sum(s.text_share for s in row.sentences) == pytest.approx(margin, abs=1e-12)


@every
def test_a_sentence_counts_by_its_cosine_and_its_side(name):
    images, descriptions, _ = planted(1, n=30, m=6)
    model = quick(name, k=3).fit(images, descriptions)
    for x, row in zip(images, explain(model, Chunked(images, [7])), strict=True):
        chosen = {c: model.text_.chosen[c].tolist() for c in (row.winner, row.runner_up)}
        assert sentence_ids(row) == {(c, j) for c, kept in chosen.items() for j in kept}
        for s in row.sentences:
            sign = 1 if s.class_index == row.winner else -1
            length = np.linalg.norm(descriptions[s.class_index][chosen[s.class_index]].sum(axis=0))
            expected = sign * (x @ descriptions[s.class_index][s.index]) / length
            assert s.text_share == pytest.approx(expected, abs=1e-12)
            common = sign * (images.mean(axis=0) @ descriptions[s.class_index][s.index]) / length
            assert s.text_excess == pytest.approx(expected - common, abs=1e-12)
            assert (s.proxy_effect, s.winner_without) == (None, None)
        excess = [s.text_excess for s in row.sentences]
        assert excess == sorted(excess, reverse=True)


def test_retrieval_per_image_shows_the_images_own_sentences():
    images, descriptions, _ = planted(2, n=30)
    model = TextProxy(k=2, retrieval="image").fit(images, descriptions)
    seen = set()
    for x, row in zip(images, explain(model, images), strict=True):
        kept = {c: np.argsort(-(descriptions[c] @ x))[:2] for c in (row.winner, row.runner_up)}
        assert sentence_ids(row) == {(c, j) for c, own in kept.items() for j in own.tolist()}
        winner, runner_up = (unit(descriptions[c][own].sum(axis=0)) for c, own in kept.items())
        assert row.text_margin == pytest.approx(x @ (winner - runner_up), abs=1e-12)
        assert row.text_margin == pytest.approx(row.proxy_margin, abs=1e-10)  # here the text is the method
        seen.add(frozenset(sentence_ids(row)))
    shared = {frozenset(sentence_ids(row)) for row in explain(TextProxy(k=2).fit(images, descriptions), images)}
    assert len(seen) > len(shared)


@every
@pytest.mark.parametrize("top", [1, 2, 9])
def test_the_proxy_effect_is_the_margin_lost_in_a_fit_without_the_sentence(name, top):
    images, descriptions, _ = planted(3, n=40, dim=8, m=6)
    model = quick(name, k=3).fit(images, descriptions)
    few, before = images[[0, 7, 21]], model.scores(images)
    plain = explain(model, few)
    found = explain(model, few, refit_on=Chunked(images, [11]), top=top)
    for i, (x, row) in enumerate(zip(few, found, strict=True)):
        assert sentence_ids(row) == sentence_ids(plain[i])
        assert (row.text_margin, row.proxy_margin) == (plain[i].text_margin, plain[i].proxy_margin)
        asked = loudest(row, top)
        for s in row.sentences:
            if s not in asked:
                assert s.proxy_effect is None
                continue
            gone = [s.index, s.index + 3] if name == "xplainer" else s.index  # a sentence and its negation
            without = [np.delete(d, gone, axis=0) if c == s.class_index else d for c, d in enumerate(descriptions)]
            again = model.learnt_again(images, sum_images(images), without)
            scores = again.scores(x[None])[0]
            if name != "kpl":  # which believes itself as far as before: two doubts would be compared otherwise
                np.testing.assert_allclose(scores, quick(name, k=3).fit(images, without).scores(x[None])[0])
            expected = row.proxy_margin - (scores[row.winner] - scores[row.runner_up])
            assert s.proxy_effect == pytest.approx(expected, rel=1e-7, abs=1e-9)
            assert s.winner_without == scores.argmax()
    np.testing.assert_array_equal(model.scores(images), before)  # the method itself is left as it was


def test_the_effect_of_a_sentence_on_cupl_is_what_its_text_margin_loses():
    images, descriptions, _ = planted(4, n=20)
    model = CuPL().fit(images, descriptions)
    for x, row in zip(images, explain(model, images, refit_on=images, top=99), strict=True):
        for s in row.sentences:
            without = [np.delete(d, s.index, axis=0) if c == s.class_index else d for c, d in enumerate(descriptions)]
            winner, runner_up = (unit(without[c].mean(axis=0)) for c in (row.winner, row.runner_up))
            assert s.proxy_effect == pytest.approx(row.text_margin - x @ (winner - runner_up), abs=1e-12)


def test_the_only_sentence_of_a_class_has_no_effect_to_tell():
    images, descriptions, _ = planted(5, shares=(0.6, 0.4), n=40)
    descriptions[1] = descriptions[1][:1]
    fits = []
    model = KPL().fit(images, descriptions)
    for row in explain(model, images, refit_on=images, top=9, progress=lambda *at: fits.append(at)):
        for s in row.sentences:
            assert (s.proxy_effect is None) == (s.class_index == 1)
    assert fits == [(done, 5) for done in range(1, 6)]


def test_nothing_is_fitted_when_no_sentence_can_be_left_out():
    images, descriptions, _ = planted(5, n=20)
    model = KPL().fit(images, [rows[:1] for rows in descriptions])
    fits = []
    rows = explain(model, images, refit_on=images, progress=lambda *at: fits.append(at))
    assert rows == explain(model, images)
    assert fits == []


def test_progress_counts_one_fit_for_each_distinct_sentence():
    images, descriptions, _ = planted(6, n=40)
    model, fits = KPL().fit(images, descriptions), []
    rows = explain(model, images, refit_on=images, top=1, progress=lambda *at: fits.append(at))
    asked = {(s.class_index, s.index) for row in rows for s in loudest(row, 1)}
    assert fits == [(done, len(asked)) for done in range(1, len(asked) + 1)]
    assert all(loudest(row, 1)[0].proxy_effect is not None for row in rows)


def test_descriptions_that_cancel_out_share_nothing():
    images, descriptions, _ = planted(7, shares=(0.6, 0.4), n=20)
    descriptions[1] = np.vstack([descriptions[1][:1], -descriptions[1][:1]])
    for x, row in zip(images, explain(CuPL().fit(images, descriptions), images), strict=True):
        sign = 1 if row.winner == 0 else -1
        assert row.text_margin == pytest.approx(sign * (x @ unit(descriptions[0].mean(axis=0))), abs=1e-12)


@pytest.mark.parametrize("top", [0, -2])
@pytest.mark.parametrize("refit", [True, False])
def test_top_below_one_is_refused(top, refit):
    images, descriptions, _ = planted(8, n=20)
    model = CuPL().fit(images, descriptions)
    with pytest.raises(InputError, match=f"top.*at least 1, got {top}"):
        explain(model, images, refit_on=images if refit else None, top=top)


def test_what_cannot_be_explained_is_refused():
    images, descriptions, _ = planted(8, n=20)
    with pytest.raises(NotFittedError, match="call fit"):
        explain(KPL(), images)
    model = KPL().fit(images, descriptions)
    for wrong, message in ((iter([images]), "one-shot"), (images[:, :5], "d = 16"), (images[:0], "no row")):
        with pytest.raises(FeaturesError, match=message):
            explain(model, wrong)
    with pytest.raises(FeaturesError, match="one-shot"):
        explain(model, images, refit_on=iter([images]))
    with pytest.raises(FeaturesError, match="descriptions of class 0"):
        explain(model, images, refit_on=images[:, :5])
