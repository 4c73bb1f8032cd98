"""A Perceiver that resamples all tokens into a few latents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from fusionlab.data.by_name import ByName
from fusionlab.data.features import FeatureSpec, ItemFeatures
from fusionlab.fusion.contract import FUSIONS, FusedItems, Fusion, Level, one_view
from fusionlab.fusion.layers import CrossBlock, KeyMask, Projections, SelfBlock, check_heads
from fusionlab.fusion.positions import PositionKind, Positions


@FUSIONS.register("perceiver")
class Perceiver(Fusion):
    """A few learned latents read the tokens of all modalities, however many, then one another.

    X = {W_m x_mt + e_m + p_mt},  Z_0 learned, R latents,  v = W_o mean_r norm(Z_L)_r
    tokens:             Z_l = SelfBlock_l(CrossBlock_l(queries Z_{l-1}, keys X))
    tokens_and_latents: Z_l = CrossBlock_l(queries Z_{l-1}, keys [X; Z_{l-1}])

    e_m is the modality's embedding and p_mt the position of its token t: by default zero, so tokens
    are a set. Perceiver reads the tokens and then self-attends, Flamingo's resampler does both in
    one attention. Blocks are pre-norm; no weights are shared between layers. The cost is linear in
    the number of tokens.

    Complexity: O(D sum_m T_m d_m + L (R T D + R^2 D + (R + T) D^2)) an item.

    Options:
        latents: R, the number of latents
        layers: L, how often the latents read the tokens
        heads: attention heads; must divide the width
        reads: what a layer's first attention has as keys: "tokens" as in Perceiver, or
            "tokens_and_latents" as in Flamingo, which needs no second
        positions: of the tokens of a modality: "none" (a set), "sinusoidal" or "learned"

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
        reads: Literal["tokens", "tokens_and_latents"] = "tokens",
        positions: PositionKind = "none",
    ) -> None:
        super().__init__(specs, dim)
        check_heads(dim, heads)
        self.reads = reads
        self.project = Projections(specs, dim)
        self.positions = Positions(specs, dim, positions)
        self.modality = ByName({name: nn.Parameter(torch.randn(dim) * 0.02) for name in specs})
        # Latents that start alike stay alike, so they start apart: at the scale of normed tokens.
        self.latents = nn.Parameter(torch.randn(latents, dim))
        self.read = nn.ModuleList(CrossBlock(dim, heads) for _ in range(layers))
        thinking = layers if reads == "tokens" else 0
        self.think = nn.ModuleList(SelfBlock(dim, heads) for _ in range(thinking))
        self.norm = nn.LayerNorm(dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, items: ItemFeatures) -> FusedItems:
        """Let the latents read the tokens and one another, and average them."""
        tokens, masks = self.project.tokens(items)
        tokens = self.positions(tokens)
        x = torch.cat([tokens[name] + self.modality[name] for name in self.specs], 1)
        on = torch.cat([masks[name] for name in self.specs], 1)
        z = self._joint(x, on) if self.reads == "tokens_and_latents" else self._alternate(x, on)
        return one_view(self.out(self.norm(z).mean(1)), on)

    def _alternate(self, x: Tensor, on: Tensor) -> Tensor:
        """Latents (B, R, D) that read tokens and one another in turn."""
        keys, everyone = KeyMask.of(on), KeyMask(None, None)
        z = self.latents[None]  # the same for every item until they have read
        for read, think in zip(self.read, self.think, strict=True):
            z = think(read(z, x, keys), everyone)
        return z

    def _joint(self, x: Tensor, on: Tensor) -> Tensor:
        """Latents (B, R, D) that read tokens and one another at once."""
        z = self.latents.expand(len(x), -1, -1)
        keys = KeyMask.of(torch.cat([on, on.new_ones(z.shape[:2])], 1))
        for read in self.read:
            z = read(z, torch.cat([x, z], 1), keys)
        return z
