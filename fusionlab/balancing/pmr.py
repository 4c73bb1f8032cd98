"""The modality that lies less clearly about its prototypes drawn towards them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field, NonNegativeFloat
from torch import Tensor

from fusionlab.balancing.contract import BALANCERS, Balancer, Coalition, Said, Step
from fusionlab.fusion.contract import at_least_float32
from fusionlab.spaces import Range, Spaces

distances = partial(torch.cdist, compute_mode="donot_use_mm_for_euclid_dist")
NEVER = -1e9
"""Nearness to a class that was not seen yet; finite, or its gradient would not be a number."""


@BALANCERS.register("pmr")
class Pmr(Balancer):
    """L + alpha sum_m clip(rho_m - 1, 0, 1) L(-d_m),  rho_m = mean of the others' c / c_m

    d_m (B, C): distances of the view of modality m alone to the prototypes of the classes, c_m the
    mean probability of what is right by scores -d_m, L the task's loss of them (in classification
    cross-entropy).

    Prototypes are moving averages, from step to step, of a class's mean view in the batch; a class
    that was never seen is no alternative. In ranking the user's view stands for the prototype and
    the candidates for the classes. No gradient flows into prototypes. Modalities that no example
    has are left out. The entropy term of the paper's first epochs is left out.

    Options:
        alpha: how strongly
        memory: of the prototypes, the share that a step leaves of them

    Source: Fan et al. 2023, PMR: Prototypical modal rebalance for multimodal learning.
    """

    space: ClassVar[Spaces] = {"alpha": Range(low=0.1, high=4.0, log=True)}
    weight: Tensor
    prototypes: Tensor
    seen: Tensor

    def __init__(
        self,
        modalities: Sequence[str],
        *,
        alpha: NonNegativeFloat = 1.0,
        memory: Annotated[float, Field(ge=0, lt=1)] = 0.9,
    ) -> None:
        super().__init__(modalities)
        self.alpha, self.memory = alpha, memory
        self.register_buffer("weight", torch.zeros(len(modalities)))
        self.register_buffer("prototypes", torch.empty(0))  # (M, C, K D) from the first step on
        self.register_buffer("seen", torch.empty(0, dtype=torch.bool))  # (M, C)

    @property
    def trains(self) -> str:
        """Prototype losses; the heads of classes, which they pass by, never see a subset."""
        if not self.alpha:
            return ""
        classes = self.seen.numel() > 0  # there are prototypes
        return "prototype losses (views, not heads)" if classes else "prototype losses"

    @property
    def coalitions(self) -> tuple[Coalition, ...]:
        """Each modality alone."""
        return self.alone

    def loss(self, step: Step) -> Tensor:
        """The joint loss, and the slower modalities' by nearness."""
        said = {
            one: replace(step.said[one], scores=self._nearness(step, one)) for one in self.alone
        }
        near = replace(step, said=said)
        with torch.no_grad():
            self._weigh(near)
        losses = torch.stack([near.loss(one) for one in self.alone])
        return step.joint + (self.weight * losses).sum()

    def told(self) -> dict[str, Tensor]:
        """The weights of the last step."""
        return {"weight": self.weight}

    def _weigh(self, near: Step) -> None:
        heard = self.heard(near)
        certain = torch.stack([near.certainty(one) for one in self.alone])
        others = (certain.sum() - certain) / (heard.sum() - 1).clamp(min=1)
        ratio = others / certain.clamp(min=1e-12)
        self.weight.copy_(torch.where(heard, self.alpha * (ratio - 1).clamp(0, 1), 0))

    def _nearness(self, step: Step, one: Coalition) -> Tensor:
        """-d (B, C)."""
        said = step.said[one]
        views = at_least_float32(said.views.flatten(2))
        if said.query is not None:
            there = said.views.any(-1).flatten(0, 1).any(0)  # the views that the coalition has
            users = at_least_float32((said.query.detach() * there[:, None]).flatten(1))
            return -distances(views, users[:, None])[..., 0]
        views, index = views[:, 0], self.alone.index(one)
        with torch.no_grad():
            self._remember(index, views, _right(step, said).to(views), said.counted)
        near = -distances(views, self.prototypes[index].clone())
        return near.masked_fill(~self.seen[index], NEVER)

    def _remember(self, index: int, views: Tensor, right: Tensor, counted: Tensor) -> None:
        if not self.seen.numel():
            shape = len(self.modalities), right.shape[1]
            self.seen = self.seen.new_zeros(shape)
            self.prototypes = views.new_zeros(*shape, views.shape[1])
        members = right * counted[:, None]
        count = members.sum(0)
        mean = members.T @ views / count.clamp(min=1)[:, None]
        old, known = self.prototypes[index], self.seen[index]
        moved = torch.where(known[:, None], old.lerp(mean, 1 - self.memory), mean)
        old.copy_(torch.where((count > 0)[:, None], moved, old))
        known.logical_or_(count > 0)

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        # Their shapes are those of the run that goes on.
        for name in ("prototypes", "seen"):
            if prefix + name in state_dict:
                here = getattr(self, name)
                setattr(self, name, here.new_empty(state_dict[prefix + name].shape))
        super()._load_from_state_dict(state_dict, prefix, *rest)


def _right(step: Step, said: Said) -> Tensor:
    """The classes (B, C), 1 where right."""
    assert step.right is not None
    return F.one_hot(step.right, said.scores.shape[1])
