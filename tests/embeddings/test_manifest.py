from __future__ import annotations

import csv
import gzip
import json
import os
import tarfile
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from kpl.embeddings import (
    Listed,
    Making,
    Manifest,
    Part,
    embed_lots,
    embed_part,
    join_parts,
    manifest,
    open_features,
    open_manifest,
)
from kpl.embeddings.unique import Hashed
from kpl.errors import InputError, OutputError, TableError
from kpl.images import Asked, find_inputs, tars, walking
from kpl.images.formats import PACKED_TAR

ROWS = 23


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables of eleven rows are long ones, and are looked at seven rows at a time."""
    monkeypatch.setattr(manifest, "LISTED_AT_MOST", 10)
    monkeypatch.setattr(manifest, "_PASS", 7)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    (tmp_path / "scans" / "deep").mkdir(parents=True)
    names = [f"scans/{'deep/' * (i % 2)}{i:02}.png" for i in range(ROWS)]
    for name in names:
        Image.fromarray(rng.integers(0, 256, (9, 7, 3), np.uint8)).save(tmp_path / name)
        os.utime(tmp_path / name, (1e9, 1e9))
    time.sleep(0.06)
    write(tmp_path / "m.csv", [(name, f"P{i // 2}", "benign") for i, name in enumerate(names)])
    return tmp_path / "m.csv"


def write(path: Path, rows: list[tuple[str, ...]]) -> None:
    titles = ("image", "patient", "label")
    if path.suffix == ".parquet":
        import pyarrow
        import pyarrow.parquet

        columns = {title: [row[at] for row in rows] for at, title in enumerate(titles)}
        pyarrow.parquet.write_table(pyarrow.table(columns), path, row_group_size=6)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(dict(zip(titles, row, strict=True))) + "\n" for row in rows))
    else:
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([titles, *rows])


def rows_of(path: Path) -> list[tuple[str, ...]]:
    with path.open(newline="") as file:
        return [tuple(row) for row in list(csv.reader(file))[1:]]


def opened(path: Path, size: int = 4) -> Manifest:
    found = open_manifest([str(path)], Asked(), size)
    assert found is not None
    return found


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_table_that_is_read_in_slices_gives_what_a_whole_one_does(
    kind: str, table: Path, fake_encoder: Any, tmp_path: Path
) -> None:
    path = table.with_suffix(f".{kind}")
    write(path, rows_of(table))
    found = find_inputs(path)
    how = Making(fake_encoder, batch_size=3)
    embed_lots(Listed(found.pictures, 4, found.units, found.set_aside, found.asked), how, tmp_path / "whole")
    lots = opened(path)
    assert (lots.count, lots.total) == (6, ROWS)
    assert [len(lot.records) for lot in lots.lots(range(6))] == [lots.size_of(n) for n in range(6)] == [4] * 5 + [3]
    assert list(lots.ids()) == [each.id for each in found.pictures]
    embed_lots(lots, how, tmp_path / "sliced")
    assert files(tmp_path / "sliced") == files(tmp_path / "whole")
    for part in ("2/3", "0/3", "1/3"):
        embed_part(opened(path), how, tmp_path / "parts", Part.read(part))
    join_parts(tmp_path / "parts")
    assert files(tmp_path / "parts") == files(tmp_path / "whole")
    count = sum(fake_encoder.image_batches)
    assert embed_lots(opened(path), how, tmp_path / "parts").reused == ROWS
    assert sum(fake_encoder.image_batches) == count


@pytest.fixture
def scans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of pictures, some of which are set aside for every kind of reason."""
    monkeypatch.setattr(walking, "_PIECE", 5)
    rng = np.random.default_rng(0)
    root = tmp_path / "pictures"
    names = [f"{folder}{i:02}.png" for i in range(7) for folder in ("", "a/", "a/z/", "a.b/", "b/masks/")]
    for name in [*names, "a/03_mask.png", "line\nbreak.png"]:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (9, 7, 3), np.uint8)
        Image.fromarray(pixels * 0 if name.startswith("b/masks/") and name < "b/masks/04" else pixels).save(root / name)
    (root / "a" / "page.png").write_text("<!DOCTYPE html><html>")
    (root / "a" / "broken.png").write_bytes((root / "00.png").read_bytes()[:60])
    (root / "a" / "said.zip").write_bytes(b"PK")
    (root / "a.b" / "read me.txt").write_text("nothing")
    (root / ".hidden.png").write_bytes(b"")
    (root / "01-link.png").symlink_to("nowhere.png")
    time.sleep(0.06)
    return root


