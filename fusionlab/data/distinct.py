"""The distinct rows among many indices, without sorting."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Distinct(nn.Module):
    """Finds the distinct among indices below ``size``, in buffers that are used again."""

    seen: Tensor
    position: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(size, dtype=torch.bool), persistent=False)
        self.register_buffer("position", torch.zeros(size, dtype=torch.long), persistent=False)

    def forward(self, parts: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """The distinct indices (n,), ascending, and the map (size,) from an index to its place.

        The map is overwritten by the next call; places of indices that are not there are undefined.
        """
        self.seen.zero_()
        for part in parts:
            self.seen[part.flatten()] = True
        distinct = self.seen.nonzero().flatten()
        self.position[distinct] = torch.arange(len(distinct), device=distinct.device)
        return distinct, self.position
