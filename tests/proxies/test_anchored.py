from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpl.errors import FeaturesError, InputError
from kpl.proxies.anchored import AnchoredRounds, AnchoredSettings, anchored_sums, learn_anchored
from kpl.proxies.arrays import CHUNK_ROWS, unit_rows
from kpl.proxies.retrieval import retrieve
from kpl.proxies.sums import sum_images

from . import transcription
from .cases import FEW, Chunked, labelled_world, random_rows, world


def case(seed=0, **sizes):
    images, descriptions = world(seed, **sizes)
    return images, transcription.text_proxies(images, descriptions, 3)


def learn(images, texts, **changes):
    return learn_anchored(images, texts, sum_images(images), AnchoredSettings(**changes))


def assert_same(found, expected, atol):
    np.testing.assert_allclose(found[0].proxies, expected[0].proxies, rtol=0, atol=atol)
    np.testing.assert_allclose(found[0].offsets, expected[0].offsets, rtol=0, atol=atol)
    np.testing.assert_allclose(found[1], expected[1], rtol=0, atol=atol)


@pytest.mark.parametrize(
    ("n", "tau", "weight", "kappa", "ridge", "rounds", "few"),
    [
        (60, 0.01, 0.5, 2.0, 0.2, 8, 4.0),
        (60, 0.01, 0.5, 2.0, 0.2, 1, 4.0),
        (60, 0.05, 0.0, 0.3, 1.0, 3, 0.0),
        (60, 0.03, 1.5, 20.0, 0.05, 2, 30.0),
        (12, 0.01, 0.5, 1.5, 0.2, 3, 4.0),
        (3, 0.01, 0.5, 0.1, 0.2, 3, 1.0),  # an image here is more than half of what made a mean
    ],
)
def test_scores_and_prior_follow_the_formulas(n, tau, weight, kappa, ridge, rounds, few):
    images, texts = case(0, n=n, dim=8)
    options = {"ridge": ridge, "rounds": rounds}
    scores, prior = learn(
        images, texts, temperature=tau, text_weight=weight, anchor_images=kappa, few_images=few, **options
    )
    expected, expected_prior = transcription.anchored_scores(
        images, texts, tau=tau, weight=weight, kappa=kappa, few=few, **options
    )
    # Scores are log odds up to a constant per image.
    found = scores(images)
    np.testing.assert_allclose(found - found[:, :1], expected - expected[:, :1], rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(prior, expected_prior, rtol=1e-9, atol=1e-9)


def test_the_fewer_the_images_the_more_the_text_decides_what_they_are():
    share = AnchoredSettings().text_share
    assert share(4 * 19, 19) == pytest.approx(0.5)
    shares = [share(n, 19) for n in (1, 19, 100, 1000, 100_000)]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > 0.999
    assert shares[-1] < 1e-6
    assert AnchoredSettings(few_images=0).text_share(1, 19) == 0
    images, texts = case(0, n=12)
    only_text = learn(images, texts, rounds=1, few_images=1e6)
    assert_same(learn(images, texts, few_images=1e6), only_text, 1e-6)


@settings(**FEW)
@given(st.integers(0, 50))
def test_permuted_images_change_nothing_and_permuted_classes_permute(seed):
    images, texts = case(seed, n=50)
    expected, rng = learn(images, texts), np.random.default_rng(seed)
    assert_same(learn(rng.permutation(images), texts), expected, 1e-9)
    order = rng.permutation(len(texts))
    scores, prior = learn(images, texts[order])
    np.testing.assert_allclose(scores.proxies, expected[0].proxies[order], atol=1e-9)
    np.testing.assert_allclose(prior, expected[1][order], atol=1e-9)


@settings(**FEW)
@given(st.lists(st.integers(0, 77), max_size=5), st.sampled_from([np.float16, np.float32, np.float64]))
def test_streaming_gives_the_same_proxies(ends, dtype):
    images, texts = case(1, n=77)
    stored = images.astype(dtype)
    expected = learn(transcription.unit(stored), texts)
    source = Chunked(stored, ends)
    assert_same(learn(source, texts), expected, 1e-10)
    assert source.passes == 1 + AnchoredSettings().rounds  # the moments take one
    assert expected[0].proxies.dtype == np.float64


def test_streaming_a_mapped_file_of_more_than_one_block(tmp_path):
    images, texts = case(2, n=CHUNK_ROWS + 99, dim=8)
    np.save(tmp_path / "x.npy", images.astype(np.float16))
    stored = np.load(tmp_path / "x.npy", mmap_mode="r")
    expected = learn(transcription.unit(stored), texts, rounds=3)
    assert_same(learn(stored, texts, rounds=3), expected, 1e-10)
    assert_same(learn(Chunked(stored, range(0, len(stored), 333)), texts, rounds=3), expected, 1e-10)


@settings(**FEW)
@given(st.integers(0, 1000), st.integers(1, 40), st.integers(2, 8), st.sampled_from([2, 5, 30]))
def test_few_images_many_classes_and_any_dimension_give_finite_results(seed, n, n_classes, dim):
    images, texts = random_rows(seed, n, dim), random_rows(seed + 1, n_classes, dim)
    scores, prior = learn(images, texts)
    assert np.isfinite(scores(images)).all()
    assert prior.sum() == pytest.approx(1)
    assert (prior > 0).all()


@pytest.mark.parametrize("n", [1, 2, 30, 500])
@pytest.mark.parametrize("dim", [4, 64])
def test_identical_images_go_where_the_text_says(n, dim):
    for seed in range(5):
        texts = random_rows(seed, 6, dim)
        images = np.repeat(random_rows(seed + 100, 1, dim), n, axis=0)
        scores, prior = learn(images, texts)
        assert np.isfinite(scores.proxies).all()
        assert set(scores(images).argmax(1)) == {(images[0] @ texts.T).argmax()}
        assert prior.sum() == pytest.approx(1)


@pytest.mark.parametrize("seed", range(5))
def test_the_only_image_of_its_class_is_not_swallowed_by_a_common_one(seed):
    rng = np.random.default_rng(seed)  # without the term for images far from every class 6 of 10 such worlds lose it
    centres = 0.7 * rng.normal(size=(2, 128)) + 3 * rng.normal(size=128)
    images = unit_rows(centres[[0] * 50 + [1]] + 0.25 * rng.normal(size=(51, 128)))
    texts = unit_rows(centres + 2 * rng.normal(size=128) + rng.normal(size=(2, 128)))
    scores, prior = learn(images, texts, temperature=0.05)
    assert scores(images).argmax(1).tolist() == [0] * 50 + [1]
    assert prior[1] < 0.1


def test_a_listed_class_that_is_absent_keeps_finite_scores_and_no_mass():
    images, texts = case(3, n=600)
    scores, prior = learn(images, np.vstack([texts, -images.mean(0) / np.linalg.norm(images.mean(0))]))
    assert np.isfinite(scores.proxies).all()
    assert np.isfinite(scores.offsets).all()
    assert prior[-1] < 1e-6
    assert not (scores(images).argmax(1) == len(texts)).any()


def test_classes_with_the_same_text_share_everything():
    images, texts = case(4)
    scores, prior = learn(images, texts[[0, 0, 1, 2, 3]])
    np.testing.assert_allclose(scores.proxies[0], scores.proxies[1], atol=1e-9)
    assert prior[0] == pytest.approx(prior[1])
    assert np.isfinite(learn(images, texts[[0, 0, 0]])[0](images)).all()
    assert np.isfinite(learn(images[:1], texts[[0, 0]])[0](images)).all()


def test_images_of_clear_classes_are_told_apart_better_than_by_text_and_counted():
    images, descriptions, truth = labelled_world(6, n=600, dim=32)
    texts = transcription.text_proxies(images, descriptions, 3)
    scores, prior = learn(images, texts)
    assert (scores(images).argmax(1) == truth).mean() > ((images @ texts.T).argmax(1) == truth).mean()
    np.testing.assert_allclose(prior, np.bincount(truth) / 600, atol=0.05)


def test_the_rounds_end_early_once_nothing_moves():
    images, descriptions, _ = labelled_world(6, n=600, dim=32)
    texts = transcription.text_proxies(images, descriptions, 3)
    source = Chunked(images, [])
    scores, prior = learn(source, texts, rounds=100)
    assert source.passes < 30
    more, more_prior = learn(images, texts, rounds=source.passes)
    assert (scores(images).argmax(1) == more(images).argmax(1)).mean() > 0.99
    np.testing.assert_allclose(prior, more_prior, atol=0.01)


def test_a_direction_that_a_class_text_shares_with_every_image_draws_no_images_to_it():
    """All images share a direction, and one class's text leans that way: the first P is wrong, the rounds mend it."""
    images, descriptions, truth = labelled_world(6, n=600, dim=32)
    texts = transcription.text_proxies(images, descriptions, 3)
    mean = images.mean(0) / np.linalg.norm(images.mean(0))
    loud = texts.copy()
    loud[0] = transcription.unit((texts[0] + 0.15 * mean)[None])[0]
    scores, _ = learn(images, loud)
    by_text = ((images @ loud.T).argmax(1) == truth).mean()
    assert by_text < ((images @ texts.T).argmax(1) == truth).mean()
    assert (scores(images).argmax(1) == truth).mean() > by_text


@pytest.mark.parametrize(
    "changes",
    [{name: value} for name in ("temperature", "anchor_images", "ridge") for value in (0.0, -1.0, np.nan, np.inf)]
    + [{name: value} for name in ("text_weight", "few_images") for value in (-0.1, np.nan, np.inf)]
    + [{"rounds": 0}],
)
def test_settings_without_a_meaning_are_refused(changes):
    with pytest.raises(InputError, match=next(iter(changes)).replace("_", " ")):
        AnchoredSettings(**changes)


def test_images_that_cannot_be_used_are_refused():
    images, texts = case(7)
    moments, chosen = sum_images(images), AnchoredSettings()
    spoilt = images.copy()
    spoilt[3] = np.nan
    for wrong, message in (
        (iter([images]), "one-shot"),
        ((block for block in [images]), "one-shot"),
        (spoilt, "row 3 is not finite"),
        (np.where(np.arange(len(images))[:, None] == 5, 0, images), "row 5 is all zero"),
        (images[:, :7], "d = 16"),
        ([], "no row"),
    ):
        with pytest.raises(FeaturesError, match=message):
            learn_anchored(wrong, texts, moments, chosen)


def test_the_steps_give_the_same_sums_wherever_the_parts_are_added_up():
    images, descriptions = world(3, n=90)
    moments = sum_images(images)
    whole, text = anchored_sums(images, rounds_of(descriptions, moments))
    rounds = rounds_of(descriptions, moments)
    step = rounds.start()
    while step is not None:
        parts = [rounds.partial(step, images[first : first + 30]) for first in (60, 0, 30)]
        for part in parts:  # what comes from another process may not be written to
            part.mass.flags.writeable = part.weighted.flags.writeable = False
        sums, last = parts[1].merge(parts[2]).merge(parts[0]), step
        step = rounds.after(step, sums)
    np.testing.assert_allclose(sums.weighted, whole.weighted, rtol=0, atol=1e-9)
    assert rounds.text(last).same_choice(text)


def rounds_of(descriptions, moments):
    return AnchoredRounds(descriptions, retrieve(moments.mean, descriptions), moments, AnchoredSettings())


def test_what_rounds_share_of_an_image_is_worked_out_once_and_changes_nothing():
    images, descriptions = random_rows(0, 60, 24), [random_rows(1 + c, 4, 24) for c in range(3)]
    moments = sum_images(images)
    rounds = AnchoredRounds(descriptions, retrieve(moments.mean, descriptions), moments, AnchoredSettings())
    step = rounds.after(rounds.start(), rounds.partial(rounds.start(), images))
    alone = rounds.partial(step, images)
    assert rounds._held == {}
    for _ in range(2):
        told = rounds.partial(step, images, None, 17)
        np.testing.assert_allclose(told.weighted, alone.weighted, rtol=1e-12, atol=1e-12)
    assert rounds._held[17].shape == (60,)
    many = [random_rows(9 + c, 1, 24) for c in range(7)]  # a term of rank 14 is no cheaper than all 24
    rounds = rounds_of(many, moments)
    rounds.partial(rounds.after(rounds.start(), rounds.partial(rounds.start(), images)), images, None, 17)
    assert rounds._held == {17: None}
