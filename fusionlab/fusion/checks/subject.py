"""A strategy under test, and the items it is tested on."""

from __future__ import annotations

from dataclasses import dataclass

import torch

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


@dataclass(frozen=True)
class Subject:
    """A strategy under test with ``modalities`` of the four in `SPECS`."""

    part: Part
    modalities: int

    @property
    def specs(self) -> dict[str, FeatureSpec]:
        """The first ``modalities`` specs."""
        return dict(list(SPECS.items())[: self.modalities])

    def items(self, n: int = B, seed: int = 0) -> ItemFeatures:
        """Random items; tokens and whole modalities are missing at random; item 0 has nothing."""
        draw = torch.Generator().manual_seed(seed)
        values, mask = {}, {}
        for name, spec in self.specs.items():
            values[name] = torch.randn(n, spec.tokens, spec.dim, generator=draw)
            on = torch.rand(n, spec.tokens, generator=draw) > 0.3
            there = torch.rand(n, generator=draw) > 0.3
            there[:2] = torch.tensor([False, True])
            on[:, 0] |= there
            mask[name] = on & there[:, None]
        return ItemFeatures(values, mask)

    def build(self, seed: int = 0) -> Fusion:
        """A freshly initialised strategy, closed-form parts fitted, in evaluation mode."""
        torch.manual_seed(seed)
        fusion: Fusion = self.part.build(self.specs, D)
        fusion.fit(self.items(64, seed=1).take(torch.arange(1, 64)))
        return fusion.eval()
