"""A transformer over the tokens of all modalities."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from einops import repeat
from pydantic import PositiveInt
from torch import nn

from fusionlab.data.by_name import ByName
from fusionlab.data.features import FeatureSpec, ItemFeatures
from fusionlab.fusion.contract import FUSIONS, FusedItems, Fusion, Level, one_view
from fusionlab.fusion.layers import KeyMask, Projections, SelfBlock, check_heads
from fusionlab.fusion.positions import PositionKind, Positions


@FUSIONS.register("transformer")
class Transformer(Fusion):
    """All tokens of all modalities in one sequence behind a class token that is read out.

    Z_0 = [cls; {W_m x_mt + e_m + p_mt}],  Z_l = Block(Z_{l-1}) (pre-norm),  v = W_o norm(Z_L[cls])

    e_m is the modality's embedding and p_mt the position of its token t: by default zero, so tokens
    are a set. The class token is always there, so attention has a key even for an item without any
    modality. The "late transformer" of the comparison literature.

    Complexity: O(D sum_m T_m d_m + L (T^2 D + T D^2)) an item.

    Options:
        layers: L, the number of blocks
        heads: attention heads; must divide the width
        positions: of the tokens of a modality: "none" (a set), "sinusoidal" or "learned"

    Source: Vaswani et al. 2017, Attention is all you need; compared at length in
    "Fusion or confusion?" (2025).
    """

    level = Level.MODEL
    additive = False
    symmetric = True

    def __init__(
        self,
        specs: Mapping[str, FeatureSpec],
        dim: int,
        *,
        layers: PositiveInt = 2,
        heads: PositiveInt = 4,
        positions: PositionKind = "none",
    ) -> None:
        super().__init__(specs, dim)
        check_heads(dim, heads)
        self.project = Projections(specs, dim)
        self.positions = Positions(specs, dim, positions)
        self.modality = ByName({name: nn.Parameter(torch.randn(dim) * 0.02) for name in specs})
        self.cls = nn.Parameter(torch.randn(dim) * 0.02)
        self.blocks = nn.ModuleList(SelfBlock(dim, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, items: ItemFeatures) -> FusedItems:
        """Run the sequence through the blocks and read the class token."""
        tokens, masks = self.project.tokens(items)
        tokens = self.positions(tokens)
        cls = repeat(self.cls, "d -> b 1 d", b=len(items))
        x = torch.cat([cls, *(tokens[name] + self.modality[name] for name in self.specs)], 1)
        on = torch.cat([masks[name] for name in self.specs], 1)
        mask = KeyMask.of(torch.cat([torch.ones_like(on[:, :1]), on], 1))
        *early, last = self.blocks
        for block in early:
            x = block(x, mask)
        return one_view(self.out(self.norm(last(x, mask, first=1)[:, 0])), on)
