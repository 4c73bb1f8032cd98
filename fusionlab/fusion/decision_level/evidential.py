"""Evidential fusion: the modalities' opinions, combined by Dempster and Shafer's rule."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import PositiveFloat
from torch import Tensor

from fusionlab.data.features import FeatureSpec, ItemFeatures
from fusionlab.fusion.contract import (
    FUSIONS,
    FusedItems,
    Fusion,
    Level,
    at_least_float32,
    normalised,
)
from fusionlab.fusion.layers import Projections

EVIDENCE: dict[str, Callable[[Tensor], Tensor]] = {"softplus": F.softplus, "relu": F.relu}


@FUSIONS.register("evidential")
class Evidential(Fusion):
    """Trusted multi-view fusion: evidence, opinions, Dempster-Shafer combination.

    e_mk = softplus(s_mk), zero where candidate k lacks modality m;  alpha_m = e_m + W / N;
    opinion of m: belief b_mk = e_mk / S_m, uncertainty u_m = W / S_m, with S_m = sum_k e_mk + W

    over a frame of N candidates (or classes), W = N as in the paper. Dempster's rule multiplies
    masses, keeps what intersects and normalises. The focal sets are single candidates and the
    whole frame, so k survives when every opinion says k or "anything", not all "anything":

    b_k = (prod_m (b_mk + u_m) - prod_m u_m) / Z,  u = prod_m u_m / Z,  Z so that b and u sum to 1

    for any M, in any order. With b_mk / u_m = e_mk / W the combined evidence needs no Z:

    e_k = W b_k / u = W (prod_m (1 + e_mk / W) - 1),  score_k = log (e_k + W / N) / (sum_j e_j + W)

    the log of the expected probability. A modality that no candidate has is the vacuous opinion
    (u = 1). The order of candidates is that of sum_m log(1 + e_mk / W), a sum over modalities, so
    no parity can be ranked; but e_k is made of products and the score is its log, so the score is
    no sum over modalities and the strategy is not additive.

    The frame is the list. In ranking N is the catalogue and e_k is nearly the plain sum of
    evidence (its products are divided by W = N). In training it is the C sampled candidates: with
    BPR "which of these two", where products count. A fixed W (``prior``) makes e_k the same in
    both. The paper's loss (per-view losses, divergence from the uniform Dirichlet for wrong
    classes) needs labels and is left to the training side; here the task's own loss is used.

    Complexity: O(sum_m (T_m + D) d_m) an item; O(M D) a pair to rank, over whole lists.

    Options:
        evidence: "softplus" or "relu" of the scores (a relu has no slope where it gives none)
        prior: W, the weight of the uniform prior (default: the number of candidates)

    Source: Han et al. 2021, Trusted multi-view classification (TMC); W: Josang 2016, Subjective
    logic.
    """

    level = Level.DECISION
    additive = False
    symmetric = True

    def __init__(
        self,
        specs: Mapping[str, FeatureSpec],
        dim: int,
        *,
        evidence: Literal["softplus", "relu"] = "softplus",
        prior: PositiveFloat | None = None,
    ) -> None:
        super().__init__(specs, dim)
        self.evidence = EVIDENCE[evidence]
        self.prior = prior
        self.project = Projections(specs, dim)

    def forward(self, items: ItemFeatures) -> FusedItems:
        """One view a modality."""
        return FusedItems(*self.project.pooled(items))

    def fold(self, present: Tensor) -> None:
        """Nothing folds: an opinion is not linear in the scores, and one alone is not either."""

    def combine(self, scores: Tensor, query: Tensor | None, present: Tensor) -> Tensor:
        """Log of the expected probability of each candidate, (..., N)."""
        log_alpha = self._log_alpha(self._log_evidence(scores, present))
        return log_alpha - log_alpha.logsumexp(-1, keepdim=True)

    def opinion(self, scores: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """The combined opinion: belief in each candidate (..., N) and uncertainty (..., 1)."""
        log_evidence = self._log_evidence(scores, present)
        log_total = self._log_alpha(log_evidence).logsumexp(-1, keepdim=True)
        uncertainty = self._prior(scores.shape[-2]) * (-log_total).exp()
        return (log_evidence - log_total).exp(), uncertainty

    def support(self, scores: Tensor, present: Tensor) -> Tensor:
        """log(1 + e / W) (..., N, K): what each modality adds to the order of the candidates."""
        evidence = torch.where(present, self.evidence(at_least_float32(scores)), 0)
        return torch.log1p(evidence / self._prior(scores.shape[-2]))

    def view_weights(self, scores: Tensor, query: Tensor | None, present: Tensor) -> Tensor:
        """Each modality's share of the support; equal where there is no evidence at all."""
        support = self.support(scores, present)
        return normalised(support.clamp(min=torch.finfo(support.dtype).tiny), present)

    def _prior(self, candidates: int) -> float:
        return float(candidates if self.prior is None else self.prior)

    def _log_evidence(self, scores: Tensor, present: Tensor) -> Tensor:
        """log e (..., N) from the support g = log prod_m (1 + e_m / W): e = W exp(g) (1 - exp(-g)).

        In this form nothing overflows and a small g keeps its digits. No evidence at all comes out
        as the smallest positive number, whose logarithm is finite and has no slope.
        """
        g = self.support(scores, present).sum(-1)
        g = g.clamp(min=torch.finfo(g.dtype).tiny)
        return math.log(self._prior(scores.shape[-2])) + g + torch.log(-torch.expm1(-g))

    def _log_alpha(self, log_evidence: Tensor) -> Tensor:
        """log(e + W / N)."""
        candidates = log_evidence.shape[-1]
        base = math.log(self._prior(candidates) / candidates) if candidates else 0.0
        return torch.logaddexp(log_evidence, log_evidence.new_tensor(base))
