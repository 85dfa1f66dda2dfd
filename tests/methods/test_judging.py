"""What each description does over pictures: properties first, then that a misplaced sentence is found."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpl.errors import FeaturesError, InputError
from kpl.methods import Verdict, class_similarity, judge_descriptions
from kpl.proxies.arrays import unit_rows
from kpl.proxies.retrieval import retrieve

C, M, D, PICTURES = 4, 30, 24, 40


def world(seed=0, n_classes=C, per_class=M, noise=0.15):
    """Classes with a centre each; their pictures and their sentences scatter around it."""
    rng = np.random.default_rng(seed)
    centres = unit_rows(rng.normal(size=(n_classes, D)))
    truth = np.repeat(np.arange(n_classes), PICTURES)
    images = unit_rows(centres[truth] + noise * rng.normal(size=(len(truth), D)))
    texts = [unit_rows(centre + noise * rng.normal(size=(per_class, D))) for centre in centres]
    return images, truth, texts


def judge(images, truth, texts, **options):
    return judge_descriptions(images, truth, texts, retrieve(images.mean(axis=0), texts, 20), **options)


def test_what_it_says_is_what_the_words_mean():
    images, truth, texts = world()
    found = judge(images, truth, texts)
    for c, items in enumerate(found.descriptions):
        assert found.classes[c].pictures == PICTURES
        for item, row in zip(items, texts[c], strict=True):
            cosines = images @ row
            own, rest = cosines[truth == c], cosines[truth != c]
            within = np.sqrt((((own - own.mean()) ** 2).sum() + ((rest - rest.mean()) ** 2).sum()) / len(cosines))
            assert item.relevance == pytest.approx(cosines.mean())
            assert item.spread == pytest.approx(cosines.std())
            assert item.lift == pytest.approx(own.mean() - rest.mean())
            assert item.separation == pytest.approx((own.mean() - rest.mean()) / within)
            others = [x @ (images[truth == c].mean(0) - images[truth != c].mean(0)) for k in range(C) if k != c
                      for x in texts[k]]  # fmt: skip
            assert item.rivals == pytest.approx(np.mean(np.array(others) >= item.lift - 1e-12))
            every = np.concatenate([x for k, x in enumerate(texts) if k != c])
            assert item.elsewhere is not None
            assert item.elsewhere.cosine == pytest.approx((every @ row).max(), abs=1e-6)
            assert texts[item.elsewhere.class_index][item.elsewhere.description] @ row == pytest.approx(
                item.elsewhere.cosine, abs=1e-6
            )
            assert item.same is not None
            assert item.same.description != item.index
        assert sum(item.used for item in items) == 20


def test_sentences_that_say_their_class_do_the_work():
    found = judge(*world())
    assert {item.verdict for items in found.descriptions for item in items} == {Verdict.WORKS}
    assert all(found.count(c, Verdict.WORKS) == M for c in range(C))


@pytest.mark.parametrize(("home", "guest"), [(0, 1), (3, 2)])
def test_a_sentence_moved_to_another_class_is_found(home, guest):
    images, truth, texts = world()
    texts[guest] = np.concatenate([texts[guest], texts[home][:1]])
    texts[home] = texts[home][1:]
    found = judge(images, truth, texts)
    moved = found.descriptions[guest][-1]
    assert moved.verdict is Verdict.OTHER
    assert moved.loudest == home
    assert moved.lift < 0


def test_a_sentence_that_says_nothing_is_dead_weight():
    images, truth, texts = world()
    texts[1][0] = unit_rows(np.linalg.svd(images)[2][-1:])[0]  # hardly any picture differs along it
    assert judge(images, truth, texts).descriptions[1][0].verdict in (Verdict.DEAD, Verdict.OTHER)


def test_a_sentence_said_twice_is_redundant_once():
    images, truth, texts = world()
    texts[2] = np.concatenate([texts[2], texts[2][3:4]])
    found = judge(images, truth, texts).descriptions[2]
    assert [item.verdict for item in (found[3], found[-1])].count(Verdict.REDUNDANT) == 1
    for item, other in ((found[3], M), (found[-1], 3)):
        assert (item.same.description, item.same.cosine) == (other, pytest.approx(1.0))


def test_a_sentence_shared_with_another_class_is_seen():
    images, truth, texts = world()
    texts[0][0] = texts[1][0]
    near = judge(images, truth, texts).descriptions[0][0].elsewhere
    assert (near.class_index, near.description, near.cosine) == (1, 0, pytest.approx(1.0))
    assert judge(images, truth, texts, elsewhere=False).descriptions[0][0].elsewhere is None


@given(st.permutations(range(C)), st.integers(0, 5))
def test_classes_in_another_order_give_the_same(order, seed):
    images, truth, texts = world(seed, noise=0.6)
    one = judge(images, truth, texts)
    place = np.argsort(order)
    two = judge(images, place[truth], [texts[c] for c in order])
    for c, moved in enumerate(order):
        assert two.classes[c].pictures == one.classes[moved].pictures
        assert order[two.classes[c].nearest] == one.classes[moved].nearest
        for a, b in zip(two.descriptions[c], one.descriptions[moved], strict=True):
            assert a.verdict is b.verdict
            assert a.lift == pytest.approx(b.lift, abs=1e-12)
            assert a.loudest is None if b.loudest is None else order[a.loudest] == b.loudest
    np.testing.assert_allclose(two.similarity.centred, one.similarity.centred[np.ix_(order, order)], atol=1e-12)


def test_blind_sentences_pass_as_often_as_the_level_says():
    rng = np.random.default_rng(1)
    images, truth, _ = world(noise=0.3)
    texts = [unit_rows(rng.normal(size=(200, D))) for _ in range(C)]
    verdicts = [i.verdict for items in judge(images, truth, texts, elsewhere=False).descriptions for i in items]
    assert 0.03 < np.mean([v is Verdict.WORKS for v in verdicts]) < 0.07
    assert 0.4 < np.mean([v.marked for v in verdicts]) < 0.6, "where all are alike, half fall on either side"


def test_a_class_with_few_pictures_is_not_judged():
    images, truth, texts = world()
    few = np.concatenate([np.flatnonzero(truth != 3), np.flatnonzero(truth == 3)[:4]])
    for rows, count in ((few, 4), (np.flatnonzero(truth != 3), 0)):
        found = judge(images[rows], truth[rows], texts)
        assert found.classes[3].pictures == count
        assert {item.verdict for item in found.descriptions[3]} == {Verdict.UNJUDGED}
        assert not any(item.loudest == 3 for items in found.descriptions for item in items)
    alone = judge(images[:PICTURES], truth[:PICTURES], texts)
    assert all(item.lift == 0 for items in alone.descriptions for item in items)
    assert {item.verdict for items in alone.descriptions for item in items} == {Verdict.UNJUDGED}


def test_chunks_give_the_same_as_the_whole():
    images, truth, texts = world()

    class Source:
        def __iter__(self):
            return iter(np.array_split(images, 7))

    text = retrieve(images.mean(axis=0), texts, 20)
    whole, parts = (judge_descriptions(x, truth, texts, text) for x in (images, Source()))
    for a, b in zip(sum(whole.descriptions, ()), sum(parts.descriptions, ()), strict=True):
        assert (a.verdict, a.lift) == (b.verdict, pytest.approx(b.lift))


def test_what_does_not_fit_is_refused():
    images, truth, texts = world()
    for wrong, error, words in (
        (truth[:-1], FeaturesError, "159 predictions for 160 images"),
        (np.append(truth, 0), FeaturesError, "161 predictions for 160 images"),
        (truth + 1, InputError, r"predictions hold 1\.\.4: the 4 classes"),
        (truth / 2, InputError, "must be .* class indices, got float64"),
    ):
        with pytest.raises(error, match=words):
            judge(images, wrong, texts)


def test_classes_that_collapse_show():
    rows = unit_rows(np.random.default_rng(0).normal(size=(5, D)) + 3)
    rows[3] = rows[1]
    found = class_similarity(rows)
    assert (found.cosines[1, 3], found.centred[1, 3]) == (pytest.approx(1.0), pytest.approx(1.0))
    assert found.centred[~np.eye(5, dtype=bool)].min() < 0 < found.cosines.min()
    assert found.order.tolist() == list(range(5))
    same = class_similarity(np.tile(rows[:1], (3, 1)))
    assert (same.cosines > 0.999).all()
    assert np.isfinite(same.centred).all()


def test_many_classes_stand_beside_their_like():
    rng = np.random.default_rng(3)
    family = rng.permutation(np.repeat(np.arange(6), 5))
    rows = unit_rows(rng.normal(size=(6, D))[family] + 0.2 * rng.normal(size=(30, D)))
    order = class_similarity(rows).order
    assert sorted(order.tolist()) == list(range(30))
    assert np.count_nonzero(np.diff(family[order])) == 5, "each family in one piece"
