"""The most clicked items for everyone."""

from __future__ import annotations

import torch
from torch import Tensor

from fusionlab.fusion.contract import Fusion
from fusionlab.recommenders.contract import RECOMMENDERS, Context, Recommender


@RECOMMENDERS.register("popularity")
class Popularity(Recommender):
    """Rank by the number of train clicks: s(u, i) = count_i."""

    def __init__(self, context: Context, fusion: Fusion | None) -> None:
        super().__init__(context, fusion)
        self.register_buffer("counts", context.clicks.popularity.float())

    def user_factors(self, users: Tensor) -> Tensor:
        """One for everyone."""
        return torch.ones(len(users), 1, device=users.device)

    def item_factors(self, items: Tensor) -> Tensor:
        """The item's clicks."""
        return self.get_buffer("counts")[items, None]
