"""A loss at weights and on clicks that all toolkits share, and what a step of Adam makes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from peer_case import Floats
from torch import Tensor

RATE = 1e-3
Placed = Sequence[tuple[Tensor, Floats]]
"""Parameters of a toolkit, and what stands in them."""


def losses(loss: Callable[[], Tensor], placed: Placed) -> dict[str, float]:
    """Two figures: who finds both alike has the same scores, the same loss and the same gradients.

    Afterwards parameters are as they were.
    """
    parameters = [parameter for parameter, _ in placed]
    kept = [parameter.detach().clone() for parameter in parameters]
    with torch.no_grad():
        for parameter, values in placed:
            parameter.copy_(torch.from_numpy(np.ascontiguousarray(values)))
    optimizer = torch.optim.Adam(parameters, RATE)
    before = loss()
    slopes = torch.autograd.grad(before, parameters)
    for parameter, slope in zip(parameters, slopes, strict=True):
        parameter.grad = slope
    optimizer.step()
    after = loss()
    with torch.no_grad():
        for parameter, values in zip(parameters, kept, strict=True):
            parameter.copy_(values)
            parameter.grad = None
    return {"loss": before.item(), "loss after a step": after.item()}
