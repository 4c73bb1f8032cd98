"""What users clicked in training, as recommenders read it: row by row, whole users at a time."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from fusionlab.data.interactions import Clicks
from fusionlab.recommenders.sparse_rows import entries_of


class History(nn.Module):
    """The train clicks, which move with the model and are not saved with it.

    ``items[indptr[u]:indptr[u + 1]]`` are the items of user u.
    """

    indptr: Tensor
    items: Tensor

    def __init__(self, clicks: Clicks) -> None:
        super().__init__()
        self.register_buffer("indptr", clicks.indptr, persistent=False)
        self.register_buffer("items", clicks.items, persistent=False)

    def clicks_of(self, users: Tensor) -> tuple[Tensor, Tensor]:
        """Positions of all clicks of ``users``, one user after the other, and where each begins."""
        return entries_of(self.indptr, users)

    def sums(self, users: Tensor, table: Tensor) -> Tensor:
        """The sum of the rows of a table (N, E) over each user's items: (b, E)."""
        clicks, offsets = self.clicks_of(users)
        return F.embedding_bag(self.items[clicks], table, offsets, mode="sum")
