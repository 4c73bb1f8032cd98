"""A Perceiver that resamples all tokens into a few latents."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from pydantic import PositiveInt
from torch import nn

from fusionlab.data.by_name import ByName
from fusionlab.data.features import FeatureSpec, ItemFeatures
from fusionlab.fusion.contract import FUSIONS, FusedItems, Fusion, Level, one_view
from fusionlab.fusion.layers import CrossBlock, KeyMask, Projections, SelfBlock, check_heads


@FUSIONS.register("perceiver")
class Perceiver(Fusion):
    """A few learned latents read the tokens of all modalities, however many, then one another.

    X = {W_m x_mt + e_m},  Z_0 learned, R latents
    Z_l = SelfBlock_l(CrossBlock_l(queries Z_{l-1}, keys X)),  v = W_o mean_r norm(Z_L)_r

    e_m is the modality's embedding; tokens have no positions. Blocks are pre-norm; no weights are
    shared between layers. Perceiver reads and then self-attends as here, Flamingo's resampler does
    both in one attention over [X; Z]. The cost is linear in the number of tokens.

    Complexity: O(D sum_m T_m d_m + L (R T D + R^2 D + (R + T) D^2)) an item.

    Options:
        latents: R, the number of latents
        layers: L, how often the latents read the tokens
        heads: attention heads; must divide the width

    Source: Jaegle et al. 2021, Perceiver: general perception with iterative attention; as a
    resampler in Alayrac et al. 2022, Flamingo.
    """

    level = Level.MODEL
    additive = False
    symmetric = True

    def __init__(
        self,
        specs: Mapping[str, FeatureSpec],
        dim: int,
        *,
        latents: PositiveInt = 4,
        layers: PositiveInt = 1,
        heads: PositiveInt = 4,
    ) -> None:
        super().__init__(specs, dim)
        check_heads(dim, heads)
        self.project = Projections(specs, dim)
        self.modality = ByName({name: nn.Parameter(torch.randn(dim) * 0.02) for name in specs})
        # Latents that start alike stay alike, so they start apart: at the scale of normed tokens.
        self.latents = nn.Parameter(torch.randn(latents, dim))
        self.read = nn.ModuleList(CrossBlock(dim, heads) for _ in range(layers))
        self.think = nn.ModuleList(SelfBlock(dim, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, items: ItemFeatures) -> FusedItems:
        """Let the latents read the tokens and one another, and average them."""
        tokens, masks = self.project.tokens(items)
        x = torch.cat([tokens[name] + self.modality[name] for name in self.specs], 1)
        on = torch.cat([masks[name] for name in self.specs], 1)
        keys = KeyMask.of(on)
        z = self.latents[None]  # the same for every item until they have read
        everyone = KeyMask(None, None)
        for read, think in zip(self.read, self.think, strict=True):
            z = think(read(z, x, keys), everyone)
        return one_view(self.out(self.norm(z).mean(1)), on)
