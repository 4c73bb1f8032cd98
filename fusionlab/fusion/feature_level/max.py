"""Maximum of projections."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from fusionlab.data.features import FeatureSpec, ItemFeatures
from fusionlab.fusion.contract import FUSIONS, FusedItems, Fusion, Level, one_view
from fusionlab.fusion.layers import Projections


@FUSIONS.register("max")
class Max(Fusion):
    """Project each modality and keep, element by element, the largest among those present.

    v_k = max_{m in S} (W_m x_m + b_m)_k,  S the modalities that the item has

    Not a sum over modalities: 2 max(a, b) = a + b + |a - b|.

    Complexity: O(sum_m (T_m + D) d_m) an item.

    Source: Chartsias et al. 2018, Multimodal MR synthesis via modality-invariant latent
        representation (the maximum of whichever modalities an input has).
    """

    level = Level.FEATURE
    additive = False
    symmetric = True

    def __init__(self, specs: Mapping[str, FeatureSpec], dim: int) -> None:
        super().__init__(specs, dim)
        self.project = Projections(specs, dim)

    def forward(self, items: ItemFeatures) -> FusedItems:
        """Take the maximum over the modalities that are present."""
        parts, present = self.project.pooled(items)
        off = ~present & present.any(1, keepdim=True)  # with nothing present: zeros, not -inf
        return one_view(parts.masked_fill(off[..., None], -torch.inf).amax(1), present)
