from __future__ import annotations

from dataclasses import fields, replace

import pytest

from kpl.errors import InputError
from rendered import DEMO_WORLD, TRAINING_WORLD


def test_the_demo_has_other_ranges_than_training() -> None:
    for field in fields(TRAINING_WORLD):
        assert getattr(DEMO_WORLD, field.name) != getattr(TRAINING_WORLD, field.name), field.name
    assert DEMO_WORLD.red_cell_width[1] < TRAINING_WORLD.red_cell_width[0]
    assert DEMO_WORLD.stain[0][1] < TRAINING_WORLD.stain[0][0]
    trained = {colour for colour, _ in TRAINING_WORLD.backgrounds}
    assert not trained & {colour for colour, _ in DEMO_WORLD.backgrounds}


def test_a_range_runs_from_low_to_high() -> None:
    with pytest.raises(InputError, match="blur is"):
        replace(TRAINING_WORLD, blur=(1.0, 0.5))
    with pytest.raises(InputError, match="stain is"):
        replace(TRAINING_WORLD, stain=((1.0, 1.1), (1.0, 0.9), (1.0, 1.1)))


def test_a_world_has_a_background() -> None:
    with pytest.raises(InputError, match="background"):
        replace(TRAINING_WORLD, backgrounds=())
