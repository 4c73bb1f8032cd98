"""Attention over modalities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from fusionlab.data.features import FeatureSpec, ItemFeatures
from fusionlab.fusion.contract import FUSIONS, FusedItems, Fusion, Level, one_view
from fusionlab.fusion.layers import Projections, init_as_one_matrix, softmax_over_present


@FUSIONS.register("attention_pooling")
class AttentionPooling(Fusion):
    """A weighted mean of the projections; what the modalities show decides on the weights.

    v = sum_m a_m (P_m x_m + b_m),  a = softmax of e over the modalities present
    joint:    e = W [x_1; ...; x_M] + c
    additive: e_m = w . tanh(V_m x_m + c_m)

    One weight a modality, where `gated` has one for each of its elements. "additive" is the papers'
    attention, in which each modality speaks for itself (they add the state of a decoder inside the
    tanh; items have none). "joint" lets all modalities speak for each.

    Complexity: O(sum_m (T_m + D + M) d_m) an item; O(sum_m (T_m + D) d_m) if additive.

    Options:
        scores: "joint", or "additive" as in the papers

    Source: Hori et al. 2017, Attention-based multimodal fusion for video description, after
        Bahdanau et al. 2015, Neural machine translation by jointly learning to align and translate.
    """

    level = Level.FEATURE
    additive = False

    def __init__(
        self,
        specs: Mapping[str, FeatureSpec],
        dim: int,
        *,
        scores: Literal["joint", "additive"] = "joint",
    ) -> None:
        super().__init__(specs, dim)
        self.scores = scores
        self.project = Projections(specs, dim)
        if scores == "additive":
            self.symmetric = True
            self.attend = Projections(specs, dim)
            self.score = nn.Linear(dim, 1, bias=False)
        else:
            self.attend = Projections(specs, len(specs), bias=False)
            init_as_one_matrix(self.attend)
            self.attend_bias = nn.Parameter(torch.zeros(len(specs)))

    def forward(self, items: ItemFeatures) -> FusedItems:
        """Average the projections by the attention weights."""
        parts, present = self.project.pooled(items)
        return one_view(torch.einsum("bm,bmd->bd", self._weights(items)[0], parts), present)

    def modality_weights(self, items: ItemFeatures) -> Tensor:
        """The attention weights a_m."""
        a, present = self._weights(items)
        return torch.where(present, a, 0)

    def _weights(self, items: ItemFeatures) -> tuple[Tensor, Tensor]:
        """a and which modalities are present, (B, M) each."""
        votes, present = self.attend.pooled(items)
        if self.scores == "additive":
            energies = self.score(votes.tanh())[..., 0]
        else:
            energies = votes.sum(1) + self.attend_bias
        return softmax_over_present(energies, present), present
