"""Matrices in compressed sparse rows whose products read only the rows asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from scipy import sparse


def entries_of(indptr: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Positions of all entries of ``rows`` (n,) of a matrix in compressed sparse rows, one row
    after the other, and where each row begins among them (n,)."""
    starts = indptr[rows]
    counts = indptr[rows + 1] - starts
    offsets = counts.cumsum(0) - counts
    within = torch.arange(int(counts.sum()), device=rows.device)
    return within + torch.repeat_interleave(starts - offsets, counts), offsets


class SparseRows(nn.Module):
    """A constant matrix (R, N), float32; it moves with the model and is not saved with it."""

    starts: Tensor
    columns: Tensor
    weights: Tensor

    def __init__(self, matrix: sparse.csr_array) -> None:
        super().__init__()
        parts = {
            "starts": matrix.indptr.astype(np.int64),
            "columns": matrix.indices.astype(np.int64),
            "weights": matrix.data.astype(np.float32),
        }
        for name, part in parts.items():
            self.register_buffer(name, torch.from_numpy(part), persistent=False)

    def columns_of(self, rows: Tensor) -> Tensor:
        """The columns of all entries of ``rows`` (n,), one row after the other."""
        return self.columns[entries_of(self.starts, rows)[0]]

    def times(
        self, table: Tensor, rows: Tensor | None = None, position: Tensor | None = None
    ) -> Tensor:
        """The rows (n,) of the matrix, default: all, times a table: (n, E), differentiable in it.

        ``position`` (N,) says which row of the table is whose; None: the table is (N, E).
        """
        if rows is None:
            columns, offsets, weights = self.columns, self.starts[:-1], self.weights
        else:
            entries, offsets = entries_of(self.starts, rows)
            columns, weights = self.columns[entries], self.weights[entries]
        at = columns if position is None else position[columns]
        weights = weights.to(table.dtype)
        return F.embedding_bag(at, table, offsets, mode="sum", per_sample_weights=weights)
