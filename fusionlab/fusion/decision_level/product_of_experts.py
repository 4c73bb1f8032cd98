"""Product of the modalities' probabilities."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

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


@FUSIONS.register("product_of_experts")
class ProductOfExperts(Fusion):
    """Each modality is an expert that gives a probability; the product of all ranks.

    p(k) = prod_m p_m(k) / Z,  score_k = sum over the m that k has of log p_m(k) / p_0

    - softmax: p_m is the softmax of s_m over the N_m candidates that have m; p_0 = 1 / N_m.
    - bernoulli: p_m(k) = sigma(s_mk), the chance that m accepts candidate k; p_0 = 1/2. An expert
      can add at most log 2 but take away without bound, so any of them can veto; between
      candidates that all experts accept the slope is almost gone.

    p_0 is what an expert that knows nothing says, and an absent modality is that expert. Z is the
    same for all candidates of a query: ranks, BPR and softmax losses do not see it, so it is left
    out. log p_m is a function of modality m alone (for softmax, of m in the whole list), so the
    strategy is additive.

    What makes it differ from a sum of scores: for softmax, only candidates that lack a modality (a
    sum would rank them as if s_m were 0 there, this one as if exp(s_m) were its mean over the
    candidates); where all candidates have all modalities the order is the sum's. For bernoulli,
    the bend of log sigma. A softmax expert belongs to the list: the catalogue in ranking, the C
    sampled candidates in training, where BPR (C = 2) sees no difference from a sum unless one of
    the two lacks a modality. A bernoulli expert judges each candidate by itself.

    Complexity: O(sum_m (T_m + D) d_m) an item; O(M D) a pair to rank, for softmax over whole
        lists.

    Options:
        expert: "softmax" (one of the candidates is right) or "bernoulli" (each is or is not)

    Source: Hinton 2002, Training products of experts by minimizing contrastive divergence.
    """

    level = Level.DECISION
    additive = True
    symmetric = True

    def __init__(
        self,
        specs: Mapping[str, FeatureSpec],
        dim: int,
        *,
        expert: Literal["softmax", "bernoulli"] = "softmax",
    ) -> None:
        super().__init__(specs, dim)
        self.expert = expert
        self.project = Projections(specs, dim)

    def forward(self, items: ItemFeatures) -> FusedItems:
        """One view a modality."""
        return FusedItems(*self.project.pooled(items))

    def fold(self, present: Tensor) -> None:
        """Nothing folds: the experts are not linear in the scores, and one alone is not either."""

    def combine(self, scores: Tensor, query: Tensor | None, present: Tensor) -> Tensor:
        """Log of the product, against experts that know nothing: (..., N)."""
        scores = at_least_float32(scores)
        if self.expert == "bernoulli":
            logs = F.logsigmoid(scores) + math.log(2)
        else:
            total, count = logsumexp_present(scores, present)
            logs = scores - total + count.log()
        return torch.where(present, logs, 0).sum(-1)

    def view_weights(self, scores: Tensor, query: Tensor | None, present: Tensor) -> Tensor:
        """Shares of |d score / d s_m|: sigma(-s_m) for bernoulli, so objections; else equal."""
        scores = at_least_float32(scores)
        pull = F.logsigmoid(-scores) if self.expert == "bernoulli" else torch.zeros_like(scores)
        return softmax_present(pull, present)
