"""Concatenation followed by one linear map."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from pydantic import PositiveInt
from torch import nn

from fusionlab.data.features import FeatureSpec, ItemFeatures
from fusionlab.fusion.contract import FUSIONS, FusedItems, Fusion, Level, one_view
from fusionlab.fusion.layers import Projections, init_as_one_matrix


@FUSIONS.register("concat")
class Concat(Fusion):
    """Concatenate the modalities and map them linearly: v = W [x_1; ...; x_M] + b.

    W is kept as one block a modality, W = [W_1 ... W_M], initialised as the whole would be (uniform
    within 1 / sqrt(sum of widths)), so that an absent modality is simply a block that adds nothing.
    With ``hidden`` each modality first passes a layer of its own, and h_m = gelu(V_m x_m + c_m)
    stands in the place of x_m: networks of single modalities under one linear map.

    Complexity: O(sum_m (T_m + D) d_m) an item; O(sum_m ((T_m + H) d_m + H D)) with hidden layers.

    Options:
        hidden: H, the width of each modality's own hidden layer (default: none)

    Source: Snoek et al. 2005, Early versus late fusion in semantic video analysis (early fusion:
        one model over the concatenated features).
    """

    level = Level.FEATURE
    additive = True
    symmetric = True

    def __init__(
        self, specs: Mapping[str, FeatureSpec], dim: int, *, hidden: PositiveInt | None = None
    ) -> None:
        super().__init__(specs, dim)
        self.inner = Projections(specs, hidden) if hidden else None
        read = {name: FeatureSpec(hidden) for name in specs} if hidden else specs
        self.project = Projections(read, dim, bias=False)
        init_as_one_matrix(self.project)
        self.bias = nn.Parameter(torch.zeros(dim))

    def forward(self, items: ItemFeatures) -> FusedItems:
        """Sum the blocks of W [x_1; ...; x_M] and add the bias."""
        parts, present = self.project.each(items if self.inner is None else self._read(items))
        return one_view(sum(parts, self.bias), present)

    def _read(self, items: ItemFeatures) -> ItemFeatures:
        """h (B, 1, H) in the place of each modality."""
        assert self.inner is not None
        before, present = self.inner.pooled(items)
        hidden = F.gelu(before).unsqueeze(2)
        return ItemFeatures(
            {name: hidden[:, m] for m, name in enumerate(self.specs)},
            {name: present[:, m, None] for m, name in enumerate(self.specs)},
        )
