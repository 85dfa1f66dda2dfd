from __future__ import annotations

import os
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from kpl.embeddings import (
    Listed,
    Making,
    Part,
    PartDone,
    embed_lots,
    embed_part,
    embed_pictures,
    join_parts,
    open_features,
)
from kpl.embeddings import shards as shards_module
from kpl.errors import AlreadyThereError, FeaturesError, InputError, OutputError
from kpl.images import Found, Instance, SetAside, Unit, find_pictures

SIZE = 4


@pytest.fixture
def found(tmp_path: Path) -> Found:
    """Eleven pictures, one of them unreadable; six of them make up two units, which lie across shards of four."""
    folder = tmp_path / "scans"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(11):
        Image.fromarray(rng.integers(0, 256, (9, 7, 3), np.uint8)).save(folder / f"{i:02}.png")
    (folder / "09.png").write_bytes(b"")
    old = time.time() - 60  # as pictures are that nobody writes now
    for path in folder.iterdir():
        os.utime(path, (old, old))
    time.sleep(0.06)  # the change of their times is one too
    pictures = find_pictures(folder).pictures
    units = []
    for name, first, last in (("a", 2, 6), ("b", 6, 8)):
        members = tuple(replace(each, unit=name) for each in pictures[first:last])
        pictures[first:last] = members
        units.append(Unit(name, "series", members, patient="P", notes=("by three",), sources=(("x", None),) * 4))
    alone = [Unit.of(each) for each in pictures if each.unit == each.id]
    return Found(sorted([*units, *alone], key=lambda u: u.instances[0].id), [SetAside("scan.dcm", "DICOM")], 0)


def lots(found: Found, size: int = SIZE) -> Listed:
    return Listed(found.pictures, size, found.units, found.set_aside, found.asked)


def make(found: Found, encoder: Any, out: Path, *parts: str, **more: Any) -> list[PartDone]:
    how = Making(encoder, batch_size=2, verify=more.pop("verify", False))
    return [embed_part(lots(found), how, out, Part.read(part), **more) for part in parts]


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(
    "parts",
    [["0/1"], ["1/2", "0/2"], ["2/3", "0/3", "1/3", "0/3"], ["0/2", "1/3", "2/3", "1/2"], [f"{i}/7" for i in range(7)]],
)
def test_any_split_gives_the_bytes_of_one_process(
    parts: list[str], found: Found, fake_encoder: Any, tmp_path: Path
) -> None:
    embed_lots(lots(found), Making(fake_encoder, batch_size=2), tmp_path / "one")
    make(found, fake_encoder, tmp_path / "out", *parts)
    assert not (tmp_path / "out").exists()
    joined = join_parts(tmp_path / "out")
    assert files(tmp_path / "out") == files(tmp_path / "one")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".one.seen", ".out.seen", "one", "out", "scans"]
    assert joined.of_units.ids == ("00.png", "01.png", "a", "b", "08.png", "10.png")
    assert joined.of_units.sizes == (1, 1, 4, 2, 1, 1)
    assert [each.id for each in joined.set_aside] == ["scan.dcm", "09.png"]


