"""Fusion of the modalities' rankings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import PositiveInt
from torch import Tensor

from fusionlab.data.features import FeatureSpec, ItemFeatures
from fusionlab.fusion.contract import (
    FUSIONS,
    FusedItems,
    Fusion,
    Level,
    Objective,
    at_least_float32,
    normalised,
)
from fusionlab.fusion.layers import Projections


@FUSIONS.register("rank_fusion")
class RankFusion(Fusion):
    """Each modality ranks all candidates; ranks are fused, scores are not looked at.

    score_k = mean over the m that k has of v(r_mk)

    r_mk is k's rank (1 is best) among the N_m candidates that have m, by s_mk; equal scores share
    the mean of their ranks, so a modality to which all candidates are alike (a user whose history
    lacks it, say) prefers none. The votes v are

    - reciprocal_rank: v(r) = 1 / (k + r)
    - borda: v(r) = (N_m - r + 1) / N_m, the share of the list that k does not stand behind

    v reads the scores of modality m alone, those of the whole list, so the strategy is additive.

    The papers sum over all m, and a list ends with the candidates that are not in it: they get 0
    by reciprocal rank, and share what points remain by Borda, (N - N_m + 1) / 2 each where the
    first has N. ``unlisted = last`` does that (over the constants M, and N for Borda, which order
    nothing). By default a modality that the candidate lacks does not vote, for here that would
    punish an item for what nobody recorded. Where all are present the two are the same.

    Ranks have no gradient: every modality trains on its own loss (an ensemble), and only ranking
    fuses. The lists hold the whole catalogue, items that the user clicked in training included.

    Complexity: O(sum_m (T_m + D) d_m) an item; O(M N (D + log N)) a user to rank, over whole
        lists of N candidates.

    Options:
        method: "reciprocal_rank" or "borda"
        k: of the reciprocal rank; the larger, the less the very first ranks count
        unlisted: what a modality says of candidates that lack it: "no_vote", or "last"

    Source: Cormack et al. 2009, Reciprocal rank fusion outperforms Condorcet and individual rank
    learning methods; Aslam and Montague 2001, Models for metasearch (Borda).
    """

    level = Level.DECISION
    objective = Objective.VIEWS
    additive = True
    by_rank = True
    symmetric = True

    def __init__(
        self,
        specs: Mapping[str, FeatureSpec],
        dim: int,
        *,
        method: Literal["reciprocal_rank", "borda"] = "reciprocal_rank",
        k: PositiveInt = 60,
        unlisted: Literal["no_vote", "last"] = "no_vote",
    ) -> None:
        super().__init__(specs, dim)
        self.method, self.k, self.unlisted = method, k, unlisted
        self.project = Projections(specs, dim)

    def forward(self, items: ItemFeatures) -> FusedItems:
        """One view a modality."""
        return FusedItems(*self.project.pooled(items))

    def fold(self, present: Tensor) -> None:
        """Nothing folds: a rank depends on the whole list."""

    def votes(self, scores: Tensor, present: Tensor) -> Tensor:
        """The votes v (..., N, K); where a modality is absent, what an unlisted candidate gets."""
        rank = ranks(scores, present)
        if self.method == "reciprocal_rank":
            return torch.where(present, 1 / (self.k + rank), 0)
        listed = present.sum(-2, keepdim=True)
        if self.unlisted == "no_vote":
            return torch.where(present, (listed - rank + 1) / listed.clamp(min=1), 0)
        n = scores.shape[-2]
        return torch.where(present, n - rank + 1, (n - listed + 1) / 2) / n

    def combine(self, scores: Tensor, query: Tensor | None, present: Tensor) -> Tensor:
        """The mean vote of each candidate, (..., N)."""
        # Sums of float32 votes are exact in float64: whichever modality cast which, ties are ties.
        total = self.votes(scores, present).float().sum(-1, dtype=torch.float64)
        total = total.to(at_least_float32(scores).dtype)
        if self.unlisted == "last":
            return total / len(self.specs)
        return total / present.sum(-1).clamp(min=1)

    def view_weights(self, scores: Tensor, query: Tensor | None, present: Tensor) -> Tensor:
        """Each modality's share of the candidate's votes."""
        return normalised(self.votes(scores, present), present)


def ranks(scores: Tensor, present: Tensor) -> Tensor:
    """Ranks (..., N, K) from 1 by falling score among the present; equals share their mean rank.

    Ranks of absent entries come after those of all present ones.
    """
    scores = scores.detach().masked_fill(~present, -torch.inf).transpose(-2, -1)
    ordered, order = scores.sort(dim=-1, descending=True)
    n = scores.shape[-1]
    places = torch.arange(1, n + 1, device=scores.device).expand(scores.shape)
    changes = ordered[..., 1:] != ordered[..., :-1]
    first = places.where(F.pad(changes, (1, 0), value=True), 0).cummax(-1).values
    last = places.where(F.pad(changes, (0, 1), value=True), n).flip(-1).cummin(-1).values.flip(-1)
    mean = (first + last).to(at_least_float32(scores).dtype) / 2
    return torch.empty_like(mean).scatter_(-1, order, mean).transpose(-2, -1)
