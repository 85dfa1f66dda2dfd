from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kpl.embeddings import is_bundle, open_bundle
from kpl.errors import FeaturesError


def unit(*shape: int) -> Any:
    values = np.random.default_rng(len(shape)).normal(size=shape)
    return (values / np.linalg.norm(values, axis=-1, keepdims=True)).astype(np.float16)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Five pictures, two classes, three descriptions each."""
    np.save(tmp_path / "images.npy", unit(5, 4))
    np.save(tmp_path / "descriptions.npy", unit(2, 3, 4))
    np.save(tmp_path / "labels.npy", np.array([0, 1, 1, 0, 1], np.int16))
    (tmp_path / "bundle.json").write_text(json.dumps({"classes": ["a", "b"], "shapes": {}}))
    return tmp_path


def test_a_bundle_is_read(bundle: Path) -> None:
    data = open_bundle(str(bundle))
    assert is_bundle(bundle)
    assert (data.images.n, data.images.d) == (5, 4)
    assert [rows.shape for rows in data.descriptions] == [(3, 4), (3, 4)]
    assert data.labels is not None
    assert data.labels.tolist() == [0, 1, 1, 0, 1]
    assert (data.classes, data.templates, data.encoder, data.dataset) == (("a", "b"), (), None, None)
    for rows in (data.images.load(), *data.descriptions):
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)


def test_labels_may_be_missing_and_classes_may_differ_in_descriptions(bundle: Path) -> None:
    (bundle / "labels.npy").unlink()
    (bundle / "descriptions.npy").unlink()
    np.save(bundle / "descriptions-00000.npy", unit(3, 4))
    np.save(bundle / "descriptions-00001.npy", unit(1, 4))
    data = open_bundle(bundle)
    assert data.labels is None
    assert [rows.shape for rows in data.descriptions] == [(3, 4), (1, 4)]


def save(name: str, array: Any) -> Callable[[Path], None]:
    return lambda folder: np.save(folder / name, array)


def write(name: str, text: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_text(text) and None


def ragged(array: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / "descriptions.npy").unlink()
        np.save(folder / "descriptions-00000.npy", array)

    return change


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda folder: (folder / "bundle.json").unlink(), "is no feature bundle"),
        (lambda folder: (folder / "images.npy").unlink(), "images.npy' is missing"),
        (ragged(unit(3, 4)), "descriptions-00001.npy' is missing"),
        (ragged(unit(3)), "descriptions-00000.npy' has the shape"),
        (write("bundle.json", "{"), "bundle.json': the file: Invalid JSON"),
        (write("bundle.json", '{"classes": "a"}'), "bundle.json': classes:"),
        (write("bundle.json", '{"classes": []}'), "at least one name"),
        (write("bundle.json", '{"classes": ["a", "a"]}'), "each only once"),
        (write("bundle.json", '{"classes": ["a", "b", "c"]}'), "with 3 classes"),
        (write("labels.npy", "no array"), "labels.npy' is not a readable"),
        (save("labels.npy", np.zeros(4, int)), "must hold 5 whole numbers"),
        (save("labels.npy", np.zeros(5)), "must hold 5 whole numbers"),
        (save("labels.npy", np.full(5, 2)), "indices 2..2: the 2 classes are 0..1"),
        (save("labels.npy", np.full(5, -1)), "indices -1..-1"),
        (save("descriptions.npy", unit(2, 3, 5)), "same encoder"),
        (save("descriptions.npy", unit(6, 4)), "has the shape"),
        (save("descriptions.npy", np.zeros((2, 3, 4), np.float32)), "class 0, row 0, is zero"),
    ],
)
def test_what_does_not_fit_is_refused(change: Callable[[Path], None], reason: str, bundle: Path) -> None:
    change(bundle)
    with pytest.raises(FeaturesError, match=reason) as caught:
        open_bundle(bundle)
    assert "\n" not in str(caught.value)


def test_a_bad_row_is_found_when_it_is_read(bundle: Path) -> None:
    images = unit(5, 4)
    images[3] = np.nan
    np.save(bundle / "images.npy", images)
    with pytest.raises(FeaturesError, match="row 3, holds values that are not finite"):
        open_bundle(bundle).images.load()


@pytest.mark.shared
def test_published_bundles_are_read(shared: Path) -> None:
    folders = sorted(path for path in (shared / "features").iterdir() if is_bundle(path))
    assert len(folders) == 6
    for folder in folders:
        data = open_bundle(folder)
        assert data.images.n == 1005
        assert (len(data.classes), len(data.templates), len(data.descriptions)) == (19, 106, 19)
        assert sum(len(chunk) for chunk in data.images) == 1005
