"""Losses weighted by how much they generalise and how little they overfit."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from pydantic import PositiveInt
from torch import Tensor

from fusionlab.balancing.contract import BALANCERS, Balancer, Coalition, Epoch, Step

LEAST = 0.1
"""Of the largest O: no O counts as less."""


@BALANCERS.register("gradient_blending")
class GradientBlending(Balancer):
    """w_0 L + sum_m w_m L_m,  w_i proportional to G_i / O_i^2, with the sum one

    G_i: how much loss i fell on validation from one checkpoint to the next,
    O_i: how much (validation - train) of it grew

    The joint loss has the index 0; its G and O are those of the coalition of all modalities. Until
    there are two checkpoints all weights are alike.

    In the paper a copy of each modality is trained apart to measure G and O; here they are read off
    the model that is trained. A loss that did not fall (G <= 0) gets no weight, and where none fell
    the weights stay; an O below a tenth of the largest one, negative ones included, counts as that
    tenth, or where all are zero or less as one. Train losses are means over the epoch's steps.

    Options:
        every: epochs from one checkpoint to the next, at the first validation that far

    Source: Wang et al. 2020, What makes training multi-modal classification networks hard?
    """

    trains = "unimodal losses"
    validates = True
    weights: Tensor
    train_losses: Tensor
    valid_losses: Tensor
    checkpoint: Tensor

    def __init__(self, modalities: Sequence[str], *, every: PositiveInt = 5) -> None:
        super().__init__(modalities)
        self.every = every
        count = len(modalities) + 1
        self.register_buffer("weights", torch.full((count,), 1 / count))
        self.register_buffer("train_losses", torch.zeros(count))
        self.register_buffer("valid_losses", torch.zeros(count))
        self.register_buffer("checkpoint", torch.zeros((), dtype=torch.long))

    @property
    def waits(self) -> int:
        """Two checkpoints."""
        return 2 * self.every

    @property
    def coalitions(self) -> tuple[Coalition, ...]:
        """All modalities together, then each alone."""
        return (self.together, *self.alone)

    def loss(self, step: Step) -> Tensor:
        """The weighted sum."""
        losses = torch.stack([step.joint, *(step.loss(one) for one in self.alone)])
        return (self.weights * losses).sum()

    def after_epoch(self, epoch: Epoch) -> None:
        """Weigh anew at a checkpoint."""
        last = int(self.checkpoint)
        if epoch.number - last < self.every:
            return
        train = self.weights.new_tensor([epoch.train[one] for one in self.coalitions])
        valid = self.weights.new_tensor([epoch.valid[one] for one in self.coalitions])
        if last:
            gain = (self.valid_losses - valid).clamp(min=0)
            growth = (valid - train) - (self.valid_losses - self.train_losses)
            largest = growth.max()
            growth = growth.clamp(min=LEAST * largest) if largest > 0 else torch.ones_like(growth)
            found = gain / growth**2
            if found.sum() > 0:
                self.weights.copy_(found / found.sum())
        self.train_losses.copy_(train)
        self.valid_losses.copy_(valid)
        self.checkpoint.fill_(epoch.number)

    def told(self) -> dict[str, Tensor]:
        """The weights."""
        return {"weight": self.weights}