def test_what_is_there_is_not_embedded_twice(found: Found, fake_encoder: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    make(found, fake_encoder, out, "0/2", "1/2")
    count = sum(fake_encoder.image_batches)
    assert count == 10
    again = make(found, fake_encoder, out, "0/3", "1/3", "2/3")
    assert [(each.rows, each.reused) for each in again] == [(4, 4), (4, 4), (2, 2)]
    assert again[-1].missing == 0
    join_parts(out)
    with pytest.raises(AlreadyThereError):
        join_parts(out)
    before = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    assert all(each.joined and each.reused == each.rows for each in make(found, fake_encoder, out, "0/2", "1/2"))
    assert embed_lots(lots(found), Making(fake_encoder, batch_size=2), out).reused == 10
    assert {path.name: path.stat().st_mtime_ns for path in out.iterdir()} == before, "nothing was written"
    assert sum(fake_encoder.image_batches) == count


def test_sizes_and_times_are_trusted_and_contents_compared_when_asked(
    found: Found, fake_encoder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, read = tmp_path / "out", []
    look = shards_module.fingerprint
    monkeypatch.setattr(shards_module, "fingerprint", lambda record: read.append(record.id) or look(record))
    make(found, fake_encoder, out, "0/1")
    make(found, fake_encoder, out, "0/1")
    join_parts(out)
    embed_lots(lots(found), Making(fake_encoder), out)
    assert read == []
    embed_lots(lots(found), Making(fake_encoder, verify=True), out)
    assert sorted(read) == [each.id for each in found.pictures]
    (tmp_path / ".out.seen").unlink()  # as on another machine
    embed_lots(lots(found), Making(fake_encoder), out)
    assert len(read) == 22
    embed_lots(lots(found), Making(fake_encoder), out)
    assert len(read) == 22, "known again"


def test_a_picture_of_the_same_size_and_time_that_was_replaced_is_embedded_again(
    found: Found, fake_encoder: Any, tmp_path: Path
) -> None:
    out, path = tmp_path / "out", tmp_path / "scans" / "08.png"
    make(found, fake_encoder, out, "0/1")
    join_parts(out)
    times, size = path.stat(), path.stat().st_size
    Image.new("RGB", (1, 1)).save(tmp_path / "other.png")
    other = (tmp_path / "other.png").read_bytes()
    path.write_bytes(other + b"\0" * (size - len(other)))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    count = sum(fake_encoder.image_batches)
    time.sleep(0.06)
    make(found, fake_encoder, out, "0/2", "1/2")
    assert sum(fake_encoder.image_batches) == count + 1, "only its row is new"
    join_parts(out)
    embed_lots(lots(found), Making(fake_encoder), tmp_path / "one")
    assert files(out).keys() == files(tmp_path / "one").keys()
    np.testing.assert_allclose(open_features(out).load(), open_features(tmp_path / "one").load(), atol=1e-6)


def test_pictures_that_are_added_are_all_that_is_embedded(found: Found, fake_encoder: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    embed_pictures(found.pictures[:9], fake_encoder, out, units=found.units, shard_size=SIZE, set_aside=found.set_aside)
    count = sum(fake_encoder.image_batches)
    make(found, fake_encoder, out, "1/2", "0/2")
    assert open_features(out).n == 9, "what was there stays until the parts are joined"
    join_parts(out)
    assert sum(fake_encoder.image_batches) == count + 1
    assert open_features(out).n == 10


def test_joining_says_what_is_missing_and_what_is_damaged(found: Found, fake_encoder: Any, tmp_path: Path) -> None:
    out, work = tmp_path / "out", tmp_path / ".out.parts"
    with pytest.raises(InputError, match=r"no parts of .* are there: make them first with kpl embed SCANS"):
        join_parts(out)
    make(found, fake_encoder, out, "0/3")
    with pytest.raises(FeaturesError, match=r"2 of 3 shards .* \(1, 2\): run --part 1/3, --part 2/3 again, then join"):
        join_parts(out)
    make(found, fake_encoder, out, "1/3", "2/3")
    array = work / "features" / "images-00001.npy"
    whole, stat = array.read_bytes(), array.stat()
    os.utime(array)  # copied, say: its content counts
    array.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(FeaturesError, match=r"shard 1 of .* is not as it was written: run --part 1/3 again"):
        join_parts(out)
    os.utime(array, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # as a disk damages it
    with pytest.raises(FeaturesError, match="shard 1"):
        join_parts(out, verify=True)
    (work / "features" / "images-00002.json").unlink()
    with pytest.raises(FeaturesError, match="shard 2"):
        join_parts(out)
    count = sum(fake_encoder.image_batches)
    make(found, fake_encoder, out, "1/3", "2/3", verify=True)
    assert sum(fake_encoder.image_batches) == count + 6
    join_parts(out, verify=True)
    assert open_features(out).n == 10


def test_parts_of_something_else_are_refused(found: Found, fake_encoder: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    make(found, fake_encoder, out, "0/2")
    fewer = replace(found, units=found.units[:-1])
    with pytest.raises(OutputError, match="parts of other pictures, encoder or settings"):
        make(fewer, fake_encoder, out, "1/2")
    with pytest.raises(OutputError, match="parts of other pictures"):
        embed_part(lots(found, 3), Making(fake_encoder, batch_size=2), out, Part.read("1/2"))
    make(fewer, fake_encoder, out, "1/2", overwrite=True)
    with pytest.raises(FeaturesError, match=r"2 of 3 shards .* \(0, 2\)"):
        join_parts(out)
    make(fewer, fake_encoder, out, "0/2")
    join_parts(out)
    embed_lots(lots(fewer), Making(fake_encoder, batch_size=2), tmp_path / "one")
    assert files(out) == files(tmp_path / "one")
    with pytest.raises(OutputError, match="replace these features with --overwrite"):
        make(Found(found.units[:2], [], 0), fake_encoder, out, "0/1")
    assert not (tmp_path / ".out.parts").exists()


def test_features_that_came_meanwhile_are_not_replaced(found: Found, fake_encoder: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    make(found, fake_encoder, out, "0/1")
    other = Image.new("RGB", (3, 3), (1, 2, 3))
    other.save(tmp_path / "x.png")
    embed_pictures([Instance("x.png", tmp_path / "x.png")], fake_encoder, out)
    with pytest.raises(OutputError, match="has changed since its parts were begun"):
        join_parts(out)
    shutil.rmtree(out)
    assert join_parts(out).n == 10


def test_a_join_that_was_stopped_is_finished(found: Found, fake_encoder: Any, tmp_path: Path) -> None:
    out, work = tmp_path / "out", tmp_path / ".out.parts"
    make(found, fake_encoder, out, "0/1")
    (work / "features" / ".images-00000.npy.0123abcd.writing").write_bytes(b"half, of a node that died")
    shutil.copytree(work, tmp_path / "kept")
    join_parts(out)
    assert len(files(out)) == 7
    shutil.copytree(tmp_path / "kept", work)
    shutil.rmtree(work / "features")
    with pytest.raises(AlreadyThereError):
        join_parts(out)
    assert not work.exists()


@pytest.mark.parametrize("text", ["3/3", "1", "a/b", "-1/3", "1/0", "0/0", "1/2/3", "٣/٤", ""])
def test_parts_that_are_none(text: str) -> None:
    with pytest.raises(InputError, match="--part"):
        Part.read(text)
