"""A loss at weights and on clicks that all toolkits share, and down its gradients from there."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from peer_case import Floats
from torch import Tensor

TABLE, PROJECTION = 10.0, 0.001
"""How far a step goes down the gradients: tables and the projection each move the loss by
thousandths."""

Placed = Sequence[tuple[Tensor, Floats, float]]
"""Parameters of a toolkit, what stands in them, and `TABLE` or `PROJECTION`."""


def losses(loss: Callable[[], Tensor], placed: Placed) -> dict[str, float]:
    """Two figures: who finds both alike has the same scores, the same loss and the same gradients.

    Afterwards parameters are as they were.
    """
    parameters = [parameter for parameter, _, _ in placed]
    kept = [parameter.detach().clone() for parameter in parameters]
    with torch.no_grad():
        for parameter, values, _ in placed:
            parameter.copy_(torch.from_numpy(np.ascontiguousarray(values)))
    before = loss()
    slopes = torch.autograd.grad(before, parameters)
    with torch.no_grad():
        for (parameter, _, rate), slope in zip(placed, slopes, strict=True):
            parameter.sub_(slope, alpha=rate)
        after = loss()
        for parameter, values in zip(parameters, kept, strict=True):
            parameter.copy_(values)
    return {"loss": before.item(), "loss after a step": after.item()}
