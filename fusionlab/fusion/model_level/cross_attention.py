"""Pairwise cross-modal attention."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from fusionlab.data.by_name import ByName
from fusionlab.data.features import FeatureSpec, ItemFeatures
from fusionlab.fusion.contract import FUSIONS, FusedItems, Fusion, Level, one_view
from fusionlab.fusion.layers import (
    CrossBlock,
    KeyMask,
    Projections,
    SelfBlock,
    check_heads,
    last_token,
    mean_present,
    pool_tokens,
)
from fusionlab.fusion.positions import sinusoids


@FUSIONS.register("cross_attention")
class CrossAttention(Fusion):
    """Each modality reads every other through attention of its own: M (M - 1) directed pairs.

    h_m = W_m x_m  (+ positions)
    z_jm = CrossBlock_{j->m}(queries h_m, keys h_j),  z_m = merge over j != m of z_jm
    v = mean over present m of U_m read(norm_m(SelfBlock_m(z_m)))

    As in the paper, every layer of a pair reads the projected h_j, not what j has become, and
    self-attention brings together what a modality has read (without it v would be a sum of
    functions of pairs, and a synergy of three out of reach). One modality alone reads itself.

    The paper concatenates readings (absent modalities leave zeros), adds sinusoidal positions to
    what a transformer reads and reads out the last token: ``merge = concat, tokens = sequence``. By
    default readings are averaged over the j present (h_m if none is), so that absent modalities
    leave no hole, and tokens are a set of which the mean is read. W_m is the paper's temporal
    convolution with a kernel of one token. Blocks are those of all strategies here: pre-norm, the
    residual around the norm (the paper's equation adds the normed state, its published code does
    not), a GELU, no dropout.

    Complexity: O(D sum_m T_m d_m + L (T^2 D + M T D^2)) an item: every token is in M - 1 pairs
        as a query and in M - 1 as a key; concatenated, self-attention is M - 1 times as wide.

    Options:
        layers: L, the cross-attention blocks stacked for each pair
        heads: attention heads; must divide the width
        merge: "mean" of a modality's readings, or "concat"
        tokens: a "set", or a "sequence" with positions whose last token is read

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
        merge: Literal["mean", "concat"] = "mean",
        tokens: Literal["set", "sequence"] = "set",
    ) -> None:
        super().__init__(specs, dim)
        check_heads(dim, heads)
        self.merge, self.tokens = merge, tokens
        self.symmetric = merge == "mean"
        self.project = Projections(specs, dim)
        self.pairs = {
            target: [source for source in specs if source != target] or [target] for target in specs
        }
        self.blocks = ByName(
            {
                _pair(source, target): nn.ModuleList(CrossBlock(dim, heads) for _ in range(layers))
                for target, sources in self.pairs.items()
                for source in sources
            }
        )
        width = dim * max(len(specs) - 1, 1) if merge == "concat" else dim
        self.gather = ByName({name: SelfBlock(width, heads) for name in specs})
        self.norm = ByName({name: nn.LayerNorm(width) for name in specs})
        self.out = ByName({name: nn.Linear(width, dim) for name in specs})

    def forward(self, items: ItemFeatures) -> FusedItems:
        """Let each modality read the others, read it out, and average over the modalities."""
        tokens, masks = self.project.tokens(items)
        tokens = {name: self._placed(h) for name, h in tokens.items()}
        keys = {name: KeyMask.of(mask) for name, mask in masks.items()}
        present = torch.stack([mask.any(1) for mask in masks.values()], 1)
        parts = []
        for name in self.specs:
            z = self._merged(name, self._readings(name, tokens, keys), present, tokens[name])
            y = self.norm[name](self.gather[name](z, keys[name]))
            read = pool_tokens if self.tokens == "set" else last_token
            parts.append(self.out[name](read(y, masks[name])))
        return one_view(mean_present(parts, present), present)

    def _placed(self, tokens: Tensor) -> Tensor:
        """With positions, where order counts: (B, T, D)."""
        if self.tokens == "set":
            return tokens
        return tokens + sinusoids(*tokens.shape[1:]).to(tokens)

    def _readings(
        self, target: str, tokens: dict[str, Tensor], keys: dict[str, KeyMask]
    ) -> list[Tensor]:
        """z_jm (B, T_m, D) of each modality j that ``target`` reads."""
        readings = []
        for source in self.pairs[target]:
            z = tokens[target]
            for block in self.blocks[_pair(source, target)]:
                z = block(z, tokens[source], keys[source])
            readings.append(z)
        return readings

    def _merged(self, target: str, readings: list[Tensor], present: Tensor, own: Tensor) -> Tensor:
        """z_m (B, T_m, D), or as wide as all readings together."""
        names = list(self.specs)
        there = present[:, [names.index(source) for source in self.pairs[target]]]
        if self.merge == "mean":
            some = there.any(1)[:, None, None]
            return torch.where(some, mean_present(readings, there), own)
        kept = [
            torch.where(on[:, None, None], z, 0) for on, z in zip(there.T, readings, strict=True)
        ]
        return self._placed(torch.cat(kept, -1))


def _pair(source: str, target: str) -> str:
    """A key for each pair of names, whatever stands in them (``a->b`` is a name too)."""
    return f"{len(source)}:{source}->{target}"
