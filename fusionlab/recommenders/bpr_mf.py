"""Matrix factorisation on IDs alone."""

from __future__ import annotations

from typing import ClassVar

from pydantic import NonNegativeFloat

from fusionlab.fusion.contract import Fusion
from fusionlab.recommenders.contract import RECOMMENDERS, Context
from fusionlab.recommenders.factors import IdFactors, WithIds
from fusionlab.spaces import Range, Spaces


@RECOMMENDERS.register("bpr_mf")
class BprMf(WithIds):
    """Users and items are vectors: s(u, i) = <p_u, q_i> + b_i. No content.

    Options:
        l2: weight of the squared factors that a step touches

    Source: Rendle et al. 2009, BPR: Bayesian personalized ranking from implicit feedback.
    """

    space: ClassVar[Spaces] = {"l2": Range(low=1e-4, high=1e-1, log=True)}

    def __init__(
        self, context: Context, fusion: Fusion | None, *, l2: NonNegativeFloat = 1e-2
    ) -> None:
        super().__init__(context, fusion)
        self.ids = IdFactors(context, l2)
