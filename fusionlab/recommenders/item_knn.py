"""Neighbours by co-clicks: items that the same users clicked."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor

from fusionlab.data.features import ItemFeatures
from fusionlab.data.interactions import Clicks
from fusionlab.fusion.contract import Fusion
from fusionlab.recommenders.by_history import ByHistory
from fusionlab.recommenders.co_clicks import co_clicks
from fusionlab.recommenders.contract import RECOMMENDERS, Context
from fusionlab.recommenders.ranker import Ranker
from fusionlab.recommenders.sparse_rows import SparseRows, entries_of
from fusionlab.recommenders.step import ItemViews
from fusionlab.spaces import Range, Spaces

if TYPE_CHECKING:
    from scipy import sparse


@RECOMMENDERS.register("item_knn")
class ItemKnn(ByHistory):
    """Items like those in the history: s(u, i) = sum_j sim(j, i), j in u's history and i one of the
    k nearest neighbours of j. No content.

    sim(j, i) = n_ji / (sqrt(n_j n_i) + shrinkage), n_ji the users who clicked both: the cosine of
    the items' columns of clicks, less where it rests on few users. Where similarities are equal the
    item that stands first in the catalogue is nearer. Nothing is trained by gradient; memory is
    O(N k), and items without a train click are neighbours of none.

    Options:
        neighbours: k
        shrinkage: what is added to the denominator, in clicks

    Source: Deshpande and Karypis 2004, Item-based top-N recommendation algorithms.
    """

    space: ClassVar[Spaces] = {
        "neighbours": Range(low=10, high=1000, log=True),
        "shrinkage": Range(low=0.0, high=200.0),
    }

    def __init__(
        self,
        context: Context,
        fusion: Fusion | None,
        *,
        neighbours: PositiveInt = 200,
        shrinkage: NonNegativeFloat = 50.0,
    ) -> None:
        super().__init__(context, fusion)
        self.know(context.clicks)
        self.similar = SparseRows(nearest(context.clicks, neighbours, shrinkage))

    def ranker(self, items: ItemViews | None, features: ItemFeatures | None = None) -> Ranker:
        """Scores from the neighbours of the history."""
        return _ItemKnnRanker(self, items)


def nearest(clicks: Clicks, k: int, shrinkage: float) -> sparse.csr_array:
    """Similarities (N, N) with at most ``k`` entries a row, those of the row's nearest items."""
    from scipy import sparse  # here: importing SciPy slows every start

    clicked = clicks.popularity.numpy()
    blocks = []
    for rows, counts in co_clicks(clicks):
        block = counts.tocoo()
        row, column = block.row + rows.start, block.col
        other = row != column
        row, column, both = row[other], column[other], block.data[other]
        # both / (sqrt(n m) + shrinkage), rounded so that cosines that are equal are equal numbers
        value = 1 / (np.sqrt(clicked[row] * clicked[column] / both**2) + shrinkage / both)
        order = np.lexsort((column, -value, row))
        row, column, value = row[order], column[order], value[order]
        place = np.arange(len(row)) - np.searchsorted(row, row)
        kept = place < k
        shape = rows.stop - rows.start, clicks.n_items
        at = row[kept] - rows.start, column[kept]
        blocks.append(sparse.coo_array((value[kept], at), shape=shape).tocsr())
    return sparse.vstack(blocks, format="csr")


class _ItemKnnRanker(Ranker):
    recommender: ItemKnn

    def __call__(self, users: Tensor) -> Tensor:
        history, similar = self.recommender.history, self.recommender.similar
        items = history.items[history.clicks_of(users)[0]]
        near, _ = entries_of(similar.starts, items)
        row = torch.arange(len(users), device=users.device)
        row = row.repeat_interleave(history.indptr.diff()[users])
        row = row.repeat_interleave(similar.starts.diff()[items])
        n_items = self.recommender.n_items
        scores = similar.weights.new_zeros(len(users) * n_items)
        at = row * n_items + similar.columns[near]
        return scores.index_add_(0, at, similar.weights[near]).view(len(users), n_items)
