"""A mixture of experts, routed by the item and by the user."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, NonNegativeFloat, PositiveInt
from torch import Tensor, nn

from fusionlab.data.features import FeatureSpec, ItemFeatures
from fusionlab.errors import FusionlabError
from fusionlab.fusion.contract import (
    FUSIONS,
    FusedItems,
    Fusion,
    Level,
    at_least_float32,
    normalised,
)
from fusionlab.fusion.layers import FeedForward, Projections
from fusionlab.spaces import Range, Spaces


@FUSIONS.register("mixture_of_experts")
class MixtureOfExperts(Fusion):
    """Experts are networks over the fused item; the item and the user choose among them.

    x = sum_m W_m x_m,  p = softmax(h) over all E experts,  C = the item's top_k largest p
    h = G x, or with ``noise``, in training, Shazeer's h_k = (G x)_k + N(0, 1) sigma_k,
    sigma = softplus(G' x) + 0.01 (as their code has it; G and G' start as linear layers and zero)
    v_k = |C| p_k Expert_k(x) for k in C (absent otherwise),  Expert_k = W'_k gelu(W_k x)
    s(u, i) = sum_{k in C} a_k s_k,  a = softmax over C of <g_k, q_k>

    s_k = <q_k, v_k> is the score by expert k and q its K = E views of the user. A user without a
    preference (g starts at zero) has a_k = 1 / |C|, and s is the mixture that the item alone
    chose, sum_k p_k <q_k, Expert_k(x)>: for one q that is <q, y> with Shazeer's softmax gating,
    y = sum_k p_k Expert_k(x), without top_k, and with the layer of Fedus, y = p_k Expert_k(x) of
    the largest p_k, with top_k = 1. Between, ``gate = chosen`` is Shazeer's softmax of the top_k
    logits alone: the p_k are shared out anew over C. By default they are not, so that the router
    learns from the task even with top_k = 1 (Fedus). All experts are computed: top_k makes the
    mixture sparse, not the arithmetic.

    The penalty of an item is balance E sum_k f_k p_k; f_k is the batch's share of items that went
    to k (a constant to the gradient) with top_k, whose mean over items is the loss of Fedus; the
    batch's mean of p_k without, whose mean is 1 + CV^2 of the importance of Shazeer. It is
    ``balance`` where experts are used evenly. With ``noise`` it is balance times Shazeer's sum of
    CV^2(importance) and CV^2(load) for every item, zero where both are even: importance_k is the
    batch's sum of what the gate gives k, load_k that of P_k, the chance that k would be chosen if
    its noise alone were drawn again:

    P_k = Phi(((G x)_k - t_k) / sigma_k),  t_k = the top_k-th largest h_j over j != k

    **The views are experts, not modalities**: view weights tell which expert spoke for a pair of
    user and item, and nothing of what text or image contributed (coalitions tell that).

    Complexity: O(sum_m (T_m + D) d_m + E D^2) an item; O(E D) a pair to rank.

    Options:
        experts: E, the number of experts (and of views)
        top_k: how many experts an item is sent to (with 1 the user has no say); null: all
        balance: weight of the load-balancing penalty
        gate: the softmax is over "all" experts, or over the "chosen" ones (top_k above 1)
        noise: Shazeer's noise in training and losses; needs a top_k below E

    Source: Shazeer et al. 2017, Outrageously large neural networks: the sparsely-gated
    mixture-of-experts layer; Fedus et al. 2022, Switch transformers.
    """

    space: ClassVar[Spaces] = {"balance": Range(low=1e-4, high=1e-1, log=True)}
    level = Level.MODEL
    additive = False
    symmetric = True
    by_query = True

    def __init__(
        self,
        specs: Mapping[str, FeatureSpec],
        dim: int,
        *,
        experts: Annotated[int, Field(ge=2)] = 4,
        top_k: PositiveInt | None = None,
        balance: NonNegativeFloat = 0.01,
        gate: Literal["all", "chosen"] = "all",
        noise: bool = False,
    ) -> None:
        super().__init__(specs, dim)
        if top_k is not None and top_k > experts:
            raise FusionlabError(
                f"fusion.top_k: found {top_k}, expected at most experts = {experts}"
            )
        if gate == "chosen" and top_k == 1:
            raise FusionlabError(
                "fusion.gate: found 'chosen' with top_k = 1: the weight of the only expert is 1 "
                "and the router learns nothing; expected 'all'"
            )
        if noise and top_k in (None, experts):
            raise FusionlabError(
                f"fusion.noise: found true with top_k = {top_k}: every expert is chosen anyway; "
                f"expected a top_k below experts = {experts}"
            )
        self.top_k, self.balance, self.gate = top_k, balance, gate
        self.by_query = top_k != 1
        self.project = Projections(specs, dim)
        self.experts = nn.ModuleList(FeedForward(dim) for _ in range(experts))
        self.router = nn.Linear(dim, experts, bias=False)
        self.noise = nn.Linear(dim, experts, bias=False) if noise else None
        if self.noise is not None:
            nn.init.zeros_(self.noise.weight)
        # A user has nothing to choose among where the item goes to one expert alone.
        self.user_router = nn.Parameter(torch.zeros(experts, dim), requires_grad=self.by_query)

    @property
    def view_names(self) -> tuple[str, ...]:
        """One view an expert."""
        return tuple(f"expert {index}" for index in range(1, len(self.experts) + 1))

    def forward(self, items: ItemFeatures) -> FusedItems:
        """One view an expert, scaled by what the item's router gives it."""
        parts, modalities = self.project.pooled(items)
        x, on = parts.sum(1), modalities.any(1, keepdim=True)
        clean = self.router(x)
        sigma = None if self.noise is None else F.softplus(self.noise(x)) + 0.01
        h = clean
        if sigma is not None and self.training:
            h = clean + torch.randn_like(clean) * sigma
        p = h.softmax(-1)
        chosen, count = self._chosen(p)
        present = chosen & on
        spoken = torch.stack([expert(x) for expert in self.experts], 1)
        share = normalised(p, chosen) if self.gate == "chosen" else p
        views = torch.where(present[..., None], count * share[..., None] * spoken, 0)
        if sigma is None:
            return FusedItems(views, present, self._imbalance(p, present, on))
        importance, load = torch.where(present, share, 0), self._load(clean, h, sigma)
        uneven = _variation(importance) + _variation(torch.where(on, load, 0))
        return FusedItems(views, present, self.balance * uneven * on[:, 0])

    def view_weights(self, scores: Tensor, query: Tensor | None, present: Tensor) -> Tensor:
        """The user's weights of the experts that the item was sent to."""
        assert query is not None
        logits = (query * self.user_router).sum(-1)[..., None, :]
        # A candidate without any view would divide zero by zero; its weights are zeroed anyway.
        on = present | ~present.any(-1, keepdim=True)
        weights = logits.masked_fill(~on, -torch.inf).softmax(-1)
        return torch.where(present, weights, 0)

    def _chosen(self, p: Tensor) -> tuple[Tensor, int]:
        """Which experts (B, E) an item is sent to, and how many."""
        if self.top_k is None:
            return torch.ones_like(p, dtype=torch.bool), p.shape[1]
        best = p.topk(self.top_k, -1).indices
        return torch.zeros_like(p, dtype=torch.bool).scatter(1, best, True), self.top_k

    def _load(self, clean: Tensor, h: Tensor, sigma: Tensor) -> Tensor:
        """P (B, E): the chance of each expert to be among the top_k if its noise were drawn anew.

        What it must exceed is the top_k-th largest of the others: the next one after the chosen for
        those who are among them.
        """
        assert self.top_k is not None
        best = h.topk(self.top_k + 1, -1).values
        last, following = best[:, -2:-1], best[:, -1:]
        threshold = torch.where(h > following, following, last)
        return torch.special.ndtr((clean - threshold) / sigma)

    def _imbalance(self, p: Tensor, present: Tensor, on: Tensor) -> Tensor:
        """The penalty (B,) of items that are ``on`` (B, 1); zero for the others."""
        used = torch.where(on, p, 0) if self.top_k is None else present.to(p.dtype)
        f = used.sum(0) / used.sum().clamp(min=1)
        return self.balance * len(f) * torch.where(on, f * p, 0).sum(-1)


def _variation(shares: Tensor) -> Tensor:
    """Squared coefficient of variation over the experts of sums over items: (B, E) to ()."""
    total = at_least_float32(shares).sum(0)
    return total.var(correction=0) / total.mean().square().clamp(min=1e-10)
