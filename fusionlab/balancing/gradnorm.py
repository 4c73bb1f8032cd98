"""Losses weighted so that the norms of their gradients keep step with how fast each is learned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
import torch._functorch.config as compiling
from pydantic import NonNegativeFloat, PositiveFloat
from torch import Tensor, nn

from fusionlab.balancing.contract import BALANCERS, Balancer, Coalition, Step
from fusionlab.spaces import Range, Spaces

LEAST = 1e-3
"""The smallest weight before the weights are brought back to their sum."""


@BALANCERS.register("gradnorm")
class GradNorm(Balancer):
    """sum_i w_i L_i,  w_i <- w_i - rate d/dw_i sum_j |G_j - mean(G) r_j^alpha|,  sum_i w_i = T

    G_i = |grad w_i L_i|,  r_i = l_i / mean(l),  l_i = L_i / L_i(first step)

    The T = M + 1 tasks are the joint loss and those of single modalities, the gradients are those
    of all trained parameters of the fusion, and mean(G) r^alpha counts as a constant. So the
    derivative is sign(G_i - mean(G) r_i^alpha) |grad L_i|, and nothing is differentiated twice. A
    modality that no example of a batch has takes no part in it, and its first loss is that of the
    first batch which has it; weights stay above zero, where the paper says nothing.

    Options:
        alpha: how much slowness counts; 0: all gradients alike
        rate: learning rate of the weights

    Source: Chen et al. 2018, GradNorm: Gradient normalization for adaptive loss balancing in deep
        multitask networks.
    """

    space: ClassVar[Spaces] = {"alpha": Range(low=0.0, high=3.0)}
    trains = "unimodal losses"
    weight: Tensor
    first: Tensor
    begun: Tensor

    def __init__(
        self,
        modalities: Sequence[str],
        *,
        alpha: NonNegativeFloat = 1.5,
        rate: PositiveFloat = 0.025,
    ) -> None:
        super().__init__(modalities)
        self.alpha, self.rate = alpha, rate
        # One graph is gone back through several times; a compiled one gives its buffers away else.
        compiling.donated_buffer = False
        tasks = len(modalities) + 1
        self.register_buffer("weight", torch.ones(tasks))
        self.register_buffer("first", torch.ones(tasks))
        self.register_buffer("begun", torch.zeros(tasks, dtype=torch.bool))

    @property
    def coalitions(self) -> tuple[Coalition, ...]:
        """Each modality alone."""
        return self.alone

    def backward(self, step: Step) -> Tensor:
        """The gradients of one task after the other, added up; then the next step's weights."""
        assert step.fusion is not None
        shared = [p for p in step.fusion.parameters() if p.requires_grad]
        alone = [step.loss(one) for one in self.coalitions]
        norms = [_add_gradients(self.weight[0] * step.joint, shared, keep=False)]
        for number, loss in enumerate(alone, 1):
            # Coalitions may have gone through the fusion together.
            keep = number < len(alone)
            norms.append(_add_gradients(self.weight[number] * loss, shared, keep=keep))
        losses = torch.stack([step.joint, *alone]).detach()
        total = (self.weight * losses).sum()
        heard = self.heard(step)
        heard = torch.cat([torch.ones_like(heard[:1]), heard])  # the joint loss always
        self._reweight(torch.stack(norms), losses, heard)
        return total

    @torch.no_grad()
    def _reweight(self, norms: Tensor, losses: Tensor, heard: Tensor) -> None:
        begins = heard & ~self.begun
        self.first.copy_(torch.where(begins, losses, self.first))
        self.begun.logical_or_(heard)
        left = losses / self.first.clamp(min=1e-12)
        pace = left / _mean(left, heard).clamp(min=1e-12)
        target = _mean(norms, heard) * pace**self.alpha
        slope = torch.sign(norms - target) * norms / self.weight
        moved = (self.weight - self.rate * torch.where(heard, slope, 0)).clamp(min=LEAST)
        self.weight.copy_(moved * len(moved) / moved.sum())

    def told(self) -> dict[str, Tensor]:
        """The weights of the next step."""
        return {"weight": self.weight}


def _mean(values: Tensor, of: Tensor) -> Tensor:
    return torch.where(of, values, 0).sum() / of.sum()


def _add_gradients(loss: Tensor, parameters: Sequence[nn.Parameter], *, keep: bool) -> Tensor:
    """Add the gradients of a loss to those that are there; the norm of its own, a scalar."""
    before = [parameter.grad for parameter in parameters]
    for parameter in parameters:
        parameter.grad = None
    if loss.requires_grad:
        loss.backward(retain_graph=keep)
    own = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norm = nn.utils.get_total_norm(own).to(loss.device)
    for parameter, earlier in zip(parameters, before, strict=True):
        if earlier is not None:
            parameter.grad = earlier if parameter.grad is None else parameter.grad + earlier
    return norm
