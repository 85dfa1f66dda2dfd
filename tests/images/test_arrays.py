"""Arrays of NumPy and HDF5: pictures and volumes by their shape and type, never by running anything in them."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from kpl.errors import InputError, PictureError
from kpl.images import Asked, Found, decode, find_pictures, load_instance, pixels_of

h5py = pytest.importorskip("h5py")
RNG = np.random.default_rng(3)
GREY = RNG.integers(0, 256, (5, 12, 10), np.uint8)
COLOUR = RNG.integers(0, 256, (4, 12, 10, 3), np.uint8)
HEAD = RNG.normal(300, 50, (6, 12, 10)).astype(np.float32)


def write(path: Path, **arrays: NDArray[Any]) -> Path:
    if path.suffix == ".npy":
        np.save(path, *arrays.values(), allow_pickle=True)
    elif path.suffix == ".npz":
        np.savez_compressed(path, **arrays)
    else:
        with h5py.File(path, "w") as file:
            for name, values in arrays.items():
                file.create_dataset(name, data=values)
    return path


def read(found: Found) -> list[NDArray[np.uint8]]:
    pictures = []
    for instance in found.pictures:
        pixels = load_instance(instance).pixels
        assert not isinstance(pixels, PictureError), pixels
        pictures.append(pixels)
    return pictures


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".h5"])
def test_arrays_of_8_bits_are_a_picture_each(tmp_path: Path, suffix: str) -> None:
    found = find_pictures(write(tmp_path / f"a{suffix}", images=GREY))
    assert [unit.id for unit in found.units] == [f"a{suffix}#{n:03d}" for n in range(5)]
    assert {unit.kind for unit in found.units} == {"image"}
    for picture, values in zip(read(found), GREY, strict=True):
        np.testing.assert_array_equal(picture, np.repeat(values[..., None], 3, -1))
    assert len({load_instance(each).sha256 for each in found.pictures}) == 5
    for colours in (COLOUR, COLOUR.transpose(0, 3, 1, 2)):
        found = find_pictures(write(tmp_path / f"b{suffix}", images=colours))
        for picture, values in zip(read(found), COLOUR, strict=True):
            np.testing.assert_array_equal(picture, values)
    one = find_pictures(write(tmp_path / f"c{suffix}", image=COLOUR[0]))
    assert [unit.id for unit in one.units] == [f"c{suffix}"]
    np.testing.assert_array_equal(read(one)[0], COLOUR[0])


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".h5"])
def test_planes_of_other_types_are_one_volume_read_as_the_same_volume_in_nifti(tmp_path: Path, suffix: str) -> None:
    (unit,) = find_pictures(write(tmp_path / f"a{suffix}", reconstruction=HEAD)).units
    assert (unit.id, unit.kind, len(unit.instances)) == ("unit-0001", "volume", 6)
    assert unit.reading["plane"] == "as stored"
    nibabel.save(nibabel.Nifti1Image(HEAD.transpose(2, 1, 0)[::-1, ::-1], np.eye(4)), tmp_path / "a.nii")
    pictures = zip(
        read(find_pictures(tmp_path / f"a{suffix}")), read(find_pictures(tmp_path / "a.nii")), HEAD, strict=True
    )
    for picture, wanted, values in pictures:
        np.testing.assert_array_equal(picture, wanted)
        assert np.corrcoef(picture[..., 0].ravel(), values.ravel())[0, 1] > 0.98
    ct = write(tmp_path / f"ct{suffix}", ct=np.linspace(-1000, 1000, 720).reshape(6, 12, 10).astype(np.int16))
    lung, plain = (read(find_pictures(ct, Asked(window=window))) for window in ("lung", None))
    assert not np.array_equal(lung[2], plain[2])
    assert len(find_pictures(ct, Asked(slices=2)).pictures) == 2


def test_which_of_several_arrays_is_asked_for_by_its_name(tmp_path: Path) -> None:
    both = write(tmp_path / "both.npz", train_images=GREY, train_labels=np.arange(5), test_images=GREY[:2])
    with pytest.raises(InputError, match=r"several arrays, train_images \(5 x 12 x 10, uint8\), .*: name the one"):
        find_pictures(both)
    assert len(find_pictures(both, Asked(array="test_images")).pictures) == 2
    masked = write(tmp_path / "masked.h5", **{"image": HEAD, "label": HEAD.astype(np.uint8)})
    assert len(find_pictures(masked).units) == 1
    deep = write(tmp_path / "deep.h5", **{"entry/data/x": COLOUR})
    assert len(find_pictures(deep).units) == 4


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.array([{"a": 1}], object), "an array of Python objects, which are never unpickled"),
        (
            np.zeros((400, 64), np.float32),
            r"an array of numbers, array \(400 x 64, float32\): if it is a picture",
        ),
        (np.zeros(100, np.uint8), r"an array file without pictures: it holds array \(100, uint8\)"),
        (np.zeros((3, 12, 12, 12), np.int16), "an array file without pictures"),
        (np.zeros((0, 12, 12), np.uint8), "an array file without pictures"),
        (np.zeros((12, 12), complex), "an array file without pictures"),
    ],
)
def test_what_is_no_picture_is_set_aside_with_its_reason(tmp_path: Path, values: NDArray[Any], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        find_pictures(write(tmp_path / "a.npy", a=values))
    if values.ndim == 2 and values.dtype.kind == "f":
        assert len(find_pictures(tmp_path / "a.npy", Asked(array="array")).pictures) == 1


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".h5"])
def test_damage_is_told(tmp_path: Path, suffix: str) -> None:
    whole = write(tmp_path / f"a{suffix}", images=COLOUR).read_bytes()
    cut = tmp_path / f"cut{suffix}"
    for length in range(8, len(whole), max(1, len(whole) // 40)):
        cut.write_bytes(whole[:length])
        try:
            found = find_pictures(cut)
        except InputError:
            continue
        assert all(isinstance(load_instance(each).pixels, np.ndarray | PictureError) for each in found.pictures)


def test_no_link_out_of_a_file_is_followed(tmp_path: Path) -> None:
    write(tmp_path / "secret.h5", images=COLOUR)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["images"] = h5py.ExternalLink("secret.h5", "images")
        file["soft"] = h5py.SoftLink("/images")
    with pytest.raises(InputError, match="an array file without pictures"):
        find_pictures(tmp_path / "a.h5")


def test_an_archive_that_says_more_than_it_holds_is_refused(tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": (10**6, 1000, 1000, 3)}
    )
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("images.npy", header.getvalue())
    found = find_pictures(tmp_path / "a.npz", Asked(array="images", only={tmp_path / "a.npz": frozenset({7})}))
    assert str(load_instance(found.pictures[0]).pixels) == "an array file that is damaged, or too large to unpack"


def test_arrays_of_16_bits_in_memory_and_in_files_are_the_same_picture(tmp_path: Path) -> None:
    twelve = RNG.integers(0, 4096, (12, 10), np.uint16)
    np.testing.assert_array_equal(read(find_pictures(write(tmp_path / "a.npy", a=twelve)))[0], pixels_of(twelve))
    assert np.ptp(pixels_of(twelve)) == 255
    Image.fromarray(twelve).save(tmp_path / "a.png")
    np.testing.assert_array_equal(decode(tmp_path / "a.png"), pixels_of(twelve))
