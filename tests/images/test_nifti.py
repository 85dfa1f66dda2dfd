"""Volumes of NIfTI and its kin: orientation, grey, what is odd in them, what is none."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray

from kpl.errors import PictureError
from kpl.images import Asked, Unit, find_pictures, load_instance
from kpl.images.nifti import NiftiReader
from kpl.images.voxels import _read

DATA = Path(nibabel.__file__).parent / "tests" / "data"
VALUES = np.random.default_rng(7).integers(1, 1000, (6, 5, 4)).astype(np.int16)


def written(
    path: Path, values: NDArray[Any], affine: NDArray[Any] | None = None, kind: Any = nibabel.Nifti1Image
) -> Path:
    nibabel.save(kind(values, np.eye(4) if affine is None else affine), path)
    return path


def unit_of(path: Path, **asked: Any) -> Unit:
    (unit,) = find_pictures(path, Asked(**asked)).units
    return unit


def read(unit: Unit) -> list[NDArray[np.uint8]]:
    pictures = []
    for instance in unit.instances:
        pixels = load_instance(instance)[1]
        assert not isinstance(pixels, PictureError), pixels
        pictures.append(pixels)
    return pictures


def test_the_middle_slice_of_a_public_head_is_that_of_its_description() -> None:
    slice_ = _read(NiftiReader(), DATA / "anatomical.nii", (12,)).slices[12]
    assert slice_.shape == (41, 33)
    assert [slice_[0, 0], slice_[0, -1], slice_[-1, 0], slice_[-1, -1]] == [7602, 7294, 10915, 10374]
    assert slice_.mean() == pytest.approx(8540.67, abs=0.01)


KINDS = [
    *("anatomical.nii", "functional.nii", "example4d.nii.gz", "example_nifti2.nii.gz", "standard.nii.gz", "test.mgz"),
    *("tiny.mnc", "small.mnc", "minc1_4d.mnc", "minc2_4d.mnc", "minc2_1_scale.mnc", "phantom_varscale.PAR"),
    *("phantom_EPI_asc_CLEAR_2_1.PAR", "scaled+tlrc.HEAD", "example4d+orig.HEAD", "reoriented_anat_moved.nii"),
]


@pytest.mark.filterwarnings("ignore")  # nibabel leaves a PAR/REC file open
@pytest.mark.parametrize("name", KINDS)
def test_every_kind_gives_the_slices_of_its_library_s_own_canonical_order(name: str) -> None:
    wanted = nibabel.as_closest_canonical(nibabel.load(DATA / name))
    volume = np.asanyarray(wanted.dataobj)
    volume = volume.reshape(*volume.shape[:3], -1)[..., 0]
    for place in (0, volume.shape[2] // 2):
        slice_ = _read(NiftiReader(), DATA / name, (place,)).slices[place]
        np.testing.assert_allclose(slice_, volume[::-1, ::-1, place].T, rtol=1e-5)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # nibabel leaves a file open
def test_what_is_missing_or_damaged_is_called_by_its_format(tmp_path: Path) -> None:
    for name in ("T1.PAR", "bad_datatype+orig.HEAD"):
        (tmp_path / name).write_bytes((DATA / name).read_bytes())
    (tmp_path / "a.mgz").write_bytes((DATA / "test.mgz").read_bytes()[:40])
    (tmp_path / "a.mgh").write_bytes(gzip.decompress((DATA / "test.mgz").read_bytes())[:40])
    written(tmp_path / "ok.nii", VALUES)
    assert {item.reason.split()[0] for item in find_pictures(tmp_path).set_aside} == {
        "PAR/REC",
        "AFNI",
        "MGH",
        "packed",
    }


@pytest.mark.parametrize("order", ["RAS", "LPI", "PSR", "IRP", "SAL"])
def test_however_a_volume_is_stored_it_is_shown_front_on_top_and_right_on_the_left(tmp_path: Path, order: str) -> None:
    turned = nibabel.Nifti1Image(VALUES, np.eye(4)).as_reoriented(
        nibabel.orientations.ornt_transform(
            nibabel.orientations.axcodes2ornt("RAS"), nibabel.orientations.axcodes2ornt(order)
        )
    )
    nibabel.save(turned, tmp_path / "a.nii.gz")
    pictures = read(unit_of(tmp_path / "a.nii.gz"))
    low, high = np.percentile(VALUES, (1, 99))
    for k, picture in enumerate(pictures):
        grey = np.clip((VALUES[::-1, ::-1, k].T.astype(float) - low) / (high - low) * 255, 0, 255)
        assert np.abs(picture[..., 0] - grey).max() <= 0.51


def test_hounsfield_units_have_the_window_of_ct_and_one_by_hand_goes_before_it(tmp_path: Path) -> None:
    values = np.linspace(-1000, 1000, 6 * 5 * 4).reshape(6, 5, 4).astype(np.int16)
    path = written(tmp_path / "ct.nii", values)

    def wanted(centre: float, width: float) -> NDArray[Any]:
        picture = values[::-1, ::-1, 2].T
        return np.rint(np.clip(((picture - (centre - 0.5)) / (width - 1) + 0.5) * 255, 0, 255))

    np.testing.assert_array_equal(read(unit_of(path))[2][..., 0], wanted(40, 400))
    np.testing.assert_array_equal(read(unit_of(path, ct_window="bone"))[2][..., 0], wanted(400, 1800))
    np.testing.assert_array_equal(read(unit_of(path, window="lung"))[2][..., 0], wanted(-600, 1500))
    assert unit_of(path, window="lung").reading["window"] == "lung -600/1500 (asked)"


def test_slices_are_taken_evenly_and_voxels_that_are_not_cubes_resampled(tmp_path: Path) -> None:
    unit = unit_of(written(tmp_path / "a.nii", VALUES, np.diag([1.0, 2.0, 5.0, 1.0])), slices=2)
    assert [instance.id for instance in unit.instances] == ["unit-0001#000", "unit-0001#003"]
    assert unit.reading["slices"] == [2, 4]
    assert read(unit)[0].shape == (10, 6, 3)


def test_what_is_odd_is_told(tmp_path: Path) -> None:
    angle = np.radians(12)
    tilted = np.eye(4)
    tilted[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    unit = unit_of(written(tmp_path / "a.nii", np.stack([VALUES, VALUES * 0], -1), tilted))
    assert unit.notes == (
        "2 volumes in one file (4-D): the first is read",
        "its slices are oblique by 12 degrees: shown in their own planes",
    )
    assert len(read(unit)) == 4
    holes = VALUES.astype(np.float32)
    holes[2, 2, 1], holes[:, :, 3] = np.nan, np.nan
    unit = unit_of(written(tmp_path / "b.nii", holes))
    assert load_instance(unit.instances[1])[1].shape == (5, 6, 3)
    assert str(load_instance(unit.instances[3])[1]) == "a slice without one number in it"


def test_pairs_and_other_kinds_are_one_unit_each(tmp_path: Path) -> None:
    written(tmp_path / "pair.hdr", VALUES, kind=nibabel.Nifti1Pair)
    written(tmp_path / "two.nii", VALUES, kind=nibabel.Nifti2Image)
    written(tmp_path / "m.mgz", VALUES, kind=nibabel.MGHImage)
    found = find_pictures(tmp_path)
    assert [(unit.kind, len(unit.instances)) for unit in found.units] == [("volume", 4)] * 3
    assert (found.set_aside, found.other_files) == ([], 0)
    pictures = [read(unit)[0] for unit in found.units]
    np.testing.assert_array_equal(pictures[0], pictures[1])
    np.testing.assert_array_equal(pictures[0], pictures[2])


def test_what_is_no_volume_to_look_at_is_set_aside_with_its_reason(tmp_path: Path) -> None:
    labels = nibabel.Nifti1Image(VALUES, np.eye(4))
    labels.header.set_intent("label")
    nibabel.save(labels, tmp_path / "a.nii")
    colours = np.zeros((3, 3, 3), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    written(tmp_path / "b.nii", colours)
    whole = written(tmp_path / "c.nii", VALUES).read_bytes()
    (tmp_path / "c.nii").write_bytes(whole[:300])
    written(tmp_path / "d.hdr", VALUES, kind=nibabel.Nifti1Pair)
    (tmp_path / "d.img").unlink()
    (tmp_path / "e.nii").write_bytes(whole[:-80])
    (tmp_path / "ok.nii").write_bytes(whole)
    found = find_pictures(tmp_path)
    told = {item.id: item.reason for item in found.set_aside}
    assert told["file-0001"].startswith("NIfTI, a map of labels")
    assert told["file-0002"] == "NIfTI of colours or complex numbers: no volume of grey"
    assert told["file-0003"] == "NIfTI in two files, one of which is missing"
    assert told["file-0004"] == "NIfTI: by its name alone, for it does not begin as NIfTI does"
    cut = found.units[0]
    assert str(load_instance(cut.instances[0])[1]) == "NIfTI whose voxels are damaged or cut short"
