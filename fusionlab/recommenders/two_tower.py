"""Two towers: one network for users, one for items, that meet in a cosine."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import torch
import torch.nn.functional as F
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat
from torch import Tensor, nn

from fusionlab.data.distinct import Distinct
from fusionlab.data.features import ItemFeatures
from fusionlab.fusion.contract import Fusion
from fusionlab.recommenders.content import Content
from fusionlab.recommenders.contract import RECOMMENDERS, Context
from fusionlab.recommenders.factors import IdFactors, WithIds, check_ids
from fusionlab.recommenders.ranker import Ranker
from fusionlab.recommenders.step import Batch, ItemViews, Touched
from fusionlab.spaces import Range, Spaces


class Tower(nn.Sequential):
    """A network of ``layers`` hidden layers of width D with ReLUs: views (..., D) to unit vectors.

    A view of zeros is one that is absent, and stays so.
    """

    def __init__(self, dim: int, layers: int) -> None:
        hidden = [part for _ in range(layers) for part in (nn.Linear(dim, dim), nn.ReLU())]
        super().__init__(*hidden, nn.Linear(dim, dim))

    def forward(self, views: Tensor) -> Tensor:
        """Views of length one, or zero."""
        there = views.ne(0).any(-1, keepdim=True)
        return torch.where(there, F.normalize(super().forward(views), dim=-1), 0)


@RECOMMENDERS.register("two_tower")
class TwoTower(WithIds, Content):
    """Rank by the cosine of a user tower over the history and an item tower over the item.

    s(u, i) = combine_k cos(f(p_uk), g(v_ik)) / temperature (+ <p_u, q_i> + b_i)

    v are the fused views and p_u their mean over the user's history, which in training leaves the
    clicked item out (`content`). Views pass the towers one by one, so any fusion will do. IDs are
    added to the score rather than fed to the towers, so that what modalities are worth can be told
    apart from them. It is meant to be trained on a softmax over the items of the batch:
    ``training: {loss: softmax, sampling: in_batch, negatives: 255, batch_size: 256}``.

    Options:
        layers: hidden layers of a tower
        temperature: what cosines are divided by
        item_ids: add the ID score <p_u, q_i> + b_i
        l2: weight of the squared ID factors that a step touches

    Source: Yi et al. 2019, Sampling-bias-corrected neural modeling for large corpus item
    recommendations.
    """

    space: ClassVar[Spaces] = {"temperature": Range(low=0.03, high=1.0, log=True)}

    def __init__(
        self,
        context: Context,
        fusion: Fusion | None,
        *,
        layers: NonNegativeInt = 1,
        temperature: PositiveFloat = 0.1,
        item_ids: bool = False,
        l2: NonNegativeFloat = 1e-2,
    ) -> None:
        super().__init__(context, fusion)
        assert fusion is not None
        check_ids(item_ids, fusion)
        self.temperature = temperature
        self.of_users, self.of_items = Tower(context.dim, layers), Tower(context.dim, layers)
        self.ids = IdFactors(context, l2) if item_ids else None
        self.by_history = not item_ids
        self.ranked = Distinct(self.n_items)

    def user_views(
        self, users: Tensor, items: ItemViews, leave_out: Tensor | None = None
    ) -> Tensor:
        """The user tower over the history's mean, divided by the temperature; ``items`` are views
        that have not gone through the item tower."""
        tower: Tensor = self.of_users(super().user_views(users, items, leave_out))
        return tower / self.temperature

    def item_views(self, items: ItemViews) -> ItemViews:
        """The item tower over all ``items``."""
        return replace(items, views=self.of_items(items.views))

    def touch_content(self, batch: Batch, items: ItemViews, leave_out: Tensor | None) -> Touched:
        """Both towers; that of items for the candidates alone."""
        query = self.user_views(batch.users, items, leave_out)
        candidates = self.item_views(items.only(*self.ranked([batch.candidates])))
        return Touched(batch, candidates, query, None)

    @torch.no_grad()
    def ranker(self, items: ItemViews | None, features: ItemFeatures | None = None) -> Ranker:
        """Every item goes through its tower once, when the ranker is made."""
        assert items is not None
        return _TwoTowerRanker(self, items)


class _TwoTowerRanker(Ranker):
    recommender: TwoTower

    def __init__(self, recommender: TwoTower, items: ItemViews) -> None:
        super().__init__(recommender, recommender.item_views(items))
        self.clicked = items  # a history is read before the item tower
