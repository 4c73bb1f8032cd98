"""Feature-wise linear modulation of each modality by the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import torch
from torch import Tensor, nn

from fusionlab.data.by_name import ByName
from fusionlab.data.features import FeatureSpec, ItemFeatures
from fusionlab.fusion.contract import FUSIONS, MODALITY, FusedItems, Fusion, Level, one_view
from fusionlab.fusion.layers import Projections, mean_present, pool_tokens


@FUSIONS.register("film")
class Film(Fusion):
    """Each modality is scaled and shifted, element by element, by what the others say.

    h_m = W_m x_m + b_m,  c_m = mean of h_j over present j != m
    (gamma_m, beta_m) = F_m(c_m)   (zero if no other modality is present)
    v = mean over present m of (1 + gamma_m) * h_m + beta_m

    F_m is a network with one hidden layer of width D: a linear one could only join modalities in
    pairs. The paper modulates one modality (an image) by another (a question), and so does
    ``modulated = m``: v = (1 + gamma_m) * h_m + beta_m, with h_m = 0 if m is absent, be it from an
    item or from all (a study's row without m), and v = 0 with all. By default all are alike.

    Complexity: O(sum_m (T_m + D) d_m + M D^2 + M^2 D) an item.

    Options:
        modulated: the one modality of the dataset that the others modulate; null: each, and their
            mean

    Source: Perez et al. 2018, FiLM: visual reasoning with a general conditioning layer.
    """

    level = Level.FEATURE
    additive = False
    symmetric = True

    def __init__(
        self,
        specs: Mapping[str, FeatureSpec],
        dim: int,
        *,
        modulated: Annotated[str | None, MODALITY] = None,
    ) -> None:
        super().__init__(specs, dim)
        self.modulated = modulated
        self.project = Projections(specs, dim)
        chosen = [*specs] if modulated is None else [modulated]
        self.generators = ByName(
            {
                name: _generator(dim, 2 * dim if name in specs else dim)
                for name in chosen
                if specs.keys() - {name}
            }
        )

    def forward(self, items: ItemFeatures) -> FusedItems:
        """Modulate a modality by the mean of the others: the one chosen, or each, and average."""
        h, present = self.project.pooled(items)
        if not self.generators:
            return one_view(h[:, 0], present)
        parts = [self._modulate(name, h, present) for name in self.generators]
        if self.modulated is not None:
            return one_view(parts[0], present)
        return one_view(mean_present(parts, present), present)

    def _modulate(self, name: str, h: Tensor, present: Tensor) -> Tensor:
        """(1 + gamma_m) * h_m + beta_m, (B, D)."""
        others = present.clone()
        if name in self.specs:
            index = list(self.specs).index(name)
            others[:, index] = False
        modulation = self.generators[name](pool_tokens(h, others))
        modulation = torch.where(others.any(1, keepdim=True), modulation, 0)
        if name not in self.specs:
            return modulation  # h_m is zero for all items, so what is left is the shift
        gamma, beta = modulation.chunk(2, dim=1)
        return (1 + gamma) * h[:, index] + beta


def _generator(dim: int, out: int) -> nn.Sequential:
    """F_m: D to the 2 D scales and shifts, or to D shifts alone where there is nothing to scale."""
    return nn.Sequential(nn.Linear(dim, dim), nn.GELU(), nn.Linear(dim, out))
