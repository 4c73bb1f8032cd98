"""Examples of which a modality says too little are drawn more often."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from pydantic import NonNegativeFloat, NonNegativeInt
from torch import Tensor, nn

from fusionlab.balancing.coalitions import shared_out
from fusionlab.balancing.contract import BALANCERS, Balancer, Coalition, Step
from fusionlab.spaces import Range, Spaces


@BALANCERS.register("balanced_resampling")
class BalancedResampling(Balancer):
    """L + 1/B sum_b sum_m (k_bm / w_b) L_b,m,  examples drawn in proportion to w_b = 1 + sum_m k_bm

    k_bm = strength max(0, 1 - phi_bm): copies that are made of example b for modality m, 0 where
    its item lacks m. phi_bm is the Shapley value of m for b, v(S) = |S| where coalition S alone
    puts what is right above all other candidates (or classes), else 0. L_b,m is the loss of {m}.

    An epoch has as many examples as without: each is drawn floor or ceil of n w_b / sum w times.
    phi is what was heard when the example was last trained; before the first time k is 0, and in
    the first ``warmup`` epochs each example is trained once.

    In the paper an epoch grows by the copies, phi comes from a pass over all examples after each
    epoch, and a copy for m is read with the other modalities masked: here each drawing counts for m
    by the share of the copies that would be for m, in a loss of m alone.

    Options:
        strength: copies for a modality that contributes nothing; two in the paper, which lowered
            the joint metric in trials (docs/balancing.md)
        warmup: epochs of each example once

    Source: Wei et al. 2024, Enhancing multimodal cooperation via sample-level modality valuation.
    """

    space: ClassVar[Spaces] = {"strength": Range(low=0.0, high=4.0)}
    draws = True
    copies: Tensor
    needed: Tensor
    epochs: Tensor

    def __init__(
        self,
        modalities: Sequence[str],
        *,
        strength: NonNegativeFloat = 0.25,
        warmup: NonNegativeInt = 5,
    ) -> None:
        super().__init__(modalities)
        self.strength, self.warmup = strength, warmup
        self.register_buffer("copies", torch.zeros(0, len(modalities)))  # (n, M) once bound
        self.register_buffer("needed", torch.zeros(len(modalities)))
        self.register_buffer("epochs", torch.zeros((), dtype=torch.long))

    @property
    def trains(self) -> str:
        """Unimodal losses, from the end of the warm-up on."""
        return "unimodal losses" if self.strength and int(self.epochs) > self.warmup else ""

    @property
    def differentiates(self) -> bool:
        """As they come to be trained on."""
        return bool(self.strength)

    @property
    def waits(self) -> int:
        """The warm-up."""
        return self.warmup

    def bind(self, model: nn.Module, examples: int) -> None:
        """Make room for what is heard of each example."""
        self.copies = self.copies.new_zeros(examples, len(self.modalities))

    @property
    def coalitions(self) -> tuple[Coalition, ...]:
        """All but the empty one."""
        return self.subsets

    def draw(self, generator: torch.Generator) -> Tensor | None:
        """Examples (n,) in ascending order, those that need it several times."""
        self.epochs += 1
        if int(self.epochs) <= self.warmup:
            return None
        return evenly_drawn(1 + self.copies.sum(1, dtype=torch.float64), generator)

    def loss(self, step: Step) -> Tensor:
        """The joint loss, and that of the modalities for which the examples were drawn."""
        assert step.examples is not None
        copies = self.copies[step.examples]
        share = copies / (1 + copies.sum(1, keepdim=True)) * (self.epochs > self.warmup)
        alone = [(step.losses(step.said[one].scores), step.said[one].counted) for one in self.alone]
        losses = torch.stack([torch.where(on, loss, 0) for loss, on in alone], 1)
        with torch.no_grad():
            needed = self._needed(step)
            self.copies[step.examples] = needed
            self.needed.copy_(needed.mean(0))
        return step.joint + (share * losses).sum(1).mean()

    def told(self) -> dict[str, Tensor]:
        """k, as a mean over the step's examples."""
        return {"copies": self.needed}

    def _needed(self, step: Step) -> Tensor:
        """k (B, M)."""
        worth = {one: len(one) * self._right(step, one) for one in self.coalitions}
        phi = torch.stack(shared_out(worth, self.alone), 1)
        has = torch.stack([step.said[one].counted for one in self.alone], 1)
        return torch.where(has, self.strength * (1 - phi).clamp(min=0), 0).to(self.copies.dtype)

    def _right(self, step: Step, coalition: Coalition) -> Tensor:
        """1 where the coalition puts what is right first (B,); a tie is not."""
        assert step.right is not None
        said, place = step.said[coalition], step.right[:, None]
        others = said.scores.scatter(1, place, -torch.inf).amax(1)
        return ((said.scores.gather(1, place)[:, 0] > others) & said.counted).float()

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        if prefix + "copies" in state_dict:  # their number is that of the run that goes on
            self.copies = self.copies.new_empty(state_dict[prefix + "copies"].shape)
        super()._load_from_state_dict(state_dict, prefix, *rest)


def evenly_drawn(weights: Tensor, generator: torch.Generator) -> Tensor:
    """n of n examples, ascending, each floor or ceil of n w / sum w times (systematic sampling).

    On a line on which example b takes up w_b there are n evenly spaced points, the first of them
    drawn; each draws the example on which it lies.
    """
    n = len(weights)
    first = torch.rand((), generator=generator, device=weights.device, dtype=weights.dtype)
    ends = weights.cumsum(0)
    points = (torch.arange(n, device=weights.device) + first) / n * ends[-1]
    return torch.searchsorted(ends, points, right=True).clamp(max=n - 1)
