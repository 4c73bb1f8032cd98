"""Low-rank multimodal fusion."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import ClassVar

import torch
from einops import rearrange
from pydantic import PositiveInt
from torch import nn

from fusionlab.data.features import FeatureSpec, ItemFeatures
from fusionlab.fusion.contract import FUSIONS, FusedItems, Fusion, Level, one_view
from fusionlab.fusion.layers import Projections
from fusionlab.spaces import Range, Spaces


@FUSIONS.register("lowrank_tensor")
class LowRankTensor(Fusion):
    """The outer product of all modalities, through a weight tensor of low rank.

    v = sum_r w_r prod_m F_m^r [x_m; 1] + b

    The column of F_m^r that meets the 1 starts at one, so the product starts near
    1 + (terms of single modalities) + (their products) instead of near zero. An absent modality is
    a factor of one.

    Complexity: O(sum_m (T_m + R D) d_m) an item.

    Options:
        rank: R, the number of rank-one terms

    Source: Liu et al. 2018, Efficient low-rank multimodal fusion with modality-specific factors.
    """

    space: ClassVar[Spaces] = {"rank": Range(low=1, high=16, log=True)}
    level = Level.FEATURE
    additive = False
    symmetric = True

    def __init__(
        self, specs: Mapping[str, FeatureSpec], dim: int, *, rank: PositiveInt = 4
    ) -> None:
        super().__init__(specs, dim)
        self.factors = Projections(specs, rank * dim)
        for factor in self.factors.values():
            nn.init.ones_(factor.bias)
        self.rank_weights = nn.Parameter(torch.randn(rank) * rank**-0.5)
        self.bias = nn.Parameter(torch.zeros(dim))

    def forward(self, items: ItemFeatures) -> FusedItems:
        """Multiply the factors over the modalities present and add over the ranks."""
        factors, present = self.factors.pooled(items)
        product = reduce(torch.mul, torch.where(present[..., None], factors, 1).unbind(1))
        terms = rearrange(product, "b (r d) -> b r d", d=self.dim)
        return one_view(torch.einsum("brd,r->bd", terms, self.rank_weights) + self.bias, present)
