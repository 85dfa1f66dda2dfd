"""What stands against a method is said in words, and nothing is said where nothing does."""

from __future__ import annotations

import numpy as np
import pytest

from kpl.evaluation import Predicted, Resampling, caveats, compare, macro_f1

TRUTH = np.arange(200) % 2
FEW = Resampling(replicates=200)
GUESS = np.arange(200) // 2 % 2


def table(said, n_classes=2, reference="kpl", truth=TRUTH, resampling=FEW, **others):
    results = {name: Predicted(predictions) for name, predictions in {"kpl": said, **others}.items()}
    keys = [f"class {c}" for c in range(n_classes)]
    return compare(truth, results, n_classes=n_classes, reference=reference, classes=keys, resampling=resampling)


def mostly_right(wrong):
    return np.where(np.arange(200) < wrong, 1 - TRUTH, TRUTH)


def test_a_good_method_has_none():
    assert caveats(table(mostly_right(20), cupl=mostly_right(40))) == []


def test_a_method_near_guessing_is_named():
    told = caveats(table(GUESS))
    assert "kpl is not shown to beat the majority rate: its accuracy of 0.500" in told[0]
    assert "kpl is not shown to beat guessing: its balanced accuracy of 0.500" in told[1]


def test_finding_the_rare_class_is_no_guessing_though_the_majority_is_more_often_right():
    truth = (np.arange(200) < 20).astype(int)
    said = (np.arange(200) < 60).astype(int)
    told = caveats(table(said, truth=truth))
    assert len(told) == 1
    assert "does not rise above 0.900" in told[0]


def test_a_better_method_is_named_after_holm():
    told = caveats(table(mostly_right(60), cupl=mostly_right(20), text=mostly_right(59), names=GUESS))
    assert len(told) == 1
    assert "more accurate than kpl here, after Holm's correction: cupl by 0.200 (p " in told[0]


def test_classes_without_a_labelled_image_are_named_with_the_mean_over_the_others():
    said = TRUTH.copy()
    said[:3] = 2
    scored = table(said, n_classes=4)
    (told,) = caveats(scored)
    own = [2 * 98 / 198, 2 * 99 / 199]
    assert "class 2 (3)" in told
    assert "class 3" not in told, "nothing went there"
    assert f"macro F1 of {macro_f1(TRUTH, said):.3f}" in told
    assert macro_f1(TRUTH, said) == pytest.approx(sum(own) / 3)
    assert told.endswith(f"{np.mean(own):.3f}")
    assert "a red cell (3)" in caveats(scored, {"class 2": "a red cell"})[0], "by its name where that is known"


def test_without_a_reference_or_intervals_nothing_is_claimed():
    assert caveats(table(GUESS, reference=None)) == []
    assert caveats(table(GUESS, resampling=Resampling(replicates=0))) == []
