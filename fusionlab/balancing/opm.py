"""The modality that is ahead is kept from some of the items."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
from pydantic import Field, NonNegativeFloat
from torch import Tensor

from fusionlab.balancing.contract import BALANCERS, Balancer, Coalition, Step
from fusionlab.data.dropout import drop_modalities
from fusionlab.data.features import ItemFeatures
from fusionlab.spaces import Range, Spaces


@BALANCERS.register("opm")
class Opm(Balancer):
    """L(x with m masked with chance p_m),  p_m = q (1 + alpha tanh(rho_m - 1)) if rho_m > 1, else 0

    rho_m = c_m / mean of the other modalities' c,  c: mean probability of what is right

    c_m is what the model said of the last step where it saw modality m alone; in the first step
    nothing is dropped, and an item's last modality never is. p_m is at most one. A modality that no
    example of a batch has is not compared.

    In the paper c comes from the halves of one linear map, an example without any modality is left
    out, features are multiplied by 1 / (1 - mean p) and some batches are spared; here a strategy is
    told that the modality is absent, which needs no such factor. There q = .5; but of level ones
    one is always a little ahead, and a ranking loses more by its absence than it learns.

    Options:
        q: chance where modalities are level
        alpha: how much more it becomes for one that is far ahead

    Source: Wei et al. 2024, On-the-fly modulation for balanced multimodal learning (prediction
        modulation).
    """

    space: ClassVar[Spaces] = {
        "q": Range(low=0.02, high=0.9, log=True),
        "alpha": Range(low=0.0, high=2.0),
    }
    rate: Tensor

    def __init__(
        self,
        modalities: Sequence[str],
        *,
        q: Annotated[float, Field(ge=0, le=1)] = 0.1,
        alpha: NonNegativeFloat = 0.5,
    ) -> None:
        super().__init__(modalities)
        self.q, self.alpha = q, alpha
        self.register_buffer("rate", torch.zeros(len(modalities)))

    @property
    def trains(self) -> str:
        """Dropout, at a chance above 0."""
        return "dropout" if self.q else ""

    @property
    def coalitions(self) -> tuple[Coalition, ...]:
        """Each modality alone."""
        return self.alone

    @property
    def differentiates(self) -> bool:
        """They only say who is ahead."""
        return False

    def inputs(self, items: ItemFeatures, generator: torch.Generator) -> ItemFeatures:
        """The items, some without the modality that was ahead in the last step."""
        return drop_modalities(items, self.rate, generator)

    def loss(self, step: Step) -> Tensor:
        """The joint loss; the chances of the next step are set."""
        ratio = self.lead(step)
        chance = self.q * (1 + self.alpha * torch.tanh(ratio - 1))
        self.rate.copy_(torch.where(ratio > 1, chance.clamp(max=1), 0))
        return step.joint

    def told(self) -> dict[str, Tensor]:
        """p, for the next step."""
        return {"dropped": self.rate}
