"""Mean of projections."""

from __future__ import annotations

from collections.abc import Mapping

from fusionlab.data.features import FeatureSpec, ItemFeatures
from fusionlab.fusion.contract import FUSIONS, FusedItems, Fusion, Level, one_view
from fusionlab.fusion.layers import Projections, pool_tokens


@FUSIONS.register("mean")
class Mean(Fusion):
    """Project each modality and average those present: v = sum_{m in S} (W_m x_m + b_m) / |S|.

    S are the modalities that the item has. Unlike `sum`, a view keeps its size when a modality is
    missing: the others count for more. Among items with the same S it is a sum over modalities.

    Complexity: O(sum_m (T_m + D) d_m) an item.

    Source: Havaei et al. 2016, HeMIS: hetero-modal image segmentation (the mean of the embeddings
        of whichever modalities an input has; their variance, also read there, is left out).
    """

    level = Level.FEATURE
    additive = True
    symmetric = True

    def __init__(self, specs: Mapping[str, FeatureSpec], dim: int) -> None:
        super().__init__(specs, dim)
        self.project = Projections(specs, dim)

    def forward(self, items: ItemFeatures) -> FusedItems:
        """Average the projections of the modalities that are present."""
        parts, present = self.project.pooled(items)
        return one_view(pool_tokens(parts, present), present)
