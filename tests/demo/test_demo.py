"""The shipped pictures: chosen by the rule, credited, copied whole or not at all, classified as well as promised."""

from __future__ import annotations

import csv
from collections import Counter
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import kpl
from choose_demo import PUBLISHED, chosen
from kpl.demo import demo_cells, draw_demo
from kpl.errors import OutputError


def test_the_demo_is_a_flat_folder_of_pictures_and_a_truth_beside_it(tmp_path):
    seen = []
    pictures = draw_demo(tmp_path / "demo", progress=lambda *what: seen.append(what))
    with (tmp_path / "demo" / "truth.csv").open(encoding="utf-8", newline="") as file:
        truth = list(csv.DictReader(file))
    assert sorted(path.name for path in pictures.iterdir()) == [row["image"] for row in truth]
    assert seen == [(k, 200) for k in range(1, 201)]
    assert "CC BY 4.0" in (tmp_path / "demo" / "CREDITS.md").read_text(encoding="utf-8")
    for (source, label), row in zip(demo_cells(), truth, strict=True):
        assert label == row["label"]
        with Image.open(source) as shipped, Image.open(pictures / row["image"]) as copied:
            assert copied.format == "PNG"
            np.testing.assert_array_equal(np.asarray(shipped), np.asarray(copied))


def test_the_kinds_are_there_in_unequal_numbers():
    counts = Counter(label for _, label in demo_cells())
    assert set(counts) == set(PUBLISHED)
    assert max(counts.values()) > 2.5 * min(counts.values())


def test_the_pictures_are_small_enough_to_ship():
    assert sum(path.stat().st_size for path, _ in demo_cells()) < 1.5e6


@pytest.mark.shared
def test_the_shipped_pictures_are_those_that_the_rule_chooses_and_none_was_trained_on(shared):
    folder = shared / "images" / "pbc_blood_cells"
    expected = [(path.read_bytes(), kind) for path, kind in chosen(folder / "test")]
    assert [(path.read_bytes(), kind) for path, kind in demo_cells()] == expected
    trained = {sha256(path.read_bytes()).digest() for path in (folder / "train").rglob("*.jpg")}
    assert len(trained) > 2000
    assert not trained & {sha256(data).digest() for data, _ in expected}


def test_the_demo_shows_what_the_product_can(tmp_path):
    pictures = draw_demo(tmp_path)
    kpl.classify(pictures, knowledge="blood-cells", out=tmp_path / "run")
    scores = kpl.evaluate(tmp_path / "run", labels=tmp_path / "truth.csv", methods=("cupl", "kpl"), replicates=0)
    assert scores.table.scores["kpl"].accuracy >= 0.85
    assert scores.table.scores["kpl"].accuracy > scores.table.scores["cupl"].accuracy
    assert scores.table.majority.accuracy < 0.25


def test_half_a_demo_is_none(tmp_path):
    def stop(done: int, _count: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        draw_demo(tmp_path / "demo", progress=stop)
    assert list((tmp_path / "demo").iterdir()) == []
    assert draw_demo(tmp_path / "demo").is_dir()


@pytest.mark.parametrize("name", ["pictures", "truth.csv"])
def test_a_folder_that_holds_a_demo_is_refused(tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(OutputError, match="it holds one already"):
        draw_demo(tmp_path)


def test_a_demo_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot write .*file"):
        draw_demo(Path(tmp_path / "file"))
