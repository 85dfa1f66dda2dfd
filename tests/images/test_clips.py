"""Animations and TIFFs of several pages: the first by itself, so many of them when that is asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kpl.images import Asked, Unit, find_pictures, load_instance

SHADES = [20 * k for k in range(12)]


def film(path: Path, count: int = 12) -> Path:
    frames = [Image.fromarray(np.full((9, 12, 3), shade, np.uint8)) for shade in SHADES[:count]]
    lossless = {"lossless": True} if path.suffix == ".webp" else {}
    frames[0].save(path, save_all=True, append_images=frames[1:], **lossless)
    return path


def unit_of(path: Path, **asked: int) -> Unit:
    (unit,) = find_pictures(path, Asked(**asked)).units  # type: ignore[arg-type]
    return unit


def shades(unit: Unit) -> list[int]:
    pictures = [load_instance(instance).pixels for instance in unit.instances]
    assert all(isinstance(picture, np.ndarray) and picture.shape == (9, 12, 3) for picture in pictures)
    return [round(float(np.mean(picture))) for picture in pictures]


@pytest.mark.parametrize(("suffix", "kind"), [("gif", "clip"), ("png", "clip"), ("webp", "clip"), ("tif", "series")])
def test_so_many_frames_as_were_asked_for_are_read_evenly(tmp_path: Path, suffix: str, kind: str) -> None:
    path = film(tmp_path / f"a.{suffix}")
    unit = unit_of(path, frames=3)
    assert (unit.kind, unit.reading) == (kind, {"frames": [3, 12]})
    assert [instance.frame for instance in unit.instances] == [0, 6, 11]
    assert shades(unit) == [SHADES[0], SHADES[6], SHADES[11]]
    assert shades(unit_of(path, frames=50)) == SHADES


def test_unasked_an_animation_is_its_first_frame_and_a_note(tmp_path: Path) -> None:
    unit = unit_of(film(tmp_path / "a.gif"))
    assert (unit.kind, shades(unit)) == ("image", SHADES[:1])
    assert unit.notes == ("an animation of 12 frames: the first is read, --frames reads more",)


@pytest.mark.parametrize("suffix", ["gif", "png", "tif"])
def test_a_clip_of_one_frame_is_a_picture(tmp_path: Path, suffix: str) -> None:
    unit = unit_of(film(tmp_path / f"a.{suffix}", 1), frames=16)
    assert (unit.kind, len(unit.instances), unit.notes) == ("image", 1, ())
