from __future__ import annotations

import csv
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kpl.errors import InputError, OutputError, UnknownNameError
from kpl.rendered import CELL_CLASSES, DEMO_PROPORTIONS, draw_demo


def read_truth(folder: Path) -> list[dict[str, str]]:
    with (folder / "truth.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_demo_is_a_flat_folder_of_pictures_and_a_truth_beside_it(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    pictures = draw_demo(tmp_path / "demo", count=50, seed=3, progress=lambda done, count: seen.append((done, count)))
    files = sorted(path.name for path in pictures.iterdir())
    truth = read_truth(tmp_path / "demo")
    assert pictures == tmp_path / "demo" / "pictures"
    assert files == [row["image"] for row in truth]
    assert all(re.fullmatch(r"cell-\d{4}\.png", name) for name in files), "no name tells a class"
    assert seen == [(k, 50) for k in range(1, 51)]
    with Image.open(pictures / files[0]) as picture:
        assert (picture.size, picture.mode) == ((144, 144), "RGB")
    counts = Counter(row["label"] for row in truth)
    assert sum(counts.values()) == 50
    assert all(abs(counts[key] - 50 * share) < 1 for key, share in DEMO_PROPORTIONS.items())


def test_a_seed_draws_one_demo(tmp_path: Path) -> None:
    one, same, other = (draw_demo(tmp_path / name, count=3, seed=s) for name, s in (("a", 1), ("b", 1), ("c", 2)))
    first, again, else_ = (
        np.stack([np.asarray(Image.open(p)) for p in sorted(f.iterdir())]) for f in (one, same, other)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, else_)
    assert read_truth(tmp_path / "a") == read_truth(tmp_path / "b")


def test_the_default_proportions_name_every_kind_and_are_unequal() -> None:
    assert set(DEMO_PROPORTIONS) == set(CELL_CLASSES)
    assert sum(DEMO_PROPORTIONS.values()) == pytest.approx(1)
    assert max(DEMO_PROPORTIONS.values()) > 5 * min(DEMO_PROPORTIONS.values())


def test_proportions_choose_the_kinds(tmp_path: Path) -> None:
    draw_demo(tmp_path / "demo", count=3, proportions={"platelet": 2, "monocyte": 1, "ig": 0})
    assert Counter(row["label"] for row in read_truth(tmp_path / "demo")) == {"platelet": 2, "monocyte": 1}


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"count": 0}, InputError),
        ({"seed": -1}, InputError),
        ({"proportions": {"platelet": -1.0, "ig": 2.0}}, InputError),
        ({"proportions": {"platelet": 0.0}}, InputError),
        ({"proportions": {}}, InputError),
        ({"proportions": {"platelet": float("nan")}}, InputError),
        ({"proportions": {"blast": 1.0}}, UnknownNameError),
    ],
)
def test_senseless_demands_are_refused(tmp_path: Path, arguments: dict[str, object], error: type[Exception]) -> None:
    with pytest.raises(error):
        draw_demo(tmp_path / "demo", **arguments)
    assert not (tmp_path / "demo").exists()


def test_a_demo_is_never_overwritten(tmp_path: Path) -> None:
    draw_demo(tmp_path, count=1)
    with pytest.raises(OutputError, match="holds one already"):
        draw_demo(tmp_path, count=1)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write the demo"):
        draw_demo(tmp_path / "file", count=1)
