"""The losses of `mini`: contrast of pictures and captions by attribute logic, and the directions of attributes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 (the field's name for it)

from captions import Caption

__all__ = ["attribute_loss", "contrastive_loss", "text_loss"]

_SHARP: Final = 20.0


def _one_way(logits: Tensor, table: Tensor) -> Tensor:
    """Each positive against all negatives of its row; what cannot be told counts on neither side."""
    against = torch.where(table < 0, logits, torch.full_like(logits, -1e4)).logsumexp(1, keepdim=True)
    cost = F.softplus(against - logits)
    positive = (table > 0).float()
    rows = positive.sum(1)
    each = (cost * positive).sum(1) / rows.clamp(min=1)
    return each[rows > 0].mean()


def contrastive_loss(images: Tensor, texts: Tensor, table: Tensor, scale: Tensor) -> Tensor:
    """Multi-positive InfoNCE both ways; `table` (n, m) is +1 (holds), 0 (cannot be told) or -1 (does not hold)."""
    logits = scale * images @ texts.T
    return (_one_way(logits, table) + _one_way(logits.T, table.T)) / 2


def attribute_loss(raw: Tensor, directions: Tensor, bias: Tensor, states: Tensor) -> Tensor:
    """Binary cross-entropy of every attribute value that can be told from a picture; `raw` is not of unit length."""
    logits = raw @ directions.T + bias
    cost = F.binary_cross_entropy_with_logits(logits, (states > 0).float(), reduction="none")
    known = (states != 0).float() * torch.where(states > 0, 2.0, 1.0)
    return (cost * known).sum() / known.sum()


def text_loss(texts: Tensor, directions: Tensor, captions: Sequence[Caption]) -> Tensor:
    """Binary cross-entropy of what a caption claims; claims of several values are left out."""
    target = torch.zeros(len(captions), len(directions))
    weight = torch.ones_like(target)
    for k, caption in enumerate(captions):
        for claim in caption.claims:
            target[k, list(claim)] = 1.0
            weight[k, list(claim)] = 4.0 if len(claim) == 1 else 0.0
    logits = _SHARP * (texts @ directions.T) - _SHARP / 4
    cost = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return (cost * weight).sum() / weight.sum()
