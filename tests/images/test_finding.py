from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kpl.errors import InputError
from kpl.images import Asked, SetAside, find_pictures


def plant(root: Path, *names: str, data: bytes = b"x") -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def ids(*paths: Path) -> list[str]:
    return [record.id for record in find_pictures(paths).pictures]


def test_pictures_at_any_depth_in_a_fixed_order(tmp_path: Path) -> None:
    plant(tmp_path, "b.PNG", "a/z.jpg", "a/deep/er/c.tiff", "a.jpg", "B.jpg")
    found = find_pictures(tmp_path)
    assert [r.id for r in found.pictures] == ["B.jpg", "a.jpg", "a/deep/er/c.tiff", "a/z.jpg", "b.PNG"]
    assert [r.path for r in found.pictures] == [tmp_path / r.id for r in found.pictures]
    assert all(r.group is None for r in found.pictures)
    assert (found.set_aside, found.other_files) == ([], 0)
    assert find_pictures(str(tmp_path)) == found == find_pictures([tmp_path])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(st.sets(st.text("ab, \"'\n😀é;", min_size=1, max_size=4), min_size=1, max_size=6))
def test_strange_names_survive_and_ids_are_unique(tmp_path: Path, stems: set[str]) -> None:
    folders = [tmp_path / str(abs(hash(frozenset(stems)))) / side / "scans" for side in "xy"]
    for folder in folders:
        plant(folder, *(f"{stem}.png" for stem in stems))
    found = find_pictures(folders).pictures
    assert len({r.id for r in found}) == len(found) == 2 * len(stems)
    assert {r.id for r in found} == {f"scans{n}/{s}.png" for n in ("", "-2") for s in stems}
    assert sorted(ids(folders[0])) == sorted(f"{s}.png" for s in stems)


def test_several_roots_are_told_apart_by_name(tmp_path: Path) -> None:
    plant(tmp_path, "x/scans/1.png", "y/scans/1.png", "z/scans-2/1.png", "one.png", "q/one.png")
    roots = [tmp_path / name for name in ("x/scans", "y/scans", "z/scans-2", "one.png", "q/one.png")]
    assert ids(*roots) == ["scans/1.png", "scans-2/1.png", "scans-2-2/1.png", "one.png", "one-2.png"]
    assert ids(tmp_path / "one.png") == ["one.png"]


def test_the_current_folder_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(tmp_path, "here/1.png", "2.png")
    monkeypatch.chdir(tmp_path / "here")
    assert ids(Path(), Path("../2.png")) == ["here/1.png", "2.png"]


def test_nothing_is_taken_twice(tmp_path: Path) -> None:
    plant(tmp_path, "a/1.png", "a/b/2.png")
    assert ids(tmp_path / "a/b", tmp_path / "a", tmp_path / "a/1.png") == ["b/2.png", "a/1.png"]


def test_links_are_followed_and_loops_are_not(tmp_path: Path) -> None:
    plant(tmp_path, "in/real/1.png", "out/2.png")
    (tmp_path / "in/alias").symlink_to(tmp_path / "in/real")
    (tmp_path / "in/loop").symlink_to(tmp_path / "in")
    (tmp_path / "in/linked").symlink_to(tmp_path / "out")
    (tmp_path / "in/copy.png").symlink_to(tmp_path / "in/real/1.png")
    (tmp_path / "in/self.png").symlink_to("self.png")
    found = find_pictures(tmp_path / "in")
    assert [r.id for r in found.pictures] == ["copy.png", "linked/2.png", "real/1.png"]
    assert found.set_aside == [SetAside("self.png", "not a regular file, or a link that leads nowhere")]


def test_hidden_files_and_folders_are_passed_over(tmp_path: Path) -> None:
    plant(tmp_path, "1.png", "._1.png", ".DS_Store", ".cache/2.png")
    found = find_pictures(tmp_path)
    assert ([r.id for r in found.pictures], found.other_files) == (["1.png"], 0)


def test_other_files_are_counted(tmp_path: Path) -> None:
    plant(tmp_path, "1.png", "labels.csv", "notes.txt", "Thumbs.db", "README")
    assert find_pictures(tmp_path).other_files == 4


@pytest.mark.parametrize(
    ("name", "format_"),
    [
        ("slide.isyntax", "a slide file"),
        ("ct.mha", "a volume file"),
        ("ct.nrrd", "a volume file"),
        ("phone.heic", "HEIC"),
    ],
)
def test_known_formats_without_a_reader_are_set_aside(tmp_path: Path, name: str, format_: str) -> None:
    plant(tmp_path, "1.png", name)
    reason = f"{format_}: this version has no reader for it; export it as PNG or TIFF"
    assert find_pictures(tmp_path).set_aside == [SetAside(name, reason)]


@pytest.mark.parametrize(
    ("name", "data", "format_"),
    [
        ("study.gz", gzip.compress(bytes(128) + b"DICM", mtime=0), "DICOM"),
        ("brain.NII.GZ", b"x", "NIfTI"),
        ("a.img", bytes(400), "the values of a volume whose header (.hdr) is missing"),
        ("s/Data0000.dat", b"x", "a slide file"),
        ("s.zarr/0/0.0", b"x", "a microscope file"),
        ("film.mp4", b"x", "a film"),
    ],
)
def test_files_that_hide_what_they_are_are_named(tmp_path: Path, name: str, data: bytes, format_: str) -> None:
    plant(tmp_path, "1.png")
    plant(tmp_path, name, data=data)
    found = find_pictures(tmp_path)
    assert [(item.id, item.reason.split(":")[0]) for item in found.set_aside] == [(name, format_)]


