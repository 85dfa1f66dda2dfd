"""Masks and maps of labels, as public data name and lay them: set aside; pictures with such names stay pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from kpl.images import find_pictures, look_of, near_looks
from kpl.images.drawings import few_values, is_drawing

RNG = np.random.default_rng(5)
Y, X = np.mgrid[:64, :64]
PICTURE = np.clip(120 + 60 * np.sin(X / 9) + 20 * RNG.normal(size=(64, 64)), 0, 255).astype(np.uint8)
DISC = np.where((X - 30) ** 2 + (Y - 30) ** 2 < 300, 255, 0).astype(np.uint8)
CELLS = (((X // 11) % 3 + (Y // 13) % 4) * 17).astype(np.uint8)  # labels of regions


def save(path: Path, values: NDArray[Any], **how: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path, **how)


LAYOUTS = {
    "beside": ("a.png", "a_mask.png"),
    "beside, with a number": ("a.png", "a-mask-2.png"),
    "by a tool for cells": ("a.tif", "a_cp_masks.png"),
    "of skin": ("ISIC_01.jpg", "ISIC_01_segmentation.png"),
    "of glands": ("train_1.bmp", "train_1_anno.bmp"),
    "of colons": ("Original/1.tif", "Ground Truth/1.tif"),
    "of polyps": ("images/x.jpg", "masks/x.jpg"),
    "of nuclei": ("s1/images/s1.png", "s1/masks/4f2a.png"),
    "of lungs": ("CXR_png/M_1_0.png", "ManualMask/leftMask/M_1_0.png"),
    "of vessels": ("images/21_training.tif", "1st_manual/21_manual1.gif"),
    "of a second observer": ("Image_01L.jpg", "Image_01L_1stHO.png"),
    "of moles": ("IMD/IMD2_Dermoscopic_Image/IMD2.bmp", "IMD/IMD2_lesion/IMD2_lesion.bmp"),
    "of objects": ("JPEGImages/1.jpg", "SegmentationClass/1.png"),
    "in front": ("x1.png", "mask_x1.png"),
    "by a word alone": ("img.png", "label.png"),
}


@pytest.mark.parametrize("drawing", [DISC, CELLS], ids=["two values", "labels"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_masks_are_known_by_their_names_and_by_what_they_hold(
    tmp_path: Path, layout: str, drawing: NDArray[np.uint8]
) -> None:
    picture, mask = LAYOUTS[layout]
    if mask.endswith(".jpg") and drawing is CELLS:
        drawing = DISC  # what is lossy keeps no labels
    save(tmp_path / picture, PICTURE)
    save(tmp_path / mask, drawing)
    found = find_pictures(tmp_path)
    assert [unit.id for unit in found.units] == [picture]
    ((name, reason),) = [(item.id, item.reason) for item in found.set_aside]
    assert name == mask
    assert reason.startswith("a mask")
    assert [unit.id for unit in find_pictures(tmp_path / mask).units] == [Path(mask).name]


@pytest.mark.parametrize(
    "name", ["with_mask/1.png", "labels/1.png", "lesion_2.png", "seg/a.jpg", "gt.png", "man_without_mask.png"]
)
def test_pictures_with_such_names_stay_pictures(tmp_path: Path, name: str) -> None:
    save(tmp_path / name, PICTURE)
    save(tmp_path / "b.png", PICTURE)
    assert len(find_pictures(tmp_path).units) == 2


def test_a_folder_of_pictures_that_is_called_after_masks_is_not_looked_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(30):
        save(tmp_path / "mask" / f"{number}.png", PICTURE)
    looked = []
    monkeypatch.setattr("kpl.images.finding.is_drawing", lambda pixels: looked.append(pixels) or False)
    assert len(find_pictures(tmp_path).units) == 30
    assert len(looked) < 10


def volume(path: Path, values: NDArray[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), path)


@pytest.mark.parametrize(
    ("scan", "labels"),
    [
        ("BraTS_1/BraTS_1_flair.nii.gz", "BraTS_1/BraTS_1_seg.nii.gz"),
        ("imagesTr/lung_1.nii.gz", "labelsTr/lung_1.nii.gz"),
        ("volume-0.nii", "segmentation-0.nii"),
        ("case/imaging.nii", "case/segmentation.nii"),
        ("mri/T1.mgz", "mri/aseg.mgz"),
        ("a.nii", "a_mask.nii"),
    ],
)
@pytest.mark.parametrize("values", [2, 5])
def test_maps_of_labels_beside_volumes_are_set_aside(tmp_path: Path, scan: str, labels: str, values: int) -> None:
    volume(tmp_path / scan, RNG.normal(300, 50, (24, 24, 6)).astype(np.float32))
    blocks = np.kron(np.arange(16).reshape(4, 4, 1) % values, np.ones((6, 6, 6))).astype(np.float32)
    volume(tmp_path / labels, blocks)
    found = find_pictures(tmp_path)
    assert [unit.instances[0].path for unit in found.units] == [tmp_path / scan]
    ((called, reason),) = [(item.id, item.reason) for item in found.set_aside]
    assert (called, reason[:6]) == ("file-0001", "a mask")
    assert Path(scan).name not in reason


def test_what_a_drawing_is() -> None:
    def colour(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.repeat(values[..., None], 3, axis=-1)

    assert is_drawing(colour(DISC))
    assert is_drawing(colour(DISC // 255))
    assert is_drawing(colour(DISC * 0))
    assert not is_drawing(colour(PICTURE))
    half_black = PICTURE.copy()
    half_black[:, :40] = 0
    assert not is_drawing(colour(half_black))
    assert [few_values(colour(v)) for v in (DISC, DISC * 0 + 7, CELLS, PICTURE)] == [2, 1, 6, None]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.5, 1.4]), st.integers(60, 95))
def test_a_look_stays_when_a_picture_is_scaled_or_saved_again(seed: int, scale: float, quality: int) -> None:
    import io

    coarse = np.random.default_rng(seed).integers(0, 256, (2, 10, 10, 3), np.uint8)
    one, other = (Image.fromarray(each).resize((400, 300), Image.Resampling.BICUBIC) for each in coarse)
    file = io.BytesIO()
    one.save(file, "JPEG", quality=quality)
    scaled = one.resize((int(400 * scale), int(300 * scale)), Image.Resampling.BILINEAR)
    looks: list[str | None] = [look_of(np.asarray(each)) for each in (one, Image.open(file), other, scaled)]
    assert near_looks([*looks, None]) == [[0, 1, 3]]
    assert near_looks(looks[2:3]) == []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kpl.images.looks._MANY", 3)  # of many, more has to be shared before two are compared
        assert near_looks([*looks, None]) == [[0, 1, 3]]
