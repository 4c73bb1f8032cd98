"""Pairwise cross-modal attention."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from fusionlab.data.features import FeatureSpec, ItemFeatures
from fusionlab.fusion.contract import FUSIONS, FusedItems, Fusion, Level, one_view
from fusionlab.fusion.layers import (
    CrossBlock,
    KeyMask,
    Projections,
    SelfBlock,
    check_heads,
    mean_present,
    pool_tokens,
)


@FUSIONS.register("cross_attention")
class CrossAttention(Fusion):
    """Each modality reads every other through attention of its own: M (M - 1) directed pairs.

    h_m = W_m x_m
    z_m = mean over present j != m of CrossBlock_{j->m}(queries h_m, keys h_j)   (else h_m)
    v = mean over present m of U_m pool(norm_m(SelfBlock_m(z_m)))

    pool is the mean over the tokens that are on; with one modality it reads itself. As in the
    paper, every layer of a pair reads the projected h_j, not what j has become, and self-attention
    brings together what a modality has read (without it v would be a sum of functions of pairs, and
    a synergy of three out of reach). Unlike it: W_m replaces temporal convolutions and there are no
    positions (tokens are a set); readings are averaged, not concatenated, so that absent modalities
    leave no hole; the pooled mean is read out, not the last token.

    Complexity: O(D sum_m T_m d_m + L (T^2 D + M T D^2)) an item: every token is in M - 1 pairs
        as a query and in M - 1 as a key.

    Options:
        layers: L, the cross-attention blocks stacked for each pair
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
                _pair(source, target): nn.ModuleList(CrossBlock(dim, heads) for _ in range(layers))
                for target, sources in self.pairs.items()
                for source in sources
            }
        )
        self.gather = nn.ModuleDict({name: SelfBlock(dim, heads) for name in specs})
        self.norm = nn.ModuleDict({name: nn.LayerNorm(dim) for name in specs})
        self.out = nn.ModuleDict({name: nn.Linear(dim, dim) for name in specs})

    def forward(self, items: ItemFeatures) -> FusedItems:
        """Let each modality read the others, pool its tokens, and average over the modalities."""
        tokens, masks = self.project.tokens(items)
        keys = {name: KeyMask.of(mask) for name, mask in masks.items()}
        present = torch.stack([mask.any(1) for mask in masks.values()], 1)
        parts = []
        for name in self.specs:
            y = self.gather[name](self._read(name, tokens, keys), keys[name])
            parts.append(self.out[name](pool_tokens(self.norm[name](y), masks[name])))
        return one_view(mean_present(parts, present), present)

    def _read(self, target: str, tokens: dict[str, Tensor], keys: dict[str, KeyMask]) -> Tensor:
        own = tokens[target]
        total, count = torch.zeros_like(own), own.new_zeros(1, 1, 1)
        for source in self.pairs[target]:
            z = own
            for block in cast(nn.ModuleList, self.blocks[_pair(source, target)]):
                z = block(z, tokens[source], keys[source])
            there = keys[source].some
            total = total + (z if there is None else torch.where(there, z, 0))
            count = count + (1 if there is None else there)
        return torch.where(count > 0, total / count.clamp(min=1), own)


def _pair(source: str, target: str) -> str:
    """A key for each pair of names, whatever stands in them (``a->b`` is a name too)."""
    return f"{len(source)}:{source}->{target}"
