"""Losses of single modalities beside the joint one: with fixed weights, or all alike."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

import torch
from pydantic import NonNegativeFloat
from torch import Tensor

from fusionlab.balancing.contract import (
    BALANCERS,
    Balancer,
    Coalition,
    Step,
    by_modality,
    trained_on,
)
from fusionlab.fusion.contract import MODALITY
from fusionlab.spaces import Range, Spaces


class WeightedLosses(Balancer, ABC):
    """L + sum_m w_m L_m, with weights (M,) that a subclass gives; L_m is the coalition {m}'s."""

    last: Tensor

    def __init__(self, modalities: Sequence[str]) -> None:
        super().__init__(modalities)
        self.register_buffer("last", torch.zeros(len(modalities)))

    @property
    def trains(self) -> str:
        """Losses of those that have a weight."""
        return trained_on("unimodal losses", self.weighted, self.modalities)

    @property
    @abstractmethod
    def weighted(self) -> Sequence[str]:
        """The modalities whose losses have a weight by the options."""

    @property
    def coalitions(self) -> tuple[Coalition, ...]:
        """Each modality alone."""
        return self.alone

    @abstractmethod
    def weights(self, losses: Tensor, heard: Tensor) -> Tensor:
        """w (M,) for the unimodal losses (M,) of a step, 0 of a modality that is not ``heard``
        (M,): no example has it. No gradient flows through it."""

    def loss(self, step: Step) -> Tensor:
        """The weighted sum."""
        losses = torch.stack([step.loss(coalition) for coalition in self.coalitions])
        with torch.no_grad():
            weights = self.weights(losses.detach(), self.heard(step))
            self.last.copy_(weights)
        return step.joint + (weights * losses).sum()

    def told(self) -> dict[str, Tensor]:
        """The weights of the last step."""
        return {"weight": self.last}


@BALANCERS.register("unimodal_losses")
class UnimodalLosses(WeightedLosses):
    """Each modality must also be right alone: L + w sum_m L_m.

    Options:
        weight: w

    Source: as the auxiliary losses of multitask fusion, e.g. Wang et al. 2020, What makes training
        multi-modal classification networks hard?
    """

    space: ClassVar[Spaces] = {"weight": Range(low=0.1, high=3.0, log=True)}

    def __init__(self, modalities: Sequence[str], *, weight: NonNegativeFloat = 1.0) -> None:
        super().__init__(modalities)
        self.weight = weight

    @property
    def weighted(self) -> Sequence[str]:
        """All or none."""
        return self.modalities if self.weight else ()

    def weights(self, losses: Tensor, heard: Tensor) -> Tensor:
        """w for all."""
        return torch.full_like(losses, self.weight)


@BALANCERS.register("fixed_weights")
class FixedWeights(WeightedLosses):
    """L + sum_m w_m L_m, with a weight of each modality's own.

    Options:
        weight: w_m by modality; 0 for those that are not named
    """

    given: Tensor

    def __init__(
        self,
        modalities: Sequence[str],
        *,
        weight: Annotated[Mapping[str, NonNegativeFloat], MODALITY],
    ) -> None:
        super().__init__(modalities)
        self.register_buffer("given", by_modality(weight, modalities, 0.0))
        self._weighted = [name for name in modalities if weight.get(name)]

    @property
    def weighted(self) -> Sequence[str]:
        """Those that were given one."""
        return self._weighted

    def weights(self, losses: Tensor, heard: Tensor) -> Tensor:
        """Those that were given."""
        return self.given
