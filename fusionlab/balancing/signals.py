"""What coalitions said during an epoch, for the history of a run."""

from __future__ import annotations

import torch
from torch import Tensor

from fusionlab.balancing.contract import Balancer, Step, name_of


class Signals:
    """Means over the steps of an epoch of each coalition's loss and certainty.

    In the history they stand as ``loss.text`` and ``certainty.text``, beside what the balancer did
    (`Balancer.told`). Nothing leaves the device before the epoch's end.
    """

    def __init__(self, balancer: Balancer) -> None:
        self.balancer = balancer
        self.sums: dict[str, Tensor] = {}
        self.steps = 0

    @torch.no_grad()
    def hear(self, step: Step) -> None:
        """Add one step."""
        self.steps += 1
        for coalition in step.said:
            name = name_of(coalition, self.balancer.modalities)
            for kind, value in (("loss", step.loss), ("certainty", step.certainty)):
                key, found = f"{kind}.{name}", value(coalition).detach()
                self.sums[key] = self.sums[key] + found if key in self.sums else found

    def of_the_epoch(self) -> dict[str, float]:
        """The means since the last call, and what the balancer tells."""
        found = {name: float(total) / self.steps for name, total in self.sums.items()}
        self.sums, self.steps = {}, 0
        return found | self.balancer.told()
