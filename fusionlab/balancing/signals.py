"""What coalitions said during an epoch, for the history of a run."""

from __future__ import annotations

import torch
from torch import Tensor

from fusionlab.balancing.contract import Balancer, Step, name_of


class Signals:
    """Means over the examples of an epoch that count of each coalition's loss and certainty.

    In the history they stand as ``loss.text`` and ``certainty.text``, beside what the balancer did
    (`Balancer.told`). Nothing leaves the device before the epoch's end.
    """

    def __init__(self, balancer: Balancer) -> None:
        self.balancer = balancer
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, Tensor] = {}

    @torch.no_grad()
    def hear(self, step: Step) -> None:
        """Add one step."""
        for coalition, said in step.said.items():
            name, count = name_of(coalition, self.balancer.modalities), said.counted.sum()
            for kind, value in (("loss", step.loss), ("certainty", step.certainty)):
                key, found = f"{kind}.{name}", value(coalition).detach() * count
                self.sums[key] = self.sums.get(key, 0) + found
                self.counts[key] = self.counts.get(key, 0) + count

    def of_the_epoch(self) -> dict[str, float]:
        """The means since the last call, and what the balancer tells."""
        found = {
            key: float(total / self.counts[key].clamp(min=1)) for key, total in self.sums.items()
        }
        self.sums, self.counts = {}, {}
        return found | self.balancer.told()
