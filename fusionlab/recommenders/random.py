"""A random order for everyone."""

from __future__ import annotations

import torch
from torch import Tensor

from fusionlab.fusion.contract import Fusion
from fusionlab.recommenders.contract import (
    RECOMMENDERS,
    Context,
    ItemViews,
    Ranker,
    Recommender,
)


@RECOMMENDERS.register("random")
class Random(Recommender):
    """Uniform scores, drawn anew for each user from the run's seed: the floor of every table."""

    trainable = False

    def __init__(self, context: Context, fusion: Fusion | None) -> None:
        super().__init__(context, None)

    def ranker(self, items: ItemViews | None) -> Ranker:
        """Scores by a generator that is seeded by the run and the user."""
        return _RandomRanker(self, items)


class _RandomRanker(Ranker):
    def __call__(self, users: Tensor) -> Tensor:
        seed, n_items = self.recommender.context.seed, self.recommender.n_items
        scores = torch.empty(len(users), n_items)
        for row, user in zip(scores, users.tolist(), strict=True):
            torch.rand(
                n_items, out=row, generator=torch.Generator().manual_seed(seed * 2**32 + user)
            )
        return scores.to(users.device)
