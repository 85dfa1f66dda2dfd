from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from kpl.embeddings import embed_pictures, open_features
from kpl.embeddings import shards as shards_module
from kpl.errors import EncoderError, InputError, OutputError
from kpl.images import Instance, SetAside, decode, find_pictures


@pytest.fixture
def pictures(tmp_path: Path) -> list[Instance]:
    """Ten small pictures, one of them unreadable."""
    folder = tmp_path / "scans"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(10):
        Image.fromarray(rng.integers(0, 256, (9, 7, 3), np.uint8)).save(folder / f"{i}.png")
    (folder / "4.png").write_bytes(b"")
    return find_pictures(folder).pictures


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_features_are_the_encoder_s_in_order(pictures: list[Instance], fake_encoder: Any, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    before = [SetAside("scan.dcm", "DICOM")]
    features = embed_pictures(
        pictures,
        fake_encoder,
        tmp_path / "out",
        batch_size=2,
        shard_size=4,
        set_aside=before,
        progress=lambda *counts: told.append(counts),
    )
    good = [record for record in pictures if record.id != "4.png"]
    expected = fake_encoder.encode_images([decode(record.path) for record in good])
    np.testing.assert_allclose(features.load(), expected, atol=1e-6)
    assert features.ids == tuple(record.id for record in good)
    assert features.groups == (None,) * 9
    assert features.set_aside == (*before, SetAside("4.png", "empty file (0 bytes)"))
    assert told[-1] == (10, 10)
    assert told == sorted(told)
    assert sorted(files(tmp_path / "out")) == [
        *(f"images-0000{i}.{end}" for i in range(3) for end in ("json", "npy")),
        "index.json",
    ]
    assert open_features(tmp_path / "out").load().tobytes() == features.load().tobytes()


def test_groups_and_hashes_are_kept(pictures: list[Instance], fake_encoder: Any, tmp_path: Path) -> None:
    records = [Instance(r.id, r.path, group=f"patient {int(r.id[0]) // 3}") for r in pictures]
    features = embed_pictures(records, fake_encoder, tmp_path / "out")
    assert features.groups[:4] == ("patient 0", "patient 0", "patient 0", "patient 1")
    assert all(picture.sha256 and len(picture.sha256) == 64 for picture in features.pictures())


def test_the_same_inputs_give_the_same_bytes_wherever_they_lie(
    pictures: list[Instance], fake_encoder: Any, tmp_path: Path
) -> None:
    moved = (tmp_path / "scans").rename(tmp_path / "moved")
    again = find_pictures(moved).pictures
    embed_pictures(again, fake_encoder, tmp_path / "a", shard_size=4, workers=1)
    embed_pictures(again, fake_encoder, tmp_path / "b", shard_size=4, workers=3)
    assert files(tmp_path / "a") == files(tmp_path / "b")
    assert str(tmp_path).encode() not in b"".join(files(tmp_path / "a").values())


def test_float16_halves_the_shards(pictures: list[Instance], fake_encoder: Any, tmp_path: Path) -> None:
    half = embed_pictures(pictures, fake_encoder, tmp_path / "half", dtype="float16")
    full = embed_pictures(pictures, fake_encoder, tmp_path / "full")
    assert np.load(tmp_path / "half/images-00000.npy").dtype == np.float16
    np.testing.assert_allclose(half.load(), full.load(), atol=1e-3)
    assert half.load().dtype == np.float32


@pytest.mark.parametrize("stop", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_run_leaves_whole_shards_and_resumes(
    stop: type[BaseException], pictures: list[Instance], fake_encoder: Any, tmp_path: Path
) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    embed_pictures(pictures, fake_encoder, whole, batch_size=2, shard_size=3)

    def interrupt(done: int, total: int) -> None:
        if done > 7:
            raise stop

    with pytest.raises(stop):
        embed_pictures(pictures, fake_encoder, out, batch_size=2, shard_size=3, progress=interrupt)
    assert not out.exists()
    kept = files(tmp_path / ".out.partial" / "features")
    assert sorted(kept) == ["images-00000.json", "images-00000.npy", "images-00001.json", "images-00001.npy"]
    assert kept.items() <= files(whole).items()
    fake_encoder.image_batches.clear()
    embed_pictures(pictures, fake_encoder, out, batch_size=2, shard_size=3)
    assert sum(fake_encoder.image_batches) == 4
    assert files(out) == files(whole)
    fake_encoder.image_batches.clear()
    embed_pictures(pictures, fake_encoder, out, batch_size=2, shard_size=3)
    assert fake_encoder.image_batches == []


def change_picture(out: Path, record: Instance) -> None:
    Image.new("RGB", (9, 9), "red").save(record.path)


def change_array(out: Path, record: Instance) -> None:
    (out / "images-00001.npy").write_bytes(b"?")


def change_list(out: Path, record: Instance) -> None:
    path = out / "images-00001.json"
    path.write_text(json.dumps(json.loads(path.read_text())))


def lose_array(out: Path, record: Instance) -> None:
    (out / "images-00001.npy").unlink()


def lose_list(out: Path, record: Instance) -> None:
    (out / "images-00001.json").unlink()
    (out / "index.json").unlink()


def lose_picture(out: Path, record: Instance) -> None:
    record.path.unlink()


@pytest.mark.parametrize("linked", [True, False])
def test_features_of_other_pictures_stay_until_all_are_there(
    linked: bool,
    pictures: list[Instance],
    fake_encoder: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "out"
    embed_pictures(pictures[:5], fake_encoder, out, shard_size=3)
    before = files(out)
    if not linked:
        monkeypatch.setattr(os, "link", lambda *_: (tmp_path / "not there").stat())
    fake_encoder.image_batches.clear()

    def interrupt(done: int, total: int) -> None:
        if done > 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embed_pictures(pictures, fake_encoder, out, batch_size=2, shard_size=3, overwrite=True, progress=interrupt)
    assert files(out) == before
    embed_pictures(pictures, fake_encoder, out, batch_size=2, shard_size=3, overwrite=True)
    assert sum(fake_encoder.image_batches) == 1 + 2 + 4  # the first shard is the old one's, and a row of the second
    embed_pictures(pictures, fake_encoder, tmp_path / "new", shard_size=3)
    assert files(out) == files(tmp_path / "new")
    assert sorted(path.name for path in tmp_path.iterdir() if "out" in path.name) == [".out.seen", "out"]


@pytest.mark.parametrize("change", [change_picture, change_array, change_list, lose_array, lose_list, lose_picture])
def test_only_what_changed_is_embedded_again(
    change: Callable[[Path, Instance], None], pictures: list[Instance], fake_encoder: Any, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    embed_pictures(pictures, fake_encoder, out, shard_size=3)
    change(out, pictures[5])
    fake_encoder.image_batches.clear()
    embed_pictures(pictures, fake_encoder, out, shard_size=3)
    lost = change is lose_picture
    rows = {change_picture: [1], lose_picture: []}.get(change, [2])  # of the second shard, less the unreadable picture
    assert fake_encoder.image_batches == rows
    assert open_features(out).n == 9 - lost
    embed_pictures(pictures, fake_encoder, tmp_path / "new", shard_size=3)
    assert files(out) == files(tmp_path / "new")


def test_features_that_would_be_lost_are_refused(pictures: list[Instance], fake_encoder: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    embed_pictures(pictures, fake_encoder, out, shard_size=3)
    before = files(out)
    other = type(fake_encoder)("other")
    changed = type(fake_encoder)("fake", image_size=9)
    for records, encoder, options, reason in [
        (pictures, other, {}, "holds features of encoder fake:.*, not of other:.*--overwrite"),
        (pictures, changed, {}, "holds features of encoder fake:"),
        (pictures, fake_encoder, {"dtype": "float16"}, "holds features of other settings"),
        (pictures[:4], fake_encoder, {}, "holds features of 10 pictures, 6 of them not among these 4.*--overwrite"),
    ]:
        with pytest.raises(OutputError, match=reason):
            embed_pictures(records, encoder, out, shard_size=3, **options)  # type: ignore[arg-type]
        assert files(out) == before
    fake_encoder.image_batches.clear()
    embed_pictures(pictures[:4], fake_encoder, out, shard_size=3, overwrite=True)
    assert fake_encoder.image_batches == []  # the first shard fits and is kept, and a row of the second
    assert open_features(out).ids == ("0.png", "1.png", "2.png", "3.png")
    assert sorted(files(out)) == [
        "images-00000.json",
        "images-00000.npy",
        "images-00001.json",
        "images-00001.npy",
        "index.json",
    ]
    assert embed_pictures(pictures, other, out, overwrite=True).encoder.startswith("other:")
    (out / "images-00000.json").write_text("{}")
    with pytest.raises(OutputError, match="is damaged"):
        embed_pictures(pictures, other, out)


def test_folders_that_are_something_else_are_refused(
    pictures: list[Instance], fake_encoder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="is a file"):
        embed_pictures(pictures, fake_encoder, tmp_path / "file")
    with pytest.raises(OutputError, match=r"cannot write .*: Not a directory"):
        embed_pictures(pictures, fake_encoder, tmp_path / "file" / "below")
    with pytest.raises(OutputError, match="is no feature folder"):
        embed_pictures(pictures, fake_encoder, tmp_path / "scans", overwrite=True)
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden/.DS_Store").write_text("x")
    (tmp_path / "hidden/.images-00000.npy.partial").write_text("left by a killed run")
    embed_pictures(pictures, fake_encoder, tmp_path / "hidden")
    (tmp_path / "hidden/notes").mkdir()
    (tmp_path / "hidden/notes/mine.txt").write_text("mine")
    embed_pictures(pictures[:4], fake_encoder, tmp_path / "hidden", overwrite=True)
    assert sorted(path.name for path in (tmp_path / "hidden").iterdir()) == [
        ".DS_Store",
        "images-00000.json",
        "images-00000.npy",
        "index.json",
        "notes",
    ]
    assert (tmp_path / "hidden/notes/mine.txt").read_text() == "mine"


def test_a_full_disk_leaves_nothing_half_written(
    pictures: list[Instance], fake_encoder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    move = os.replace

    def full(source: Path, target: Path) -> None:
        if "images-00002.npy" in target.name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        move(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", full)
        with pytest.raises(OutputError, match=r"cannot write '.*images-00002.npy': No space left on device\. Mend"):
            embed_pictures(pictures, fake_encoder, out, shard_size=3)
    kept = files(tmp_path / ".out.partial" / "features")
    assert sorted(kept) == [f"images-0000{i}.{end}" for i in (0, 1) for end in ("json", "npy")]
    embed_pictures(pictures, fake_encoder, out, shard_size=3)
    assert open_features(out).n == 9


def test_records_that_cannot_be_embedded(fake_encoder: Any, tmp_path: Path) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"?")
    for records, reason in [
        ([], "no picture to embed"),
        ([Instance("a", bad), Instance("a", bad)], "two pictures have the id 'a'"),
        ([Instance("\udcff", bad)], "UTF-8"),
        (
            [Instance("a", bad), Instance("b", tmp_path / "none")],
            "not one of 2 pictures can be read; .*not a",
        ),
    ]:
        with pytest.raises(InputError, match=reason):
            embed_pictures(records, fake_encoder, tmp_path / "out", set_aside=[SetAside("x", "y")])
    with pytest.raises(InputError, match="at least 1"):
        embed_pictures([Instance("a", bad)], fake_encoder, tmp_path / "out", batch_size=0)


def test_an_encoder_that_breaks_its_contract_is_caught(
    pictures: list[Instance], fake_encoder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for wrong, reason in [
        (lambda pictures: np.ones((len(pictures), 3), np.float32), "gave features of shape"),
        (lambda pictures: np.ones((len(pictures), 49), np.float32), "of length 7"),
        (lambda pictures: np.full((len(pictures), 49), np.nan, np.float32), "of length nan"),
    ]:
        monkeypatch.setattr(fake_encoder, "encode_images", wrong)
        with pytest.raises(EncoderError, match=reason):
            embed_pictures(pictures, fake_encoder, tmp_path / "out")


def test_batches_hold_a_bounded_number_of_pixels(
    pictures: list[Instance], fake_encoder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards_module, "_BATCH_BYTES", 3 * 9 * 7 * 2)
    embed_pictures(pictures, fake_encoder, tmp_path / "out")
    assert fake_encoder.image_batches == [3, 3, 3]


def test_large_pictures_give_the_same_features_read_smaller(fake_encoder: Any, tmp_path: Path) -> None:
    y, x = np.mgrid[0:1:300j, 0:1:500j]
    pixels = (255 * np.stack([x, y, x * y], axis=-1)).astype(np.uint8)
    for form in ("png", "jpg"):
        path = tmp_path / f"large.{form}"
        Image.fromarray(pixels).save(path)
        features = embed_pictures([Instance("a", path)], fake_encoder, tmp_path / form)
        np.testing.assert_allclose(features.load(), fake_encoder.encode_images([decode(path)]), atol=5e-3)


def test_two_at_once_on_one_folder_is_refused(pictures: list[Instance], fake_encoder: Any, tmp_path: Path) -> None:
    out, refused = tmp_path / "out", []

    def second() -> None:
        try:
            embed_pictures(pictures, fake_encoder, out)
        except OutputError as error:
            refused.append(str(error))

    def progress(_done: int, _total: int) -> None:
        if not refused:
            thread = threading.Thread(target=second)
            thread.start()
            thread.join()

    embed_pictures(pictures, fake_encoder, out, progress=progress)
    assert len(refused) == 1
    assert "is being written by" in refused[0]
    assert not [name for name in files(out) if name.startswith(".")]


def test_one_picture_more_takes_all_other_rows_over(
    pictures: list[Instance], fake_encoder: Any, tmp_path: Path
) -> None:
    embed_pictures(pictures, fake_encoder, tmp_path / "out", shard_size=4)
    rows = open_features(tmp_path / "out").load()
    first = tmp_path / "scans" / "00.png"  # before all others, so that no shard holds what it held
    Image.fromarray(np.full((5, 5, 3), 7, np.uint8)).save(first)
    fake_encoder.image_batches.clear()
    more = embed_pictures(find_pictures(tmp_path / "scans").pictures, fake_encoder, tmp_path / "out", shard_size=4)
    assert fake_encoder.image_batches == [1]
    assert (more.reused, more.ids[1]) == (9, "00.png")
    np.testing.assert_array_equal(np.delete(more.load(), 1, axis=0), rows)


def test_a_picture_that_changed_under_its_name_is_encoded_again(
    pictures: list[Instance], fake_encoder: Any, tmp_path: Path
) -> None:
    before = embed_pictures(pictures, fake_encoder, tmp_path / "out").load()
    Image.fromarray(np.full((5, 5, 3), 7, np.uint8)).save(pictures[0].path)
    fake_encoder.image_batches.clear()
    after = embed_pictures(pictures, fake_encoder, tmp_path / "out")
    assert (fake_encoder.image_batches, after.reused) == ([1], 8)
    np.testing.assert_array_equal(after.load()[1:], before[1:])
    assert (after.load()[0] != before[0]).any()
