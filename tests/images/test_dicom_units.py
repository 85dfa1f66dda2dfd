"""Files of DICOM become units: series in their order in space, volumes, clips, and what is odd in them is said."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from tests.images.made_dicom import FILES, dataset, packed

from kpl.errors import InputError, PictureError
from kpl.images import BURNED_IN, Asked, Found, Unit, decode, find_pictures, load_instance

CT = "1.2.840.10008.5.1.4.1.1.2"
AXIAL = ["1", "0", "0", "0", "1", "0"]


def slice_of(z: float, **elements: Any) -> dict[str, Any]:
    """What a CT slice at a height says of itself."""
    said = {
        "SOPClassUID": CT,
        "Modality": "CT",
        "StudyInstanceUID": "1.2.3",
        "SeriesInstanceUID": "1.2.3.4",
        "PatientID": "SENTINEL-4711",
        "ImageOrientationPatient": AXIAL,
        "ImagePositionPatient": ["-100", "-100", str(z)],
        "RescaleSlope": "1",
        "RescaleIntercept": "-100",
        "WindowCenter": "40",
        "WindowWidth": "400",
    }
    return {**said, **elements}


def values_at(z: float) -> NDArray[np.int16]:
    return np.full((8, 8), z, np.int16) + np.arange(8, dtype=np.int16)


def study(folder: Path, *slices: dict[str, Any], values: list[NDArray[Any]] | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    for number, said in zip(count(len(list(folder.iterdir()))), slices, strict=False):
        height = float(said["ImagePositionPatient"][2]) if "ImagePositionPatient" in said else 0
        pixels = values[number] if values else values_at(height)
        said.setdefault("SOPInstanceUID", f"1.2.3.9.{number}")
        (folder / f"IM{number:03d}").write_bytes(packed(dataset(pixels, **said)))
    return folder


def one(found: Found) -> Unit:
    (unit,) = found.units
    return unit


def read(unit: Unit) -> list[NDArray[np.uint8]]:
    pictures = []
    for instance in unit.instances:
        pixels = load_instance(instance)[1]
        assert not isinstance(pixels, PictureError), pixels
        pictures.append(pixels)
    return pictures


def test_a_series_is_one_unit_in_the_order_of_its_positions_never_of_its_numbers(tmp_path: Path) -> None:
    heights = [30.0, 10.0, 0.0, 20.0]
    slices = [slice_of(z, InstanceNumber=str(n)) for n, z in enumerate(heights)]
    unit = one(find_pictures(study(tmp_path / "a", *slices)))
    assert (unit.id, unit.kind, len(unit.instances), unit.notes) == ("unit-0001", "series", 4, ())
    assert [instance.id for instance in unit.instances] == [f"unit-0001#{n:03d}" for n in range(4)]
    assert [instance.path.name for instance in unit.instances] == ["IM002", "IM001", "IM003", "IM000"]
    assert unit.reading == {"modality": "CT", "window": "40/400 (file)", "slices": [4, 4], "plane": "axial"}
    again = one(find_pictures(study(tmp_path / "b", *sorted(slices, key=lambda s: s["ImagePositionPatient"][2]))))
    for mine, other in zip(read(unit), read(again), strict=True):
        np.testing.assert_array_equal(mine, other)


def test_nothing_of_the_patient_is_in_a_unit_but_by_the_names_that_were_asked_for(tmp_path: Path) -> None:
    folder = study(tmp_path / "SENTINEL", slice_of(0), slice_of(1))
    (folder / "IM000").rename(folder / "SENTINEL^NAME.dcm")
    (folder / "SENTINEL2").write_bytes(packed(dataset(values_at(0), Modality="SR")))
    found = find_pictures(tmp_path)
    unit = one(found)
    told = [unit.id, unit.patient, unit.study, unit.series, unit.sources, unit.notes, unit.reading, found.set_aside]
    told += [(each.id, each.unit, each.group, each.reading) for each in unit.instances]
    assert "SENTINEL" not in repr(told)
    assert "1.2.3" not in repr(told)
    assert unit.patient
    assert len({source for source, _ in unit.sources}) == 2
    named = find_pictures(tmp_path, Asked(ids="files"))
    assert one(named).id == "SENTINEL/IM001"
    assert named.set_aside[0].id == "SENTINEL/SENTINEL2"


@pytest.mark.parametrize(
    "apart",
    [
        {"SeriesInstanceUID": "1.2.3.5"},
        {"EchoNumbers": "2"},
        {"TemporalPositionIdentifier": "2"},
        {"ImageOrientationPatient": ["1", "0", "0", "0", "0", "-1"]},
        {"PatientID": "another"},
        {"AcquisitionNumber": "2"},
    ],
)
def test_what_tells_series_apart(tmp_path: Path, apart: dict[str, Any]) -> None:
    first = [slice_of(z, AcquisitionNumber="1") for z in (0, 1, 2)]
    second = [{**slice_of(z, AcquisitionNumber="1"), **apart} for z in (0, 1, 2)]
    units = find_pictures(study(tmp_path, *first, *second)).units
    assert [len(unit.instances) for unit in units] == [3, 3]
    assert not any("another" in note for unit in units for note in unit.notes)


def test_a_series_that_lies_there_twice_counts_once(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        study(tmp_path / folder, *(slice_of(z, InstitutionName=folder) for z in (0, 5, 10)))
    found = find_pictures(tmp_path, Asked(ids="files"))
    assert [instance.path.parent.name for instance in one(found).instances] == ["a"] * 3
    assert one(found).notes == ()
    assert {item.reason for item in found.set_aside} == {
        "DICOM, the same slice again (its SOP instance UID): counts once"
    }
    shared = study(tmp_path / "shared", *(slice_of(z, SOPInstanceUID="1.2.9") for z in (0, 5, 10)))
    assert len(one(find_pictures(shared)).instances) == 3


def test_slices_without_identifiers_are_series_by_their_folders(tmp_path: Path) -> None:
    nobody = {"StudyInstanceUID": "", "SeriesInstanceUID": "", "SOPInstanceUID": "", "PatientID": ""}
    for folder in ("a", "b"):
        study(tmp_path / folder, *(slice_of(z, **nobody) for z in (0, 5, 10)))
    assert [len(unit.instances) for unit in find_pictures(tmp_path).units] == [3, 3]


def test_what_was_taken_from_a_screen_may_name_the_patient(tmp_path: Path) -> None:
    for said, burned in (("", True), ("NO", False)):
        folder = study(
            tmp_path / f"sc{said}", slice_of(0, SOPClassUID="1.2.840.10008.5.1.4.1.1.7.2", BurnedInAnnotation=said)
        )
        assert (BURNED_IN in one(find_pictures(folder)).notes) == burned


def test_gaps_and_repeats_are_told_and_a_scout_is_set_aside(tmp_path: Path) -> None:
    scout = slice_of(50, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    found = find_pictures(study(tmp_path, *(slice_of(z) for z in (0, 5, 10, 30, 30)), scout))
    assert one(found).notes == (
        "1 gap among its slices, of up to 20 mm where 5 mm are usual",
        "1 slice lies where another one lies",
    )
    assert [item.reason for item in found.set_aside] == [
        "DICOM, a scout (LOCALIZER), drawn to plan the slices: no picture to classify"
    ]


def test_slices_are_taken_evenly_and_keep_their_numbers(tmp_path: Path) -> None:
    folder = study(tmp_path, *(slice_of(z) for z in range(9)))
    unit = one(find_pictures(folder, Asked(slices=3)))
    assert [instance.id[-4:] for instance in unit.instances] == ["#000", "#004", "#008"]
    assert unit.reading["slices"] == [3, 9]


def test_a_window_by_hand_is_the_same_as_that_window_in_the_file(tmp_path: Path) -> None:
    folder = study(tmp_path / "a", slice_of(0), slice_of(100))
    lung = study(tmp_path / "b", *(slice_of(z, WindowCenter="-600", WindowWidth="1500") for z in (0, 100)))
    by_name, by_numbers = (one(find_pictures(folder, Asked(window=window))) for window in ("lung", "-600/1500"))
    for mine, numbers, wanted in zip(read(by_name), read(by_numbers), read(one(find_pictures(lung))), strict=True):
        np.testing.assert_array_equal(mine, wanted)
        np.testing.assert_array_equal(numbers, wanted)
    assert by_name.reading["window"] == "lung -600/1500 (asked)"
    hashes = [load_instance(find_pictures(folder, Asked(window=w)).pictures[0])[0] for w in (None, "lung", "bone")]
    assert len(set(hashes)) == 3
    with pytest.raises(InputError, match="no such window: 'lunge'"):
        find_pictures(folder, Asked(window="lunge"))


def test_a_named_window_is_for_ct_alone(tmp_path: Path) -> None:
    folder = study(tmp_path, slice_of(0, Modality="MR", SOPClassUID="1.2.840.10008.5.1.4.1.1.4"))
    unit = one(find_pictures(folder, Asked(window="lung")))
    assert unit.notes == ("window lung is for CT: not used",)
    assert unit.reading["window"] == "40/400 (file)"


def test_without_a_window_percentiles_are_of_the_series_never_of_the_slice(tmp_path: Path) -> None:
    bare = {"WindowCenter": None, "WindowWidth": None, "Modality": "MR", "RescaleIntercept": "0"}
    stack = [np.random.default_rng(z).integers(0, 100 * (z + 1), (8, 8)).astype(np.int16) for z in range(5)]
    unit = one(find_pictures(study(tmp_path, *(slice_of(z, **bare) for z in range(5)), values=stack)))
    low, high = np.percentile(np.stack(stack), (0.5, 99.5))
    for picture, values in zip(read(unit), stack, strict=True):
        grey = np.rint(np.clip((values - low) / (high - low) * 255, 0, 255))
        assert np.abs(picture[..., 0] - grey).max() <= 1
    assert unit.reading["window"] == "0.5 to 99.5 percentile of the unit"


def test_many_frames_of_slices_are_the_same_volume_as_many_files(tmp_path: Path) -> None:
    heights = [20.0, 0.0, 10.0]
    many = one(find_pictures(study(tmp_path / "many", *(slice_of(z) for z in heights))))
    said = slice_of(0)
    said.pop("ImagePositionPatient")
    groups = []
    for z in heights:
        group, plane = Dataset(), Dataset()
        plane.ImagePositionPatient = ["-100", "-100", str(z)]
        group.PlanePositionSequence = Sequence([plane])
        groups.append(group)
    made = dataset(np.concatenate([values_at(z) for z in heights]), **said)
    made.NumberOfFrames, made.Rows, made.PerFrameFunctionalGroupsSequence = "3", 8, Sequence(groups)
    (tmp_path / "enhanced").write_bytes(packed(made))
    volume = one(find_pictures(tmp_path / "enhanced"))
    assert (volume.kind, [instance.frame for instance in volume.instances]) == ("volume", [1, 2, 0])
    for mine, other in zip(read(volume), read(many), strict=True):
        np.testing.assert_array_equal(mine, other)


def test_a_clip_has_its_frames_evenly_in_time_and_is_cut_to_its_regions(tmp_path: Path) -> None:
    frames = np.arange(20, dtype=np.uint8).repeat(6 * 8).reshape(20 * 6, 8)
    region = Dataset()
    region.RegionSpatialFormat = 1
    region.RegionLocationMinX0, region.RegionLocationMinY0 = 2, 1
    region.RegionLocationMaxX1, region.RegionLocationMaxY1 = 5, 4
    made = dataset(frames, Modality="US", NumberOfFrames="20", SequenceOfUltrasoundRegions=Sequence([region]))
    made.Rows = 6
    (tmp_path / "cine").write_bytes(packed(made))
    unit = one(find_pictures(tmp_path / "cine", Asked(frames=3)))
    assert (unit.kind, [instance.frame for instance in unit.instances]) == ("clip", [0, 10, 19])
    assert unit.reading["frames"] == [3, 20]
    assert unit.notes == ("text in the picture may name the patient",)
    assert [picture.shape for picture in read(unit)] == [(4, 4, 3)] * 3
    assert [int(picture.mean()) for picture in read(unit)] == [0, 10, 19]
    made.NumberOfFrames, made.PixelData = "1", bytes(range(48))
    assert decode(packed(made))[..., 0].tolist() == [[8 * y + x for x in range(2, 6)] for y in range(1, 5)]


def test_one_person_with_two_numbers_is_told(tmp_path: Path) -> None:
    person = {"PatientName": "SENTINEL^A", "PatientBirthDate": "19700101"}
    pictures = [slice_of(0, PatientID=f"{n}", SeriesInstanceUID=f"1.2.{n}", **person) for n in range(2)]
    units = find_pictures(study(tmp_path, *pictures)).units
    assert [unit.notes for unit in units] == [
        ("another patient number has the same name and day of birth: counted as two patients",)
    ] * 2


def test_a_public_study_with_gaps_is_ordered_by_position() -> None:
    units = find_pictures(FILES / "dicomdirtests" / "77654033" / "CT2").units
    assert [unit.notes for unit in units] == [("1 gap among its slices, of up to 202.5 mm where 1.25 mm are usual",)]
