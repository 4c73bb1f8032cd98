"""Tensor fusion."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from pydantic import PositiveInt
from torch import nn

from fusionlab.data.features import FeatureSpec, ItemFeatures
from fusionlab.errors import FusionlabError
from fusionlab.fusion.contract import FUSIONS, FusedItems, Fusion, Level, one_view
from fusionlab.fusion.layers import Projections

USUAL_ENTRIES = 1024
MOST_ENTRIES = 65_536


@FUSIONS.register("tensor")
class TensorFusion(Fusion):
    """The outer product of all modalities, written out, through a full weight tensor.

    h_m = P_m x_m + b_m in R^w,  Z = [1; h_1] x ... x [1; h_M],  v = W vec(Z) + b

    The leading ones keep the terms of every subset of the modalities in Z; an absent modality has
    h_m = 0, which leaves the terms without it. P_m starts so that standardised inputs give h_m unit
    variance, whatever M, and the terms of all subsets the same size.

    Complexity: O(sum_m (T_m + w) d_m + (w + 1)^M D) an item.

    Options:
        width: w, of each modality in the product (default: the widest up to D for which Z has at
            most 1,024 entries); at most 65,536 entries are allowed

    Source: Zadeh et al. 2017, Tensor fusion network for multimodal sentiment analysis.
    """

    level = Level.FEATURE
    additive = False

    def __init__(
        self, specs: Mapping[str, FeatureSpec], dim: int, *, width: PositiveInt | None = None
    ) -> None:
        super().__init__(specs, dim)
        self.width = _checked(width, len(specs), dim)
        self.project = Projections(specs, self.width)
        for linear in self.project.values():
            nn.init.normal_(linear.weight, std=linear.in_features**-0.5)
        self.out = nn.Linear((self.width + 1) ** len(specs), dim)

    def forward(self, items: ItemFeatures) -> FusedItems:
        """Multiply out [1; h_m] over the modalities and map the entries linearly."""
        h, present = self.project.pooled(items)
        one = h.new_ones(len(h), 1)
        z = one
        for part in h.unbind(1):
            z = torch.einsum("bp,bw->bpw", z, torch.cat([one, part], 1)).flatten(1)
        return one_view(self.out(z), present)


def _checked(width: int | None, modalities: int, dim: int) -> int:
    """The width asked for, or the usual one; refuse a product with too many entries."""
    widest = _widest(MOST_ENTRIES, modalities)
    if widest < 1:
        raise FusionlabError(
            f"fusion 'tensor': found {modalities} modalities, whose outer product has more than "
            f"{MOST_ENTRIES} entries at any width; 'lowrank_tensor' never writes it out"
        )
    if width is None:
        return max(1, min(dim, _widest(USUAL_ENTRIES, modalities)))
    if width > widest:
        raise FusionlabError(
            f"fusion.width: found {width}, expected at most {widest} with {modalities} modalities: "
            f"(width + 1)^{modalities} entries must not exceed {MOST_ENTRIES}"
        )
    return width


def _widest(entries: int, modalities: int) -> int:
    """The largest w with (w + 1)^modalities <= entries."""
    w = round(entries ** (1 / modalities))
    return w - 1 if w**modalities <= entries else w - 2
