"""Scoring the whole catalogue for a block of users."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from fusionlab.errors import FusionlabError
from fusionlab.fusion.contract import combined
from fusionlab.plugins import place
from fusionlab.recommenders.catalogue_product import CatalogueProduct
from fusionlab.recommenders.rows import take_rows
from fusionlab.returned import check_returned

if TYPE_CHECKING:
    from fusionlab.data.interactions import Clicks
    from fusionlab.recommenders.contract import Recommender
    from fusionlab.recommenders.step import ItemViews


class Ranker:
    """Scores the whole catalogue for a block of users.

    ``items`` may have more rows than the catalogue: they are items added after training.

    Where the fusion's weights depend on nothing but the item, they are multiplied into the item
    views, and views and ID factors together become one matrix product.
    """

    n_views = 1
    """Scores that are held at once for each one that is given back."""

    def __init__(self, recommender: Recommender, items: ItemViews | None) -> None:
        self.recommender = recommender
        self.items = self.clicked = items
        self.folded = False
        columns = []
        if items is not None:
            assert recommender.fusion is not None
            weights = recommender.fusion.fold(items.present)
            if weights is not None:
                shape = items.present.shape
                check_returned(recommender.fusion, "fold", "weights", weights, shape, "(N, K)")
                self.folded = True
                columns.append((items.views * weights[..., None]).flatten(1))
        if items is not None and not self.folded:
            self.n_views = items.views.shape[1]
        device = next((p.device for p in recommender.parameters()), torch.device("cpu"))
        self.item_factors = self.factors_of_items(torch.arange(recommender.n_items, device=device))
        if self.item_factors is not None:
            more = 0 if items is None else len(items.views) - len(self.item_factors)
            if more:  # items added after training have no ID score
                self.item_factors = F.pad(self.item_factors, (0, 0, 0, more))
            columns.append(self.item_factors)
        # put together as the product holds them, or the whole table would be copied once more
        rows = torch.cat([column.T for column in columns]) if columns else None
        self.product = None if rows is None else CatalogueProduct(rows.T)

    def of_people(self, clicks: Clicks, clicked: ItemViews | None) -> Self:
        """The same catalogue for other people, whose histories ``clicks`` (P rows) read views from
        ``clicked``; see `Recommender.of_people`."""
        other = copy.copy(self)
        other.recommender, other.clicked = self.recommender.of_people(clicks), clicked
        return other

    def __call__(self, users: Tensor) -> Tensor:
        """Scores of ``users`` (b,) for every item, (b, N), which hold until the next call."""
        return self.scores(*self.queries(users))

    def situated(self, users: Tensor, situations: Tensor) -> Tensor:
        """The same in ``situations`` (b, n), which move only a recommender that looks at them."""
        if self.recommender.situation is None:
            return self(users)
        return self.scores(*self.queries(users), situations)

    def queries(self, users: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Views of ``users`` (b,) as (b, K, D), and their ID factors (b, E)."""
        query = None if self.clicked is None else self.views_of_users(users, self.clicked)
        return query, self.factors_of_users(users)

    def product_rows(self, query: Tensor | None, factors: Tensor | None) -> Tensor:
        """What queries bring into the one matrix product, (b, E)."""
        parts = [query.flatten(1)] if self.folded and query is not None else []
        return torch.cat(parts if factors is None else [*parts, factors], 1)

    def scores(
        self, query: Tensor | None, factors: Tensor | None, situations: Tensor | None = None
    ) -> Tensor:
        """Scores (b, N) of `queries` in ``situations`` (b, n); they hold until the next call."""
        total = None
        if self.product is not None:
            total = self.product(self.product_rows(query, factors))
        if self.items is None or self.folded:
            if total is None:
                raise FusionlabError(
                    f"{place(type(self.recommender))}: found no scores: neither item views nor ID "
                    "factors, expected `uses_content = True`, or user_factors and item_factors"
                )
            return total
        assert query is not None
        content = self._combine(query, self.items, situations)
        return content if total is None else content + total

    def views_of_users(self, users: Tensor, items: ItemViews) -> Tensor:
        """Views of ``users`` (b,) as (b, K, D)."""
        return self.recommender.views_of(users, items)

    def factors_of_users(self, users: Tensor) -> Tensor | None:
        """ID factors of ``users`` (b,) as (b, E), or None."""
        return self.recommender.user_factors(users)

    def factors_of_items(self, items: Tensor) -> Tensor | None:
        """ID factors of all ``items`` (N,) as (N, E), or None."""
        return self.recommender.item_factors(items)

    def _combine(self, query: Tensor, items: ItemViews, situations: Tensor | None) -> Tensor:
        assert self.recommender.fusion is not None
        by_view = torch.einsum("bkd,nkd->bnk", query, items.views)
        present = items.present.expand(len(query), -1, -1)
        asking = self.recommender.asking(query, situations)
        return combined(self.recommender.fusion, by_view, asking, present)


class TableRanker(Ranker):
    """Ranks by ID factors of everyone that were computed once, when it was made.

    It is a snapshot: parameters that change afterwards do not reach it, and nothing of it stays in
    the recommender.

    Args:
        users: ID factors of all users (U, E).
        table: ID factors of all items (N, E); None: only views are scored.
    """

    def __init__(
        self, recommender: Recommender, items: ItemViews | None, users: Tensor, table: Tensor | None
    ) -> None:
        self.users, self.table = users, table
        super().__init__(recommender, items)

    def factors_of_users(self, users: Tensor) -> Tensor | None:
        """Rows of the table."""
        return None if self.table is None else take_rows(self.users, users)

    def factors_of_items(self, items: Tensor) -> Tensor | None:
        """The table."""
        return self.table
