"""What a trained model is tuned on: new clicks, and old ones again so that it does not forget."""

from __future__ import annotations

import torch
from torch import Tensor


class Replay:
    """An epoch of every new click once beside old clicks, drawn anew for each epoch.

    Of n new clicks and a ``share`` s, n s / (1 - s) old ones are drawn without replacement, or all
    there are if that is fewer: they are the share s of the epoch.

    Source: Robins 1995, Catastrophic forgetting, rehearsal and pseudorehearsal.

    Args:
        new: (n,) positions of the new ones among the ``count`` train clicks, on the device.
        share: of old clicks in an epoch, 0 <= s < 1.
    """

    def __init__(self, new: Tensor, count: int, share: float) -> None:
        self.new = new
        is_old = torch.ones(count, dtype=torch.bool, device=new.device)
        is_old[new] = False
        self.old = is_old.nonzero().flatten()
        self.count = min(round(len(new) * share / (1 - share)), len(self.old))

    def draw(self, generator: torch.Generator) -> Tensor:
        """The positions (n',) that an epoch trains."""
        device = self.old.device
        order = torch.randperm(len(self.old), generator=generator, device=device)
        return torch.cat([self.new, self.old[order[: self.count]]])
