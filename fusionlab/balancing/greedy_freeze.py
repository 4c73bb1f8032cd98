"""The modality that learns faster waits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor, nn

from fusionlab.balancing.contract import BALANCERS, Balancer, Step
from fusionlab.spaces import Range, Spaces


@BALANCERS.register("greedy_freeze")
class GreedyFreeze(Balancer):
    """theta_a rests ``steps`` steps once s_b - s_a > threshold,  s_m = log(V_0 / V_m)

    V_m = sum over steps of |g_m|^2 / |theta_m|^2,  g: gradient of the loss by theta

    theta_m are the parameters that belong to modality m alone, theta_0 those of the strategy that
    belong to none; s_m is m's conditional learning speed, a the modality with the least (its own
    parameters learn fastest) and b that with the most. Steps in which one rests add nothing to V.

    In the paper theta_0 too is a modality's own part of the fusion, and a rebalancing step cuts
    the flow between modalities; strategies at large have no such parts, so V_0 is the same for
    all and cancels, s_b - s_a = log(V_a / V_b), and the faster one is frozen instead. A modality
    without trained parameters or without a gradient so far takes no part. A frozen parameter has no
    gradient, so AdamW leaves its moments alone as well. One number a step leaves the device.

    Options:
        threshold: the largest gap (natural logarithm) at which all learn; modalities that are
            level come to .1 by chance
        steps: how long the faster one rests

    Source: Wu et al. 2022, Characterizing and overcoming the greedy nature of learning in
        multi-modal deep neural networks.
    """

    space: ClassVar[Spaces] = {"threshold": Range(low=0.05, high=1.0, log=True)}
    owners = 2
    speed: Tensor
    rest: Tensor
    resting: Tensor
    left: Tensor

    def __init__(
        self, modalities: Sequence[str], *, threshold: PositiveFloat = 0.3, steps: PositiveInt = 5
    ) -> None:
        super().__init__(modalities)
        self.threshold, self.steps = threshold, steps
        self.register_buffer("speed", torch.zeros(len(modalities)))
        self.register_buffer("rest", torch.zeros(len(modalities)))
        self.register_buffer("resting", torch.zeros((), dtype=torch.long))
        self.register_buffer("left", torch.zeros((), dtype=torch.long))

    def backward(self, step: Step) -> Tensor:
        """Gradients of the joint loss, without those of the modality that rests."""
        loss = super().backward(step)
        own = [step.own(name) for name in self.modalities]
        self.rest.zero_()
        if self.left:
            self.rest[self.resting] = 1
            for parameter in own[int(self.resting)]:
                parameter.grad = None
            self.left -= 1
            return loss
        self.speed += torch.stack([self._relative(parameters) for parameters in own])
        slowest = torch.where(self.speed > 0, self.speed, torch.inf).min()
        if torch.log(self.speed.max() / slowest) > self.threshold:
            self.resting.copy_(self.speed.argmax())
            self.left.fill_(self.steps)
        return loss

    def told(self) -> dict[str, Tensor]:
        """log V, where it has begun, and 1 of the modality that rested."""
        speed = torch.where(self.speed > 0, self.speed.log(), torch.nan)
        return {"log_v": speed, "rest": self.rest}

    def _relative(self, parameters: Sequence[nn.Parameter]) -> Tensor:
        """|g|^2 / |theta|^2 of all of them."""
        size, moved = torch.zeros_like(self.speed[0]), torch.zeros_like(self.speed[0])
        for parameter in parameters:
            size = size + parameter.detach().float().square().sum()
            if parameter.grad is not None:
                moved = moved + parameter.grad.float().square().sum()
        return moved / size.clamp(min=1e-12)
