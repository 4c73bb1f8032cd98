"""What balances modalities: a step's losses in, another loss, or other gradients, out.

A **coalition** is a set of modalities; what a model says of it is what it says where all others are
masked. Unimodal signals are those of coalitions of one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from types import MappingProxyType
from typing import ClassVar

import torch
from torch import Tensor, nn

from fusionlab.data.features import ItemFeatures
from fusionlab.errors import FusionlabError
from fusionlab.fusion.contract import Fusion
from fusionlab.registry import Registry
from fusionlab.returned import check_returned, refusal
from fusionlab.spaces import Spaces

Coalition = frozenset[str]


@dataclass(frozen=True, slots=True)
class Said:
    """What a model says of a step's B examples in the light of one coalition.

    ``scores`` (B, C): of the candidates, the clicked one first, or of the classes; of content
    alone, without ID factors. ``counted`` (B,) bool: the examples whose clicked (or labelled) item
    has a modality of the coalition; the others tell nothing of it. ``views`` (B, C, K, D) of the
    candidates, or (B, 1, K, D) of the labelled item; ``query`` (B, K, D) the users' views, None in
    classification. ``elsewhere`` computes the scores (B, C) of items that are nothing to the users,
    another example's candidates; None in classification, where all classes are scored anyway.
    """

    scores: Tensor
    counted: Tensor
    views: Tensor
    query: Tensor | None = None
    elsewhere: Callable[[], Tensor] | None = None


Listen = Callable[[Sequence[Coalition]], Mapping[Coalition, Said]]
"""What tells of coalitions what each says of a step's examples."""


@dataclass(frozen=True, slots=True)
class Step:
    """One batch, gone forward: the loss of all modalities together, and what coalitions say.

    ``joint`` is the loss that is minimised without a balancer, ID scores and penalties included.
    ``losses`` and ``confidence`` take scores (B, C) to the task's loss (B,) and to the probability
    (B,) of what is right, which is at the place ``right`` (B,) among the scores. ``said`` holds the
    coalitions that `Balancer.coalitions` asked for, and ``listen`` asks others; both as the
    parameters stand when they are asked. ``taught`` is what `Balancer.teachers` say of the same
    examples, and ``examples`` (B,) are the numbers of the train clicks (or labelled items).
    """

    joint: Tensor
    fusion: Fusion | None = None
    losses: Callable[[Tensor], Tensor] = lambda scores: scores.sum(-1)
    confidence: Callable[[Tensor], Tensor] = lambda scores: scores.sum(-1)
    said: Mapping[Coalition, Said] = field(default_factory=dict)
    taught: Mapping[Coalition, Said] = field(default_factory=dict)
    right: Tensor | None = None
    examples: Tensor | None = None
    listen: Listen = lambda coalitions: {}

    def loss(self, coalition: Coalition) -> Tensor:
        """The mean loss of the coalition over the examples that count, a scalar; 0 if none does."""
        return self._mean(self.losses, coalition)

    def certainty(self, coalition: Coalition) -> Tensor:
        """The mean probability of what is right, likewise; no gradient flows through it."""
        with torch.no_grad():
            return self._mean(self.confidence, coalition)

    def own(self, modality: str) -> list[nn.Parameter]:
        """The parameters that belong to one modality alone and are trained."""
        assert self.fusion is not None
        return [p for p in self.fusion.modality_parameters(modality) if p.requires_grad]

    def _mean(self, measure: Callable[[Tensor], Tensor], coalition: Coalition) -> Tensor:
        if coalition not in self.said:
            raise FusionlabError(
                f"Step: found nothing that the coalition {'+'.join(sorted(coalition))} says, "
                "expected it among the balancer's `coalitions`"
            )
        said = self.said[coalition]
        values = measure(said.scores)
        total = torch.where(said.counted, values, torch.zeros_like(values)).sum()
        return total / said.counted.sum().clamp(min=1)


@dataclass(frozen=True, slots=True)
class Epoch:
    """An epoch that has been validated: its number, from 1, and mean losses by coalition.

    ``valid``: of each modality alone and of all together, on validation, where
    `Balancer.validates`. ``train``: then, of the coalitions that the balancer hears, over the
    epoch's steps as they came.
    """

    number: int
    train: Mapping[Coalition, float] = field(default_factory=dict)
    valid: Mapping[Coalition, float] = field(default_factory=dict)


