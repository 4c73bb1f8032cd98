"""EASE: the linear model of items by items, in closed form."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import PositiveFloat
from torch import Tensor

from fusionlab.data.features import ItemFeatures
from fusionlab.data.interactions import Clicks
from fusionlab.errors import FusionlabError
from fusionlab.fusion.contract import Fusion
from fusionlab.recommenders.by_history import ByHistory
from fusionlab.recommenders.co_clicks import co_clicks
from fusionlab.recommenders.contract import RECOMMENDERS, Context
from fusionlab.recommenders.ranker import Ranker
from fusionlab.recommenders.step import ItemViews
from fusionlab.spaces import Range, Spaces

MOST_ITEMS = 30_000
"""More items need matrices that few machines hold."""


@RECOMMENDERS.register("ease")
class Ease(ByHistory):
    """Predict each click from the user's other clicks by ridge regression: S = X B. No content.

    B = I - P diag(1 / diag P),  P = (X^T X + l2 I)^-1

    the minimum of |X - X B|^2 + l2 |B|^2 with diag B = 0, X (U, N) the train clicks. Nothing is
    trained by gradient. P is found in float64 from exact counts, by Cholesky's factors, and B is
    rounded once to float32: its entries are right to six digits of the largest of them. Time
    O(N^3), memory 24 N^2 bytes while it is solved and 4 N^2 after.

    Options:
        l2: strength of the ridge, in clicks: it is added to the number of clicks of each item

    Source: Steck 2019, Embarrassingly shallow autoencoders for sparse data.
    """

    space: ClassVar[Spaces] = {"l2": Range(low=1.0, high=1e4, log=True)}
    weights: Tensor

    def __init__(
        self, context: Context, fusion: Fusion | None, *, l2: PositiveFloat = 200.0
    ) -> None:
        super().__init__(context, fusion)
        if self.n_items > MOST_ITEMS:
            raise FusionlabError(
                f"recommender 'ease': found {self.n_items:,} items, whose matrices of all items by "
                f"all items need {24e-9 * self.n_items**2:,.0f} GB; expected at most "
                f"{MOST_ITEMS:,}; `item_knn` keeps a few neighbours an item instead"
            )
        self.know(context.clicks)
        self.register_buffer("weights", item_weights(context.clicks, l2), persistent=False)

    def ranker(self, items: ItemViews | None, features: ItemFeatures | None = None) -> Ranker:
        """Scores X B."""
        return _EaseRanker(self, items)


def item_weights(clicks: Clicks, l2: float) -> Tensor:
    """B (N, N), from an item of the history (row) to a candidate (column).

    Raises:
        FusionlabError: ``l2`` is so small that float64 sees no inverse.
    """
    n = clicks.n_items
    gram = torch.empty(n, n, dtype=torch.float64)
    for rows, counts in co_clicks(clicks):
        gram[rows] = torch.from_numpy(counts.toarray())
    gram.diagonal().add_(l2)
    factor, failed = torch.linalg.cholesky_ex(gram)
    if failed:
        raise FusionlabError(
            f"recommender.l2: found {l2}, with which the matrix of co-clicks cannot be inverted; "
            "expected a larger number, as a rule 10 to 1000"
        )
    inverse = torch.cholesky_inverse(factor, out=gram)
    del factor
    inverse.div_(-inverse.diagonal().clone())
    inverse.diagonal().zero_()
    return inverse.float()


class _EaseRanker(Ranker):
    recommender: Ease

    def __call__(self, users: Tensor) -> Tensor:
        return self.recommender.history.sums(users, self.recommender.weights)
