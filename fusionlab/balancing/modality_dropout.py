"""Modality dropout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
from pydantic import Field

from fusionlab.balancing.contract import BALANCERS, Balancer
from fusionlab.data.dropout import drop_modalities
from fusionlab.data.features import ItemFeatures
from fusionlab.spaces import Range, Spaces


@BALANCERS.register("modality_dropout")
class ModalityDropout(Balancer):
    """L(x with each m masked where u_m < rate),  u_m ~ U(0, 1) an item and modality

    An item's last modality stays: where all would go, that with the largest u_m is kept.
    ``training.modality_dropout`` is the same beside any other balancer; both together drop twice.

    Options:
        rate: chance that an item loses a modality in a step

    Source: Neverova et al. 2016, ModDrop: adaptive multi-modal gesture recognition.
    """

    space: ClassVar[Spaces] = {"rate": Range(low=0.05, high=0.6)}

    def __init__(
        self, modalities: Sequence[str], *, rate: Annotated[float, Field(ge=0, lt=1)] = 0.1
    ) -> None:
        super().__init__(modalities)
        self.rate = rate

    @property
    def trains(self) -> str:
        """Dropout, at a rate above 0."""
        return "dropout" if self.rate else ""

    def inputs(self, items: ItemFeatures, generator: torch.Generator) -> ItemFeatures:
        """The items with fewer modalities."""
        return drop_modalities(items, self.rate, generator)
