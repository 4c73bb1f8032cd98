"""Items of a step and of the whole catalogue: gathered by index, fused once."""

from __future__ import annotations

import torch

from fusionlab.data.features import ItemFeatures
from fusionlab.fusion.contract import FusedItems, Fusion
from fusionlab.recommenders.contract import ItemViews

BLOCK = 8192


@torch.no_grad()
def fuse_catalogue(fusion: Fusion, features: ItemFeatures, n_items: int) -> FusedItems:
    """Fuse all N items, a block at a time."""
    rows = torch.arange(n_items, device=next(iter(features.mask.values())).device)
    views, present = torch.empty(0), torch.empty(0)
    for part in rows.split(BLOCK):
        fused = fusion(features.take(part))
        if not len(views):  # put together from blocks they would stand twice
            views = fused.views.new_empty(n_items, *fused.views.shape[1:], dtype=torch.float32)
            present = fused.present.new_empty(n_items, *fused.present.shape[1:])
        views[part], present[part] = fused.views.float(), fused.present
    return FusedItems(views, present)


def catalogue_views(fusion: Fusion, features: ItemFeatures) -> ItemViews:
    """Views of the whole catalogue, for ranking."""
    fused = fuse_catalogue(fusion, features, len(features))
    return ItemViews(fused.views, fused.present)
