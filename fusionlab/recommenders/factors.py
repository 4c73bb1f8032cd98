"""ID factors of users and items, with an item bias and an L2 penalty on what a step touches."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor, nn

from fusionlab.errors import FusionlabError
from fusionlab.fusion.contract import Fusion
from fusionlab.recommenders.contract import Context, Recommender
from fusionlab.recommenders.pairs import products_and_size
from fusionlab.recommenders.rows import take_rows
from fusionlab.recommenders.step import Batch, IdRows, Touched


class IdFactors(nn.Module):
    """Tables p (U, dim) and q (N, dim) and a bias b (N,): the ID score is <p_u, q_i> + b_i.

    The penalty of a step is l2 / (2 B) times the sum of the squared rows that it touches (Rendle et
    al. 2009); it does not depend on how often a full pass meets a user.
    """

    def __init__(self, context: Context, l2: float) -> None:
        super().__init__()
        clicks = context.clicks
        self.l2 = l2
        self.users = nn.Embedding(clicks.n_users, context.dim)
        self.items = nn.Embedding(clicks.n_items, context.dim)
        self.bias = nn.Embedding(clicks.n_items, 1)
        nn.init.normal_(self.users.weight, std=0.01)
        nn.init.normal_(self.items.weight, std=0.01)
        nn.init.zeros_(self.bias.weight)

    def user_factors(self, users: Tensor) -> Tensor:
        """[p_u, 1] as (B, dim + 1)."""
        p = self.users(users)
        return torch.cat([p, p.new_ones(len(p), 1)], 1)

    def item_factors(self, items: Tensor) -> Tensor:
        """[q_i, b_i] as (..., dim + 1)."""
        return torch.cat([self.items(items), self.bias(items)], -1)

    def id_rows(self, batch: Batch) -> IdRows:
        """The rows of a step."""
        bias = take_rows(self.bias.weight, batch.candidates)[..., 0]
        users = take_rows(self.users.weight, batch.users)
        return _SizedRows(users, take_rows(self.items.weight, batch.candidates), bias)

    def penalty(self, touched: Touched) -> Tensor:
        """The L2 penalty of a step."""
        assert touched.ids is not None
        return self.l2 / (2 * len(touched.ids.users)) * touched.ids.size


class _SizedRows(IdRows):
    """ID factors whose size is part of the loss, as their products are: computed together."""

    @cached_property
    def _products_and_size(self) -> tuple[Tensor, Tensor]:
        return products_and_size(self.users, self.items)

    @property
    def products(self) -> Tensor:
        """<p_u, q_i> as (B, C)."""
        return self._products_and_size[0]

    @property
    def size(self) -> Tensor:
        """|p|^2 + |q|^2 over all rows, a scalar."""
        return self._products_and_size[1]


class WithIds(Recommender):
    """A recommender whose score has that of ``ids`` in it, unless they are None."""

    ids: IdFactors | Recommender | None

    def user_factors(self, users: Tensor) -> Tensor | None:
        """Those of ``ids``."""
        return None if self.ids is None else self.ids.user_factors(users)

    def item_factors(self, items: Tensor) -> Tensor | None:
        """Those of ``ids``."""
        return None if self.ids is None else self.ids.item_factors(items)

    def id_rows(self, batch: Batch) -> IdRows | None:
        """Those of ``ids``."""
        return None if self.ids is None else self.ids.id_rows(batch)

    def penalty(self, touched: Touched) -> Tensor | None:
        """The L2 penalty on the ID factors."""
        return None if self.ids is None else self.ids.penalty(touched)


def check_ids(item_ids: bool, fusion: Fusion) -> None:
    """Refuse an ID score beside a strategy that votes by rank."""
    if item_ids and fusion.by_rank:
        raise FusionlabError(
            f"recommender.item_ids: found true beside the fusion {fusion.name!r}, whose votes by "
            "rank an ID score would drown; expected false"
        )
