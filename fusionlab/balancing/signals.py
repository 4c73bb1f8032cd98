"""What each modality says alone, and how it learns: signals for the history of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace

import torch
from torch import Tensor, nn

from fusionlab.balancing.contract import Balancer, Step, name_of
from fusionlab.returned import check_returned, tensors_returned

SIGNALS = ("loss", "certainty", "gradient", "speed")
"""Kinds of them: ``loss.text`` is that of the modality text."""


class Signals:
    """Signals of the modalities that a balancer knows, by epoch, in the history ``kind.modality``.

    - ``loss``, ``certainty``: the mean loss and the mean probability of what is right in the light
      of one modality alone (`Step.loss`, `Step.certainty`);
    - ``gradient``: |g_m|, the norm of the gradient that the step leaves for the parameters which
      belong to modality m alone, whatever the balancer has made of it; nothing for a modality
      without such parameters;
    - ``speed``: 1 - L_m(t) / L_m(t - 1), the relative fall of the loss from the last epoch;
    - what the balancer tells (`Balancer.told`), and ``heard_loss``, ``heard_certainty`` of the
      coalitions that it hears, in training mode and in each step.

    The first three are read in the first step of an epoch and every n-th after it, before the
    parameters move: losses in evaluation mode and without gradients, so nothing is drawn and
    training keeps its bits. They are read alike with every balancer, so that rows compare; those
    of few steps an epoch are noisy. Means are over examples that count, of gradients over steps;
    nothing leaves the device before the epoch's end.

    Source of ``speed``: Chen et al. 2018, GradNorm, whose inverse training rate L(t) / L(0) it
        takes from epoch to epoch. Wu et al. 2022, Characterizing and overcoming the greedy nature
        of learning, measure speed by gradients against parameters; |g_m| is that numerator's root.

    Args:
        balancer: what names the modalities.
        model: is in evaluation mode while signals are read.
        every: n; 0: what the balancer hears and tells alone.
        aside: the setting in which the model computes then.
    """

    def __init__(
        self,
        balancer: Balancer,
        model: nn.Module,
        every: int,
        aside: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self.balancer, self.model, self.every, self.aside = balancer, model, every, aside
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, Tensor] = {}

    @torch.no_grad()
    def hear(self, step: Step, number: int) -> None:
        """Add the step of this number, from 0, after its backward pass and before its update."""
        self._add_losses(step, "heard_")
        self._add_told()
        several = step.fusion is not None and len(self.balancer.modalities) > 1
        if several and self.every and number % self.every == 0:
            self._add_losses(self._alone(step))
            self._add_gradients(step)

    def of_the_epoch(self, before: Sequence[Mapping[str, float]] = ()) -> dict[str, float]:
        """The means since the last call, and speeds from the entry ``before`` if there is one."""
        found = self._means()
        for entry in before:
            found |= self._speeds(entry, found)
        return found

    def _alone(self, step: Step) -> Step:
        """The step as each modality alone says it, in evaluation mode."""
        with evaluating(self.model), self.aside():
            return replace(step, said=step.listen(self.balancer.alone))

    def _add_losses(self, step: Step, how: str = "") -> None:
        for coalition, said in step.said.items():
            name, count = name_of(coalition, self.balancer.modalities), said.counted.sum()
            self._add(f"{how}loss.{name}", step.loss(coalition), count)
            self._add(f"{how}certainty.{name}", step.certainty(coalition), count)

    def _add_gradients(self, step: Step) -> None:
        for name in self.balancer.modalities:
            if own := step.own(name):
                norm = nn.utils.get_total_norm([p.grad for p in own if p.grad is not None])
                norm = norm.to(own[0].device)  # of nothing it is on the CPU
                self._add(f"gradient.{name}", norm, torch.ones_like(norm))

    def _add_told(self) -> None:
        for kind, values in tensors_returned(self.balancer, "told", self.balancer.told()).items():
            count = len(self.balancer.names(kind, values.numel()))
            check_returned(self.balancer, "told", repr(kind), values, (count,), "(M,) or (M + 1,)")
            known = ~values.isnan()
            self._add(kind, values.nan_to_num(0), known)

    def _add(self, key: str, value: Tensor, count: Tensor) -> None:
        self.sums[key] = self.sums.get(key, 0) + value.detach().float() * count
        self.counts[key] = self.counts.get(key, 0) + count

    def _means(self) -> dict[str, float]:
        """Of what was read since the last call; nothing of what no example had."""
        if not self.sums:
            return {}
        pairs = [torch.cat([x.flatten() for x in d.values()]) for d in (self.sums, self.counts)]
        totals, counts = torch.stack([x.double() for x in pairs]).tolist()
        names = [name for key, x in self.sums.items() for name in self._names(key, x)]
        self.sums, self.counts = {}, {}
        return {
            name: total / count
            for name, total, count in zip(names, totals, counts, strict=True)
            if count
        }

    def _names(self, key: str, of: Tensor) -> list[str]:
        return self.balancer.names(key, len(of)) if of.ndim else [key]

    def _speeds(self, before: Mapping[str, float], now: Mapping[str, float]) -> dict[str, float]:
        keys = {name: f"loss.{name}" for name in self.balancer.modalities}
        return {
            f"speed.{name}": 1 - now[key] / before[key]
            for name, key in keys.items()
            if key in now and before.get(key, 0) > 0
        }


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """In evaluation mode, then each module as it was."""
    trained = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in trained:
            module.training = True
