"""What a training step reads: its clicks, the views of its items and the rows of tables.

Shapes: B rows of a batch, C candidates a row, n distinct items, N items of the catalogue, K views,
D width of a view, E width of the ID factors.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cached_property

import torch
from torch import Tensor

from fusionlab.recommenders.pairs import pair_products, products_and_size
from fusionlab.recommenders.rows import squared_size, take_rows

SHARED = 8
"""A step with at most so many distinct items a candidate of a row scores them all at once."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A training step: ``users`` (B,), ``candidates`` (B, C) with the clicked item first, and
    ``clicks`` (B,), the positions of the clicked pairs in the train clicks.

    ``subtracted`` (B, C) is taken off the scores before the loss, for candidates that were drawn
    with different chances: the log of how often each is expected, inf to leave it out.
    ``situations`` (B, n) are those of the clicks, where the recommender has a `Situation`.
    """

    users: Tensor
    candidates: Tensor
    clicks: Tensor
    subtracted: Tensor | None = None
    situations: Tensor | None = None

    def __len__(self) -> int:
        """B."""
        return len(self.clicks)

    def split(self, size: int) -> Iterator[Batch]:
        """The same clicks in steps of ``size``, as `Tensor.split` does it."""
        given = {one.name: getattr(self, one.name) for one in fields(self)}
        parts = {name: x.split(size) for name, x in given.items() if x is not None}
        for number in range(len(parts["clicks"])):
            yield Batch(**{name: some[number] for name, some in parts.items()})

    def corrected(self, scores: Tensor) -> Tensor:
        """Scores (B, C) as the loss is meant to see them."""
        return scores if self.subtracted is None else scores - self.subtracted


@dataclass(frozen=True, slots=True)
class ItemViews:
    """Views of n distinct items: ``views`` (n, K, D), ``present`` (n, K), and where an item stands.

    ``position`` (N,) maps an item of the catalogue to its row here; None when all N are here.
    """

    views: Tensor
    present: Tensor
    position: Tensor | None = None

    def rows(self, items: Tensor) -> Tensor:
        """The rows of ``items``, any shape."""
        if self.position is None:
            return items
        return self.position.index_select(0, items.flatten()).view(items.shape)

    def only(self, items: Tensor, position: Tensor) -> ItemViews:
        """Views of the distinct ``items`` (m,) alone; ``position`` (N,) maps each to its place."""
        rows = self.rows(items)
        return ItemViews(self.views[rows], self.present[rows], position)

    def at(self, rows: Tensor) -> Tensor:
        """Views of ``rows`` (...,) as (..., K, D); the gradient adds up over repeated rows."""
        flat = take_rows(self.views.flatten(1), rows)
        return flat.reshape(*flat.shape[:-1], *self.views.shape[1:])

    def take(self, items: Tensor) -> Tensor:
        """Views of ``items`` (...,) as (..., K, D)."""
        return self.at(self.rows(items))


@dataclass(frozen=True)
class IdRows:
    """ID factors of a step: of users (B, E), of candidates (B, C, E), and their biases (B, C)."""

    users: Tensor
    items: Tensor
    bias: Tensor | None = None

    @property
    def products(self) -> Tensor:
        """<p_u, q_i> as (B, C)."""
        return pair_products(self.users, self.items)

    @property
    def size(self) -> Tensor:
        """|p|^2 + |q|^2 over all rows, a scalar."""
        return squared_size(self.users) + squared_size(self.items)

    def scores(self) -> Tensor:
        """<p_u, q_i> + b_i as (B, C)."""
        products = self.products
        return products if self.bias is None else products + self.bias


@dataclass(frozen=True)
class Touched:
    """What a step reads of the tables, looked up once for scores and penalty alike.

    ``items`` and ``query`` (B, K, D), the users' views, are None where no content is read, ``ids``
    where the recommender has no ID factors.
    """

    batch: Batch
    items: ItemViews | None
    query: Tensor | None
    ids: IdRows | None

    @cached_property
    def rows(self) -> Tensor:
        """Where the candidates (B, C) stand among ``items``."""
        assert self.items is not None
        return self.items.rows(self.batch.candidates)

    @property
    def present(self) -> Tensor:
        """Which views the candidates have, (B, C, K)."""
        assert self.items is not None
        return self.items.present[self.rows]

    @property
    def view_scores(self) -> Tensor:
        """The candidates' scores by view (B, C, K).

        Rows with many of few items share them, and one matrix product scores all of these.
        """
        items, query = self._sides
        if not self._shares_items:
            return pair_products(query, items.at(self.rows))
        scores = torch.einsum("bkd,nkd->bnk", query, items.views)
        return scores.gather(1, self.rows[..., None].expand(-1, -1, scores.shape[2]))

    @cached_property
    def view_scores_and_size(self) -> tuple[Tensor, Tensor]:
        """`view_scores`, and the sum of the squares of both sides' views: computed together, for a
        recommender whose loss both are part of."""
        items, query = self._sides
        if not self._shares_items:
            return products_and_size(query, items.at(self.rows))
        times = self.rows.flatten().bincount(minlength=len(items.views))
        size = (items.views.square().sum((1, 2)) * times).sum()
        return self.view_scores, squared_size(query) + size

    @property
    def _sides(self) -> tuple[ItemViews, Tensor]:
        assert self.items is not None
        assert self.query is not None
        return self.items, self.query

    @property
    def _shares_items(self) -> bool:
        """Are there so few distinct items that one product scores them all?"""
        return len(self._sides[0].views) <= SHARED * self.batch.candidates.shape[1]