@pytest.mark.parametrize(
    "data",
    [
        bytes(128) + b"DICM",
        b"\2\0\0\0UL\4\0\xc0\0\0\0",
        b"\x08\0\x05\0\x0a\0\0\0ISO_IR 100",
        b"\0\x08\0\x05CS\0\x0aISO_IR 100",
    ],
)
def test_dicom_is_a_picture_by_its_first_bytes_whatever_its_name(tmp_path: Path, data: bytes) -> None:
    plant(tmp_path, "IM0001", "1.2.840.113", "a.jpg", data=data)
    plant(tmp_path, "1.png")
    found = find_pictures(tmp_path)
    assert [picture.id for picture in found.pictures] == ["1.png"]
    assert {item.reason[:5] for item in found.set_aside} == {"DICOM"}
    assert [item.id for item in found.set_aside] == ["file-0001", "file-0002", "file-0003"]
    named = find_pictures(tmp_path, Asked(ids="files")).set_aside
    assert [item.id for item in named] == ["1.2.840.113", "IM0001", "a.jpg"]


def test_what_only_begins_a_little_like_a_format_is_no_format(tmp_path: Path) -> None:
    plant(tmp_path, "1.png")
    plant(tmp_path, "README", data=b"\x08\0\x05\0 this is a text of a person")
    plant(tmp_path, "cut.gz", data=gzip.compress(bytes(500))[:12])
    assert find_pictures(tmp_path).other_files == 2


def test_a_mask_beside_its_picture_is_set_aside_and_one_without_is_a_picture(tmp_path: Path) -> None:
    plant(tmp_path, "a/b (1).png", "a/b (1)_mask.png", "a/b (1)_mask_1.png", "a/c.JPG", "a/C_segmentation.png")
    plant(tmp_path, "n/b (1)_mask.png", "face_mask.png", "mask.png")
    found = find_pictures(tmp_path)
    assert [r.id for r in found.pictures] == ["a/b (1).png", "a/c.JPG", "face_mask.png", "mask.png", "n/b (1)_mask.png"]
    assert [(s.id, s.reason.split(":")[0]) for s in found.set_aside] == [
        ("a/C_segmentation.png", "a mask of c.JPG"),
        ("a/b (1)_mask.png", "a mask of b (1).png"),
        ("a/b (1)_mask_1.png", "a mask of b (1).png"),
    ]
    assert ids(tmp_path / "a/b (1)_mask.png") == ["b (1)_mask.png"]


def test_a_file_given_by_name_is_taken_whatever_its_suffix(tmp_path: Path) -> None:
    plant(tmp_path, "picture", "scan.dcm")
    found = find_pictures([tmp_path / "picture", tmp_path / "scan.dcm"])
    assert [r.id for r in found.pictures] == ["picture"]
    assert [item.id for item in found.set_aside] == ["scan.dcm"]


def test_a_path_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such folder or file: '.*typo'"):
        find_pictures([plant(tmp_path, "1.png"), tmp_path / "typo"])
    with pytest.raises(InputError, match="name at least one"):
        find_pictures([])


def test_a_folder_without_pictures_says_what_was_found(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no picture to read in .*found no file at all"):
        find_pictures(tmp_path)
    plant(tmp_path, "a.dcm", "b.dcm", "labels.csv")
    with pytest.raises(InputError, match=r"found 2 set aside \(DICOM: by its .*\), 1 other files \(.csv\)") as caught:
        find_pictures([tmp_path] * 4)
    assert "\n" not in str(caught.value)


def test_folders_and_files_that_refuse_are_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(tmp_path, "1.png", "shut/2.png", "locked")
    real_scandir, real_open = os.scandir, Path.open

    def scandir(path: Path) -> object:
        if Path(path).name == "shut":
            raise PermissionError(13, "Permission denied", str(path))
        return real_scandir(path)

    def open_(self: Path, *args: str) -> object:
        if self.name == "locked":
            raise PermissionError(13, "Permission denied", str(self))
        return real_open(self, *args)

    monkeypatch.setattr(os, "scandir", scandir)
    monkeypatch.setattr(Path, "open", open_)
    assert find_pictures(tmp_path).set_aside == [
        SetAside("shut", "folder cannot be read: Permission denied"),
        SetAside("locked", "cannot be read: Permission denied"),
    ]


@pytest.mark.skipif(os.name != "posix", reason="names that are no UTF-8 exist on POSIX systems only")
def test_names_that_are_no_utf_8_can_still_be_written(tmp_path: Path) -> None:
    for name in (b"a\xff.png", b"a\\xff.png"):
        (Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))).write_bytes(b"x")
    found = ids(tmp_path)
    assert sorted(found) == ["a\\xff-2.png", "a\\xff.png"]
    assert all(name.encode() for name in found)
