"""Modality-specific learning rates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

import torch
from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor

from fusionlab.balancing.contract import BALANCERS, Balancer, Epoch, Step, by_modality
from fusionlab.fusion.contract import MODALITY


@BALANCERS.register("mslr")
class Mslr(Balancer):
    """theta_m <- theta_m + f_m U(theta_m),  f_m <- f_m mean_W(l_m) / l_m after every W validations

    theta_m are the parameters that belong to modality m alone, U is the step that AdamW would make
    with the common learning rate, so f_m is a factor of modality m's learning rate (decay of
    weights included). l_m is the loss of m alone on validation and mean_W that of the last W: a
    modality whose loss falls learns faster, one that overfits slower.

    In the paper the rates themselves are given by modality, as found in unimodal training, and the
    ratio is one of accuracies; a ranking loss has none, so the losses stand upside down. A modality
    without a loss (no validation example has it) keeps its factor.

    Options:
        keep: f_m at the start by modality; 1 for those that are not named
        dynamic: let f_m follow validation; otherwise it is kept
        window: W, validations

    Source: Yao and Mihalcea 2022, Modality-specific learning rates for effective multimodal
        additive late-fusion.
    """

    owners = 1
    factors: Tensor
    total: Tensor
    counted: Tensor

    def __init__(
        self,
        modalities: Sequence[str],
        *,
        keep: Annotated[Mapping[str, NonNegativeFloat] | None, MODALITY] = None,
        dynamic: bool = True,
        window: PositiveInt = 5,
    ) -> None:
        super().__init__(modalities)
        self.validates, self.window = dynamic, window
        self.register_buffer("factors", by_modality(keep or {}, modalities, 1.0))
        self.register_buffer("total", torch.zeros(len(modalities)))
        self.register_buffer("counted", torch.zeros((), dtype=torch.long))

    @property
    def waits(self) -> int:
        """The first window."""
        return self.window if self.validates else 0

    @torch.no_grad()
    def update(self, step: Step, descend: Callable[[], object]) -> None:
        """AdamW's step, then each modality's part of it made f_m times as long."""
        # AdamW divides by the size of gradients: only what it has made of them can be scaled.
        moved = [
            (parameter, parameter.clone(), factor)
            for name, factor in zip(self.modalities, self.factors, strict=True)
            for parameter in step.own(name)
        ]
        descend()
        for parameter, before, factor in moved:
            parameter.copy_(torch.lerp(before, parameter, factor.to(parameter.dtype)))

    def after_epoch(self, epoch: Epoch) -> None:
        """Move the factors where a window is full."""
        if not self.validates:
            return
        losses = self.total.new_tensor([epoch.valid[one] for one in self.alone])
        self.total += losses
        self.counted += 1
        if int(self.counted) == self.window:
            trend = self.total / self.window / losses.clamp(min=1e-12)
            self.factors.mul_(torch.where(losses > 0, trend, 1))
            self.total.zero_()
            self.counted.zero_()

    def told(self) -> dict[str, Tensor]:
        """The factors."""
        return {"rate": self.factors}
