"""The two towers: a small ResNet for pictures, a small transformer for sentences."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (the field's name for it)

from views import middle
from words import CONTEXT

__all__ = ["DIM", "INNER", "SHARE", "ImageTower", "TextTower"]

DIM: Final = 128
INNER: Final = DIM - 1
"""Columns that are learned; one more is the same for everything."""
SHARE: Final = 0.125
"""Share of the learned columns in a row's squared length. The rest, common to all rows, brings cosines as near to one
another as CLIP's are, for which a logit scale of 100 is right."""
WIDTHS: Final = (32, 64, 112, 192)


def with_common(rows: Tensor) -> Tensor:
    """Unit rows (n, INNER) with the column that is common to all: unit rows (n, DIM)."""
    common = torch.full_like(rows[:, :1], (1 - SHARE) ** 0.5)
    return torch.cat([rows * SHARE**0.5, common], dim=1)


class _Block(nn.Module):
    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(after)
        self.second = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(after)
        nn.init.zeros_(self.second_norm.weight)
        self.skip: nn.Module = nn.Identity()
        if stride > 1 or before != after:
            self.skip = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))

    def forward(self, x: Tensor) -> Tensor:
        inner = F.relu(self.first_norm(self.first(x)))
        return F.relu(self.skip(x) + self.second_norm(self.second(inner)))


class ImageTower(nn.Module):
    """Pictures (n, 3, FIELD, FIELD), standardised, to unit rows (n, DIM); only their middle is looked at."""

    def __init__(self, blocks: tuple[int, ...] = (1, 1, 1, 2)) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, WIDTHS[0], 3, 2, 1, bias=False), nn.BatchNorm2d(WIDTHS[0]), nn.ReLU()]
        before = WIDTHS[0]
        for k, (width, depth) in enumerate(zip(WIDTHS, blocks, strict=True)):
            for j in range(depth):
                layers.append(_Block(before, width, 2 if k > 0 and j == 0 else 1))
                before = width
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(2 * before, INNER)

    def raw(self, x: Tensor) -> Tensor:
        """Of middles (n, 3, SIDE, SIDE) rows before they get unit length: along an attribute's direction, its logit."""
        maps = self.body(x).float()
        pooled = torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], dim=1)
        return torch.as_tensor(self.head(pooled))

    def forward(self, x: Tensor) -> Tensor:
        """Unit rows of pictures."""
        return with_common(F.normalize(self.raw(middle(x)), dim=1))


class _Layer(nn.Module):
    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm, self.inner_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.inner = nn.Sequential(nn.Linear(dim, 3 * dim), nn.GELU(), nn.Linear(3 * dim, dim))
        self.dropout = nn.Dropout(0.1)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        n, length, dim = x.shape
        parts = self.qkv(self.attention_norm(x)).reshape(n, length, 3, self.heads, dim // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        scores = q @ k.transpose(-1, -2) * (dim // self.heads) ** -0.5 + bias
        mixed = (scores.softmax(dim=-1) @ v).transpose(1, 2).reshape(n, length, dim)
        x = x + self.dropout(self.out(mixed))
        return x + self.dropout(self.inner(self.inner_norm(x)))


class TextTower(nn.Module):
    """Token ids (n, length) and mask (n, length) of 0/1 to unit rows (n, DIM)."""

    def __init__(self, words: int, dim: int = 128, layers: int = 2, heads: int = 4) -> None:
        super().__init__()
        self.words = nn.Embedding(words, dim)
        self.places = nn.Embedding(CONTEXT, dim)
        nn.init.normal_(self.words.weight, std=0.05)
        nn.init.normal_(self.places.weight, std=0.05)
        self.layers = nn.ModuleList(_Layer(dim, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, INNER)
        self.dropout = nn.Dropout(0.1)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Unit rows of sentences."""
        return with_common(F.normalize(self.raw(ids, mask), dim=1))

    def raw(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Rows (n, INNER) before they get unit length."""
        keep = mask.to(torch.float32)
        x = self.words(ids) + self.places.weight[: ids.shape[1]]
        x = self.dropout(x)
        bias = (keep[:, None, None, :] - 1) * 1e4
        for layer in self.layers:
            x = layer(x, bias)
        x = self.norm(x) * keep[..., None]
        return torch.as_tensor(self.head(x.sum(1) / keep.sum(1, keepdim=True).clamp(min=1)))
