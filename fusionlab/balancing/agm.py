"""Gradients of the modality that says more than it used to made smaller, as Shapley values say."""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from typing import ClassVar

import torch
from pydantic import NonNegativeFloat
from torch import Tensor

from fusionlab.balancing.coalitions import shared_out
from fusionlab.balancing.contract import BALANCERS, Balancer, Coalition, Said, Step
from fusionlab.fusion.contract import at_least_float32
from fusionlab.spaces import Range, Spaces

FLOOR = 1e-8
"""Probabilities below count as this one, as in the published code."""
MOST = 10.0
"""The largest factor of a gradient."""


@BALANCERS.register("agm")
class Agm(Balancer):
    """g_m <- exp(alpha (usual r_m - r_m)) g_m,  r_m = exp(1/(M-1) sum_m' (s_m - s_m'))

    s_m = - mean loss of phi_m,  phi_m: the Shapley value of modality m in the scores of coalitions

    g_m is the gradient of the parameters that belong to modality m alone. phi_m is exact, over all
    2^M - 1 coalitions, where a candidate of which a coalition has no modality is scored 0, as by
    the empty one. s_m is over the examples that have modality m, and a modality that no example has
    is neither compared nor changed. The usual r_m is the running geometric mean over the steps
    before, 1 in the first: that is the r of the running means of s, as in the published code. The
    factor is at most 10, where that code clips gradients.

    Options:
        alpha: how strongly

    Source: Li et al. 2023, Boosting multi-modal model performance with adaptive gradient
        modulation.
    """

    space: ClassVar[Spaces] = {"alpha": Range(low=0.1, high=4.0, log=True)}
    owners = 1
    usual: Tensor
    steps: Tensor
    scale: Tensor

    def __init__(self, modalities: Sequence[str], *, alpha: NonNegativeFloat = 1.0) -> None:
        super().__init__(modalities)
        self.alpha = alpha
        self.register_buffer("usual", torch.zeros(len(modalities)))  # of log r
        self.register_buffer("steps", torch.zeros(len(modalities)))
        self.register_buffer("scale", torch.ones(len(modalities)))

    @property
    def coalitions(self) -> tuple[Coalition, ...]:
        """All but the empty one, the smaller first."""
        return self.subsets

    def backward(self, step: Step) -> Tensor:
        """Gradients of the joint loss, then scaled."""
        loss = super().backward(step)
        with torch.no_grad():
            self._hear(step)
            for name, scale in zip(self.modalities, self.scale, strict=True):
                for parameter in step.own(name):
                    if parameter.grad is not None:
                        parameter.grad.mul_(scale)
        return loss

    def told(self) -> dict[str, Tensor]:
        """The factors of the last step."""
        return {"scale": self.scale}

    def _hear(self, step: Step) -> None:
        counted = torch.stack([step.said[one].counted for one in self.alone])
        heard = counted.any(1)
        losses = torch.stack([step.losses(one) for one in self.shapley(step)])
        losses = torch.where(counted, losses.clamp(max=-log(FLOOR)), 0)
        s = -losses.sum(1) / counted.sum(1).clamp(min=1)
        others = (heard.sum() - 1).clamp(min=1)
        log_r = (heard.sum() * s - s.sum()) / others  # s of those not heard is zero
        log_r = torch.where(heard, log_r, self.usual)
        factor = torch.exp(self.alpha * (self.usual.exp() - log_r.exp())).clamp(max=MOST)
        self.scale.copy_(torch.where(heard, factor, 1))
        self.steps.add_(heard)
        self.usual.add_((log_r - self.usual) / self.steps.clamp(min=1))

    def shapley(self, step: Step) -> list[Tensor]:
        """phi_m (B, C) of each modality; they add up to the scores of all modalities together."""
        return shared_out({one: _scores(step.said[one]) for one in self.coalitions}, self.alone)


def _scores(said: Said) -> Tensor:
    """Scores (B, C), zero where a candidate (or the item that is classified) has a view of zero."""
    there = said.views.flatten(2).any(-1)
    return torch.where(there, at_least_float32(said.scores), 0)
