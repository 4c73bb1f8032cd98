"""Losses of single modalities, the slower learned the heavier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
from pydantic import Field, NonNegativeFloat
from torch import Tensor

from fusionlab.balancing.contract import BALANCERS
from fusionlab.balancing.unimodal_losses import WeightedLosses
from fusionlab.spaces import Range, Spaces


@BALANCERS.register("inverse_speed")
class InverseSpeed(WeightedLosses):
    """L + w sum_m r_m^alpha L_m, scaled so that the r_m^alpha have the mean one.

    r_m = l_m(t) / l_m(0),  l_m: the moving average of L_m, and L_m of the first step

    A step in which no example has modality m leaves r_m as it was, and its first step is that in
    which one has it; until then it has no weight, and no part in the mean.

    r is the inverse training rate: what is left of a modality's loss. One that has been learned
    less than the others gets more weight, whatever the heights of the losses are.

    Options:
        weight: w, the mean weight
        alpha: how much slowness counts; 0: all alike
        memory: of the moving average, the share that a step leaves of it

    Source: inverse training rates: Chen et al. 2018, GradNorm; here without norms of gradients.
    """

    space: ClassVar[Spaces] = {
        "weight": Range(low=0.1, high=3.0, log=True),
        "alpha": Range(low=0.0, high=4.0),
    }
    first: Tensor
    average: Tensor
    begun: Tensor

    def __init__(
        self,
        modalities: Sequence[str],
        *,
        weight: NonNegativeFloat = 1.0,
        alpha: NonNegativeFloat = 2.0,
        memory: Annotated[float, Field(ge=0, lt=1)] = 0.9,
    ) -> None:
        super().__init__(modalities)
        self.weight, self.alpha, self.memory = weight, alpha, memory
        self.register_buffer("first", torch.ones(len(modalities)))
        self.register_buffer("average", torch.ones(len(modalities)))
        self.register_buffer("begun", torch.zeros(len(modalities), dtype=torch.bool))

    @property
    def weighted(self) -> Sequence[str]:
        """All or none."""
        return self.modalities if self.weight else ()

    def weights(self, losses: Tensor, heard: Tensor) -> Tensor:
        """From what is left of each loss."""
        # The first step sets both; no value leaves the device for it.
        begins = heard & ~self.begun
        self.first.copy_(torch.where(begins, losses, self.first))
        moved = self.memory * self.average + (1 - self.memory) * losses
        moved = torch.where(heard, moved, self.average)
        self.average.copy_(torch.where(begins, losses, moved))
        self.begun.logical_or_(heard)
        left = (self.average / self.first.clamp(min=1e-12)) ** self.alpha
        left = torch.where(self.begun, left, 0)
        mean = left.sum() / self.begun.sum().clamp(min=1)
        return self.weight * left / mean.clamp(min=1e-12)