def test_a_folder_that_is_searched_in_pieces_gives_what_a_whole_one_does(
    scans: Path, fake_encoder: Any, tmp_path: Path
) -> None:
    found = find_inputs(scans)
    assert len(found.set_aside) == 8
    how = Making(fake_encoder, batch_size=3)
    embed_lots(Listed(found.pictures, 4, found.units, found.set_aside, found.asked), how, tmp_path / "whole")
    lots = opened(scans)
    assert list(lots.ids()) == [each.id for each in found.pictures]
    assert (list(lots.set_aside), lots.notes) == (found.set_aside, list(found.notes))
    for part in ("1/2", "0/2"):
        embed_part(opened(scans), how, tmp_path / "parts", Part.read(part))
    join_parts(tmp_path / "parts")
    assert files(tmp_path / "parts") == files(tmp_path / "whole")
    assert embed_lots(opened(scans), how, tmp_path / "parts").reused == lots.total - 1
    (scans / "a" / "read me.zip").write_bytes(b"PK")
    assert opened(scans).key != lots.key


def test_a_folder_with_more_than_plain_pictures_is_planned_as_a_whole(scans: Path) -> None:
    for name, what in {"v.nii": b"", "a.tar": b"", "b/00001": bytes(128) + b"DICM" + bytes(400)}.items():
        (scans / name).write_bytes(what)
        assert open_manifest([str(scans)], Asked(), 4) is None
        (scans / name).unlink()
    assert open_manifest([str(scans)], Asked(frames=3), 4) is None
    assert open_manifest([str(scans), str(scans)], Asked(), 4) is None
    (scans / "again").symlink_to("a")
    assert open_manifest([str(scans)], Asked(), 4) is None


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_rows_name_pictures_in_archives(kind: str, table: Path, fake_encoder: Any, tmp_path: Path) -> None:
    rows = rows_of(table)
    for at in range(2):
        with tarfile.open(tmp_path / f"shard-{at}.tar", "w") as archive:
            for name, *_ in rows[at::2]:
                archive.add(tmp_path / name, name)
    (tmp_path / "packed.tar.gz").write_bytes(gzip.compress((tmp_path / "shard-0.tar").read_bytes()))
    time.sleep(0.06)
    named = [(f"shard-{i % 2}.tar/{name}", *rest) for i, (name, *rest) in enumerate(rows)]
    bad = [("shard-0.tar/none.png", "P", "x"), (f"packed.tar.gz/{rows[0][0]}", "P", "x")]
    path = table.with_suffix(f".{kind}")
    write(path, [*named, *bad])
    reasons = {
        "shard-0.tar/none.png": "no such picture in its tar archive",
        f"packed.tar.gz/{rows[0][0]}": PACKED_TAR,
    }
    found = find_inputs(path)
    assert {each.id: each.reason for each in found.set_aside} == reasons
    assert [(each.id, each.group) for each in found.pictures] == [row[:2] for row in named]
    folder = embed_lots(opened(path), Making(fake_encoder), tmp_path / "out")
    assert {each.id: each.reason for each in folder.set_aside} == reasons
    hashes = {each.id: each.sha256 for each in folder.pictures()}
    assert hashes == {
        name: sha256((tmp_path / row[0]).read_bytes()).hexdigest() for (name, *_), row in zip(named, rows, strict=True)
    }
    write(path, named)
    find_inputs(path)
    embed_lots(opened(path), Making(fake_encoder), tmp_path / "again")
    assert embed_lots(opened(path), Making(fake_encoder), tmp_path / "again").reused == ROWS


