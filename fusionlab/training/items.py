"""Items of a step and of the whole catalogue: gathered by index, fused once."""

from __future__ import annotations

import torch

from fusionlab.data.features import ItemFeatures
from fusionlab.fusion.contract import FusedItems, Fusion
from fusionlab.recommenders.contract import Recommender
from fusionlab.recommenders.ranker import Ranker
from fusionlab.recommenders.step import ItemViews

BLOCK = 8192


@torch.no_grad()
def fuse_catalogue(fusion: Fusion, features: ItemFeatures, n_items: int) -> FusedItems:
    """Fuse all N items, a block at a time."""
    views, present = torch.empty(0), torch.empty(0)
    for start in range(0, n_items, BLOCK):
        end = min(start + BLOCK, n_items)
        fused = fusion(features.part(start, end))
        if not len(views):  # put together from blocks they would stand twice
            views = fused.views.new_empty(n_items, *fused.views.shape[1:], dtype=torch.float32)
            present = fused.present.new_empty(n_items, *fused.present.shape[1:])
        views[start:end], present[start:end] = fused.views.float(), fused.present
    return FusedItems(views, present)


def catalogue_views(fusion: Fusion, features: ItemFeatures) -> ItemViews:
    """Views of the whole catalogue, for ranking."""
    fused = fuse_catalogue(fusion, features, len(features))
    return ItemViews(fused.views, fused.present)


def catalogue_ranker(recommender: Recommender, features: ItemFeatures | None) -> Ranker:
    """The recommender over the whole catalogue, whose ``features`` are None if it reads none."""
    items = None
    if recommender.uses_content:
        assert features is not None
        assert recommender.fusion is not None
        items = catalogue_views(recommender.fusion, features)
    return recommender.ranker(items, features)
