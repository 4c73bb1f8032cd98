"""Feature-wise linear modulation of each modality by the others."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from fusionlab.data.features import FeatureSpec, ItemFeatures
from fusionlab.fusion.contract import FUSIONS, FusedItems, Fusion, Level, one_view
from fusionlab.fusion.layers import Projections, pool_tokens


@FUSIONS.register("film")
class Film(Fusion):
    """Each modality is scaled and shifted, element by element, by what the others say.

    h_m = W_m x_m + b_m,  c_m = mean of h_j over present j != m
    (gamma_m, beta_m) = F_m(c_m)   (zero if no other modality is present)
    v = mean over present m of (1 + gamma_m) * h_m + beta_m

    F_m is a network with one hidden layer of width D: a linear one could only join modalities in
    pairs. The paper modulates one modality by one other; here all are treated alike.

    Complexity: O(sum_m (T_m + D) d_m + M D^2 + M^2 D) an item.

    Source: Perez et al. 2018, FiLM: visual reasoning with a general conditioning layer.
    """

    level = Level.FEATURE
    additive = False
    symmetric = True

    def __init__(self, specs: Mapping[str, FeatureSpec], dim: int) -> None:
        super().__init__(specs, dim)
        self.project = Projections(specs, dim)
        modulated = specs if len(specs) > 1 else {}
        self.generators = nn.ModuleDict({name: _generator(dim) for name in modulated})

    def forward(self, items: ItemFeatures) -> FusedItems:
        """Modulate each modality by the mean of the others, and average."""
        h, present = self.project.pooled(items)
        if not self.generators:
            return one_view(h[:, 0], present)
        parts = []
        for index, generator in enumerate(self.generators.values()):
            others = present.clone()
            others[:, index] = False
            modulation = generator(pool_tokens(h, others))
            modulation = torch.where(others.any(1, keepdim=True), modulation, 0)
            gamma, beta = modulation.chunk(2, dim=1)
            parts.append((1 + gamma) * h[:, index] + beta)
        return one_view(pool_tokens(torch.stack(parts, 1), present), present)


def _generator(dim: int) -> nn.Sequential:
    """F_m: D to the 2 D scales and shifts."""
    return nn.Sequential(nn.Linear(dim, dim), nn.GELU(), nn.Linear(dim, 2 * dim))
