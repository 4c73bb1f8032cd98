"""Gated multimodal unit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from einops import rearrange
from torch import Tensor, nn

from fusionlab.data.features import FeatureSpec, ItemFeatures
from fusionlab.fusion.contract import FUSIONS, FusedItems, Fusion, Level, normalised, one_view
from fusionlab.fusion.layers import Projections, softmax_over_present
from fusionlab.linear import linear


@FUSIONS.register("gated")
class Gated(Fusion):
    """A gate chooses, element by element, how much of each modality passes.

    h_m = W_m x_m + b_m  (zero if absent)
    z = gate(sum_j G_j g_j + c) in R^(M x D),  v = sum_m z_m * tanh(h_m)

    with ``gate`` a softmax over the modalities present or a sigmoid for each. The paper's gate
    reads the inputs, g_j = x_j (zero if absent); by default it reads the projections, g_j = h_j,
    which costs D rather than d_j columns a modality. For two modalities the paper's z and 1 - z are
    the softmax; for more it has a sigmoid each.

    Complexity: O(sum_m (T_m + D) d_m + M^2 D^2) an item; O(sum_m (T_m + M D) d_m) if the gate reads
        inputs.

    Options:
        gate: "softmax" over the modalities present, or "sigmoid" for each on its own
        reads: "projections", or "inputs" as in the paper

    Source: Arevalo et al. 2017, Gated multimodal units for information fusion.
    """

    level = Level.FEATURE
    additive = False

    def __init__(
        self,
        specs: Mapping[str, FeatureSpec],
        dim: int,
        *,
        gate: Literal["softmax", "sigmoid"] = "softmax",
        reads: Literal["projections", "inputs"] = "projections",
    ) -> None:
        super().__init__(specs, dim)
        self.gate, self.reads = gate, reads
        self.project = Projections(specs, dim)
        read = specs if reads == "inputs" else {name: FeatureSpec(dim) for name in specs}
        self.gates = Projections(read, len(specs) * dim, bias=False)
        self.gate_bias = nn.Parameter(torch.zeros(len(specs), dim))

    def forward(self, items: ItemFeatures) -> FusedItems:
        """Gate the squashed projections and add them."""
        h, z, present = self._gated(items)
        return one_view((z * torch.tanh(h)).sum(1), present)

    def modality_weights(self, items: ItemFeatures) -> Tensor:
        """The mean of z_m over its elements; each sigmoid's as a share of all that passes."""
        _, z, present = self._gated(items)
        return normalised(z.mean(2), present)

    def _gated(self, items: ItemFeatures) -> tuple[Tensor, Tensor, Tensor]:
        """h and z (B, M, D), and which modalities are present (B, M)."""
        h, present = self.project.pooled(items)
        if self.reads == "inputs":
            logits = self.gates.pooled(items)[0].sum(1) + self.gate_bias.flatten()
        else:
            gates = torch.cat([*self.gates.parameters()], 1)  # one product for all
            logits = linear(h.flatten(1), gates, self.gate_bias.flatten())
        logits = rearrange(logits, "b (m d) -> b m d", m=len(self.specs))
        softmax = self.gate == "softmax"
        z = softmax_over_present(logits, present) if softmax else logits.sigmoid()
        return h, z, present
