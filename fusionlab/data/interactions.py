"""Clicks by user in compressed rows, and in three splits of which one is sealed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from torch import Tensor

from fusionlab.data.situations import Situations
from fusionlab.seal import Sealed

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Clicks:
    """The items each user clicked, as compressed sparse rows (CSR).

    ``items[indptr[u]:indptr[u + 1]]`` are user u's items, oldest first where times are known.
    A pair (user, item) stands once. ``indptr`` is (U + 1,) and ``items`` is (E,), both int64.
    ``context`` (E, n) int64 is the situation of each click (`Situations`), where there are any.
    """

    indptr: Tensor
    items: Tensor
    n_items: int
    context: Tensor | None = None

    @classmethod
    def from_pairs(
        cls,
        users: Ints,
        items: Ints,
        n_users: int,
        n_items: int,
        context: Tensor | None = None,
    ) -> Clicks:
        """Build from E (user, item) pairs; the order within a user is kept."""
        order = np.argsort(users, kind="stable")
        counts = np.bincount(users, minlength=n_users)
        indptr = np.concatenate([[0], np.cumsum(counts)])
        return cls(
            torch.from_numpy(indptr.astype(np.int64)),
            torch.from_numpy(items[order].astype(np.int64, copy=False)),
            n_items,
            None if context is None else context[torch.from_numpy(order)],
        )

    def __len__(self) -> int:
        return self.items.numel()

    @property
    def n_users(self) -> int:
        """U, the number of rows."""
        return self.indptr.numel() - 1

    @property
    def counts(self) -> Tensor:
        """(U,) clicks of each user."""
        return self.indptr.diff()

    @cached_property
    def users(self) -> Tensor:
        """(E,) the user of each click."""
        return torch.repeat_interleave(torch.arange(self.n_users), self.counts)

    @cached_property
    def popularity(self) -> Tensor:
        """(N,) clicks of each item."""
        return torch.bincount(self.items, minlength=self.n_items)

    @cached_property
    def by_item(self) -> Tensor:
        """(E,) the items sorted within each user's row: what membership tests search."""
        rows = self.users * self.n_items
        keys = rows + self.items
        keys.numpy().sort()  # in place, and without the positions that torch would return too
        return keys.sub_(rows)

    def only(self, users: Tensor) -> Clicks:
        """The same users and items, with no clicks but those of ``users`` (n,)."""
        kept = torch.zeros(self.n_users, dtype=torch.bool)
        kept[users] = True
        indptr = torch.zeros_like(self.indptr)
        torch.cumsum(self.counts * kept, 0, out=indptr[1:])
        rows = kept.repeat_interleave(self.counts)
        context = None if self.context is None else self.context[rows]
        return Clicks(indptr, self.items[rows], self.n_items, context)

    def among(self, n_users: int, n_items: int) -> Clicks:
        """The same clicks among more users and items; the new ones come last and have none."""
        end = self.indptr[-1:].expand(n_users - self.n_users)
        return Clicks(torch.cat([self.indptr, end]), self.items, n_items, self.context)

    def of(self, users: Tensor, items: Tensor) -> Clicks:
        """The clicks of the ``users`` (u,) on the ``items`` (i,), who are its users and items in
        that order."""
        row, column = torch.full((self.n_users,), -1), torch.full((self.n_items,), -1)
        row[users], column[items] = torch.arange(len(users)), torch.arange(len(items))
        who, what = row[self.users], column[self.items]
        kept = (who >= 0) & (what >= 0)
        return Clicks.from_pairs(
            who[kept].numpy(),
            what[kept].numpy(),
            len(users),
            len(items),
            None if self.context is None else self.context[kept],
        )

    def some_users(self, count: int) -> Tensor:
        """At most ``count`` random users (n,) of those who clicked, always the same ones.

        The first in one random order of all U users, which depends on U alone: the samples of two
        splits share as many users as they can, and a smaller sample is part of a larger one.
        """
        order = torch.randperm(self.n_users, generator=torch.Generator().manual_seed(0))
        return order[self.counts[order] > 0][:count]


@dataclass(frozen=True)
class Interactions:
    """Clicks in three splits over the same users and items; the test split is sealed.

    ``situations`` says what the context of the clicks means, where they have any.
    """

    user_ids: pl.Series
    train: Clicks
    valid: Clicks
    test: Sealed[Clicks]
    situations: Situations | None = None

    def changed(self, user_ids: pl.Series, change: Callable[[Clicks], Clicks]) -> Interactions:
        """With other users, or over other items: the same ``change`` to all three splits."""
        return replace(
            self,
            user_ids=user_ids,
            train=change(self.train),
            valid=change(self.valid),
            test=self.test.mapped(change),
        )

    @property
    def n_users(self) -> int:
        """U, the number of users, those seen only outside train included."""
        return self.train.n_users

    @property
    def n_items(self) -> int:
        """N, the number of items of the catalogue."""
        return self.train.n_items
