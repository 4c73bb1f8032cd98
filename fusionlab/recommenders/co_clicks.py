"""How often two items were clicked by the same users, a block of items at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from fusionlab.data.interactions import Clicks

if TYPE_CHECKING:
    from scipy import sparse

BLOCK = 1024


def co_clicks(clicks: Clicks) -> Iterator[tuple[slice, sparse.csr_array]]:
    """Blocks of rows of X^T X, X (U, N) the train clicks: rows, and their counts (n, N) as CSR.

    Counts are exact; an item's count with itself is its number of clicks.
    """
    from scipy import sparse  # here: importing SciPy slows every start

    shape = clicks.n_users, clicks.n_items
    ones = np.ones(len(clicks))
    x = sparse.csr_array((ones, clicks.items.numpy(), clicks.indptr.numpy()), shape=shape)
    by_item = x.T.tocsr()
    for start in range(0, clicks.n_items, BLOCK):
        rows = slice(start, min(start + BLOCK, clicks.n_items))
        yield rows, by_item[rows] @ x
