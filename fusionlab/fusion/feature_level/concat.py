"""Concatenation followed by one linear map."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from fusionlab.data.features import FeatureSpec, ItemFeatures
from fusionlab.fusion.contract import FUSIONS, FusedItems, Fusion, Level, one_view
from fusionlab.fusion.layers import Projections, init_as_one_matrix


@FUSIONS.register("concat")
class Concat(Fusion):
    """Concatenate the modalities and map them linearly: v = W [x_1; ...; x_M] + b.

    W is kept as one block a modality, W = [W_1 ... W_M], initialised as the whole would be (uniform
    within 1 / sqrt(sum of widths)), so that an absent modality is simply a block that adds nothing.

    Complexity: O(sum_m (T_m + D) d_m) an item.

    Source: Snoek et al. 2005, Early versus late fusion in semantic video analysis (early fusion:
        one model over the concatenated features).
    """

    level = Level.FEATURE
    additive = True
    symmetric = True

    def __init__(self, specs: Mapping[str, FeatureSpec], dim: int) -> None:
        super().__init__(specs, dim)
        self.project = Projections(specs, dim, bias=False)
        init_as_one_matrix(self.project)
        self.bias = nn.Parameter(torch.zeros(dim))

    def forward(self, items: ItemFeatures) -> FusedItems:
        """Sum the blocks of W [x_1; ...; x_M] and add the bias."""
        parts, present = self.project.pooled(items)
        return one_view(parts.sum(1) + self.bias, present)
