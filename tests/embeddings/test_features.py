from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from PIL import Image

from kpl.embeddings import CHUNK_ROWS, FeatureRows, embed_pictures, is_feature_folder, open_features, rows, unit_rows
from kpl.errors import FeaturesError
from kpl.images import Instance


def random_rows(n: int, d: int, dtype: Any = np.float16, seed: int = 0) -> NDArray[Any]:
    values = np.random.default_rng(seed).normal(size=(n, d))
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(dtype)


@pytest.fixture
def folder(fake_encoder: Any, tmp_path: Path) -> Path:
    records = []
    for i in range(7):
        path = tmp_path / f"{i}.png"
        Image.new("RGB", (3, 3), (30 * i, 9, 9)).save(path)
        records.append(Instance(path.name, path))
    records[6].path.write_bytes(b"")  # so that the last shard holds no row
    embed_pictures(records, fake_encoder, tmp_path / "features", shard_size=3)
    return tmp_path / "features"


@given(
    hnp.arrays(np.float64, st.tuples(st.integers(1, 5), st.integers(1, 5)), elements=st.floats(0.1, 9)),
    st.sampled_from([np.float16, np.float32, np.float64]),
)
def test_stored_rows_come_back_with_unit_length(values: NDArray[np.float64], dtype: Any) -> None:
    exact = values / np.linalg.norm(values, axis=1, keepdims=True)
    result = unit_rows(exact.astype(dtype), "test")
    assert result.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(result, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(result, exact, atol=1e-3)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ([np.nan, 1], "row 12, holds values that are not finite"),
        ([np.inf, 0], "row 12, holds values that are not finite"),
        ([0, 0], "row 12, is zero"),
        ([3, 4], "row 12, has length 5: rows must have unit length"),
        ([0.99, 0], "row 12, has length 0.99"),
    ],
)
def test_rows_that_are_no_features_are_named(row: list[float], reason: str) -> None:
    with pytest.raises(FeaturesError, match=reason):
        unit_rows(np.array([[1, 0], [0, 1], row], np.float32), "test", first_row=10)


def test_several_passes_over_chunks_give_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "CHUNK_ROWS", 4)
    parts = [random_rows(n, 5, seed=n) for n in (9, 1, 4)]
    paths = [tmp_path / f"{i}.npy" for i in range(3)]
    for path, part in zip(paths, parts, strict=True):
        np.save(path, part)
    features = FeatureRows(paths)
    assert (features.n, features.d) == (14, 5)
    assert [len(chunk) for chunk in features] == [4, 4, 1, 1, 4]
    for _ in range(2):
        np.testing.assert_array_equal(np.concatenate(list(features)), unit_rows(np.concatenate(parts), "test"))
    np.testing.assert_array_equal(features.load(), np.concatenate(list(features)))
    for chunk in features:
        chunk[:] = 0  # the caller's own
    assert features.load().any()


def test_a_pass_holds_one_chunk_in_memory(tmp_path: Path) -> None:
    array = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float16, (20 * CHUNK_ROWS, 64))
    array[:, 0] = 1
    del array
    features = FeatureRows([tmp_path / "x.npy"])
    tracemalloc.start()
    try:
        assert sum(len(chunk) for chunk in features) == features.n
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 6 * CHUNK_ROWS * 64 * 4


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((2, 3, 4), np.float32), "has the shape"),
        (np.zeros((2, 0), np.float32), "has the shape"),
        (np.zeros((0, 3), np.float32), "holds no row"),
        (np.zeros((2, 3), np.int64), "holds int64: features are float16, float32 or float64"),
    ],
)
def test_arrays_of_another_kind_are_refused(array: NDArray[Any], reason: str, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(FeaturesError, match=reason):
        FeatureRows([tmp_path / "x.npy"])


def test_files_that_are_no_arrays_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FeaturesError, match="missing"):
        FeatureRows([tmp_path / "none.npy"])
    (tmp_path / "x.npy").write_bytes(b"no array")
    with pytest.raises(FeaturesError, match="not a readable"):
        FeatureRows([tmp_path / "x.npy"])
    np.save(tmp_path / "x.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(FeaturesError, match="not a readable"):
        FeatureRows([tmp_path / "x.npy"])


def test_a_folder_tells_what_it_holds(folder: Path) -> None:
    features = open_features(str(folder))
    assert is_feature_folder(folder)
    assert (features.n, features.d, len(features.ids)) == (6, 49, 6)
    assert features.encoder.startswith("fake:")
    assert [item.id for item in features.set_aside] == ["6.png"]
    assert features.index.encoder_name == "fake"


def test_a_changed_folder_is_found_out(folder: Path) -> None:
    for name in ("images-00001.npy", "images-00000.json"):
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[:-1] + b"?")
        with pytest.raises(FeaturesError, match=f"{name}.*hash differs"):
            open_features(folder)
        (folder / name).unlink()
        with pytest.raises(FeaturesError, match=f"cannot read .*{name}"):
            open_features(folder)
        (folder / name).write_bytes(data)
    assert open_features(folder).n == 6


def test_an_index_that_does_not_fit_is_found_out(folder: Path, tmp_path: Path) -> None:
    text = (folder / "index.json").read_text()
    for change, reason in [
        ({"dim": 48}, "the index says 6 x 48 values, the files hold 6 x 49"),
        ({"kpl_features": 2}, "damaged or of another version: kpl_features"),
        ({"unknown": 1}, "unknown"),
        (None, "damaged"),
    ]:
        changed = "{" if change is None else json.dumps(json.loads(text) | change)
        (folder / "index.json").write_text(changed)
        with pytest.raises(FeaturesError, match=reason):
            open_features(folder)
    (folder / "index.json").unlink()
    with pytest.raises(FeaturesError, match="no finished feature folder"):
        open_features(folder)
    (folder / "index.json").mkdir()
    assert not is_feature_folder(folder)
