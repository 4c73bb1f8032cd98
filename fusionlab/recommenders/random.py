"""A random order for everyone."""

from __future__ import annotations

import torch
from torch import Tensor

from fusionlab.data.features import ItemFeatures
from fusionlab.fusion.contract import Fusion
from fusionlab.recommenders.contract import RECOMMENDERS, Context, Recommender
from fusionlab.recommenders.ranker import Ranker
from fusionlab.recommenders.step import ItemViews

# Constants of SplitMix64 (Steele, Lea and Flood 2014), as signed 64-bit integers.
STEP, MIX_1, MIX_2 = (
    word - 2**64 for word in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
)


@RECOMMENDERS.register("random")
class Random(Recommender):
    """Uniform scores, a hash of seed, user and item: the floor of every table."""

    def __init__(self, context: Context, fusion: Fusion | None) -> None:
        super().__init__(context, fusion)

    def ranker(self, items: ItemViews | None, features: ItemFeatures | None = None) -> Ranker:
        """Scores that depend neither on the block nor on what was scored before."""
        return _RandomRanker(self, items)


class _RandomRanker(Ranker):
    def __call__(self, users: Tensor) -> Tensor:
        return uniform_scores(users, self.recommender.n_items, self.recommender.context.seed)


def uniform_scores(users: Tensor, n_items: int, seed: int) -> Tensor:
    """Scores (b, N) of ``users`` (b,), each a hash of the seed, the user and the item."""
    pair = users[:, None] * n_items + torch.arange(n_items, device=users.device)
    seeds = _mix(torch.tensor(seed, device=users.device))
    return (_mix(pair + seeds) & (2**24 - 1)).float()


def _mix(x: Tensor) -> Tensor:
    """SplitMix64 of int64: integers that are next to each other come out unrelated."""
    x = x * STEP
    x = (x ^ (x >> 30 & 2**34 - 1)) * MIX_1
    x = (x ^ (x >> 27 & 2**37 - 1)) * MIX_2
    return x ^ (x >> 31 & 2**33 - 1)
