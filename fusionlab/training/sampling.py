"""Negative sampling: uniform over what a user has not clicked, exactly and without rejection."""

from __future__ import annotations

import torch
from torch import Tensor

from fusionlab.data.interactions import Clicks
from fusionlab.errors import FusionlabError

AT_ONCE = 65_536
"""Users drawn for in one go: what is in between stays in the cache, and is small."""


class NegativeSampler:
    """Draws items that a user has not clicked, each with probability 1 / (N - n_u).

    Draw a rank r uniformly in [0, N - n_u) and return the r-th item that is not clicked. With the
    user's clicks sorted, p_0 < p_1 < ..., that item is r + #{j : p_j - j - 1 < r}: one binary
    search in an array that holds all users' rows one after the other. Exact, no second try, no
    table of users x items.
    """

    def __init__(self, clicks: Clicks, device: torch.device | str = "cpu") -> None:
        self.n_items = clicks.n_items
        full = (clicks.counts >= clicks.n_items).nonzero().flatten()
        if len(full):
            raise FusionlabError(
                f"user row {int(full[0])} clicked all {clicks.n_items} items in train, expected "
                "one at least without a click, to draw as a negative: leave that user out"
            )
        keys = clicks.users * self.n_items
        keys += clicks.by_item  # less the rank in the row, in place: E may be tens of millions
        keys -= torch.arange(1, len(clicks) + 1)
        keys += clicks.indptr[clicks.users]
        self.keys, self.indptr = keys.to(device), clicks.indptr.to(device)
        self.unclicked = (self.n_items - clicks.counts).double().to(device)

    def draw(self, users: Tensor, count: int, generator: torch.Generator) -> Tensor:
        """``count`` unclicked items for each of ``users`` (B,): (B, count); fastest if sorted."""
        drawn = users.new_empty(len(users), count)
        for some, out in zip(users.split(AT_ONCE), drawn.split(AT_ONCE), strict=True):
            starts = self.indptr.index_select(0, some)
            unclicked = self.unclicked.index_select(0, some)
            bases = some * self.n_items
            draw_unclicked(self.keys, bases, starts, unclicked, count, generator, out)
        return drawn


def draw_unclicked(
    keys: Tensor,
    bases: Tensor,
    starts: Tensor,
    unclicked: Tensor,
    count: int,
    generator: torch.Generator,
    out: Tensor | None = None,
) -> Tensor:
    """``count`` unclicked places (B, count) for each of B rows, by ranks among the unclicked.

    Args:
        keys: (E,) ascending: of the j-th click p_j of a row, j from 0, its base + p_j - j - 1.
        bases: (B,) of the rows; they lie at least the number of places apart.
        starts: (B,) where the rows begin in ``keys``.
        unclicked: (B,) places that the row has not clicked, at least one.
        count: places to draw for each row.
        generator: of the draws, on the device of the rest.
        out: (B, count) where they are written; default: new memory.
    """
    uniform = torch.rand(
        len(bases), count, generator=generator, device=bases.device, dtype=torch.float64
    )
    rank = uniform.mul_(unclicked[:, None]).long()
    key = rank + bases[:, None]
    below = torch.searchsorted(keys, key)  # faster than to count what is equal too
    return torch.add(rank, below.sub_(starts[:, None]), out=out)
