"""Tar archives as WebDataset lays them out: their pictures are read where they lie."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from kpl.embeddings import Listed, Making, Part, embed_lots, embed_part, join_parts, open_features
from kpl.errors import InputError
from kpl.images import find_inputs


def packed(path: Path, names: list[str], mode: str = "w", seed: int = 0) -> Path:
    rng = np.random.default_rng(seed)
    with tarfile.open(path, mode) as archive:
        for name in names:
            file = io.BytesIO()
            if name.endswith(".png"):
                Image.fromarray(rng.integers(0, 256, (9, 7, 3), np.uint8)).save(file, "PNG")
            else:
                file.write(b"3")
            about = tarfile.TarInfo(name)
            about.size = file.tell()
            file.seek(0)
            archive.addfile(about, file)
    os.utime(path, (time.time() - 60,) * 2)
    return path


NAMES = ["000.png", "000.cls", "deep/001.png", "deep/001.json", "002.png"]


def embed(place: Path, encoder: Any, out: Path) -> Any:
    found = find_inputs([place])
    return embed_lots(Listed(found.pictures, 2, found.units, found.set_aside), Making(encoder), out)


def test_pictures_of_an_archive_have_the_features_of_the_files(fake_encoder: Any, tmp_path: Path) -> None:
    (tmp_path / "tars").mkdir()
    packed(tmp_path / "tars" / "a.tar", NAMES)
    with tarfile.open(tmp_path / "tars" / "a.tar") as archive:
        archive.extractall(tmp_path / "files" / "a.tar", filter="data")
    time.sleep(0.06)
    one, other = (embed(tmp_path / name, fake_encoder, tmp_path / f"f-{name}") for name in ("tars", "files"))
    assert sorted(one.ids) == sorted(other.ids) == ["a.tar/000.png", "a.tar/002.png", "a.tar/deep/001.png"]
    assert {p.id: p.sha256 for p in one.pictures()} == {p.id: p.sha256 for p in other.pictures()}
    assert one.of_units.plain
    fake_encoder.image_batches.clear()
    assert embed(tmp_path / "tars", fake_encoder, tmp_path / "f-tars").reused == 3
    with tarfile.open(tmp_path / "tars" / "a.tar", "a") as archive:
        archive.add(tmp_path / "files" / "a.tar" / "000.png", "zz.png")
    assert embed(tmp_path / "tars", fake_encoder, tmp_path / "f-tars").n == 4
    assert fake_encoder.image_batches == [], "the content of the new one is known"


def test_archives_are_embedded_in_parts(fake_encoder: Any, tmp_path: Path) -> None:
    (tmp_path / "tars").mkdir()
    for seed, name in enumerate("ab"):
        packed(tmp_path / "tars" / f"{name}.tar", NAMES, seed=seed)
    found = find_inputs([tmp_path / "tars"])
    lots = Listed(found.pictures, 2, found.units, found.set_aside)
    for part in (Part(1, 2), Part(0, 2)):
        embed_part(lots, Making(fake_encoder), tmp_path / "out", part)
    join_parts(tmp_path / "out")
    embed(tmp_path / "tars", fake_encoder, tmp_path / "one")
    assert np.array_equal(open_features(tmp_path / "out").load(), open_features(tmp_path / "one").load())


def test_what_is_no_archive_of_pictures_is_set_aside(tmp_path: Path) -> None:
    scans = tmp_path / "scans"
    scans.mkdir()
    packed(scans / "ok.tar", NAMES[:1])
    packed(scans / "labels.tar", ["a.cls"])
    packed(scans / "packed.tar.gz", NAMES, "w:gz")
    (scans / "broken.tar").write_bytes(b"nothing of the kind" * 99)
    found = find_inputs([scans])
    assert [each.id for each in found.pictures] == ["ok.tar/000.png"]
    assert {each.id: each.reason for each in found.set_aside} == {
        "labels.tar": "a tar archive without a picture",
        "packed.tar.gz": "a packed tar archive: unpack it to .tar, whose pictures are read where they lie",
        "broken.tar": "no tar archive that can be read: make it again",
    }


def test_an_archive_that_was_cut_short_loses_no_other_picture(fake_encoder: Any, tmp_path: Path) -> None:
    path = packed(tmp_path / "a.tar", NAMES)
    found = find_inputs([path])
    os.truncate(path, found.pictures[1].data.start + 20)
    lots = Listed(found.pictures, 2, found.units)
    folder = embed_lots(lots, Making(fake_encoder), tmp_path / "out")
    assert (folder.n, {each.reason for each in folder.set_aside}) == (
        1, {"cannot be read: its archive is shorter than it was"},
    )  # fmt: skip
    shutil.rmtree(tmp_path / "out")
    path.unlink()
    with pytest.raises(InputError, match="not one of 3 pictures can be read"):
        embed_lots(lots, Making(fake_encoder), tmp_path / "out")
