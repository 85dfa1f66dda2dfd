"""NRRD and MetaImage by SimpleITK: the same pictures as the same volume in NIfTI."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from tests.images.test_nifti import VALUES, written

from kpl.errors import PictureError
from kpl.images import Asked, find_pictures, load_instance

pytestmark = pytest.mark.volumes


@pytest.mark.parametrize("suffix", [".nrrd", ".mha", ".mhd"])
def test_a_volume_is_the_same_pictures_in_every_format(tmp_path: Path, suffix: str) -> None:
    import SimpleITK

    affine = np.array([[0, -2.0, 0, 3], [1.5, 0, 0, 1], [0, 0, 3.0, 0], [0, 0, 0, 1]])
    nifti = written(tmp_path / "a.nii", VALUES, affine)
    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    SimpleITK.WriteImage(SimpleITK.ReadImage(str(nifti)), str(tmp_path / f"b{suffix}"))
    (one,) = find_pictures(nifti).units
    (other,) = find_pictures(tmp_path / f"b{suffix}").units
    assert one.reading == other.reading
    for mine, wanted in zip(other.instances, one.instances, strict=True):
        np.testing.assert_array_equal(load_instance(mine)[1], load_instance(wanted)[1])


def test_outlines_and_damage_are_set_aside(tmp_path: Path) -> None:
    (tmp_path / "a.seg.nrrd").write_bytes(b"NRRD0004")
    (tmp_path / "b.nrrd").write_bytes(b"NRRD0004\n# damaged")
    written(tmp_path / "c.nii", VALUES, kind=nibabel.Nifti1Image)
    found = find_pictures(tmp_path)
    assert {item.reason for item in found.set_aside} == {
        "a segmentation, no picture",
        "a volume file whose header is damaged, or that is cut short",
    }
    assert not any(isinstance(load_instance(each)[1], PictureError) for each in found.pictures)


def test_values_in_a_file_of_their_own_are_a_part_of_their_header(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    import SimpleITK

    made = SimpleITK.GetImageFromArray(VALUES.T)
    for name in ("whole.mhd", "missing.mhd", "cut.mhd", "cut.mha", "whole.nhdr"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        SimpleITK.WriteImage(made, str(tmp_path / name))
    (tmp_path / "missing.raw").unlink()
    for name in ("cut.raw", "cut.mha"):
        held = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(held[:-9])
    found = find_pictures(tmp_path, Asked(ids="files"))
    assert [unit.id for unit in found.units] == ["whole.mhd", "whole.nhdr"]
    assert {item.id: item.reason for item in found.set_aside} == {
        "missing.mhd": "a volume file in two files, one of which is missing",
        "cut.mhd": "a volume file whose voxels are cut short",
        "cut.mha": "a volume file whose voxels are cut short",
    }
    assert capfd.readouterr() == ("", "")
