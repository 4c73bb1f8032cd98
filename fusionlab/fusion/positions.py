"""Positions of tokens, where their order counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from fusionlab.data.by_name import ByName
from fusionlab.data.features import FeatureSpec

PositionKind = Literal["none", "sinusoidal", "learned"]


def sinusoids(tokens: int, dim: int) -> Tensor:
    """Positions (T, D): sin and cos of t / 10000^(2 i / D) (Vaswani et al. 2017), i < D / 2.

    In float64, to be rounded once to the type of the tokens.
    """
    places, pairs = (torch.arange(n, dtype=torch.float64) for n in (tokens, (dim + 1) // 2))
    angle = places[:, None] / 10_000 ** (2 * pairs / dim)
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(1)[:, :dim]


class Positions(ByName[nn.Parameter]):
    """p_mt (T_m, D), added to token t of modality m.

    "none" is zero and leaves a set of tokens; "sinusoidal" the same for every modality; "learned"
    (Dosovitskiy et al. 2021, An image is worth 16x16 words) belongs to the modality.
    """

    def __init__(self, specs: Mapping[str, FeatureSpec], dim: int, kind: PositionKind) -> None:
        super().__init__({})
        self.kind = kind
        for name, spec in specs.items() if kind == "learned" else ():
            self.hold(name, nn.Parameter(torch.randn(spec.tokens, dim) * 0.02))

    def forward(self, tokens: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Tokens (B, T_m, D) of each modality with their positions."""
        if self.kind == "none":
            return dict(tokens)
        if self.kind == "learned":
            return {name: x + self[name][: x.shape[1]] for name, x in tokens.items()}
        return {name: x + sinusoids(*x.shape[1:]).to(x) for name, x in tokens.items()}
