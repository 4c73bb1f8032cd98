"""Quality-aware multimodal fusion: weights that are lines of the energies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from pydantic import PositiveFloat
from torch import Tensor, nn

from fusionlab.data.by_name import ByName
from fusionlab.data.features import FeatureSpec, ItemFeatures
from fusionlab.fusion.contract import (
    FUSIONS,
    FusedItems,
    Fusion,
    Level,
    at_least_float32,
    logsumexp_present,
    normalised,
)
from fusionlab.fusion.layers import Projections
from fusionlab.spaces import Range, Spaces


@FUSIONS.register("qmf")
class Qmf(Fusion):
    """A modality counts the more, the lower the energy of its scores: a line of it.

    s_k = sum over the m that candidate k has of w_m s_mk
    w_m = alpha_m E_m + beta_m,  E_m = -tau log sum_k exp(s_mk / tau),  alpha_m < 0

    s_mk are modality m's scores of one query for the candidates k that have m: its logits. w_m
    reads modality m alone, in the whole list, so the strategy is additive (`confidence` weighs
    modalities against each other). The energy knows the level of the scores, which a ranking loss
    leaves open, and log N of their number: a catalogue has other weights than the few candidates of
    a training step, with which beta_m is learned, and other shares (`confidence` has neither).
    Weights may be negative; view weights are the shares of their sizes. The paper's regulariser,
    which ranks confidences by each sample's past losses, is left out.

    Complexity: O(sum_m (T_m + D) d_m) an item; O(M D) a pair to rank, over whole lists.

    Options:
        temperature: tau of the energy

    Source: Zhang et al. 2023, Provable dynamic fusion for low-quality multimodal data.
    """

    space: ClassVar[Spaces] = {"temperature": Range(low=0.1, high=10.0, log=True)}
    level = Level.DECISION
    additive = True
    symmetric = True

    def __init__(
        self,
        specs: Mapping[str, FeatureSpec],
        dim: int,
        *,
        temperature: PositiveFloat = 1.0,
    ) -> None:
        super().__init__(specs, dim)
        self.temperature = temperature
        self.project = Projections(specs, dim)
        self.log_slope = ByName({name: nn.Parameter(torch.zeros(())) for name in specs})
        self.offset = ByName({name: nn.Parameter(torch.zeros(())) for name in specs})

    def forward(self, items: ItemFeatures) -> FusedItems:
        """One view a modality."""
        return FusedItems(*self.project.pooled(items))

    def fold(self, present: Tensor) -> None:
        """Nothing folds: weights depend on the scores of the whole list, a lone modality's too."""

    def combine(self, scores: Tensor, query: Tensor | None, present: Tensor) -> Tensor:
        """The weighted sum of the scores of the views that a candidate has, (..., N)."""
        scores = torch.where(present, at_least_float32(scores), 0)
        return (self._weights(scores, present) * scores).sum(-1)

    def view_weights(self, scores: Tensor, query: Tensor | None, present: Tensor) -> Tensor:
        """Shares of |w_m| over the views that a candidate has."""
        weights = self._weights(at_least_float32(scores), present).expand(scores.shape)
        return normalised(weights.abs(), present)

    def _weights(self, scores: Tensor, present: Tensor) -> Tensor:
        """w (..., 1, K) from scores (..., N, K)."""
        alpha = -torch.stack([self.log_slope[name] for name in self.specs]).exp()
        beta = torch.stack([self.offset[name] for name in self.specs])
        energy = -self.temperature * logsumexp_present(scores / self.temperature, present)[0]
        return alpha * energy + beta
