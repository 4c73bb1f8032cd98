"""Rows of tables and their size, with gradients that cost no more than the rows themselves."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def take_rows(table: Tensor, rows: Tensor) -> Tensor:
    """The rows (...,) of a table (N, D) as (..., D); the gradient adds up over repeated rows.

    `F.embedding` with another gradient: that of `index_select` adds row by row in vectors, always
    in the same order, where that of an embedding calls a kernel for each row (several times slower
    on a CPU).
    """
    return table.index_select(0, rows.flatten()).view(*rows.shape, *table.shape[1:])


def squared_size(x: Tensor) -> Tensor:
    """The sum of the squares of all elements of ``x``, a scalar."""
    size: Tensor = _SquaredSize.apply(x)
    return size


class _SquaredSize(torch.autograd.Function):
    """sum x^2 with the gradient 2 g x in one pass; autograd of `square` takes three."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.square().sum()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return x * (2 * grad)
