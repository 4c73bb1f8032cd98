"""Hybrid recommendation: user vectors meet item content, beside ID factors."""

from __future__ import annotations

from typing import ClassVar

from pydantic import NonNegativeFloat
from torch import Tensor, nn

from fusionlab.fusion.contract import Fusion
from fusionlab.recommenders.contract import RECOMMENDERS, Context
from fusionlab.recommenders.factors import IdFactors, WithIds, check_ids
from fusionlab.recommenders.rows import take_rows
from fusionlab.recommenders.step import ItemViews, Touched
from fusionlab.spaces import Range, Spaces


@RECOMMENDERS.register("hybrid")
class Hybrid(WithIds):
    """Content views against user vectors, plus an ID score.

    s(u, i) = combine_k <t_uk, v_ik> + <p_u, q_i> + b_i

    t_u (K, D) are the user's learned tastes, v_i the fused views of the item. Without ``item_ids``
    the ID score is left out and an item is nothing but its content.

    Options:
        item_ids: add the ID score <p_u, q_i> + b_i
        l2: weight of the squared tastes, views and ID factors that a step touches

    Source: He and McAuley 2016, VBPR: visual Bayesian personalized ranking from implicit feedback.
    """

    space: ClassVar[Spaces] = {"l2": Range(low=1e-4, high=1e-1, log=True)}
    uses_content = True

    def __init__(
        self,
        context: Context,
        fusion: Fusion | None,
        *,
        item_ids: bool = True,
        l2: NonNegativeFloat = 1e-2,
    ) -> None:
        super().__init__(context, fusion)
        assert fusion is not None
        check_ids(item_ids, fusion)
        self.l2 = l2
        self.tastes = nn.Embedding(self.n_users, fusion.n_views * context.dim)
        nn.init.normal_(self.tastes.weight, std=0.01)
        self.ids = IdFactors(context, l2) if item_ids else None

    def user_views(
        self, users: Tensor, items: ItemViews, leave_out: Tensor | None = None
    ) -> Tensor:
        """The learned tastes; they hold no history, so there is nothing to leave out."""
        return take_rows(self.tastes.weight, users).unflatten(1, items.views.shape[1:])

    def view_scores(self, touched: Touched) -> Tensor:
        """Computed together with the size that `penalty` reads."""
        return touched.view_scores_and_size[0]

    def penalty(self, touched: Touched) -> Tensor:
        """The L2 penalty on both sides of both products: tastes and views, p and q.

        Were the views free, a fusion could grow to make up for small tastes.
        """
        _, size = touched.view_scores_and_size
        content = self.l2 / (2 * len(touched.batch.users)) * size
        of_ids = super().penalty(touched)
        return content if of_ids is None else content + of_ids
