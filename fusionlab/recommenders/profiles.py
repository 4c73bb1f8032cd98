"""Profiles: how a user's history of item views becomes the user's view."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from fusionlab.data.interactions import Clicks
from fusionlab.registry import Registry


class Profile(nn.Module):
    """A weighted mean of the history: p = sum_j c_j w_j v_j / sum_j c_j w_j.

    c_j is a weight of the click (known in advance), w_j a weight of the item (may be learned).
    """

    def prepare(self, dim: int) -> None:
        """Make the parameters, once the width D is known."""

    def click_weights(self, clicks: Clicks) -> Tensor:
        """(E,) weights of the train clicks."""
        return torch.ones(len(clicks))

    def item_weights(self, views: Tensor) -> Tensor:
        """Weights (n, K) of item views (n, K, D)."""
        return views.new_ones(views.shape[:2])


PROFILES: Registry[Profile] = Registry("profile", Profile, "fusionlab.recommenders.profiles")


@PROFILES.register("mean")
class Mean(Profile):
    """Every item of the history counts the same."""


@PROFILES.register("recency")
class Recency(Profile):
    """The k-th latest item counts ``decay ** k``.

    Options:
        decay: weight of an item relative to the one clicked after it
    """

    def __init__(self, *, decay: Annotated[float, Field(gt=0, le=1)] = 0.95) -> None:
        super().__init__()
        self.decay = decay

    def click_weights(self, clicks: Clicks) -> Tensor:
        """Powers of the decay by the number of clicks that came after."""
        after = clicks.indptr[1:][clicks.users] - 1 - torch.arange(len(clicks))
        return self.decay ** after.float()


@PROFILES.register("attention")
class Attention(Profile):
    """Item weights are learned from the item's view: w = exp(8 tanh(a . tanh(W v))).

    The weight does not depend on the candidate, so ranking stays one matrix product. The outer tanh
    bounds the weights within exp(+-8), which keeps sums exact enough to take one item out again.
    """

    def prepare(self, dim: int) -> None:
        """Make W (D, D) and a (D,)."""
        self.hidden = nn.Linear(dim, dim)
        self.out = nn.Linear(dim, 1, bias=False)
        nn.init.normal_(self.out.weight, std=0.01)

    def item_weights(self, views: Tensor) -> Tensor:
        """Attention of each view."""
        energy = self.out(torch.tanh(self.hidden(views)))[..., 0]
        return torch.exp(8 * torch.tanh(energy / 8))
