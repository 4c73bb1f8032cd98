"""Attention bottlenecks between the streams of the modalities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import torch
from pydantic import Field, NonNegativeInt, PositiveInt
from torch import Tensor, nn

from fusionlab.data.by_name import ByName
from fusionlab.data.features import FeatureSpec, ItemFeatures
from fusionlab.errors import FusionlabError
from fusionlab.fusion.contract import FUSIONS, FusedItems, Fusion, Level, one_view
from fusionlab.fusion.layers import (
    KeyMask,
    Projections,
    SelfBlock,
    check_heads,
    mean_present,
    pool_tokens,
)
from fusionlab.fusion.positions import PositionKind, Positions


@FUSIONS.register("bottleneck")
class Bottleneck(Fusion):
    """A transformer a modality; they exchange information through a few shared tokens alone.

    z_mt = W_m x_mt + p_mt, and F is learned, S tokens. Layer l has a block for each modality:
    l < fusion_layer:   z_m <- Block_ml(z_m)
    l >= fusion_layer:  [z_m; F_m] <- Block_ml([z_m; F]),  F <- mean over present m of F_m
    v = mean over present m of U_m pool(norm_m(z_m))

    pool is the mean over the tokens that are on or, as in the paper, reads a learned class token
    that stands before them (with pooled features, T_m = 1, it doubles the sequence). p_mt is the
    position of token t: by default zero, so tokens are a set; the paper learns it. Each modality
    has norm and read-out of its own (the authors' code shares them), so that a modality owns all
    its parameters. What one modality writes into F in a layer the others read in the next, so two
    layers at least must use the bottleneck. The last layer's F is read by nobody and is not
    computed. A modality that an item lacks does not write.

    Complexity: O(D sum_m T_m d_m + L sum_m ((T_m + S)^2 D + (T_m + S) D^2)) an item.

    Options:
        layers: L, the number of blocks a modality
        fusion_layer: the first layer, counted from 0, that uses the bottleneck
        bottlenecks: S, the shared tokens (the paper has 4 beside hundreds of tokens)
        heads: attention heads; must divide the width
        pool: "mean" of the tokens, or the paper's "class_token"
        positions: of the tokens of a modality: "none" (a set), "sinusoidal" or "learned"

    Source: Nagrani et al. 2021, Attention bottlenecks for multimodal fusion.
    """

    level = Level.MODEL
    additive = False
    symmetric = True

    def __init__(
        self,
        specs: Mapping[str, FeatureSpec],
        dim: int,
        *,
        layers: Annotated[int, Field(ge=2)] = 2,
        fusion_layer: NonNegativeInt = 0,
        bottlenecks: PositiveInt = 2,
        heads: PositiveInt = 4,
        pool: Literal["mean", "class_token"] = "mean",
        positions: PositionKind = "none",
    ) -> None:
        super().__init__(specs, dim)
        check_heads(dim, heads)
        if fusion_layer > layers - 2:
            raise FusionlabError(
                f"fusion.fusion_layer: found {fusion_layer} of {layers} layers, expected at most "
                f"{layers - 2}: with fewer than two layers behind it nothing is exchanged"
            )
        self.fusion_layer, self.pool = fusion_layer, pool
        self.project = Projections(specs, dim)
        self.positions = Positions(specs, dim, positions)
        self.shared = nn.Parameter(torch.randn(bottlenecks, dim) * 0.02)
        starts = specs if pool == "class_token" else {}
        self.class_token = ByName(
            {name: nn.Parameter(torch.randn(1, dim) * 0.02) for name in starts}
        )
        self.streams = ByName(
            {name: nn.ModuleList(SelfBlock(dim, heads) for _ in range(layers)) for name in specs}
        )
        self.norm = ByName({name: nn.LayerNorm(dim) for name in specs})
        self.out = ByName({name: nn.Linear(dim, dim) for name in specs})

    def forward(self, items: ItemFeatures) -> FusedItems:
        """Run the streams side by side and average what they end in."""
        tokens, masks = self.project.tokens(items)
        tokens = self.positions(tokens)
        present = torch.stack([mask.any(1) for mask in masks.values()], 1)
        for name, token in self.class_token.items():
            mask = masks[name]
            start = token.expand(len(mask), -1, -1).to(tokens[name].dtype)
            tokens[name] = torch.cat([start, tokens[name]], 1)
            masks[name] = torch.cat([mask.any(1, keepdim=True), mask], 1)
        for name in self.specs:
            alone = KeyMask.of(masks[name])
            for block in self.streams[name][: self.fusion_layer]:
                tokens[name] = block(tokens[name], alone)
        self._exchange(tokens, masks, present)
        read = 1 if self.pool == "class_token" else None
        parts = [
            self.out[name](pool_tokens(self.norm[name](tokens[name][:, :read]), mask[:, :read]))
            for name, mask in masks.items()
        ]
        return one_view(mean_present(parts, present), present)

    def _exchange(
        self, tokens: dict[str, Tensor], masks: dict[str, Tensor], present: Tensor
    ) -> None:
        """The layers that use the bottleneck: update the ``tokens`` of every modality."""
        shared = self.shared.expand(len(present), -1, -1)
        open_shared = present.new_ones(len(present), shared.shape[1])
        keys = {n: KeyMask.of(torch.cat([mask, open_shared], 1)) for n, mask in masks.items()}
        *early, last = zip(
            *(self.streams[name][self.fusion_layer :] for name in self.specs), strict=True
        )
        for blocks in early:
            written = []
            for name, block in zip(self.specs, blocks, strict=True):
                x = block(torch.cat([tokens[name], shared], 1), keys[name])
                tokens[name], copy = x.split([masks[name].shape[1], shared.shape[1]], 1)
                written.append(copy)
            shared = mean_present(written, present)
        for name, block in zip(self.specs, last, strict=True):
            x = torch.cat([tokens[name], shared], 1)
            tokens[name] = block(x, keys[name], first=masks[name].shape[1])
