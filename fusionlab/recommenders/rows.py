"""Rows of tables and their size, with gradients that cost no more than the rows themselves."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def take_rows(table: Tensor, rows: Tensor) -> Tensor:
    """The rows (...,) of a table (N, D) as (..., D); the gradient adds up over repeated rows.

    By `index_select`, whose gradient sorts the rows and adds them up in one pass, always in the
    same order. That of `F.embedding` adds in the same order too, and calls a kernel for each row.
    """
    return table.index_select(0, rows.flatten()).view(*rows.shape, *table.shape[1:])


def squared_size(x: Tensor) -> Tensor:
    """The sum of the squares of all elements of ``x``, a scalar."""
    size: Tensor = _SquaredSize.apply(x)
    return size


class _SquaredSize(torch.autograd.Function):
    """|x|^2 with the gradient 2 g x, in one pass each; autograd takes five."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return torch.linalg.vector_norm(x).square()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return x * (2 * grad)
