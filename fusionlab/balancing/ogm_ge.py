"""Gradients of the modality that is ahead made smaller, as the confidences say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from pydantic import NonNegativeFloat
from torch import Tensor

from fusionlab.balancing.contract import BALANCERS, Balancer, Coalition, Step
from fusionlab.spaces import Range, Spaces


@BALANCERS.register("ogm_ge")
class OgmGe(Balancer):
    """g_m <- k_m g_m + N(0, std(g_m)^2),  k_m = 1 - tanh(alpha rho_m) where rho_m > 1, else 1

    rho_m = c_m / mean of the other modalities' c,  c: mean probability of what is right

    g_m is the gradient of the parameters that belong to modality m alone, c_m what the model says
    where it sees that modality alone. A modality that no example of a batch has is not compared.
    In the paper c comes from the halves of one linear map, for two modalities.

    As in the authors' code, the noise is drawn for every modality, also where k is 1. AdamW divides
    by the size of past gradients, so a k that stays the same is undone by it: what it leaves is how
    k changes, and the noise.

    Options:
        alpha: how strongly
        noise: the second part (GE)

    Source: Peng et al. 2022, Balanced multimodal learning via on-the-fly gradient modulation.
    """

    space: ClassVar[Spaces] = {"alpha": Range(low=0.05, high=2.0, log=True)}
    owners = 1
    scale: Tensor

    def __init__(
        self, modalities: Sequence[str], *, alpha: NonNegativeFloat = 0.5, noise: bool = True
    ) -> None:
        super().__init__(modalities)
        self.alpha, self.noise = alpha, noise
        self.register_buffer("scale", torch.ones(len(modalities)))

    @property
    def coalitions(self) -> tuple[Coalition, ...]:
        """Each modality alone."""
        return self.alone

    def backward(self, step: Step) -> Tensor:
        """Gradients of the joint loss, then smaller where a modality is ahead."""
        loss = super().backward(step)
        ratio = self.lead(step)
        self.scale.copy_(torch.where(ratio > 1, 1 - torch.tanh(self.alpha * ratio), 1))
        for name, scale in zip(self.modalities, self.scale, strict=True):
            for parameter in step.own(name):
                if parameter.grad is not None:
                    self._modulate(parameter.grad, scale)
        return loss

    def told(self) -> dict[str, Tensor]:
        """k, of the last step."""
        return {"scale": self.scale}

    def _modulate(self, gradient: Tensor, scale: Tensor) -> None:
        spread = gradient.std(correction=0)
        gradient.mul_(scale)
        if self.noise:
            gradient.add_(torch.randn_like(gradient) * spread)
