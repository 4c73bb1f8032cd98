"""Numbers for tests of gradients."""

import torch


def normal(*shape):
    draw = torch.Generator().manual_seed(sum(shape))
    return torch.randn(*shape, generator=draw, dtype=torch.float64, requires_grad=True)
