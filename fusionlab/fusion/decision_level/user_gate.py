"""Weights of the modalities' scores that depend on the user."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from fusionlab.data.by_name import ByName
from fusionlab.data.features import FeatureSpec, ItemFeatures
from fusionlab.fusion.contract import FUSIONS, FusedItems, Fusion, Level, softmax_present
from fusionlab.fusion.layers import Projections


@FUSIONS.register("user_gate")
class UserGate(Fusion):
    """Score by each modality on its own and add with weights that a gate reads from the user.

    s(u, i) = sum_m w_m(u, i) s_m(u, i),
    w(u, i) = softmax over the m that item i has of a_m . tanh(sum_j V_j q_uj + c)

    q_uj is the user's view of modality j (zero where the user has none), so the gate may turn to
    the text because of what it sees in the images. The a_m start near zero: the first scores are
    the mean.

    Given the query, a score is a sum of functions of single modalities. It is not where the item
    is its own query (classification): there the gate multiplies modalities.

    Complexity: O(sum_m (T_m + D) d_m) an item, O(M D^2) a user and O(M D) a pair to rank: nothing
        folds.

    Source: the gate of mixtures of experts (Jacobs et al. 1991, Adaptive mixtures of local
    experts), read from the user instead of the input.
    """

    level = Level.DECISION
    additive = False
    symmetric = True
    by_query = True

    def __init__(self, specs: Mapping[str, FeatureSpec], dim: int) -> None:
        super().__init__(specs, dim)
        self.project = Projections(specs, dim)
        self.read = ByName({name: nn.Linear(dim, dim, bias=False) for name in specs})
        self.bias = nn.Parameter(torch.zeros(dim))
        self.vote = ByName({name: nn.Parameter(0.01 * torch.randn(dim)) for name in specs})

    def forward(self, items: ItemFeatures) -> FusedItems:
        """One view a modality."""
        return FusedItems(*self.project.pooled(items))

    def view_weights(self, scores: Tensor, query: Tensor | None, present: Tensor) -> Tensor:
        """The user's weights, shared out over the views that an item has."""
        assert query is not None
        read = [
            self.read[name](view) for name, view in zip(self.specs, query.unbind(-2), strict=True)
        ]
        hidden = torch.tanh(torch.stack(read).sum(0) + self.bias)
        logits = hidden @ torch.stack([self.vote[name] for name in self.specs], 1)
        return softmax_present(logits[..., None, :].expand(scores.shape), present)
