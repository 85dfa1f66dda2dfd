"""Pictures come to the tower's size as the card says."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from kpl.encoders import EncoderCard
from kpl.encoders.preprocess import prepare, resize
from kpl.errors import InputError


def card_with(**changes: Any) -> EncoderCard:
    fields = {
        "name": "x", "title": "x", "intended_use": "x", "limits": "x", "licence": "x", "modalities": (),
        "loader": "onnx", "files": {}, "dim": 4, "context_length": 8, "image_size": 16, "resize": "squash",
        "interpolation": "bicubic",
        "mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.4), "head": "softmax", "logit_scale": 10.0,
    }  # fmt: skip
    return EncoderCard.model_validate(fields | changes)


sides = st.integers(1, 60)


@settings(max_examples=25, deadline=None)
@given(sides, sides, st.sampled_from(["bicubic", "bilinear"]))
def test_squash_and_centre_crop_give_a_square(height: int, width: int, interpolation: str) -> None:
    picture = np.full((height, width, 3), 77, dtype=np.uint8)
    for rules in ({"resize": "squash"}, {"resize": "shortest", "crop": "center"}):
        made = resize(picture, card_with(interpolation=interpolation, **rules))
        assert made.shape == (16, 16, 3)
        assert (made == 77).all()


def test_shortest_keeps_the_proportions() -> None:
    assert resize(np.zeros((32, 64, 3), np.uint8), card_with(resize="shortest")).shape == (16, 32, 3)


def test_centre_crop_takes_the_middle() -> None:
    picture = np.zeros((16, 48, 3), np.uint8)
    picture[:, 16:32] = 200
    assert (resize(picture, card_with(resize="shortest", crop="center")) == 200).all()


def test_squash_is_pillows_resize() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (40, 30, 3), dtype=np.uint8)
    expected = np.asarray(Image.fromarray(picture).resize((16, 16), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(resize(picture, card_with()), expected)


def test_prepare_standardises_by_channel() -> None:
    picture = np.full((16, 16, 3), (255, 0, 51), dtype=np.uint8)
    batch = prepare([picture, picture], card_with())
    assert batch.shape == (2, 3, 16, 16)
    assert batch.dtype == np.float32
    np.testing.assert_allclose(batch[0, :, 0, 0], [(1 - 0.5) / 0.2, -0.4 / 0.3, (0.2 - 0.3) / 0.4], atol=1e-5)


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 4), (0, 4, 3)])
def test_what_is_no_colour_picture_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"\(height, width, 3\)"):
        resize(np.zeros(shape, np.uint8), card_with())


def test_floats_are_refused() -> None:
    with pytest.raises(InputError, match="uint8"):
        prepare([np.zeros((4, 4, 3), np.float32)], card_with())  # type: ignore[list-item]
