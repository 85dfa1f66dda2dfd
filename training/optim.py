"""Muon for convolutions: momentum whose update has all its singular values brought near one.

K. Jordan and others, 2024, https://kellerjordan.github.io/posts/muon/: five Newton-Schulz steps of an odd quintic.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

__all__ = ["Muon", "orthogonalised"]


def orthogonalised(update: Tensor, steps: int = 5) -> Tensor:
    """A matrix near update (m, n) with singular values near one."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = update / (update.norm() + 1e-7)
    flip = x.shape[0] > x.shape[1]
    x = x.T if flip else x
    for _ in range(steps):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x.T if flip else x


class Muon(torch.optim.Optimizer):
    """Muon over weights of two or more dimensions; what follows the first dimension is taken as one."""

    def __init__(self, params: Iterable[Any], lr: float, momentum: float = 0.9, weight_decay: float = 0.0) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    def step(self, closure: None = None) -> None:
        """One update of every weight that has a gradient."""
        del closure
        with torch.no_grad():
            for group in self.param_groups:
                for weight in group["params"]:
                    if weight.grad is not None:
                        self._move(weight, group)

    def _move(self, weight: Tensor, group: dict[str, Any]) -> None:
        state = self.state[weight]
        if not state:
            state["momentum"] = torch.zeros_like(weight.grad)
        state["momentum"].mul_(group["momentum"]).add_(weight.grad)
        ahead = weight.grad + group["momentum"] * state["momentum"]
        update = orthogonalised(ahead.reshape(len(ahead), -1))
        size = max(1.0, update.shape[0] / update.shape[1]) ** 0.5
        weight.mul_(1 - group["lr"] * group["weight_decay"])
        weight.add_(update.reshape(weight.shape), alpha=-group["lr"] * size)
