"""A loss that is no finite number: which step it was, and of which examples."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from fusionlab.errors import FusionlabError, NotANumberError

AT_ONCE = 64
"""Steps between two looks at a GPU's losses: each look waits for the device."""


class DivergedError(FusionlabError):
    """The loss, or a score, is no finite number any more. ``examples`` (B,) are the numbers of the
    train clicks (or labelled items) of the first such step, None where it does not tell them."""

    def __init__(self, message: str, examples: Tensor | None = None) -> None:
        super().__init__(message)
        self.examples = examples


class Watch:
    """Looks at the loss of every step of an epoch: on a CPU before the step moves a parameter, on
    a GPU at most 64 steps later. What it names is the first bad step all the same."""

    def __init__(self, device: str, epoch: int, learning_rate: float) -> None:
        self.at_once = 1 if torch.device(device).type == "cpu" else AT_ONCE
        self.epoch, self.learning_rate = epoch, learning_rate
        self.steps = 0
        self.last: Tensor | None = None
        self.seen: list[tuple[Tensor, Tensor | None]] = []

    def see(self, loss: Tensor, examples: Tensor | None) -> None:
        """Take note of a step; DivergedError if its loss, or one not looked at yet, is not
        finite."""
        self.steps += 1
        self.last = examples
        kept = loss if self.at_once == 1 else loss.clone()  # a graph's output is overwritten
        self.seen.append((kept, examples))
        if len(self.seen) == self.at_once:
            self.look()

    def look(self) -> None:
        """Look at all losses that were noted since the last look."""
        losses = torch.stack([loss for loss, _ in self.seen]).tolist() if self.seen else []
        first = self.steps - len(losses) + 1
        for step, (loss, (_, examples)) in enumerate(zip(losses, self.seen, strict=True), first):
            if not math.isfinite(loss):
                raise self._diverged(f"the loss became {loss}", step, examples)
        self.seen.clear()

    @contextmanager
    def validating(self) -> Iterator[None]:
        """Scores that are NaN, where every loss was finite, are what the last step left."""
        try:
            yield
        except NotANumberError as error:
            raise self._diverged("scores became NaN", self.steps, self.last) from error

    def _diverged(self, what: str, step: int, examples: Tensor | None) -> DivergedError:
        return DivergedError(
            f"training.learning_rate: {what} in epoch {self.epoch}, step {step}, expected a finite "
            f"number; lower it (now {self.learning_rate}) or look for extreme feature values",
            examples,
        )
