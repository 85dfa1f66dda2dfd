from __future__ import annotations

import io
import struct
import threading
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from PIL import Image

from kpl.errors import PictureError
from kpl.images import MAX_PIXELS, decode, decoding

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def saved(picture: Image.Image, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def smooth(height: int = 40, width: int = 60) -> NDArray[np.uint8]:
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    return np.stack([255 * x, 255 * y, 127 + 100 * np.sin(5 * x + 3 * y)], axis=-1).astype(np.uint8)


def tiff(values: NDArray[Any], *, bits: int, sample: int, photometric: int = 1) -> bytes:
    """A little-endian, uncompressed, single-strip grey TIFF: Pillow cannot write some of these kinds."""
    height, width = values.shape
    body = values.tobytes()
    tags = [(256, width), (257, height), (258, bits), (259, 1), (262, photometric), (273, 8)]
    tags += [(277, 1), (278, height), (279, len(body)), (339, sample)]
    entries = b"".join(struct.pack("<HHII", tag, 4 if tag in (273, 279) else 3, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<I", 8 + len(body)) + body + struct.pack("<H", len(tags)) + entries + bytes(4)


def tiff_planes(values: NDArray[np.uint16], order: str) -> bytes:
    """A TIFF of (height, width, channels) in uncompressed planes, one strip each."""
    height, width, channels = values.shape
    start, size = 200, 2 * height * width
    lists = struct.pack(f"{order}{channels}H", *[16] * channels)
    lists += struct.pack(f"{order}{channels}I", *(start + size * k for k in range(channels)))
    lists += struct.pack(f"{order}{channels}I", *[size] * channels)
    at = 8 + 2 + 9 * 12 + 4
    entries = [(256, 3, 1, width), (257, 3, 1, height), (258, 3, channels, at), (259, 3, 1, 1), (262, 3, 1, 2)]
    entries += [(273, 4, channels, at + 2 * channels), (277, 3, 1, channels), (279, 4, channels, at + 6 * channels)]
    entries += [(284, 3, 1, 2)]
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, len(entries))
    for tag, kind, count, value in entries:
        short = kind == 3 and count == 1
        head += struct.pack(
            order + "HHI" + ("HH" if short else "I"), tag, kind, count, *((value, 0) if short else (value,))
        )
    planes = values.transpose(2, 0, 1).astype(order + "u2").tobytes()
    return (head + bytes(4) + lists).ljust(start, b"\0") + planes


def png(width: int, height: int, *, bits: int, colour: int, rows: bytes) -> bytes:
    """A PNG by hand, whose header may promise more than `rows` hold."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n"
    for kind, body in [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]:
        data += struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    return data


@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))))
def test_lossless_formats_give_back_every_pixel(pixels: NDArray[np.uint8]) -> None:
    picture = Image.fromarray(pixels)
    for form, options in [("PNG", {}), ("TIFF", {}), ("BMP", {}), ("PPM", {}), ("WEBP", {"lossless": True})]:
        result = decode(saved(picture, form, **options))
        assert result.dtype == np.uint8
        assert result.flags.writeable
        np.testing.assert_array_equal(result, pixels)


@pytest.mark.parametrize("form", ["JPEG", "JPEG2000"])
def test_lossy_formats_come_close(form: str) -> None:
    pixels = smooth()
    result = decode(saved(Image.fromarray(pixels), form))
    assert np.abs(result.astype(int) - pixels).mean() < 3


@pytest.mark.parametrize(("mode", "grey"), [("1", 255), ("L", 77)])
def test_grey_and_black_and_white_fill_three_channels(mode: str, grey: int) -> None:
    assert decode(saved(Image.new(mode, (2, 1), grey), "PNG")).tolist() == [[[grey] * 3] * 2]


@given(hnp.arrays(np.uint16, (3, 4)))
def test_16_bit_grey_keeps_its_high_byte_in_every_format(values: NDArray[np.uint16]) -> None:
    values[0, 0], values[-1, -1] = 0, 65535  # less than a quarter of the range is stretched: see below
    expected = np.repeat((values >> 8).astype(np.uint8)[..., None], 3, axis=-1)
    picture = Image.fromarray(values)
    pgm = b"P5 4 3 65535\n" + values.astype(">u2").tobytes()
    signed = (values.astype(np.int32) - 32768).astype(np.int16)
    for data in (
        saved(picture, "PNG"),
        saved(picture, "TIFF"),
        pgm,
        tiff(values, bits=16, sample=1),
        tiff(signed, bits=16, sample=2),
    ):
        np.testing.assert_array_equal(decode(data), expected)
    np.testing.assert_array_equal(decode(tiff(values, bits=16, sample=1, photometric=0)), 255 - expected)


def test_16_bit_colour_keeps_its_high_byte() -> None:
    values = np.array([0x12, 0x34, 0xAB, 0xCD, 0xFF, 0x00], ">u1").tobytes()
    assert decode(png(1, 1, bits=16, colour=2, rows=b"\0" + values)).tolist() == [[[0x12, 0xAB, 0xFF]]]


def test_16_bits_of_which_less_than_a_quarter_is_used_are_stretched() -> None:
    values = np.array([[1000, 2000, 4095]], np.uint16)
    wanted = [0, 82, 255]
    signed = tiff((values.astype(np.int32) - 3000).astype(np.int16), bits=16, sample=2)
    for data in (saved(Image.fromarray(values), "PNG"), saved(Image.fromarray(values), "TIFF"), signed):
        assert decode(data)[0, :, 0].tolist() == wanted
    turned = tiff(values, bits=16, sample=1, photometric=0)
    assert decode(turned)[0, :, 0].tolist() == [255 - value for value in wanted]
    constant = saved(Image.fromarray(values * 0 + 30000), "PNG")
    assert decode(constant)[0, :, 0].tolist() == [117, 117, 117]
    wide = saved(Image.fromarray(np.array([[0, 16384]], np.uint16)), "PNG")
    assert decode(wide)[0, :, 0].tolist() == [0, 64]


def test_16_bit_colour_of_which_less_than_a_quarter_is_used_is_stretched_from_both_bytes() -> None:
    row = np.array([1000, 2000, 4095], ">u2").tobytes()
    assert decode(png(1, 1, bits=16, colour=2, rows=b"\0" + row)).tolist() == [[[0, 82, 255]]]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("channels", [3, 4])
def test_uncompressed_16_bit_planes_are_read_plane_by_plane(order: str, channels: int) -> None:
    values = np.random.default_rng(0).integers(0, 65536, (5, 7, channels), np.uint16)
    values[..., 3:] = 65535
    data = tiff_planes(values, order)
    np.testing.assert_array_equal(decode(data), (values[..., :3] >> 8).astype(np.uint8))
    with pytest.raises(PictureError, match=r"^truncated"):
        decode(data[:-4])


def test_a_tiff_of_several_pages_is_no_single_picture_and_a_thumbnail_beside_it_is_no_page() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in (RED, GREEN)]
    stack = saved(frames[0], "TIFF", save_all=True, append_images=frames[1:])
    with pytest.raises(PictureError, match=r"^TIFF of 2 pages \(--frames 2 reads so many of them evenly; a table"):
        decode(stack)
    assert [decode(stack, page=page)[0, 0].tolist() for page in (0, 1)] == [list(RED), list(GREEN)]
    with pytest.raises(PictureError, match="no page 2: it has 2, counted from 0"):
        decode(stack, page=2)
    with_thumbnail = saved(frames[0], "TIFF", save_all=True, append_images=[Image.new("RGB", (2, 2), GREEN)])
    assert decode(with_thumbnail)[0, 0].tolist() == list(RED)


def test_12_bit_tiff_uses_its_own_full_range() -> None:
    packed = np.array([[0xFF, 0xF8, 0x00]], np.uint8)  # 4095 and 2048 in three bytes
    three_wide, two_wide = (struct.pack("<HHII", 256, 3, 1, width) for width in (3, 2))
    data = tiff(packed, bits=12, sample=1).replace(three_wide, two_wide)
    assert decode(data)[0, :, 0].tolist() == [255, 128]


def test_32_bit_pictures_are_stretched_from_their_own_range() -> None:
    ints = np.array([[-1000, 0, 1000]], np.int32)
    assert decode(tiff(ints, bits=32, sample=2))[0, :, 0].tolist() == [0, 128, 255]
    unsigned = np.array([[0, 2**31, 2**32 - 1]], np.uint32)
    assert decode(tiff(unsigned, bits=32, sample=1))[0, :, 0].tolist() == [0, 128, 255]
    floats = np.array([[-3.0, 0.0, 3.0]], np.float32)
    assert decode(tiff(floats, bits=32, sample=3))[0, :, 0].tolist() == [0, 128, 255]
    assert decode(tiff(floats * 0, bits=32, sample=3))[0, :, 0].tolist() == [0, 0, 0]
    assert decode(tiff(ints * 0 + 7, bits=32, sample=2))[0, :, 0].tolist() == [0, 0, 0]


def test_floats_between_0_and_1_keep_their_brightness() -> None:
    floats = np.array([[0.2, 0.4]], np.float32)
    assert decode(tiff(floats, bits=32, sample=3))[0, :, 0].tolist() == [51, 102]


def test_a_picture_that_is_not_finite_is_refused() -> None:
    for bad in (np.nan, np.inf):
        with pytest.raises(PictureError, match="not finite"):
            decode(tiff(np.array([[0.0, bad]], np.float32), bits=32, sample=3))


def test_palette_with_and_without_transparency() -> None:
    picture = Image.new("P", (2, 1))
    picture.putpalette([*RED, *BLUE])
    picture.putpixel((1, 0), 1)
    assert decode(saved(picture, "PNG")).tolist() == [[list(RED), list(BLUE)]]
    for form in ("PNG", "GIF"):
        assert decode(saved(picture, form, transparency=1)).tolist() == [[list(RED), list(WHITE)]]
    assert decode(saved(picture, "PNG", transparency=bytes([255, 0]))).tolist() == [[list(RED), list(WHITE)]]


def test_transparency_is_laid_on_white() -> None:
    half = decode(saved(Image.new("RGBA", (1, 1), (255, 0, 0, 128)), "PNG"))[0, 0]
    assert half.tolist() == [255, 127, 127]
    assert decode(saved(Image.new("RGBA", (1, 1), (9, 9, 9, 0)), "PNG"))[0, 0].tolist() == list(WHITE)
    assert decode(saved(Image.new("LA", (1, 1), (0, 128)), "PNG"))[0, 0].tolist() == [127, 127, 127]
    assert decode(saved(Image.new("RGB", (1, 1), RED), "PNG", transparency=RED))[0, 0].tolist() == list(WHITE)
    assert decode(saved(Image.new("L", (1, 1), 5), "PNG", transparency=5))[0, 0].tolist() == list(WHITE)


def test_cmyk_plain_as_in_tiff_and_inverted_as_in_adobe_s_jpeg() -> None:
    cyan = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    for data in (saved(cyan, "TIFF"), saved(cyan, "JPEG", quality=95)):
        assert np.abs(decode(data)[8, 8].astype(int) - (0, 255, 255)).max() <= 3
    assert b"Adobe" in saved(cyan, "JPEG")


def test_only_the_first_frame_counts() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in (RED, GREEN)]
    for form, options in [("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {})]:
        data = saved(frames[0], form, save_all=True, append_images=frames[1:], **options)
        assert decode(data)[0, 0].tolist() == list(RED)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_turns_the_picture_upright(form: str, orientation: int) -> None:
    upright = np.zeros((32, 48, 3), np.uint8)
    upright[:16, :24], upright[:16, 24:], upright[16:, :24] = RED, GREEN, BLUE
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    result = decode(saved(Image.fromarray(np.ascontiguousarray(stored)), form, exif=exif))
    assert result.shape == upright.shape
    for y, x in [(8, 12), (8, 36), (24, 12), (24, 36)]:
        assert np.abs(result[y, x].astype(int) - upright[y, x]).max() < 40


def test_damaged_exif_does_not_cost_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    data = saved(Image.new("RGB", (4, 4), WHITE), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01")
    assert decode(data).shape == (4, 4, 3)

    def broken(self: Image.Image) -> None:
        raise SyntaxError("not a TIFF file")

    monkeypatch.setattr(Image.Image, "getexif", broken)
    assert decode(saved(Image.new("RGB", (4, 4), WHITE), "PNG")).shape == (4, 4, 3)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_shrinking_is_not_visible_at_the_size_an_encoder_reads(form: str) -> None:
    data = saved(Image.fromarray(smooth(900, 1200)), form)
    whole, small = decode(data), decode(data, shrink_to=288)
    assert min(small.shape[:2]) >= 288
    assert max(small.shape[:2]) < 800
    seen = [Image.fromarray(a).resize((96, 96), Image.Resampling.BICUBIC) for a in (whole, small)]
    assert np.abs(np.asarray(seen[0], int) - np.asarray(seen[1], int)).max() <= 4


@given(st.integers(1, 70), st.integers(1, 70), st.integers(1, 40), st.sampled_from(["JPEG", "PNG"]))
def test_shrinking_keeps_the_shorter_side(height: int, width: int, shrink_to: int, form: str) -> None:
    data = saved(Image.new("RGB", (width, height), RED), form)
    result = decode(data, shrink_to=shrink_to)
    assert min(result.shape[:2]) >= min(shrink_to, height, width)
    if min(height, width) < 2 * shrink_to:
        assert result.shape == (height, width, 3)


@pytest.mark.long
def test_a_picture_of_100_megapixels_is_decoded() -> None:
    data = saved(Image.new("L", (10_000, 10_000), 200), "PNG", compress_level=1)
    result = decode(data, shrink_to=288)
    assert result.shape == (295, 295, 3)
    assert (result == 200).all()


def test_a_decompression_bomb_is_refused_by_its_header() -> None:
    with pytest.raises(PictureError, match=r"20000 x 8000 pixels, more than the 150 megapixels allowed"):
        decode(png(20_000, 8_000, bits=8, colour=0, rows=bytes(9)))
    assert MAX_PIXELS < 20_000 * 8_000
    with pytest.raises(PictureError, match="150 megapixels"):
        decode(png(60_000, 60_000, bits=8, colour=0, rows=bytes(9)))


def bad_files() -> dict[str, tuple[bytes, str]]:
    jpeg, portable = (saved(Image.fromarray(smooth()), form) for form in ("JPEG", "PNG"))
    return {
        "empty": (b"", "empty file"),
        "text": (b"hello, this is no picture at all", "not a JPEG"),
        "dicom": (bytes(128) + b"DICM" + bytes(50), "^DICOM without pixels|^DICOM.*cut short"),
        "nifti": (struct.pack("<i", 348) + bytes(340) + b"n+1\0", "^NIfTI"),
        "jpeg cut": (jpeg[: len(jpeg) // 2], "^truncated"),
        "png cut": (portable[: len(portable) // 2], "^truncated"),
        "png damaged": (portable[:60] + bytes(30) + portable[90:], "^damaged|^truncated"),
        "jpeg header only": (jpeg[:3], "not a JPEG"),
        "html": (b"\n<!DOCTYPE html><html>", "^an HTML page"),
        "lfs": (b"version https://git-lfs.github.com/spec/v1\noid", "^a Git LFS pointer.*git lfs pull"),
        "zip": (b"PK\3\4" + bytes(30), "^a zip archive"),
        "film": (bytes(4) + b"ftypmp42", "^a film"),
        "lossless jpeg": (b"\xff\xd8\xff\xc3\0\x0b" + bytes(9), "^lossless JPEG"),
        "dicom without preamble": (b"\2\0\0\0UL\4\0\xc0\0\0\0", "^DICOM"),
        "tiff damaged": (b"II*\0\xff\xff\xff\xff", "^TIFF whose header is damaged"),
        "tiff of 64-bit floats": (tiff(np.ones((2, 2)), bits=64, sample=3), "^TIFF of 64-bit floats"),
        "16-bit planes cut": (tiff_planes(np.ones((5, 7, 3), np.uint16), "<")[:-9], "^truncated"),
    }


@pytest.mark.parametrize("name", bad_files())
def test_what_cannot_be_read_gives_a_short_reason_without_a_path(name: str, tmp_path: Path) -> None:
    data, reason = bad_files()[name]
    path = tmp_path / "patient-name.jpg"
    path.write_bytes(data)
    with pytest.raises(PictureError, match=reason) as caught:
        decode(path)
    message = str(caught.value)
    assert "patient" not in message
    assert "0x" not in message
    assert "\n" not in message
    assert len(message) < 120


@given(st.data())
def test_no_damage_to_a_file_raises_anything_else(data: st.DataObject) -> None:
    form = data.draw(st.sampled_from(["JPEG", "PNG", "TIFF", "BMP", "GIF", "WEBP", "PPM", "JPEG2000"]))
    raw = bytearray(saved(Image.fromarray(smooth(12, 10)), form))
    for position in data.draw(st.lists(st.integers(0, len(raw) - 1), max_size=4)):
        raw[position] = data.draw(st.integers(0, 255))
    try:
        result = decode(bytes(raw[: data.draw(st.integers(0, len(raw)))]))
    except PictureError:
        return
    assert result.ndim == 3
    assert result.shape[2] == 3


def test_files_that_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PictureError, match=r"^cannot be read: No such file"):
        decode(tmp_path / "none.png")
    with pytest.raises(PictureError, match=r"^cannot be read: Is a directory"):
        decode(tmp_path)
    large = tmp_path / "large.png"
    large.write_bytes(b"12345")
    monkeypatch.setattr(decoding, "MAX_FILE_BYTES", 4)
    with pytest.raises(PictureError, match="GiB are read"):
        decode(str(large))


def test_running_out_of_memory_is_one_picture_s_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    def starve(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(decoding, "_to_rgb", starve)
    with pytest.raises(PictureError, match="memory"):
        decode(saved(Image.new("RGB", (1, 1)), "PNG"))


def test_pillow_s_warnings_stay_inside_even_among_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # Pillow warns from here and refuses from twice as many
    picture = Image.new("P", (12, 10))
    picture.putpalette([*RED, *BLUE])
    data = saved(picture, "PNG", transparency=bytes([255, 0]))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        threads = [threading.Thread(target=decode, args=(data,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        warnings.warn("others are heard", stacklevel=1)
    assert [str(w.message) for w in caught] == ["others are heard"]
    with pytest.raises(PictureError, match="megapixels"):
        decode(saved(Image.new("L", (20, 20)), "PNG"))


@pytest.mark.shared
def test_real_pictures_are_read(shared: Path) -> None:
    paths = sorted((shared / "images").glob("*/**/*.*"))[::150]
    assert paths
    for path in paths:
        assert decode(path).shape[2] == 3
