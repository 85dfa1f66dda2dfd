"""Random views of training pictures: place, size, turn, stain, lamp, focus."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 (the field's name for it)

__all__ = ["FIELD", "MEAN", "SIDE", "STD", "middle", "random_views", "standardise"]

FIELD: Final = 128
"""Side in pixels to which a picture is resized."""
SIDE: Final = 96
"""Side of its middle, all that the tower reads: the cell and its neighbours."""
MEAN: Final = (0.82, 0.72, 0.72)
STD: Final = (0.20, 0.22, 0.15)


def standardise(pictures: Tensor) -> Tensor:
    """Pictures (n, 3, h, w) in 0..1 to the scale that the tower reads."""
    return (pictures - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(STD).view(1, 3, 1, 1)


def middle(x: Tensor) -> Tensor:
    """The middle (n, 3, SIDE, SIDE) of pictures (n, 3, FIELD, FIELD)."""
    edge = (FIELD - SIDE) // 2
    return x[:, :, edge : edge + SIDE, edge : edge + SIDE]


def random_views(pictures: NDArray[np.uint8], rng: np.random.Generator, side: int = SIDE) -> Tensor:
    """Augmented views (n, 3, side, side) of pictures (n, h, w, 3)."""
    n = len(pictures)
    x = torch.from_numpy(pictures).permute(0, 3, 1, 2).float().div_(255)
    angle = rng.integers(0, 4, n) * (np.pi / 2) + np.where(rng.random(n) < 0.3, rng.uniform(-0.4, 0.4, n), 0)
    zoom = SIDE / FIELD * np.exp(rng.normal(0, 0.06, n))
    flip = rng.choice([-1.0, 1.0], n)
    move = rng.normal(0, 0.05, (n, 2))
    turn = np.stack(
        [
            np.stack([flip * np.cos(angle) * zoom, -np.sin(angle) * zoom, move[:, 0]], 1),
            np.stack([flip * np.sin(angle) * zoom, np.cos(angle) * zoom, move[:, 1]], 1),
        ],
        axis=1,
    )
    grid = F.affine_grid(torch.from_numpy(turn).float(), [n, 3, SIDE, SIDE], align_corners=False)
    x = F.grid_sample(x, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    if side != SIDE:
        x = F.interpolate(x, size=(side, side), mode="bilinear", antialias=True)
    return standardise(_stain(x, rng)).contiguous(memory_format=torch.channels_last)


def _grain(shape: torch.Size) -> Tensor:
    """Noise, one sheet of it moved about: fresh noise for every picture costs more than the rest of the view."""
    side = shape[-1]
    sheet = torch.randn(3, side * 2, side * 2)
    places = torch.randint(0, side, (shape[0], 2)).tolist()
    return torch.stack([sheet[:, i : i + side, j : j + side] for i, j in places])


def _stain(x: Tensor, rng: np.random.Generator) -> Tensor:
    """Other stain strengths and slide colours in optical density, another lamp, noise."""
    n = len(x)

    def draw(low: float, high: float, *shape: int) -> Tensor:
        return torch.from_numpy(rng.uniform(low, high, (n, *shape))).float()

    strength = draw(0.85, 1.18, 1, 1, 1) * draw(0.9, 1.1, 3, 1, 1)
    slide = draw(0.94, 1.05, 3, 1, 1)
    white = torch.quantile(x[:, :, ::6, ::6].flatten(2), 0.8, dim=2)[..., None, None].clamp(min=0.2)
    x = white * slide * (x.clamp(min=0.01) / white) ** strength
    x = x * draw(0.92, 1.06, 1, 1, 1)
    blue = torch.from_numpy(rng.random(n) < 0.15).view(n, 1, 1, 1)
    tint = torch.stack([draw(0.8, 0.98), draw(0.9, 1.0), draw(1.02, 1.2)], 1)[..., None, None]
    x = torch.where(blue, x * tint, x)
    x = x + torch.from_numpy(rng.normal(0, 1, (n, 1, 1, 1)).astype(np.float32)).abs() * 0.01 * _grain(x.shape)
    return x.clamp(0, 1)
