"""Weights of the modalities' scores by how confident each modality is."""

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
    softmax_present,
)
from fusionlab.fusion.layers import Projections
from fusionlab.spaces import Range, Spaces


@FUSIONS.register("confidence")
class Confidence(Fusion):
    """Quality-aware fusion: a modality counts the more, the lower the energy of its scores.

    s_k = sum_m w_mk s_mk,  w_k = softmax over the m that candidate k has of a_m c_m + b_m,
    c_m = tau log mean_k exp((s_mk - mean_k s_mk) / tau),  a_m > 0

    s_mk are modality m's scores of one query for the candidates k that have m: its logits. The
    paper's weight is a line of the energy E_m = -tau log sum_k exp(s_mk / tau): that is `qmf`.
    Here c_m is -E_m, made comparable: without the mean score (a ranking loss sees differences only,
    so the level of a modality's scores is arbitrary) and a candidate (so it does not grow with
    their number). That is tau times the divergence of the uniform distribution from the softmax of
    s_m: zero for flat scores. The softmax over m keeps weights positive where a line may not.

    c_m belongs to the list: the catalogue in ranking, the C classes in classification, and in
    training the sampled candidates (with C = 2, tau log cosh of half their difference over tau),
    so more candidates in training make it less noisy. It reads modality m alone, but the softmax
    weighs m against the others, so the strategy is not additive.

    Complexity: O(sum_m (T_m + D) d_m) an item; O(M D) a pair to rank, over whole lists.

    Options:
        temperature: tau of the energy

    Source: Zhang et al. 2023, Provable dynamic fusion for low-quality multimodal data (QMF).
    """

    space: ClassVar[Spaces] = {"temperature": Range(low=0.1, high=10.0, log=True)}
    level = Level.DECISION
    additive = False
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

    def view_weights(self, scores: Tensor, query: Tensor | None, present: Tensor) -> Tensor:
        """The confident modalities' weights, shared out over the views that a candidate has."""
        slope = torch.stack([self.log_slope[name] for name in self.specs]).exp()
        offset = torch.stack([self.offset[name] for name in self.specs])
        logits = slope * self.confidences(scores, present) + offset
        return softmax_present(logits.expand(scores.shape), present)

    def confidences(self, scores: Tensor, present: Tensor) -> Tensor:
        """c (..., 1, K) from scores (..., N, K); zero where no candidate has the view."""
        scores = torch.where(present, at_least_float32(scores), 0)
        count = present.sum(-2, keepdim=True).clamp(min=1).to(scores.dtype)
        centred = (scores - scores.sum(-2, keepdim=True) / count) / self.temperature
        total, count = logsumexp_present(centred, present)
        return self.temperature * (total - count.log())
