"""What a frozen language model's states of a text say of an item."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class TextReadOut(nn.Module):
    """Text states (B, E) to views (B, D): W LayerNorm((h - mean) / deviation).

    What the states of all texts have in common is taken away first. A frozen model's states of
    texts never change, so mean and deviation by column are computed once, over train items (0 and 1
    before).
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, width: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("deviation", torch.ones(width))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, dim)

    def fit(self, states: Tensor) -> None:
        """Take mean and deviation of states (B, E), B at least 2."""
        if len(states) > 1:
            deviation, mean = torch.std_mean(states.float(), 0)
            self.mean.copy_(mean)
            self.deviation.copy_(torch.where(deviation > 0, deviation, 1))

    def forward(self, states: Tensor) -> Tensor:
        """Project B states."""
        found: Tensor = self.out(self.norm((states - self.mean) / self.deviation))
        return found
