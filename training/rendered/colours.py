"""Stain colours as transmittances: the share of red, green and blue light that passes, before the background."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["Array", "pick_colour"]

Array = NDArray[np.float32]
Colour = tuple[float, float, float]

# The two ends of each colour; a picture takes one colour between them.
_COLOURS: Final[dict[str, tuple[Colour, Colour]]] = {
    "nucleus pale": ((0.66, 0.40, 0.70), (0.74, 0.48, 0.82)),
    "nucleus violet": ((0.38, 0.18, 0.58), (0.47, 0.26, 0.66)),
    "nucleus dark": ((0.17, 0.09, 0.38), (0.25, 0.11, 0.50)),
    "cytoplasm clear": ((0.95, 0.94, 0.96), (0.98, 0.97, 0.98)),
    "cytoplasm pink": ((0.89, 0.77, 0.90), (0.94, 0.84, 0.94)),
    "cytoplasm orange": ((0.84, 0.56, 0.58), (0.92, 0.65, 0.60)),
    "cytoplasm blue": ((0.42, 0.46, 0.84), (0.62, 0.68, 0.96)),
    "cytoplasm grey": ((0.62, 0.63, 0.79), (0.74, 0.74, 0.89)),
    "cytoplasm red": ((0.79, 0.70, 0.80), (0.86, 0.74, 0.80)),
    "cytoplasm purple": ((0.56, 0.40, 0.74), (0.68, 0.50, 0.82)),
    "granules fine": ((0.70, 0.44, 0.66), (0.76, 0.52, 0.76)),
    "granules purple": ((0.50, 0.13, 0.42), (0.58, 0.20, 0.52)),
    "granules orange": ((0.76, 0.42, 0.46), (0.88, 0.50, 0.42)),
    "granules dark": ((0.20, 0.08, 0.36), (0.30, 0.12, 0.46)),
    "parasite": ((0.42, 0.32, 0.66), (0.52, 0.40, 0.76)),
    "parasite dot": ((0.36, 0.08, 0.30), (0.46, 0.12, 0.40)),
    "pigment": ((0.22, 0.16, 0.12), (0.34, 0.24, 0.16)),
    "debris": ((0.46, 0.26, 0.60), (0.66, 0.46, 0.74)),
}


def pick_colour(name: str, rng: np.random.Generator, spread: float) -> Array:
    """One transmittance (3,) of a named colour; `spread` is the relative spread of its optical density."""
    first, second = np.asarray(_COLOURS[name], np.float32)
    mix = first + np.float32(rng.random()) * (second - first)
    return np.asarray(mix ** np.float32(np.clip(rng.normal(1.0, spread), 0.7, 1.3)), np.float32)