def test_each_archive_is_opened_once(table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, count = rows_of(table), 6
    for at in range(count):
        with tarfile.open(tmp_path / f"shard-{at}.tar", "w") as archive:
            for name, *_ in rows[at::count]:
                archive.add(tmp_path / name, name)
    write(table, [(f"shard-{i % count}.tar/{name}", *rest) for i, (name, *rest) in enumerate(rows)])
    read, asked = tars._members, []
    monkeypatch.setattr(tars, "_members", lambda path: asked.append(path.name) or read(path))
    (lot,) = opened(table, 100).lots([0])
    assert sorted(asked) == [f"shard-{at}.tar" for at in range(count)]
    assert all(each.data for each in lot.records)


@pytest.mark.parametrize("rows", [5, 30])
def test_addresses_are_refused(rows: int, tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    write(tmp_path / "m.csv", [(f"https://example.org/{at}.png", "P", "x") for at in range(rows)])
    assert open_manifest([str(tmp_path / "m.csv")], Asked(), 4) is None
    with pytest.raises(InputError, match="addresses such as 'https://example"):
        find_inputs(tmp_path / "m.csv")


def test_labels_are_not_even_read(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyarrow.parquet import ParquetFile

    path, asked = table.with_suffix(".parquet"), []
    write(path, rows_of(table))
    read = ParquetFile.read_row_groups

    def spy(self: Any, groups: list[int], columns: list[str]) -> Any:
        asked.append((tuple(groups), tuple(columns)))
        return read(self, groups, columns)

    monkeypatch.setattr(ParquetFile, "read_row_groups", spy)
    lots = opened(path)
    assert {columns for _, columns in asked} == {("image", "patient")}
    asked.clear()
    assert [len(lot.records) for lot in lots.lots([1, 4])] == [4, 4]
    assert [groups for groups, _ in asked] == [(0, 1), (2, 3)], "of 4 groups of 6 rows, rows 4 to 7 and 16 to 19"


def test_rows_that_name_a_picture_again_count_once(table: Path, fake_encoder: Any, tmp_path: Path) -> None:
    rows = rows_of(table)
    again = [*rows[:15], rows[3], *rows[15:], (f"./{rows[7][0]}", *rows[7][1:]), rows[3]]
    write(table, again)
    lots = opened(table)
    assert lots.again.tolist() == [15, 24, 25]
    assert lots.notes[-1] == "rows that name a file once more, which counts once: 3, the first is row 16"
    assert [lots.size_of(number) for number in range(lots.count)] == [4, 4, 4, 3, 4, 4, 0]
    embed_lots(lots, Making(fake_encoder), tmp_path / "out")
    assert sorted(open_features(tmp_path / "out").ids) == sorted(row[0] for row in rows)


def test_absolute_names_lose_what_they_have_in_common(table: Path, tmp_path: Path) -> None:
    rows = rows_of(table)
    write(table, [(str(tmp_path / row[0]), *row[1:]) for row in rows])
    assert list(opened(table).ids()) == [each.id for each in find_inputs(table).pictures]


def test_pictures_that_are_gone_are_set_aside_with_their_rows(table: Path, fake_encoder: Any, tmp_path: Path) -> None:
    (tmp_path / "scans/deep/05.png").unlink()
    lots = opened(table)
    folder = embed_lots(lots, Making(fake_encoder), tmp_path / "out")
    (gone,) = folder.set_aside
    assert gone.id == "scans/deep/05.png"
    assert str(tmp_path) not in gone.reason
    assert folder.n == ROWS - 1


def test_only_pictures_that_are_added_are_embedded(table: Path, fake_encoder: Any, tmp_path: Path) -> None:
    rows, out, how = rows_of(table), tmp_path / "out", Making(fake_encoder)
    write(table, rows[:14])
    embed_lots(opened(table), how, out)
    write(table, rows)
    embed_lots(opened(table), how, out)
    assert sum(fake_encoder.image_batches) == ROWS
    write(table, rows[2:])
    with pytest.raises(OutputError, match="holds features of 23 pictures, 2 of them not among these 21"):
        embed_lots(opened(table), how, out)


@pytest.mark.parametrize("column", ["unit", "frame", "window", "study"])
def test_what_is_no_row_a_picture_is_planned_as_a_whole(column: str, table: Path) -> None:
    text = table.read_text().replace("label", column)
    table.write_text(text)
    assert open_manifest([str(table)], Asked(), 4) is None
    assert open_manifest([str(table), str(table)], Asked(), 4) is None


def test_windows_and_few_rows_are_planned_as_a_whole(table: Path) -> None:
    assert open_manifest([str(table)], Asked(window="lung"), 4) is None
    write(table, rows_of(table)[:10])
    assert open_manifest([str(table)], Asked(), 4) is None


def test_a_row_without_an_image_is_told_by_its_line(table: Path) -> None:
    rows = rows_of(table)
    write(table, [*rows[:20], ("", "P", "x"), *rows[20:]])
    with pytest.raises(TableError, match="line 22: no image named"):
        opened(table)


def test_ids_are_told_apart_by_partitions() -> None:
    ids = np.random.default_rng(0).integers(0, 3000, 5000).astype(str).tolist()
    with Hashed() as hashed, Hashed() as others:
        for start in range(0, 5000, 700):
            hashed.add(ids[start : start + 700])
        others.add(ids[:100])
        counts = {name: ids.count(name) for name in set(ids)}
        assert hashed.repeated().tolist() == [at for at, name in enumerate(ids) if counts[name] > 1]
        assert hashed.count_beside(others) == sum(name not in set(ids[:100]) for name in ids)
