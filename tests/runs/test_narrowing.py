"""Some of the classes, known shares, thresholds, classes in a tree, and sets of classes of a stated coverage."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kpl import read_labels
from kpl.errors import InputError, KnowledgeError, LabelsError, UnknownNameError
from kpl.knowledge import KnowledgeBase, levels, load_knowledge, only_classes, write_knowledge
from kpl.runs.conformal import find_sets
from kpl.runs.narrowing import known_prior, thresholds_of


def base_of(*classes: dict[str, Any]) -> KnowledgeBase:
    entries = [{"descriptions": [f"looks like {one['key']}"], **one} for one in classes]
    return KnowledgeBase.model_validate({"kpl_knowledge": 2, "task": {"name": "cells"}, "classes": entries})


TREE = base_of(
    {"key": "neutrophil", "parent": ["white cell", "granulocyte"]},
    {"key": "eosinophil", "parent": ["white cell", "granulocyte"]},
    {"key": "lymphocyte", "parent": "White-Cell"},
    {"key": "platelet"},
)


def test_a_tree_is_read_and_written(tmp_path: Path) -> None:
    write_knowledge(TREE, tmp_path / "tree.yaml")
    assert load_knowledge(tmp_path / "tree.yaml") == TREE
    outer, inner = levels(TREE)
    assert outer.names == ("white cell", "platelet")
    assert inner.names == ("granulocyte", "lymphocyte", "platelet")
    chances = np.array([[0.2, 0.1, 0.3, 0.4]])
    np.testing.assert_allclose(outer.summed(chances), [[0.6, 0.4]])
    np.testing.assert_allclose(inner.summed(chances), [[0.3, 0.3, 0.4]])
    plain = base_of({"key": "a"}, {"key": "b"})
    assert levels(plain) == ()
    assert "parent" not in (tmp_path / "tree.yaml").read_text().split("platelet")[1]


@pytest.mark.parametrize(
    ("second", "said"),
    [
        ({"key": "b", "parent": ["y", "x"]}, "lies elsewhere"),
        ({"key": "x"}, "a group is no class"),
    ],
)
def test_what_is_no_tree_is_refused(second: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        base_of({"key": "a", "parent": "x"}, second, {"key": "c"})


def test_a_label_may_name_a_group(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("image,label\na,eosinophil\nb,Granulocyte\nc,white cell\nd,platelet\n", encoding="utf-8")
    truth = read_labels(path, ["a", "b", "c", "d", "e"], TREE, groups=True)
    assert truth.labels.tolist() == [1, -1, -1, 3, -1]
    assert {number: places.tolist() for number, places in truth.above.items()} == {
        1: [0, 0, 0, 1, -1],
        2: [0, 0, -1, 2, -1],
    }
    assert not truth.unlisted.any()
    assert "scored at its level alone: 2 of 5 images" in " ".join(truth.notices)
    with pytest.raises(LabelsError, match="'Granulocyte' \\(1\\)"):
        read_labels(path, ["a", "b", "c", "d", "e"], TREE)


def test_only_some_classes() -> None:
    kept = only_classes(TREE, ["granulocyte", "PLATELET"])
    assert [entry.key for entry in kept.classes] == ["neutrophil", "eosinophil", "platelet"]
    assert [entry.key for entry in only_classes(TREE, ["white cell"]).classes][-1] == "lymphocyte"
    with pytest.raises(UnknownNameError, match="granulocyte"):
        only_classes(TREE, ["granulocite"])
    with pytest.raises(KnowledgeError, match="name two at least"):
        only_classes(TREE, ["platelet"])


def test_known_shares_and_thresholds() -> None:
    assert known_prior(TREE, {"platelet": 0.7}) == pytest.approx((0.1, 0.1, 0.1, 0.7))
    for shares in ({"platelet": 1.2}, {"platelet": 0.7, "lymphocyte": 0.5}, {"Platelet": 0.1, "platelet": 0.1}):
        with pytest.raises(InputError):
            known_prior(TREE, shares)
    assert thresholds_of(TREE, {"platelet": 0.7}) == {"platelet": 0.7}
    assert thresholds_of(TREE, {None: 0.5, "Platelet": 0.7}) == {
        "neutrophil": 0.5, "eosinophil": 0.5, "lymphocyte": 0.5, "platelet": 0.7,
    }  # fmt: skip
    with pytest.raises(UnknownNameError):
        thresholds_of(TREE, {"plate": 0.7})


def test_sets_cover_pictures_of_new_patients() -> None:
    """Patients who differ: of 400 draws the mean coverage of a new patient's picture is at least what was asked."""
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(400):
        hard = rng.beta(2, 4, 31)  # how unsure the pictures of each patient are
        patient = np.repeat(np.arange(31), rng.integers(1, 6, 31))
        chance = np.clip(rng.normal(1 - hard[patient], 0.05), 0.01, 0.99)
        truth = (rng.random(len(patient)) > chance).astype(int)
        probabilities = np.stack([chance, 1 - chance], axis=1)
        new = patient == 30
        names = [str(each) for each in patient]
        sets = find_sets(np.where(new, -1, truth), probabilities, 0.8, names)
        covered.append(sets.holds(probabilities[new])[np.arange(new.sum()), truth[new]].mean())
    assert sets.units == 30
    assert np.mean(covered) > 0.8 - 2 * np.std(covered) / 20


def test_too_few_patients_for_a_coverage() -> None:
    chances = np.tile([0.7, 0.3], (20, 1))
    with pytest.raises(LabelsError, match="9 patients at least, and there are 4"):
        find_sets(np.zeros(20, dtype=int), chances, 0.9, [str(row // 5) for row in range(20)])
    with pytest.raises(InputError, match="above 0 and below 1"):
        find_sets(np.zeros(20, dtype=int), chances, 1.0)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
