"""Thresholds by a few labels: those that part the classes are found, and labels that do not help change nothing."""

from __future__ import annotations

import numpy as np
import pytest

from kpl.errors import LabelsError
from kpl.evaluation import OperatingRule, choose_thresholds


def drawn(n=200, seed=0, apart=2.0):
    """Presence (n, 3) and chances whose classes part at other places than .5; the third is noise."""
    rng = np.random.default_rng(seed)
    present = (rng.random((n, 3)) < (0.5, 0.15, 0.3)).astype(int)
    odds = rng.normal(size=(n, 3)) + apart * present * (1, 1, 0) + (-4, 1, -1)
    return present, 1 / (1 + np.exp(-odds))


def test_a_threshold_that_parts_better_is_found_whatever_the_share_of_the_class():
    present, chances = drawn()
    found = choose_thresholds(present, chances, [0.5] * 3)
    assert (found.n, found.folds, found.units) == (200, 5, None)
    for each, cut in zip(found.classes[:2], (-3, 2), strict=True):
        assert each.threshold == pytest.approx(1 / (1 + np.exp(-cut)), abs=0.12)
        assert sum(each.after[m] for m in ("sensitivity", "specificity")) > sum(
            each.before[m] for m in ("sensitivity", "specificity")
        )
    assert [each.positives for each in found.classes] == present.sum(axis=0).tolist()


def test_what_is_told_is_of_labels_that_had_no_part_in_choosing():
    gains = []
    for seed in range(40):
        present, chances = drawn(40, seed, apart=0.0)
        found = choose_thresholds(present, chances, [0.5] * 3, rule=OperatingRule("sensitivity", 0.9))
        gains.append(found.mean("after")["sensitivity"] + found.mean("after")["specificity"] - 1)
    assert abs(np.mean(gains)) < 0.05, "of noise nothing is promised"


def test_a_rule_is_reached_on_the_labels():
    present, chances = drawn()
    for reach in ("sensitivity", "specificity"):
        found = choose_thresholds(present, chances, [0.5] * 3, rule=OperatingRule(reach, 0.9))
        for c, each in enumerate(found.classes):
            called, there = chances[:, c] >= each.threshold, present[:, c] == 1
            assert np.mean(called[there] if reach == "sensitivity" else ~called[~there]) >= 0.9


def test_what_the_labels_do_not_tell_stays_as_it_was():
    present, chances = drawn()
    present[:, 1] = 1
    present[:, 2] = -1
    found = choose_thresholds(present, chances, [0.5, 0.4, 0.3], rule=OperatingRule("sensitivity", 0.9))
    assert [each.threshold for each in found.classes[1:]] == [0.4, 0.3]
    assert found.classes[1].after["specificity"] is None
    assert found.classes[2].n == 0
    present[50:, 0] = -1
    other = chances.copy()
    other[50:, 0] = 0.5
    first, second = (choose_thresholds(present, each, [0.5] * 3).classes[0] for each in (chances, other))
    assert (first, first.n) == (second, 50)


def test_groups_are_held_out_whole_and_too_few_labels_refused():
    present, chances = drawn(40)
    groups = ["a" if at % 2 else "b" for at in range(40)]
    found = choose_thresholds(present, chances, [0.5] * 3, groups=groups)
    assert (found.folds, found.units) == (2, 2)
    with pytest.raises(LabelsError, match="of one group"):
        choose_thresholds(present, chances, [0.5] * 3, groups=["a"] * 40)
    present[9:] = -1
    with pytest.raises(LabelsError, match="9 labelled images are too few"):
        choose_thresholds(present, chances, [0.5] * 3)
