"""What a recommender is: user views x item views -> scores, with any fusion in between.

Shapes: B rows of a batch, C candidates a row, N items of the catalogue, K views, D width of a view,
E width of the ID factors.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from fusionlab.data.features import ItemFeatures
from fusionlab.data.interactions import Clicks
from fusionlab.data.situations import Situations
from fusionlab.errors import FusionlabError
from fusionlab.fusion.contract import FusedItems, Fusion, Objective, combined
from fusionlab.plugins import place
from fusionlab.recommenders.ranker import Ranker
from fusionlab.recommenders.situation import situation_of
from fusionlab.recommenders.step import Batch, IdRows, ItemViews, Touched
from fusionlab.registry import Registry
from fusionlab.returned import check_returned
from fusionlab.spaces import Spaces

if TYPE_CHECKING:
    from fusionlab.data.synthetic import Truth


@dataclass(frozen=True)
class Context:
    """What a recommender may know when it is built: train clicks, widths, seed, a known truth, the
    features of all N items as the model sees them, on its device, and what the context of clicks
    means."""

    clicks: Clicks
    dim: int
    seed: int = 0
    truth: Truth | None = None
    features: ItemFeatures | None = None
    situations: Situations | None = None

    def __deepcopy__(self, memo: object) -> Context:
        return self  # nothing in it changes: copies of a recommender share it


class Recommender(nn.Module):
    """Scores items for users.

    Args:
        context: the train clicks, the width D and the seed.
        fusion: the strategy that makes item views; not kept by a recommender that uses none.

    A score is ``fusion.combine`` of the products of user and item views, plus the product of the
    ID factors where the recommender has them. Either may be absent.
    """

    name: ClassVar[str]
    uses_content: ClassVar[bool] = False
    """Does it read item features through the fusion?"""
    reads_features: ClassVar[bool] = False
    """Does it read item features itself (`Context.features`), beside a fusion or without one?"""
    by_history: bool = False
    """Is a user nothing but a history? Then `of_people` serves people that training never saw."""
    on_ids: ClassVar[str] = "bpr_mf"
    """The recommender that is this one without its content: what a fusion inside it has to beat."""

    space: ClassVar[Spaces] = MappingProxyType({})
    """Which of its options are worth tuning, and where a tuner looks for them."""

    def __init__(self, context: Context, fusion: Fusion | None) -> None:
        super().__init__()
        self.context = context
        self.n_users, self.n_items = context.clicks.n_users, context.clicks.n_items
        self.fusion = fusion if self.uses_content else None
        lacks = "features in its context" * (self.reads_features and context.features is None)
        if self.uses_content and fusion is None:
            lacks = "a fusion"
        if lacks:
            raise FusionlabError(
                f"recommender {self.name!r} reads item features: found none, expected {lacks}"
            )
        self.situation = situation_of(context.situations, self.fusion, context.dim)

    @property
    def trainable(self) -> bool:
        """Has it anything to train? A closed-form fusion under a plain profile has nothing."""
        return any(p.requires_grad for p in self.parameters())

    def of_people(self, clicks: Clicks) -> Recommender:
        """The same recommender, with all that it has learned, for other people: the rows of
        ``clicks`` (P rows, N items or more: those beyond N were added after training). Only of
        those who are `by_history`."""
        raise NotImplementedError(f"{type(self).__name__} serves the users of its training alone")

    # Item side

    def items_needed(self, batch: Batch) -> list[Tensor]:
        """The items whose views this step reads (with repetitions, any shapes)."""
        return [batch.candidates]

    def fuse(self, items: ItemFeatures) -> FusedItems:
        """Item views of a batch of features."""
        assert self.fusion is not None
        fused: FusedItems = self.fusion(items)
        return fused

    # User side

    def user_views(
        self, users: Tensor, items: ItemViews, leave_out: Tensor | None = None
    ) -> Tensor:
        """Views of ``users`` (B,) as (B, K, D).

        ``leave_out`` (B,) are positions of train clicks: row b's view must not know that click, or
        training would be shown the answer. A recommender whose `ranker` is its own needs none.
        """
        raise FusionlabError(
            f"{place(type(self))}: found neither user_views nor a ranker, expected "
            "def user_views(self, users, items, leave_out=None)"
        )

    def views_of(self, users: Tensor, items: ItemViews, leave_out: Tensor | None = None) -> Tensor:
        """`user_views`, held against its shape."""
        found = self.user_views(users, items, leave_out)
        shape = (len(users), *items.views.shape[1:])
        check_returned(self, "user_views", "views", found, shape, "(B users, K, D)")
        return found

    # IDs

    def user_factors(self, users: Tensor) -> Tensor | None:
        """ID factors of ``users`` (B,) as (B, E), or None."""
        return None

    def item_factors(self, items: Tensor) -> Tensor | None:
        """ID factors of ``items`` (...,) as (..., E), or None."""
        return None

    def id_rows(self, batch: Batch) -> IdRows | None:
        """The ID factors that a training step reads, or None."""
        users, items = self.user_factors(batch.users), self.item_factors(batch.candidates)
        return None if users is None or items is None else IdRows(users, items)

    # Training

    def touch(self, batch: Batch, items: ItemViews | None) -> Touched:
        """Look up everything that the scores and the penalty of a step are made of."""
        ids = self.id_rows(batch)
        if items is None:
            return Touched(batch, None, None, ids)
        return replace(self.touch_content(batch, items, batch.clicks), ids=ids)

    def touch_content(self, batch: Batch, items: ItemViews, leave_out: Tensor | None) -> Touched:
        """The views alone of both sides, without what users know of the clicks ``leave_out``."""
        return Touched(batch, items, self.views_of(batch.users, items, leave_out), None)

    def penalty(self, touched: Touched) -> Tensor | None:
        """The recommender's own loss term for a step, e.g. the size of what the step touches."""
        return None

    # Scores

    @property
    def trains_by_view(self) -> bool:
        """Does each view (and the ID score) have a loss of its own?"""
        return self.fusion is not None and self.fusion.objective is Objective.VIEWS

    def pair_scores(self, touched: Touched) -> Tensor:
        """Scores of a step's candidates (B, C): the combined views plus the ID score."""
        ids = touched.ids
        if touched.items is None:
            assert ids is not None
            return ids.scores()
        scores = self._combined(touched, self.view_scores(touched))
        return scores if ids is None else scores + ids.scores()

    def view_scores(self, touched: Touched) -> Tensor:
        """Scores of a step's candidates by view (B, C, K)."""
        return touched.view_scores

    def scores_by_view(self, touched: Touched) -> list[tuple[Tensor, Tensor]]:
        """For each view, and for the ID score as one more: scores of the candidates (B, C), and
        the rows (B,) bool that count, those whose clicked item has the view."""
        present = touched.present[:, 0]
        by_view = self.view_scores(touched)
        found = list(zip(by_view.unbind(-1), present.unbind(-1), strict=True))
        if touched.ids is None:
            return found
        return [*found, (touched.ids.scores(), torch.ones_like(present[:, 0]))]

    def content_scores(self, touched: Touched) -> Tensor:
        """Scores of a step's candidates (B, C) by the combined views alone; of a strategy whose
        views are trained apart, by the sum of those that are present."""
        by_view = self.view_scores(touched)
        if self.trains_by_view:
            return torch.where(touched.present, by_view, 0).sum(-1)
        return self._combined(touched, by_view)

    def asking(self, query: Tensor, situations: Tensor | None = None) -> Tensor:
        """What `Fusion.combine` gets to see of users with the views ``query`` (b, K, D), in
        ``situations`` (b, n); None: not known."""
        return query if self.situation is None else self.situation(query, situations)

    def _combined(self, touched: Touched, by_view: Tensor) -> Tensor:
        assert self.fusion is not None
        query = touched.query
        if query is not None:
            query = self.asking(query, touched.batch.situations)
        return combined(self.fusion, by_view, query, touched.present)

    def ranker(self, items: ItemViews | None, features: ItemFeatures | None = None) -> Ranker:
        """Everything needed to score all N items for any user, computed once.

        ``items`` are the views of the catalogue and ``features`` what they were made of, which may
        lack modalities that `Context.features` has, and have more rows: items added after training.
        None: those of the context.
        """
        return Ranker(self, items)


RECOMMENDERS: Registry[Recommender] = Registry("recommender", Recommender, "fusionlab.recommenders")
