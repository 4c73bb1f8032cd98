"""LightGCN beside a frozen graph of items that are alike, over which views and IDs spread."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, ClassVar

import torch
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor

from fusionlab.data.distinct import Distinct
from fusionlab.data.features import ItemFeatures
from fusionlab.fusion.contract import MODALITY, Fusion
from fusionlab.recommenders.contract import RECOMMENDERS, Context
from fusionlab.recommenders.factors import check_ids
from fusionlab.recommenders.lightgcn import LightGcn, Tables
from fusionlab.recommenders.neighbours import similarity_graph
from fusionlab.recommenders.ranker import Ranker, TableRanker
from fusionlab.recommenders.rows import squared_size, take_rows
from fusionlab.recommenders.sparse_rows import SparseRows
from fusionlab.recommenders.step import Batch, IdRows, ItemViews, Touched
from fusionlab.spaces import Range, Spaces


@RECOMMENDERS.register("item_graph")
class ItemGraph(LightGcn):
    """Fused views and ID factors, spread over a frozen graph of items with similar features.

    s(u, i) = combine_k <e_u, v_ik + sum_j S_ij v_jk> + <e_u, e_i + sum_j S_ij q_j>
    S = D^-1/2 (sum_m importance_m A_m) D^-1/2

    e are the ID factors smoothed over train clicks as in `lightgcn_id`, q = e^(0) those of the
    items before that, v the fused views. A_m has ones from an item to the k others whose features
    of modality m, as `inputs` prepares them, have the largest cosine; D are the row sums. It is
    made once and stays. An item that lacks a modality has no edge in its graph, and a view that an
    item lacks is not filled in by its neighbours'. Users' vectors are those of LightGCN: they are
    smoothed over the clicked items' ID factors, never over their content. An item added after
    training has neighbours in the catalogue and is nobody's: of the ID score it has what they lend.

    A step fuses its candidates and their neighbours, up to k M times as many items as it ranks.
    Published forms differ: LATTICE and FREEDOM spread IDs alone, FREEDOM reads content in a loss of
    its own, and prunes clicks at random.

    Options:
        neighbours: k, in each modality
        importance: weight of a modality's graph, by its name (default: 1 for each)
        layers: how far factors spread over clicks
        item_ids: add the ID score, the second product
        l2: weight of the squared rows of e^(0) and of the views that a step touches

    Source: Zhang et al. 2021, Mining latent structures for multimedia recommendation (LATTICE);
    Zhou and Shen 2023, A tale of two graphs: freezing and denoising graph structures for multimodal
    recommendation (FREEDOM).
    """

    space: ClassVar[Spaces] = {
        "neighbours": Range(low=5, high=50, log=True),
        "layers": Range(low=1, high=4),
        "l2": Range(low=1e-4, high=1e-1, log=True),
    }
    uses_content = True
    reads_features = True
    on_ids = "lightgcn_id"

    def __init__(
        self,
        context: Context,
        fusion: Fusion | None,
        *,
        neighbours: PositiveInt = 10,
        importance: Annotated[dict[str, PositiveFloat] | None, MODALITY] = None,
        layers: NonNegativeInt = 2,
        item_ids: bool = True,
        l2: NonNegativeFloat = 1e-2,
    ) -> None:
        super().__init__(context, fusion, layers=layers, l2=l2)
        assert context.features is not None
        assert fusion is not None
        check_ids(item_ids, fusion)
        self.neighbours, self.item_ids = neighbours, item_ids
        self.importance: Mapping[str, float] = importance or {}
        self.similar = self._graph_of(context.features)
        self.distinct = Distinct(self.n_items)

    def _graph_of(self, features: ItemFeatures) -> SparseRows:
        graph = similarity_graph(
            features, self.neighbours, self.importance, self.name, self.n_items
        )
        return SparseRows(graph)

    # A step

    def items_needed(self, batch: Batch) -> list[Tensor]:
        """The candidates and their neighbours."""
        items, _ = self.distinct([batch.candidates])
        return [items, self.similar.columns_of(items)]

    def touch(self, batch: Batch, items: ItemViews | None) -> Touched:
        """Both sides of both products from one pass over the clicks."""
        assert items is not None
        smoothed = self.smoothed()
        touched = self._content(batch, items, smoothed[0])
        return replace(touched, ids=self._ids(batch, smoothed)) if self.item_ids else touched

    def touch_content(self, batch: Batch, items: ItemViews, leave_out: Tensor | None) -> Touched:
        """Views, spread over the graph."""
        return self._content(batch, items, self.smoothed()[0])

    def _content(self, batch: Batch, items: ItemViews, users: Tensor) -> Touched:
        distinct, position = self.distinct([batch.candidates])
        spread = _spread(items, items.only(distinct, position), self.similar, distinct)
        return Touched(batch, spread, self._query(users, batch.users, items), None)

    def _ids(self, batch: Batch, smoothed: Tables) -> IdRows:
        users, items = smoothed
        distinct, position = self.distinct([batch.candidates])
        factors = take_rows(items, distinct) + self.similar.times(self.items.weight, distinct)
        candidates = take_rows(factors, position[batch.candidates])
        return IdRows(take_rows(users, batch.users), candidates)

    def _query(self, smoothed: Tensor, users: Tensor, items: ItemViews) -> Tensor:
        return take_rows(smoothed, users)[:, None].expand(-1, items.views.shape[1], -1)

    def penalty(self, touched: Touched) -> Tensor:
        """The L2 penalty on e^(0) and, lest a fusion make up for small factors, on the views."""
        items = touched.items
        assert items is not None
        size = squared_size(items.take(touched.batch.candidates))
        return super().penalty(touched) + self.l2 / (2 * len(touched.batch.users)) * size

    # Of the whole catalogue

    def user_views(
        self, users: Tensor, items: ItemViews, leave_out: Tensor | None = None
    ) -> Tensor:
        """e_u for each view; they hold no content, so there is nothing to leave out."""
        return self._query(self.smoothed()[0], users, items)

    def user_factors(self, users: Tensor) -> Tensor | None:
        """e_u."""
        return super().user_factors(users) if self.item_ids else None

    def item_factors(self, items: Tensor) -> Tensor | None:
        """e_i + sum_j S_ij q_j."""
        if not self.item_ids:
            return None
        return take_rows(self.smoothed()[1] + self.similar.times(self.items.weight), items)

    def id_rows(self, batch: Batch) -> IdRows | None:
        """The ID factors of a step."""
        return self._ids(batch, self.smoothed()) if self.item_ids else None

    @torch.no_grad()
    def ranker(self, items: ItemViews | None, features: ItemFeatures | None = None) -> Ranker:
        """Scores from tables smoothed once; of other features than the context's, another graph."""
        assert items is not None
        similar = self.similar
        if features is not None and features is not self.context.features:
            similar = self._graph_of(features).to(items.views.device)
        users, table = self.smoothed()
        factors = None
        if self.item_ids:
            factors = similar.times(self.items.weight)
            factors[: self.n_items] += table
        return _ItemGraphRanker(self, _spread(items, items, similar), users, factors)


class _ItemGraphRanker(TableRanker):
    recommender: ItemGraph

    def views_of_users(self, users: Tensor, items: ItemViews) -> Tensor:
        return self.recommender._query(self.users, users, items)


def _spread(
    items: ItemViews, own: ItemViews, similar: SparseRows, rows: Tensor | None = None
) -> ItemViews:
    """``own`` views (n, K, D), of the items ``rows`` (n,), plus those of their neighbours among
    ``items``; a view that is absent stays zero."""
    more = similar.times(items.views.flatten(1), rows, items.position)
    views = own.views + more.unflatten(1, items.views.shape[1:])
    return replace(own, views=torch.where(own.present[..., None], views, 0))
