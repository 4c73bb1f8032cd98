"""Pairwise cross-modal attention."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from fusionlab.data.features import FeatureSpec, ItemFeatures
from fusionlab.fusion.contract import FUSIONS, FusedItems, Fusion, Level, one_view
from fusionlab.fusion.layers import Block, Projections, check_heads, pool_tokens


@FUSIONS.register("cross_attention")
class CrossAttention(Fusion):
    """Each modality reads every other through attention of its own: M (M - 1) directed pairs.

    h_m = W_m x_m
    z_m = mean over present j != m of Block_{j->m}(queries h_m, keys h_j)   (h_m if there is none)
    v = sum_m U_m pool(z_m) / (number of modalities present)

    pool is the mean over the tokens that are on. With one modality it reads itself.

    Complexity: O(sum_{j != m} T_j T_m D + M^2 T D^2) an item.

    Options:
        layers: blocks stacked for each pair (queries are updated, keys are not, as in the paper)
        heads: attention heads; must divide the width

    Source: Tsai et al. 2019, Multimodal transformer for unaligned multimodal language sequences.
    """

    level = Level.MODEL
    additive = False
    symmetric = True

    def __init__(
        self,
        specs: Mapping[str, FeatureSpec],
        dim: int,
        *,
        layers: PositiveInt = 1,
        heads: PositiveInt = 4,
    ) -> None:
        super().__init__(specs, dim)
        check_heads(dim, heads)
        self.project = Projections(specs, dim)
        self.pairs = {
            target: [source for source in specs if source != target] or [target] for target in specs
        }
        self.blocks = nn.ModuleDict(
            {
                f"{source}->{target}": nn.ModuleList(Block(dim, heads) for _ in range(layers))
                for target, sources in self.pairs.items()
                for source in sources
            }
        )
        self.out = nn.ModuleDict({name: nn.Linear(dim, dim) for name in specs})

    def forward(self, items: ItemFeatures) -> FusedItems:
        """Let each modality read the others, pool its tokens, and average over the modalities."""
        tokens, masks = self.project.tokens(items)
        present = torch.stack([masks[name].any(1) for name in self.specs], 1)
        parts = [
            self.out[name](pool_tokens(self._read(name, tokens, masks), masks[name]))
            for name in self.specs
        ]
        total = torch.where(present[..., None], torch.stack(parts, 1), 0).sum(1)
        count = present.sum(1, keepdim=True).clamp(min=1).to(total.dtype)
        return one_view(total / count, present)

    def _read(self, target: str, tokens: dict[str, Tensor], masks: dict[str, Tensor]) -> Tensor:
        own = tokens[target]
        total, readings = torch.zeros_like(own), own.new_zeros(len(own), 1, 1)
        for source in self.pairs[target]:
            z = own
            for block in cast(nn.ModuleList, self.blocks[f"{source}->{target}"]):
                z = block(z, tokens[source], masks[source])
            there = masks[source].any(1)[:, None, None]
            total = total + torch.where(there, z, 0)
            readings = readings + there
        return torch.where(readings > 0, total / readings.clamp(min=1), own)
