"""Learned weights for the modalities' scores."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from fusionlab.data.by_name import ByName
from fusionlab.data.features import FeatureSpec, ItemFeatures
from fusionlab.fusion.contract import FUSIONS, FusedItems, Fusion, Level, softmax_present
from fusionlab.fusion.layers import Projections


@FUSIONS.register("weighted_scores")
class WeightedScores(Fusion):
    """Score by each modality on its own and add with learned weights, the same for all users.

    s = sum_m a_m s_m,  a = softmax(alpha) over the modalities that the item has.

    Complexity: O(sum_m (T_m + D) d_m) an item; O(M D) a pair to rank, all in one matrix product.

    Source: Atrey et al. 2010, Multimodal fusion for multimedia analysis: a survey (linear weighted
        fusion); that the combination is learned: late fusion in Snoek et al. 2005, Early versus
        late fusion in semantic video analysis.
    """

    level = Level.DECISION
    additive = True
    symmetric = True

    def __init__(self, specs: Mapping[str, FeatureSpec], dim: int) -> None:
        super().__init__(specs, dim)
        self.project = Projections(specs, dim)
        self.alpha = ByName({name: nn.Parameter(torch.zeros(())) for name in specs})

    def forward(self, items: ItemFeatures) -> FusedItems:
        """One view a modality."""
        return FusedItems(*self.project.pooled(items))

    def fold(self, present: Tensor) -> Tensor:
        """The learned weights, shared out over the views that an item has."""
        alpha = torch.stack([self.alpha[name] for name in self.specs])
        return softmax_present(alpha.expand(present.shape), present)
