"""The ranges that a rendered picture is drawn from: the smear, the stain and the camera."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from kpl.errors import InputError

__all__ = ["DEMO_WORLD", "TRAINING_WORLD", "Range", "WorldSettings"]

Range = tuple[float, float]
Colour = tuple[float, float, float]


@dataclass(frozen=True)
class WorldSettings:
    """Ranges (low, high) of everything but the cell's attributes. Lengths are in 1/144 of the picture's side.

    Raises:
        InputError: a range runs backwards, or there is no background.
    """

    backgrounds: tuple[tuple[Colour, float], ...]
    """Background colours (0..255) and their weights."""
    background_spread: float
    """Standard deviation of the background colour around them, in grey levels."""
    stain: tuple[Range, Range, Range]
    """Optical density of all stains relative to the standard one, in red, green and blue light."""
    tone_spread: float
    """Standard deviation of each colour's optical density, relative."""
    red_cell_width: Range
    """Diameter of the red cells, the yardstick of all sizes."""
    red_cell_count: Range
    """Red cells thrown at the picture; those that meet the centre cell are left out."""
    red_cell_pallor: Range
    """How far the centre of a red cell is emptied: 0 not at all, 1 as clear as the background."""
    debris_count: Range
    """Platelets and specks of stain beside the centre cell."""
    offset: float
    """How far the cell lies from the picture's centre, at most, along each axis."""
    blur: Range
    """Standard deviation of the camera's blur."""
    sharpen: Range
    """Strength of the camera's unsharp mask."""
    noise: Range
    """Standard deviation of the sensor's noise in grey levels."""
    gain: Range
    contrast: Range
    jpeg_quality: Range

    def __post_init__(self) -> None:
        """Check that every range runs from low to high."""
        if not self.backgrounds:
            raise InputError("a world needs a background colour: none was given")
        for name, value in vars(self).items():
            pairs = value if name == "stain" else (value,)
            if name != "backgrounds" and isinstance(value, tuple) and any(low > high for low, high in pairs):
                raise InputError(f"a world's range runs from low to high: {name} is {value}")


TRAINING_WORLD: Final = WorldSettings(
    backgrounds=(((254, 229, 203), 0.6), ((219, 219, 244), 0.2), ((245, 236, 226), 0.2)),
    background_spread=4.5,
    stain=((0.82, 1.2), (0.82, 1.2), (0.82, 1.2)),
    tone_spread=0.12,
    red_cell_width=(26.0, 32.0),
    red_cell_count=(12, 34),
    red_cell_pallor=(0.2, 0.95),
    debris_count=(0, 3),
    offset=6.0,
    blur=(0.35, 0.95),
    sharpen=(0.0, 1.0),
    noise=(0.5, 4.0),
    gain=(0.92, 1.05),
    contrast=(0.88, 1.12),
    jpeg_quality=(65, 95),
)
"""What `mini` is trained on."""

DEMO_WORLD: Final = WorldSettings(
    backgrounds=(((247, 214, 214), 0.4), ((228, 228, 228), 0.35), ((230, 214, 236), 0.25)),
    background_spread=3.0,
    stain=((0.68, 0.81), (0.95, 1.2), (1.05, 1.3)),
    tone_spread=0.08,
    red_cell_width=(23.5, 25.8),
    red_cell_count=(24, 46),
    red_cell_pallor=(0.4, 0.8),
    debris_count=(0, 2),
    offset=8.0,
    blur=(0.5, 1.0),
    sharpen=(0.0, 0.4),
    noise=(3.0, 5.5),
    gain=(0.9, 1.0),
    contrast=(0.95, 1.2),
    jpeg_quality=(55, 80),
)
"""What the demo's pictures are drawn with: another stain, background, magnification and camera than training's."""