class Balancer(nn.Module):
    """A method against modality imbalance.

    Args:
        modalities: names of the M modalities that the model reads, M at least 2.

    Keyword-only arguments of a subclass are its configuration. What it must remember from step to
    step are buffers, what it learns are parameters (they are trained with the model's, at
    ``training.learning_rate``), so that an interrupted run goes on with the same bits.
    """

    name: ClassVar[str]
    owners: ClassVar[int] = 0
    """How many modalities must have trained parameters of their own (`Step.own`) for it to do
    anything; a run in which fewer have warns of it."""
    validates: bool = False
    """Does it read losses by coalition on validation? An option may set it on the instance."""
    draws: ClassVar[bool] = False
    """Does it choose the examples of an epoch (`draw`)?"""
    space: ClassVar[Spaces] = MappingProxyType({})
    """Which of its options are worth tuning, and where a tuner looks for them."""

    def __init__(self, modalities: Sequence[str]) -> None:
        super().__init__()
        self.modalities = tuple(modalities)

    def bind(self, model: nn.Module, examples: int) -> None:
        """Get to know, once before training, the model (a copy may be kept) and how many train
        clicks (or labelled items) there are."""

    @property
    def coalitions(self) -> tuple[Coalition, ...]:
        """The coalitions that it must hear in each step."""
        return ()

    @property
    def teachers(self) -> Mapping[str, nn.Module]:
        """Models of its own that read one modality, by its name; it must hear them in each step."""
        return {}

    @property
    def trains(self) -> str:
        """What of coalitions the model is trained on ("unimodal losses"), if anything, with the
        modalities where not all are (`trained_on`).

        It stands in the run's record beside every signal that is read from coalitions; a class
        attribute where no option changes it.
        """
        return ""

    @property
    def waits(self) -> int:
        """Epochs, at the least, that pass before it does what it does by what it has measured. A
        run whose best epoch comes earlier warns that its model is one from before."""
        return 0

    @property
    def differentiates(self) -> bool:
        """Do gradients flow back through what coalitions say?"""
        return bool(self.trains)

    @property
    def alone(self) -> tuple[Coalition, ...]:
        """The coalitions of one modality, in the order of the modalities."""
        return tuple(frozenset({name}) for name in self.modalities)

    @property
    def together(self) -> Coalition:
        """The coalition of all modalities."""
        return frozenset(self.modalities)

    @property
    def subsets(self) -> tuple[Coalition, ...]:
        """All coalitions but the empty one, the smaller first."""
        sizes = range(1, len(self.modalities) + 1)
        return tuple(frozenset(c) for size in sizes for c in combinations(self.modalities, size))

    def draw(self, generator: torch.Generator) -> Tensor | None:
        """Which examples (n,) the next epoch trains, as many as there are, in any order (they are
        shuffled); None: each one once."""
        return None

    def inputs(self, items: ItemFeatures, generator: torch.Generator) -> ItemFeatures:
        """What the joint pass of a step reads of its items; coalitions hear them as they are."""
        return items

    def loss(self, step: Step) -> Tensor:
        """What is minimised, a scalar."""
        return step.joint

    def backward(self, step: Step) -> Tensor:
        """Leave the gradients of the step in ``.grad`` (None before); the loss, for the log."""
        loss = self.loss(step)
        check_returned(self, "loss", "a loss", loss, (), "a scalar")
        if not loss.requires_grad:
            expected = "expected one that is computed from the step's, with nothing detached"
            raise refusal(self, "loss", f"found a loss without a gradient, {expected}")
        torch.autograd.backward(loss)
        return loss.detach()

    def update(self, step: Step, descend: Callable[[], object]) -> None:
        """Move the parameters along their gradients; ``descend`` is the optimiser's step."""
        descend()

    def after_epoch(self, epoch: Epoch) -> None:
        """Learn of an epoch; called after each validation."""

    def told(self) -> dict[str, Tensor]:
        """What it did in a step (weights, say), by kind: (M,), or (M + 1,) where that of the joint
        loss comes first; NaN where there is nothing to tell.

        It is asked after each backward pass and before the update; means over an epoch's steps
        stand in the history of the run. Nothing must leave the device for it.
        """
        return {}

    def names(self, kind: str, count: int) -> list[str]:
        """What the ``count`` numbers of a kind are called: ``kind.modality``, ``kind.joint``."""
        return [f"{kind}.{name}" for name in ("joint", *self.modalities)[-count:]]

    def heard(self, step: Step) -> Tensor:
        """Which modalities some example of the batch has (M,)."""
        return torch.stack([step.said[one].counted.any() for one in self.alone])

    def lead(self, step: Step) -> Tensor:
        """How far each modality is ahead (M,): its certainty over the mean of the others'.

        A modality that no example of the batch has is none of the others, and neither ahead nor
        behind: 1, as where there are no others.
        """
        heard = self.heard(step)
        certain = torch.stack([step.certainty(one) for one in self.alone])  # not heard: 0
        others = (certain.sum() - certain) / (heard.sum() - 1).clamp(min=1)
        ratio = certain / others.clamp(min=1e-12)
        return torch.where(heard & (heard.sum() > 1), ratio, 1)


BALANCERS: Registry[Balancer] = Registry("balancer", Balancer, "fusionlab.balancing")


def name_of(coalition: Coalition, modalities: Sequence[str]) -> str:
    """Its modalities in their order, joined by +."""
    return "+".join(name for name in modalities if name in coalition)


def trained_on(what: str, some: Sequence[str], modalities: Sequence[str]) -> str:
    """``what`` of ``some`` of the modalities, who are named where they are not all; "" of none."""
    if len(some) in (0, len(modalities)):
        return what if some else ""
    return f"{what} ({', '.join(some)})"


def by_modality(given: Mapping[str, float], modalities: Sequence[str], otherwise: float) -> Tensor:
    """An option that names modalities as numbers (M,); those not named get ``otherwise``.

    Such an option is marked `MODALITY`: a run refuses names that the dataset does not have. Others
    of the dataset are no matter here, they are those that this row of a study does without.
    """
    return torch.tensor([float(given.get(name, otherwise)) for name in modalities])
