"""Content-based recommendation: a user is what they clicked."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fusionlab.data.distinct import Distinct
from fusionlab.data.interactions import Clicks
from fusionlab.fusion.contract import Fusion
from fusionlab.recommenders.by_history import ByHistory
from fusionlab.recommenders.contract import RECOMMENDERS, Context
from fusionlab.recommenders.profiles import Mean, Profile
from fusionlab.recommenders.rows import take_rows
from fusionlab.recommenders.step import Batch, ItemViews


@RECOMMENDERS.register("content")
class Content(ByHistory):
    """Rank by the product of an item's views with the mean views of the user's history.

    s(u, i) = combine_k <p_uk, v_ik>,  p_u = sum_j c_j w_j v_j / sum_j c_j w_j over the history of u

    In training the clicked item itself is left out of the profile:
    (sum - c_i w_i v_i) / (weights - c_i w_i); a profile that held it would rank it first for no
    reason but that. Nothing belongs to a user but the history, so users never seen in training are
    served the same way.

    Options:
        profile: how the history is weighted (default: every item the same)
    """

    uses_content = True

    weights: Tensor

    def __init__(
        self, context: Context, fusion: Fusion | None, *, profile: Profile | None = None
    ) -> None:
        super().__init__(context, fusion)
        self.profile = profile or Mean()
        self.profile.prepare(context.dim)
        self.know(context.clicks)
        self.clicked = Distinct(self.n_items)

    def know(self, clicks: Clicks) -> None:
        """Take the rows of ``clicks``, weighted, for the users."""
        super().know(clicks)
        self.register_buffer("weights", self.profile.click_weights(clicks), persistent=False)
        self.distinct = Distinct(self.n_users)

    def items_needed(self, batch: Batch) -> list[Tensor]:
        """The candidates and the whole history of the batch's users."""
        users, _ = self.distinct([batch.users])
        return [batch.candidates, self.history.items[self.history.clicks_of(users)[0]]]

    def user_views(
        self, users: Tensor, items: ItemViews, leave_out: Tensor | None = None
    ) -> Tensor:
        """The weighted mean of the history's views, without the clicks ``leave_out``."""
        distinct, position = self.distinct([users])
        clicks, offsets = self.history.clicks_of(distinct)
        if items.position is None:  # of the whole catalogue what these users clicked
            items = items.only(*self.clicked([self.history.items[clicks]]))
        views = items.views
        item_weights = self.profile.item_weights(views) * items.present
        weighted = torch.cat([views * item_weights[..., None], item_weights[..., None]], -1)
        table = weighted.flatten(1)
        sums = F.embedding_bag(
            items.rows(self.history.items[clicks]),
            table,
            offsets,
            mode="sum",
            per_sample_weights=self.weights[clicks].to(table.dtype),
        )
        sums = take_rows(sums, position[users])
        if leave_out is not None:
            own = take_rows(table, items.rows(self.history.items[leave_out]))
            sums = sums - self.weights[leave_out, None].to(table.dtype) * own
            indptr = self.history.indptr
            only_one = (indptr[users + 1] - indptr[users]) == 1
            sums = sums.masked_fill(only_one[:, None], 0)
        sums = sums.unflatten(1, weighted.shape[1:])
        total, weight = sums[..., :-1], sums[..., -1:]
        # After a subtraction a weight may be a rounding error away from zero: then nothing is left.
        empty = weight <= 1e-5
        return torch.where(empty, 0, total / torch.where(empty, 1, weight))
