"""Mean of the modalities' scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from torch import Tensor

from fusionlab.data.features import FeatureSpec, ItemFeatures
from fusionlab.fusion.contract import FUSIONS, FusedItems, Fusion, Level, Objective, normalised
from fusionlab.fusion.layers import Projections


@FUSIONS.register("mean_scores")
class MeanScores(Fusion):
    """Score by each modality on its own and take the mean: s = mean over present m of s_m.

    View m is W_m x_m + b_m. The mean is over the modalities that the *item* has. With
    ``objective = "views"`` each s_m has a loss of its own and the mean is taken only to rank: an
    ensemble of unimodal models, trained separately (the modalities share no parameter here).

    Complexity: O(sum_m (T_m + D) d_m) an item; O(M D) a pair to rank, all in one matrix product.

    Options:
        objective: the loss sees the "fused" score, or "views": each modality's score on its own

    Source: Kittler et al. 1998, On combining classifiers (the sum rule, of scores instead of
        posteriors); as late fusion in Snoek et al. 2005, Early versus late fusion in semantic video
        analysis.
    """

    level = Level.DECISION
    additive = True
    symmetric = True

    def __init__(
        self,
        specs: Mapping[str, FeatureSpec],
        dim: int,
        *,
        objective: Literal["fused", "views"] = "fused",
    ) -> None:
        super().__init__(specs, dim)
        self.objective = Objective(objective)
        self.project = Projections(specs, dim)

    def forward(self, items: ItemFeatures) -> FusedItems:
        """One view a modality."""
        return FusedItems(*self.project.pooled(items))

    def fold(self, present: Tensor) -> Tensor:
        """Equal weights over the views of an item."""
        return normalised(present.float(), present)
