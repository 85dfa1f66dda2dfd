"""One bad picture never stops a run: decoded right, or set aside with its reason and counted."""

from __future__ import annotations

import csv
import json
import os
import shutil
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kpl.embeddings import open_features

from .conftest import Told, start

EXIF_ORIENTATION = 0x0112


def png_claiming(width: int, height: int) -> bytes:
    """A valid PNG header of a picture that nobody should unpack, and next to no data."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def draw_good(folder: Path, cell: Image.Image) -> dict[str, str]:
    """The cell in many dresses; each name maps to the plain picture that it must read like."""
    plain, grey = cell, cell.convert("L")
    turned, other = Image.Exif(), cell.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    turned[EXIF_ORIENTATION] = 6
    cell.save(folder / "plain.png")
    grey.convert("RGB").save(folder / "grey.png")
    Image.fromarray(np.asarray(grey).astype(np.uint16) * 257).save(folder / "sixteen-bit.png")
    Image.fromarray(np.asarray(grey).astype(np.uint16) * 257).save(folder / "sixteen-bit.tif")
    plain.quantize(64).save(folder / "palette.png")
    plain.convert("CMYK").save(folder / "cmyk.tif")
    plain.convert("CMYK").save(folder / "cmyk.jpg", quality=100)
    plain.transpose(Image.Transpose.ROTATE_90).save(folder / "exif-rotated.png", exif=turned)
    plain.transpose(Image.Transpose.ROTATE_90).save(folder / "exif-rotated.jpg", exif=turned, quality=100)
    plain.save(folder / "animated.png", save_all=True, append_images=[other, other])
    plain.save(folder / "animated.webp", save_all=True, append_images=[other], lossless=True)
    # Transparent where nothing is to be seen; the colour below must not shine through the white page.
    clear = np.dstack([np.asarray(plain), np.full(plain.size[::-1], 255, np.uint8)])
    clear[:40, :, :] = (255, 0, 0, 0)
    white = np.asarray(plain).copy()
    white[:40] = 255
    Image.fromarray(clear).save(folder / "transparent.png")
    Image.fromarray(white).save(folder / "on-white.png")
    like = dict.fromkeys(("palette.png", "cmyk.tif", "cmyk.jpg", "exif-rotated.png"), "plain.png")
    like |= dict.fromkeys(("exif-rotated.jpg", "animated.png", "animated.webp"), "plain.png")
    like |= {"sixteen-bit.png": "grey.png", "sixteen-bit.tif": "grey.png", "transparent.png": "on-white.png"}
    return like


def draw_bad(folder: Path, cell: Image.Image) -> dict[str, str]:
    """Files that cannot be read; each name maps to words of its reason."""
    for suffix in ("jpg", "png"):
        cell.save(folder / f"whole.{suffix}")
        data = (folder / f"whole.{suffix}").read_bytes()
        (folder / f"truncated.{suffix}").write_bytes(data[: len(data) // 2])
        (folder / f"whole.{suffix}").unlink()
    cell.save(folder / "pages.tif", save_all=True, append_images=[cell])
    (folder / "zero.png").write_bytes(b"")
    (folder / "text.jpg").write_text("this is a letter, not a picture")
    (folder / "bomb.png").write_bytes(png_claiming(60_000, 60_000))
    (folder / "slide.png").write_bytes(png_claiming(16_000, 10_000))
    (folder / "scan.dcm").write_bytes(bytes(128) + b"DICM" + bytes(200))
    (folder / "IM00001").write_bytes(bytes(128) + b"DICM" + bytes(200))  # as scanners write them: no suffix
    (folder / "dicom-in-disguise.jpg").write_bytes(bytes(128) + b"DICM" + bytes(200))
    (folder / "brain.nii").write_bytes(bytes(348))
    (folder / "brain.nii.gz").write_bytes(b"\x1f\x8b")
    for slide in ("slide.svs", "slide.ndpi", "slide.mrxs"):
        (folder / slide).write_bytes(b"II*\0")
    (folder / "folder.png").mkdir()
    (folder / "gone.png").symlink_to(folder / "nowhere.png")
    reasons = {
        "truncated.jpg": "truncated",
        "truncated.png": "truncated",
        "pages.tif": "TIFF of 2 pages",
        "zero.png": "empty file (0 bytes)",
        "text.jpg": "not a JPEG, PNG",
        "bomb.png": "more pixels than the 150 megapixels allowed",
        "slide.png": "16000 x 10000 pixels, more than the 150 megapixels allowed",
        "file-0001": "DICOM without pixels",
        "file-0002": "DICOM without pixels",
        "file-0003": "DICOM without pixels",
        "brain.nii": "NIfTI: by its name alone",
        "brain.nii.gz": "packed with gzip, and damaged",
        "slide.svs": "a slide: by its name alone, for it does not begin as a slide does",
        "slide.ndpi": "a slide: by its name alone, for it does not begin as a slide does",
        "slide.mrxs": "a slide: by its name alone, for it does not begin as a slide does",
        "gone.png": "a link that leads nowhere",
    }
    if hasattr(os, "mkfifo"):
        os.mkfifo(folder / "pipe.png")  # reading it would wait for ever
        reasons["pipe.png"] = "not a regular file"
    if sys.platform == "linux":
        (folder / "unreadable.png").symlink_to("/proc/self/mem")  # a regular file that nobody can read, root included
        reasons["unreadable.png"] = "cannot be read: "
    return reasons


@pytest.fixture(scope="module")
def job(cell, knowledge, tmp_path_factory):
    """One run over every kind of good and bad picture."""
    folder = tmp_path_factory.mktemp("mixed")
    (folder / "scans").mkdir()
    like, reasons = draw_good(folder / "scans", cell), draw_bad(folder / "scans", cell)
    Image.new("L", (12_500, 8_000), 200).save(folder / "scans" / "hundred-megapixel.jpg")
    Image.new("1", (10_000, 10_000), 1).save(folder / "scans" / "hundred-megapixel.png")
    (folder / "scans" / "notes.txt").write_text("about these scans")
    process = start("classify", "scans", "-k", knowledge, "-o", "run", cwd=folder)
    told = Told(0, *process.communicate(timeout=120))
    assert process.returncode == 0, told
    return folder, told, like, reasons


def test_what_can_be_read_reads_as_its_plain_picture(job):
    folder, _, like, _ = job
    features = open_features(folder / "run" / "features")
    row = dict(zip(features.ids, features.load(), strict=True))
    for name, plain in like.items():
        assert row[name] @ row[plain] > 0.99, f"{name} reads unlike {plain}"
        others = [row["plain.png"], row["grey.png"], row["on-white.png"]]
        assert np.argmax([row[name] @ other for other in others]) == ["plain.png", "grey.png", "on-white.png"].index(
            plain
        ), f"{name} is nearest to another picture"


def test_everything_has_a_prediction_or_a_reason(job):
    folder, _, like, reasons = job
    summary = json.loads((folder / "run" / "run.json").read_text())
    told = {item["image"]: item["reason"] for item in summary["set_aside"]}
    assert set(told) == set(reasons)
    for name, words in reasons.items():
        assert words in told[name], name
        assert str(folder) not in told[name]
    with (folder / "run" / "predictions.csv").open(newline="") as file:
        predicted = {row["image"] for row in csv.DictReader(file)}
    large = {"hundred-megapixel.jpg", "hundred-megapixel.png"}
    assert predicted == set(like) | set(like.values()) | large
    assert summary["pictures"] == len(predicted)
    assert summary["other_files"] == 1


def test_the_terminal_counts_them(job):
    _, told, like, reasons = job
    assert told.err == ""
    assert f"{len(reasons)} set aside, listed in run.json:" in told.out
    assert f"{len(set(like) | set(like.values())) + 2} pictures by kpl with mini" in told.out
    assert "1 other file passed over" in told.out
    assert told.out.count("this version has no reader") <= 5, "only the first few are named"


def test_embed_counts_them_too(quick, cell, tmp_path):
    (tmp_path / "scans").mkdir()
    cell.save(tmp_path / "scans" / "a.png")
    (tmp_path / "scans" / "b.png").write_bytes(b"")
    (tmp_path / "scans" / "c.dcm").write_bytes(b"")
    told = quick("embed", "scans", "--out", "features").plain
    assert "1 pictures, 128 features each, in features/" in told
    assert "2 set aside, listed with their reasons in index.json" in told
    assert "DICOM" in told


def test_only_bad_pictures_are_an_error(quick, knowledge, tmp_path):
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans" / "a.png").write_bytes(b"")
    error = quick("classify", "scans", "-k", knowledge, "-o", "run").error
    assert error.startswith("not one of 1 pictures can be read; the first: empty file")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ([], "found no file at all"),
        (["notes.txt", "more.txt", "data.csv"], "found 3 other files (.txt, .csv)"),
        (["a.dcm", "b.dcm", "brain.nii.gz"], "found 2 set aside (DICOM), 1 set aside (NIfTI)"),
    ],
    ids=["empty", "other files", "medical files"],
)
def test_a_folder_without_pictures(quick, knowledge, tmp_path, files, words):
    (tmp_path / "scans").mkdir()
    for name in files:
        (tmp_path / "scans" / name).write_bytes(b"x")
    error = quick("classify", "scans", "-k", knowledge, "-o", "run").error
    assert error.startswith(f"no picture to read in 'scans': {words}. ")
    assert "Read are JPEG, PNG" in error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scans"]


def test_same_names_and_odd_names_survive(kpl, cell, knowledge, tmp_path):
    odd = ["a b", "a,b", 'say "hi"', "two\nlines", "täst 😀", "[red]x", "-o", "=1+1", "%s {0}"]
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        cell.save(tmp_path / folder / "cell.png")
    for name in odd:
        shutil.copy(tmp_path / "one" / "cell.png", tmp_path / "two" / f"{name}.png")
    (tmp_path / "two" / "[bold]broken\n😀.png").write_bytes(b"")
    told = kpl("classify", "one", "two", "-k", knowledge, "--explain", "-o", "an odd, folder")
    assert "'two/[bold]broken\\n😀.png': empty file" in told.plain
    expected = ["one/cell.png", *sorted(f"two/{name}.png" for name in [*odd, "cell"])]
    for name in ("predictions.csv", "evidence.csv"):
        with (tmp_path / "an odd, folder" / name).open(encoding="utf-8", newline="") as file:
            assert list(dict.fromkeys(row["image"] for row in csv.DictReader(file))) == expected
    truth = tmp_path / "truth.csv"
    with truth.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("image", "label"), *((name, "neutrophil") for name in expected)])
    scored = kpl("evaluate", "an odd, folder", "--labels", truth, "--methods", "kpl", "--replicates", 0)
    assert f"{len(expected)} labelled images" in scored.plain
