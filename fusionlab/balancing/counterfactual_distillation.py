"""Each modality's model of its own teaches the model of all, the weaker modality more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import ClassVar

import torch
from pydantic import NonNegativeFloat, PositiveFloat
from torch import Tensor, nn

from fusionlab.balancing.contract import BALANCERS, Balancer, Coalition, Said, Step
from fusionlab.data.by_name import ByName
from fusionlab.spaces import Range, Spaces

LEAST, MOST = 1e-8, 10.0
"""Bounds of a modality's effect, as in the published code."""


@BALANCERS.register("counterfactual_distillation")
class CounterfactualDistillation(Balancer):
    """L + weight sum_m rho_m (max(0, d^T_m - d_m) + generic H(softmax(t_m / T), softmax(s_m / T)))

    d: how far the right score lies above each other one; of the coalition {m}, and d^T_m of the
    teacher of m. H: cross-entropy of the teacher's scores t and the model's s; in ranking those of
    another example's candidates, in classification those of all classes.

    rho_m = M / (M - 1) (1 - c_m / sum_m' c_m'),  c_m = (d of all - d of all but m) / d_m, in
    [1e-8, 10]: of a modality without which little would change, rho is larger. c is an example's
    own, of mean d, and M counts the modalities that its item has: with one of them rho is 1.

    The teacher of m is a copy of the whole model with weights of its own, trained on m alone by the
    task's loss. In the paper teachers are trained before and then frozen; here they learn in the
    same steps, from the same initial weights, and no run needs another one. With one drawn item
    and two modalities it is the paper's loss; beyond, the margins to all drawn items are averaged,
    and the weights are those of the formula above.

    Options:
        weight: of distillation
        generic: of knowledge on items that are nothing to the user, beside that on the example
        temperature: T
        mutual: teachers learn from the model too, by the same distance turned around

    Source: Zhang et al. 2024, Modality-balanced learning for multimedia recommendation (CKD);
        mutual: Zhang et al. 2018, Deep mutual learning.
    """

    space: ClassVar[Spaces] = {"weight": Range(low=1e-3, high=1.0, log=True)}
    rho: Tensor
    taught: Tensor

    def __init__(
        self,
        modalities: Sequence[str],
        *,
        weight: NonNegativeFloat = 0.01,
        generic: NonNegativeFloat = 5.0,
        temperature: PositiveFloat = 0.1,
        mutual: bool = False,
    ) -> None:
        super().__init__(modalities)
        self.weight, self.generic, self.temperature = weight, generic, temperature
        self.mutual = mutual
        self.models: ByName[nn.Module] = ByName({})
        self.register_buffer("rho", torch.zeros(len(modalities)))
        self.register_buffer("taught", torch.zeros(len(modalities)))

    @property
    def trains(self) -> str:
        """Distillation, with a weight above 0."""
        return "distillation" if self.weight else ""

    def bind(self, model: nn.Module, examples: int) -> None:
        """Copy the model for each modality; weights that are not trained are shared."""
        for name in self.modalities:
            frozen = {id(p): p for p in model.parameters() if not p.requires_grad}
            self.models.hold(name, deepcopy(model, frozen))

    @property
    def teachers(self) -> Mapping[str, nn.Module]:
        """The copies."""
        return dict(self.models.items())

    @property
    def coalitions(self) -> tuple[Coalition, ...]:
        """All together, each alone, and all but each."""
        without = (self.together - one for one in self.alone)
        return tuple(dict.fromkeys((self.together, *self.alone, *without)))

    def loss(self, step: Step) -> Tensor:
        """The joint loss, and what the model has to learn of its teachers."""
        rho = self._weigh(step)
        total = step.joint
        for weight, one in zip(rho, self.alone, strict=True):
            distance = self._distance(step, step.taught[one], step.said[one])
            total = total + self.weight * _mean(weight * distance, step.said[one].counted)
        return total

    def backward(self, step: Step) -> Tensor:
        """Gradients of the loss, which is returned, and of the teachers' own."""
        loss, teaching = self.loss(step), replace(step, said=step.taught)
        own = torch.stack([teaching.loss(one) for one in self.alone])
        self.taught.copy_(own.detach())
        total = loss + own.sum()
        if self.mutual:
            for one in self.alone:
                distance = self._distance(step, step.said[one], step.taught[one])
                total = total + self.weight * _mean(distance, step.said[one].counted)
        total.backward()
        return loss.detach()

    def told(self) -> dict[str, Tensor]:
        """Mean rho, and the teachers' losses, in the last step."""
        return {"weight": self.rho, "teacher_loss": self.taught}

    @torch.no_grad()
    def _weigh(self, step: Step) -> Tensor:
        """rho (M, B)."""
        margin = {
            one: _margins(step, said).sum(1) / max(said.scores.shape[1] - 1, 1)
            for one, said in step.said.items()
        }
        counted = torch.stack([step.said[one].counted for one in self.alone])
        effects = [
            (margin[self.together] - margin[self.together - one]) / margin[one]
            for one in self.alone
        ]
        effect = torch.stack(effects).nan_to_num(0).clamp(LEAST, MOST)  # 0 / 0: says nothing
        effect = torch.where(counted, effect, 0)
        m = counted.sum(0)
        share = effect / effect.sum(0).clamp(min=LEAST)
        rho = torch.where(m > 1, m / (m - 1).clamp(min=1) * (1 - share), 1.0)
        self.rho.copy_(torch.stack([_mean(*pair) for pair in zip(rho, counted, strict=True)]))
        return rho

    def _distance(self, step: Step, teacher: Said, student: Said) -> Tensor:
        """How far each example (B,) of the student lies behind the teacher, who is not moved."""
        ahead = (_margins(step, teacher).detach() - _margins(step, student)).clamp(min=0)
        specific = ahead.sum(1) / max(ahead.shape[1] - 1, 1)
        if not self.generic:
            return specific
        soft = (_wide(teacher).detach() / self.temperature).softmax(1)
        generic = -(soft * (_wide(student) / self.temperature).log_softmax(1)).sum(1)
        return specific + self.generic * generic


def _margins(step: Step, said: Said) -> Tensor:
    """The right score above each of the scores (B, C); above itself it is 0."""
    assert step.right is not None
    scores = said.scores.float()
    return scores.gather(1, step.right[:, None]) - scores


def _wide(said: Said) -> Tensor:
    """Scores (B, C) of what need not be the example's own."""
    return (said.scores if said.elsewhere is None else said.elsewhere()).float()


def _mean(values: Tensor, counted: Tensor) -> Tensor:
    """The mean of those (B,) that count; 0 if none does."""
    return torch.where(counted, values, 0).sum() / counted.sum().clamp(min=1)
