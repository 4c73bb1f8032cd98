"""A strategy under test, and the items it is tested on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fusionlab.data.features import FeatureSpec, ItemFeatures
from fusionlab.fusion.contract import Fusion
from fusionlab.registry import Part

B, D = 12, 16
SPECS = {
    "text": FeatureSpec(6, 3),
    "image": FeatureSpec(5, 2),
    "audio": FeatureSpec(4, 4),
    "touch": FeatureSpec(7, 2),
}
DTYPES = (torch.float32, torch.bfloat16)
"""What every strategy is held against: weights and items both in float32, both in bfloat16."""
ROUNDINGS = 8
"""By how many roundings of its type two computations of the same value may differ.

A transformer of two blocks, the deepest default, comes to three."""


@dataclass(frozen=True)
class Subject:
    """A strategy under test with ``modalities`` of the four in `SPECS`, computed in ``dtype``."""

    part: Part
    modalities: int
    dtype: torch.dtype = torch.float32

    @property
    def specs(self) -> dict[str, FeatureSpec]:
        """The first ``modalities`` specs."""
        return dict(list(SPECS.items())[: self.modalities])

    def items(self, n: int = B, seed: int = 0) -> ItemFeatures:
        """Random items; tokens and whole modalities are missing at random; item 0 has nothing."""
        draw = torch.Generator().manual_seed(seed)
        values, mask = {}, {}
        for name, spec in self.specs.items():
            x = torch.randn(n, spec.tokens, spec.dim, generator=draw)
            values[name] = x.to(self.dtype)
            on = torch.rand(n, spec.tokens, generator=draw) > 0.3
            there = torch.rand(n, generator=draw) > 0.3
            there[:2] = torch.tensor([False, True])
            on[:, 0] |= there
            mask[name] = on & there[:, None]
        return ItemFeatures(values, mask)

    def build(self, seed: int = 0, weights: torch.dtype | None = None) -> Fusion:
        """A freshly initialised strategy, closed-form parts fitted, in evaluation mode.

        As in a run, it is fitted in float32 on items as they are stored; then it moves to the type
        ``weights`` (by default the subject's; a run leaves it in float32).
        """
        torch.manual_seed(seed)
        fusion: Fusion = self.part.build(self.specs, D)
        fusion.fit(self.items(64, seed=1).take(torch.arange(1, 64)))
        return fusion.to(weights or self.dtype).eval()

    def unfitted(self, specs: dict[str, FeatureSpec] | None = None) -> Fusion:
        """A strategy that is to load a state, in evaluation mode."""
        fusion: Fusion = self.part.build(specs or self.specs, D)
        return fusion.to(self.dtype).eval()


def difference(first: Tensor, second: Tensor, dtype: torch.dtype) -> float:
    """The largest difference, in roundings of ``dtype`` at the size of the largest entry or 1."""
    one, other = first.detach().double(), second.detach().double()
    size = other.abs().max().clamp(min=1)
    return ((one - other).abs().max() / (size * torch.finfo(dtype).eps)).item()


def assert_close(first: Tensor, second: Tensor, dtype: torch.dtype, problem: str) -> None:
    """Fail with ``problem`` where the two differ by more than `ROUNDINGS` of ``dtype``."""
    found = difference(first, second, dtype)
    assert found <= ROUNDINGS, f"{problem} (by {found:.3g} roundings of {dtype})"
