"""A step's gradient in parts, where the memory does not hold the whole step."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from fusionlab.balancing.contract import BALANCERS, Balancer, Step
from fusionlab.data.memory import out_of_memory
from fusionlab.errors import ConfigError
from fusionlab.sections import Training


class MicroBatches:
    """Goes through a step of B examples in parts of at most m, and adds up their gradients.

    g = sum over parts p of (B_p / B) dL_p/dw

    which is the gradient of the whole step where its loss is a mean over examples. Means over
    something else (the items of a strategy's penalty, the examples that have a view) are taken part
    by part. Negatives are drawn before, for the whole step. What the last part says of single
    modalities is what signals read.

    With ``auto`` m begins as B and is halved whenever the memory refuses a step, which then begins
    anew; it does not rise again. How often that happens is the machine's matter, so such a run is
    repeated to the bit on a machine alike at best.

    Args:
        balancer: one that leaves the loss and its gradients as they are.
        training: ``micro_batch`` and ``batch_size``.
    """

    def __init__(self, balancer: Balancer, training: Training) -> None:
        asked, self.balancer = training.micro_batch, balancer
        check_micro_batch(training, type(balancer))
        self.halves = asked == "auto"
        self.size = training.batch_size if asked == "auto" else asked

    def backward(
        self, batch: Any, step: Callable[[Any], Step], clear: Callable[[], None]
    ) -> tuple[Step, Tensor, Tensor | None]:
        """Leave the gradients of a batch; its last part's step, its loss and its examples.

        ``step`` takes a part forward; ``clear`` leaves no gradients.
        """
        while True:
            clear()
            try:
                return self._through(batch, step)
            except (MemoryError, RuntimeError) as error:
                if not self.halves or self.size == 1 or not out_of_memory(error):
                    raise
            self._halve(len(batch))  # here, where the error holds no tensor of the step any more

    def _through(
        self, batch: Any, step: Callable[[Any], Step]
    ) -> tuple[Step, Tensor, Tensor | None]:
        if self.size is None or self.size >= len(batch):
            one = step(batch)
            return one, self.balancer.backward(one), one.examples
        losses: list[Tensor] = []
        examples: list[Tensor] = []
        for part in batch.split(self.size):
            one = step(part)
            scaled = replace(one, joint=one.joint * (len(part) / len(batch)))
            losses.append(self.balancer.backward(scaled))
            examples += () if one.examples is None else (one.examples,)
        return one, torch.stack(losses).sum(), torch.cat(examples) if examples else None

    def _halve(self, examples: int) -> None:
        self.size = max(min(self.size or examples, examples) // 2, 1)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        warnings.warn(
            f"training.micro_batch: the memory does not hold a step of {examples} examples; going "
            f"on with {self.size} at once",
            stacklevel=2,
        )


def check_micro_batch(training: Training, balancer: type[Balancer]) -> None:
    """Refuse `training.micro_batch` for a balancer that reads or changes the losses or the
    gradients of whole steps."""
    if training.micro_batch is None or _additive(balancer):
        return
    working = ", ".join(name for name in BALANCERS.names() if _additive(BALANCERS[name]))
    raise ConfigError(
        [
            (
                ("training", "micro_batch"),
                f"found a value beside the balancer {balancer.name!r}, which reads or changes what "
                f"a whole step says; expected null, or one of the balancers: {working}",
            )
        ]
    )


def _additive(balancer: type[Balancer]) -> bool:
    changed = ("coalitions", "loss", "backward", "update", "told", "teachers")
    return all(getattr(balancer, name) is getattr(Balancer, name) for name in changed)
