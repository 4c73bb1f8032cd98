"""LightGCN over content: user vectors and fused views spread over clicks, beside ID factors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from pydantic import NonNegativeFloat, NonNegativeInt
from torch import Tensor, nn

from fusionlab.data.features import ItemFeatures
from fusionlab.fusion.contract import Fusion
from fusionlab.recommenders.contract import RECOMMENDERS, Context
from fusionlab.recommenders.factors import WithIds, check_ids
from fusionlab.recommenders.lightgcn import ClickGraph, LightGcn
from fusionlab.recommenders.ranker import Ranker, TableRanker
from fusionlab.recommenders.rows import squared_size, take_rows
from fusionlab.recommenders.step import Batch, ItemViews, Touched
from fusionlab.spaces import Spaces


@RECOMMENDERS.register("lightgcn")
class LightGcnContent(WithIds):
    """Fused views against user vectors, both smoothed over the graph of train clicks, plus IDs.

    s(u, i) = combine_k <p_uk, z_ik> + <e_u, e_i>
    [p; z] = 1 / (L + 1) sum_l A^l [t; v] over l = 0..L, view by view

    t_u (K, D) are the user's learned tastes, v_i the fused views of the item, A the normalised
    adjacency of clicks and e the smoothed ID factors of `lightgcn_id`. Through the graph a user is
    tastes and the content of what they clicked, an item its content and the tastes of those who
    clicked it. With ``layers: 0`` this is `hybrid` without item biases. As in LightGCN the click
    that a step trains stays in the graph. An item without a train click, or added later, has
    z = v / (L + 1); a view that an item lacks is not filled in by the graph.

    A step fuses all N items and smooths K D more columns than `lightgcn_id`: use large batches. Of
    the published form, which concatenates modalities within each layer and weighs messages, this
    keeps the graph and a user vector for each modality.

    Options:
        layers: L, how far tastes, views and ID factors spread
        item_ids: add the ID score <e_u, e_i>
        l2: weight of the squared rows at layer 0 (t, v and e^(0)) that a step touches, l2 / (2 B)
            times their sum

    Source: He et al. 2020, LightGCN: simplifying and powering graph convolution network for
    recommendation; Wei et al. 2019, MMGCN: multi-modal graph convolution network for personalized
    recommendation of micro-video.
    """

    space: ClassVar[Spaces] = LightGcn.space
    uses_content = True
    on_ids = "lightgcn_id"
    ids: LightGcn | None

    def __init__(
        self,
        context: Context,
        fusion: Fusion | None,
        *,
        layers: NonNegativeInt = 2,
        item_ids: bool = True,
        l2: NonNegativeFloat = 1e-2,
    ) -> None:
        super().__init__(context, fusion)
        assert fusion is not None
        check_ids(item_ids, fusion)
        self.layers, self.l2 = layers, l2
        self.ids = LightGcn(context, None, layers=layers, l2=l2) if item_ids else None
        self.graph = ClickGraph(context.clicks) if self.ids is None else self.ids.graph
        self.tastes = nn.Embedding(self.n_users, fusion.n_views * context.dim)
        nn.init.normal_(self.tastes.weight, std=0.01)

    def smoothed(self, items: ItemViews) -> tuple[Tensor, ItemViews]:
        """p of all users (U, K D) and z of all ``items``: the catalogue in its order, then those
        added after training, which no edge reaches: as they are, since the mean over layers would
        make them too small to be listed beside the others."""
        n = self.n_items
        assert len(items.views) >= n, "the graph reaches every item, so all have to be here"
        views = items.views.flatten(1).to(self.tastes.weight.dtype)
        users, table = self.graph.smooth(self.tastes.weight, views[:n], self.layers)
        if len(views) > n:
            table = torch.cat([table, views[n:]])
        table = table.unflatten(1, items.views.shape[1:])
        return users, replace(items, views=torch.where(items.present[..., None], table, 0))

    # A step

    def items_needed(self, batch: Batch) -> list[Tensor]:
        """All of them, as the graph joins them."""
        return [torch.arange(self.n_items, device=batch.users.device)]

    def touch_content(self, batch: Batch, items: ItemViews, leave_out: Tensor | None) -> Touched:
        """Both sides from one pass over the graph; no click is left out."""
        users, smoothed = self.smoothed(items)
        query = take_rows(users, batch.users).unflatten(1, items.views.shape[1:])
        return _Smoothed(batch, smoothed, query, None, items)

    def penalty(self, touched: Touched) -> Tensor:
        """The L2 penalty on layer 0: views are in it lest a fusion make up for small tastes."""
        assert isinstance(touched, _Smoothed)
        batch = touched.batch
        size = squared_size(take_rows(self.tastes.weight, batch.users))
        size = size + squared_size(touched.start.take(batch.candidates))
        content = self.l2 / (2 * len(batch.users)) * size
        return content if self.ids is None else content + self.ids.penalty(touched)

    # Of the whole catalogue

    def user_views(
        self, users: Tensor, items: ItemViews, leave_out: Tensor | None = None
    ) -> Tensor:
        """p_u; ``items`` are views of the whole catalogue that have not been smoothed."""
        return take_rows(self.smoothed(items)[0], users).unflatten(1, items.views.shape[1:])

    @torch.no_grad()
    def ranker(self, items: ItemViews | None, features: ItemFeatures | None = None) -> Ranker:
        """Scores from tables smoothed once, when the ranker is made."""
        assert items is not None
        return _SmoothedRanker(self, items)


@dataclass(frozen=True, slots=True)
class _Smoothed(Touched):
    """Beside the smoothed ``items`` those of layer 0."""

    start: ItemViews


class _SmoothedRanker(TableRanker):
    def __init__(self, recommender: LightGcnContent, items: ItemViews) -> None:
        self.tastes, smoothed = recommender.smoothed(items)
        ids = recommender.ids
        users, table = (self.tastes, None) if ids is None else ids.smoothed()
        super().__init__(recommender, smoothed, users, table)
        self.clicked = items  # as they are before the graph

    def views_of_users(self, users: Tensor, items: ItemViews) -> Tensor:
        """Rows of the table."""
        return take_rows(self.tastes, users).unflatten(1, items.views.shape[1:])
