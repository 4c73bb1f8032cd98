"""Matrix factorisation on IDs alone."""

from __future__ import annotations

from pydantic import NonNegativeFloat
from torch import Tensor

from fusionlab.fusion.contract import Fusion
from fusionlab.recommenders.contract import (
    RECOMMENDERS,
    Batch,
    Context,
    IdRows,
    Recommender,
    Touched,
)
from fusionlab.recommenders.factors import IdFactors


@RECOMMENDERS.register("bpr_mf")
class BprMf(Recommender):
    """Users and items are vectors: s(u, i) = <p_u, q_i> + b_i. No content.

    Options:
        l2: weight of the squared factors that a step touches

    Source: Rendle et al. 2009, BPR: Bayesian personalized ranking from implicit feedback.
    """

    def __init__(
        self, context: Context, fusion: Fusion | None, *, l2: NonNegativeFloat = 1e-2
    ) -> None:
        super().__init__(context, fusion)
        self.ids = IdFactors(context, l2)

    def user_factors(self, users: Tensor) -> Tensor:
        """[p_u, 1]."""
        return self.ids.user(users)

    def item_factors(self, items: Tensor) -> Tensor:
        """[q_i, b_i]."""
        return self.ids.item(items)

    def id_rows(self, batch: Batch) -> IdRows:
        """p, q and b."""
        return self.ids(batch)

    def penalty(self, touched: Touched) -> Tensor:
        """The L2 penalty on the factors."""
        return self.ids.penalty(touched)
