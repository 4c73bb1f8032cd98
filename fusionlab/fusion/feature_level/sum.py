"""Sum of projections."""

from __future__ import annotations

from collections.abc import Mapping

from fusionlab.data.features import FeatureSpec, ItemFeatures
from fusionlab.fusion.contract import FUSIONS, FusedItems, Fusion, Level, one_view
from fusionlab.fusion.layers import Projections


@FUSIONS.register("sum")
class Sum(Fusion):
    """Project each modality and add: v = sum_m (W_m x_m + b_m).

    The same functions as `concat` where every modality is present; the two differ in how they start
    (each W_m by its own width) and in what an absent modality takes away (its own bias too).

    Complexity: O(sum_m (T_m + D) d_m) an item.

    Source: Fukui et al. 2016, Multimodal compact bilinear pooling for visual question answering and
        visual grounding (the element-wise sum, one of their baselines).
    """

    level = Level.FEATURE
    additive = True
    symmetric = True

    def __init__(self, specs: Mapping[str, FeatureSpec], dim: int) -> None:
        super().__init__(specs, dim)
        self.project = Projections(specs, dim)

    def forward(self, items: ItemFeatures) -> FusedItems:
        """Add the projections of the modalities that are present."""
        parts, present = self.project.pooled(items)
        return one_view(parts.sum(1), present)
