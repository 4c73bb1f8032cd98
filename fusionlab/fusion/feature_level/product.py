"""Hadamard product of projections."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce

import torch
from torch import nn

from fusionlab.data.features import FeatureSpec, ItemFeatures
from fusionlab.fusion.contract import FUSIONS, FusedItems, Fusion, Level, one_view
from fusionlab.fusion.layers import Projections


@FUSIONS.register("product")
class Product(Fusion):
    """Project each modality and multiply, element by element: v = prod_m (W_m x_m + b_m).

    An absent modality is a factor of one. Multiplied out, v holds a term for each of the 2^M
    subsets of modalities: the product of their W_m x_m and of the others' b_m. Weights start so
    that, on standardised inputs, W_m x_m has a variance of 1/2, and biases at sqrt(1/2): every
    factor has a mean square of one, so the product neither vanishes nor grows with M, and all
    subsets start with the same weight, so what the modalities mean together is learned from the
    first step.

    Complexity: O(sum_m (T_m + D) d_m) an item.

    Source: Kim et al. 2017, Hadamard product for low-rank bilinear pooling.
    """

    level = Level.FEATURE
    additive = False
    symmetric = True

    def __init__(self, specs: Mapping[str, FeatureSpec], dim: int) -> None:
        super().__init__(specs, dim)
        self.factors = Projections(specs, dim)
        for factor in self.factors.values():
            nn.init.normal_(factor.weight, std=(2 * factor.in_features) ** -0.5)
            nn.init.constant_(factor.bias, 0.5**0.5)

    def forward(self, items: ItemFeatures) -> FusedItems:
        """Multiply the factors of the modalities that are present."""
        factors, present = self.factors.pooled(items)
        factors = torch.where(present[..., None], factors, 1)
        return one_view(reduce(torch.mul, factors.unbind(1)), present)
