"""Joint and unimodal gradients of a modality brought together, none at the other's cost."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from fusionlab.balancing.contract import BALANCERS, Balancer, Coalition, Step

OPPOSED = 1e-5
"""A min-norm gradient shorter than this share of the two that it is made of is rounding error."""


@BALANCERS.register("mmpareto")
class MmPareto(Balancer):
    """g_m <- h |j_m + u_m| / |h|,  h = a j_m + (1 - a) u_m,  a = 1/2 where <j_m, u_m> >= 0,
    else <u_m, u_m - j_m> / |u_m - j_m|^2, the a of the shortest h.

    j_m and u_m are the gradients of the joint loss and of the sum of the unimodal losses, over all
    parameters that belong to modality m alone; a modality alone moves its own parameters only, so
    u_m is in effect its own loss's. All other parameters get the sum of both gradients. Where j_m
    and u_m point straight against each other nothing lowers both losses, and g_m is zero. The
    constant factor 1.5 of the published code is left out: AdamW undoes it.

    Source: Wei and Hu 2024, MMPareto: Boosting multimodal learning with innocent unimodal
        assistance.
    """

    trains = "unimodal losses"
    share: Tensor

    def __init__(self, modalities: Sequence[str]) -> None:
        super().__init__(modalities)
        self.register_buffer("share", torch.full((len(modalities), 2), 0.5))

    @property
    def coalitions(self) -> tuple[Coalition, ...]:
        """Each modality alone."""
        return self.alone

    def backward(self, step: Step) -> Tensor:
        """Both gradients, one after the other; then what becomes of them, modality by modality."""
        alone = torch.stack([step.loss(one) for one in self.coalitions]).sum()
        own = [step.own(name) for name in self.modalities]
        step.joint.backward()
        joint = [[_taken(parameter) for parameter in part] for part in own]
        if alone.requires_grad:
            alone.backward()
        for share, parameters, gradients in zip(self.share, own, joint, strict=True):
            _bring_together(share, parameters, gradients)
        return (step.joint + alone).detach()

    def told(self) -> dict[str, Tensor]:
        """The joint gradient's weight a of the last step; the unimodal one's is 1 - a."""
        return {"joint_weight": self.share[:, 0]}


def _taken(parameter: nn.Parameter) -> Tensor | None:
    gradient, parameter.grad = parameter.grad, None
    return gradient


@torch.no_grad()
def _bring_together(
    share: Tensor, parameters: Sequence[nn.Parameter], joint: Sequence[Tensor | None]
) -> None:
    """Replace the unimodal gradients in ``.grad``; leave the weights of both in ``share`` (2,)."""
    pairs = [
        (p, zeros_if_none(j, p), zeros_if_none(p.grad, p))
        for p, j in zip(parameters, joint, strict=True)
        if j is not None or p.grad is not None
    ]
    if not pairs:
        return
    j = torch.cat([one.flatten() for _, one, _ in pairs])
    u = torch.cat([one.flatten() for _, _, one in pairs])
    weights = pareto_weights(j, u)
    share.copy_(weights)
    shortest = weights[0] * j + weights[1] * u
    norm = shortest.norm()
    lengthened = shortest * ((j + u).norm() / norm.clamp(min=torch.finfo(norm.dtype).tiny))
    kept = torch.where(norm > OPPOSED * (j.norm() + u.norm()), lengthened, 0)
    for (parameter, one, _), part in zip(
        pairs, kept.split([one.numel() for _, one, _ in pairs]), strict=True
    ):
        parameter.grad = part.view_as(one)


def zeros_if_none(gradient: Tensor | None, like: Tensor) -> Tensor:
    """The gradient, or that of a parameter that the loss did not reach."""
    return torch.zeros_like(like) if gradient is None else gradient


def pareto_weights(joint: Tensor, alone: Tensor) -> Tensor:
    """The weights (2,) of two gradients (P,): non-negative, and their sum is one.

    Both 1/2 where the gradients do not oppose each other, else those of the shortest vector between
    them; an angle beyond 90 degrees has its foot strictly between the two, so nothing is clipped.
    """
    product = joint @ alone
    foot = (alone @ alone - product) / (joint - alone).square().sum()
    first = torch.where(product < 0, foot, 0.5)
    return torch.stack([first, 1 - first])
