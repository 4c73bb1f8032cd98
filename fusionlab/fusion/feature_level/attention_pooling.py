"""Attention over modalities."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from fusionlab.data.features import FeatureSpec, ItemFeatures
from fusionlab.fusion.contract import FUSIONS, FusedItems, Fusion, Level, one_view
from fusionlab.fusion.layers import Projections, init_as_one_matrix, softmax_over_present


@FUSIONS.register("attention_pooling")
class AttentionPooling(Fusion):
    """A weighted mean of the projections; all modalities together decide on the weights.

    a = softmax(W [x_1; ...; x_M] + c) over the modalities present,  v = sum_m a_m (P_m x_m + b_m)

    One weight a modality, where `gated` has one for each of its elements.

    Complexity: O(sum_m (T_m + D + M) d_m) an item.

    Source: Bahdanau et al. 2015 for the weights; over modalities as in Hori et al. 2017,
        Attention-based multimodal fusion for video description.
    """

    level = Level.FEATURE
    additive = False

    def __init__(self, specs: Mapping[str, FeatureSpec], dim: int) -> None:
        super().__init__(specs, dim)
        self.project = Projections(specs, dim)
        self.attend = Projections(specs, len(specs), bias=False)
        init_as_one_matrix(self.attend)
        self.attend_bias = nn.Parameter(torch.zeros(len(specs)))

    def forward(self, items: ItemFeatures) -> FusedItems:
        """Average the projections by the attention weights."""
        parts, present = self.project.pooled(items)
        votes, _ = self.attend.pooled(items)
        a = softmax_over_present(votes.sum(1) + self.attend_bias, present)
        return one_view(torch.einsum("bm,bmd->bd", a, parts), present)
