"""Losses weighted by what the model itself holds to be noise."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fusionlab.balancing.contract import BALANCERS, Balancer, Coalition, Step


@BALANCERS.register("uncertainty")
class Uncertainty(Balancer):
    """sum_i exp(-s_i) L_i + s_i / 2 over the joint loss and those of single modalities.

    s_i = log sigma_i^2 is learned with the model: a loss that cannot be brought down gets less
    weight, and s_i / 2 keeps all from getting none. In a step of which no example has a modality,
    its s_i rests: there is no loss that would hold it.

    Source: Kendall, Gal and Cipolla 2018, Multi-task learning using uncertainty to weigh losses for
        scene geometry and semantics (likelihoods of classes, eq. 10).
    """

    trains = "unimodal losses"

    def __init__(self, modalities: Sequence[str]) -> None:
        super().__init__(modalities)
        self.log_variance = nn.Parameter(torch.zeros(len(modalities) + 1))

    @property
    def coalitions(self) -> tuple[Coalition, ...]:
        """Each modality alone."""
        return self.alone

    def loss(self, step: Step) -> Tensor:
        """The weighted sum."""
        losses = torch.stack([step.joint, *(step.loss(one) for one in self.coalitions)])
        heard = F.pad(self.heard(step), (1, 0), value=True)  # the joint loss is always there
        terms = torch.exp(-self.log_variance) * losses + self.log_variance / 2
        return torch.where(heard, terms, 0).sum()

    def told(self) -> dict[str, Tensor]:
        """The weights."""
        return {"weight": torch.exp(-self.log_variance)}
