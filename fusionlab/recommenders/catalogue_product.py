"""Scores of a block of users for the whole catalogue as one matrix product."""

from __future__ import annotations

import torch
from torch import Tensor

from fusionlab.linear import ROWS, is_for_onednn, linear

MOST = 2**23
"""Scores whose memory the allocator keeps (`keep_pages`): 32 MB of float32."""


class CatalogueProduct:
    """Queries (b, E) times item vectors (N, E): scores (b, N), without a gradient.

    The scores of every block are written into the same memory, because fresh pages cost as much as
    a third of the product. So they hold until the next call, and their reader may overwrite them.
    oneDNN, where it multiplies (`linear`), has fresh memory, but of a size that is kept at hand.

    Args:
        items: the item vectors (N, E).
    """

    def __init__(self, items: Tensor) -> None:
        self.matrix = items.detach().T.contiguous()
        self.scores = self.matrix.new_empty(0, self.matrix.shape[1])

    @torch.no_grad()
    def __call__(self, queries: Tensor) -> Tensor:
        """Scores (b, N) of ``queries`` (b, E)."""
        in_blocks = len(queries) % ROWS == 0  # `linear` copies all where rows are left
        small = len(queries) * self.matrix.shape[1] <= MOST
        if in_blocks and small and is_for_onednn(queries, self.matrix.T):
            return linear(queries, self.matrix.T)
        if len(self.scores) < len(queries):
            self.scores = self.matrix.new_empty(len(queries), self.matrix.shape[1])
        return torch.mm(queries, self.matrix, out=self.scores[: len(queries)])
