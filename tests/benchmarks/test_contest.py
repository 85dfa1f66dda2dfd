"""The contest on a ground that a user makes: measured once, kept, and measured again where a method changed."""

from __future__ import annotations

import json
import shutil
import sys

import numpy as np
import pytest

import contest
import make_ground
from grounds import ANYWHERE, Problem, bundle_source, merged
from kpl.demo import demo_cells
from kpl.embeddings import open_bundle


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ground")
    (folder / "pictures").mkdir()
    lines = ["image,label"]
    for path, kind in demo_cells()[::5]:
        shutil.copy(path, folder / "pictures")
        lines.append(f"{path.name},{kind}")
    (folder / "labels.csv").write_text("\n".join(lines[:-1]) + "\n", encoding="utf-8")  # one picture without a label
    asked = ["--knowledge", "blood-cells", "--encoder", "mini", "--labels", str(folder / "labels.csv")]
    make_ground.main([str(folder / "pictures"), *asked, "--out", str(folder / "mine")])
    return folder / "mine"


def test_a_bundle_of_ones_own_holds_no_picture_and_no_name(ground):
    assert {path.suffix for path in ground.iterdir()} == {".npy", ".json"}
    assert "cell-0" not in (ground / "bundle.json").read_text(encoding="utf-8")
    bundle = open_bundle(ground)
    assert len(bundle.labels) == bundle.images.n == 39
    assert len(bundle.classes) == len(bundle.descriptions) == 10


def told(monkeypatch, capsys, place, *arguments):
    monkeypatch.setattr(sys, "argv", ["contest.py", *arguments, "--json", str(place)])
    contest.main()
    printed = capsys.readouterr()
    return json.loads(place.read_text(encoding="utf-8")), printed.out, printed.err


def test_the_contest_measures_once_and_prints_the_worst_case(ground, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(contest, "KEPT", tmp_path / "kept")
    asked = ("--bundle", str(ground), "--grounds", "mine", "--methods", "cupl,kpl-closed", "--quick", "--jobs", "1")
    figures, printed, progress = told(monkeypatch, capsys, tmp_path / "first.json", *asked)
    by = figures["figures"]["mine"]
    assert set(by) == {"whole", "few-16", "wrong-40", "half-listed", "update-sorted", "update-mixed"}
    source = bundle_source(ground)
    expected = contest.named("cupl").fit(source.images, source.texts).predict(source.images)
    assert by["whole"]["cupl"]["accuracy"]["value"] == pytest.approx((expected == source.truth).mean(), abs=1e-5)
    low, high = by["whole"]["cupl"]["accuracy"]["interval"]
    assert low < by["whole"]["cupl"]["accuracy"]["value"] < high
    assert "unlisted_by_mcm" in by["half-listed"]["cupl"]
    assert "Worst case of each method" in printed
    assert "[12/12]" in progress
    again, _, progress = told(monkeypatch, capsys, tmp_path / "again.json", *asked)
    assert (again["figures"], progress) == (figures["figures"], "")


def test_a_version_is_that_of_the_methods_own_source(monkeypatch):
    before = {name: contest.version(name) for name in ("kpl", "transclip")}
    parse = contest.ast.parse

    def changed(source):
        tree = parse(source)
        return parse(source + b"\nMORE = 1\n") if b"AnchoredRounds" in source else tree

    monkeypatch.setattr(contest.ast, "parse", changed)
    assert contest.version("transclip") == before["transclip"]
    assert contest.version("kpl") != before["kpl"]
    assert contest.version("kpl:rounds=1") != contest.version("kpl")


@pytest.fixture
def made():
    rng = np.random.default_rng(0)
    texts = tuple(rng.normal(size=(10, 4)) for _ in range(6))
    return Problem(rng.normal(size=(300, 4)), texts, np.repeat(np.arange(6), 50), np.arange(300))


@pytest.mark.parametrize("regime", sorted(ANYWHERE))
def test_regimes_are_drawn_alike_and_only_from_what_is_there(made, regime):
    for one, two in zip(ANYWHERE[regime](made), ANYWHERE[regime](made), strict=True):
        np.testing.assert_array_equal(one.images, two.images)
        np.testing.assert_array_equal(one.images, made.images[one.rows])
        assert one.truth.max() < len(one.texts)


def test_wrong_sentences_are_those_that_were_planted(made):
    for problem in ANYWHERE["wrong-40"](made):
        for own, mixed, wrong in zip(made.texts, problem.texts, problem.planted, strict=True):
            assert wrong.sum() == 4
            np.testing.assert_array_equal((own != mixed).any(axis=1), wrong)


def test_half_the_classes_are_listed_and_the_others_have_no_place(made):
    for problem in ANYWHERE["half-listed"](made):
        assert len(problem.texts) == 3
        assert (problem.truth < 0).sum() == 150


def test_an_update_in_order_of_class_gets_every_image_once(made):
    (problem,) = ANYWHERE["update-sorted"](made)
    assert sorted(np.concatenate(problem.parts).tolist()) == list(range(300))
    assert [np.unique(made.truth[part]).tolist() for part in problem.parts] == [[c] for c in range(6)]


def test_merged_classes_have_the_descriptions_of_both(made):
    two = merged(made, [[0, 3], [1], [2, 4, 5]])
    assert [len(rows) for rows in two.texts] == [20, 10, 30]
    assert np.bincount(two.truth).tolist() == [100, 50, 150]
