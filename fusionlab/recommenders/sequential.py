"""Sequential recommendation: the next item, from the order of the items clicked before it."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from einops import rearrange
from pydantic import PositiveInt
from torch import Tensor, nn

from fusionlab.fusion.contract import Fusion
from fusionlab.recommenders.by_history import ByHistory
from fusionlab.recommenders.contract import RECOMMENDERS, Context
from fusionlab.recommenders.factors import check_ids
from fusionlab.recommenders.networks import SasRec, SequenceNetwork
from fusionlab.recommenders.rows import take_rows
from fusionlab.recommenders.step import Batch, IdRows, ItemViews

ROWS = 512
"""Sequences that go through a network together; sorted by length, they have little padding."""

Look = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Items (b, T) and which of them are no padding (b, T), to views (b, T, K, D) that are present
(b, T, K)."""


@RECOMMENDERS.register("sequential")
class Sequential(ByHistory):
    """Rank by the product of an item's views with the state that the user's last clicks led to.

    s(u, i) = combine_k <h_uk, v_ik> (+ <g_u, q_i>),  h_uk = network(v_jk of the last n clicks j)

    Views are read one by one by the same network, so any fusion will do: a view's sequence is that
    of the clicked items that have it. With ``item_ids`` a network of its own reads ID factors q in
    the same way. In training, the state that ranks a click knows the n clicks before it and no
    later one; users without any have the state zero. Clicks are in the order of time, or, where a
    dataset has no times, in that of its file.

    Options:
        network: what reads a sequence (default: sasrec)
        length: n, how many of the last clicks are read
        item_ids: add the score of ID factors, <g_u, q_i>

    Source: Kang and McAuley 2018, Self-attentive sequential recommendation; Hidasi et al. 2016,
    Session-based recommendations with recurrent neural networks.
    """

    uses_content = True

    def __init__(
        self,
        context: Context,
        fusion: Fusion | None,
        *,
        network: SequenceNetwork | None = None,
        length: PositiveInt = 50,
        item_ids: bool = False,
    ) -> None:
        super().__init__(context, fusion)
        assert fusion is not None
        check_ids(item_ids, fusion)
        self.length, self.item_ids = length, item_ids
        self.know(context.clicks)
        self.network = network or SasRec()
        if item_ids:
            self.of_ids = copy.deepcopy(self.network)
            self.of_ids.prepare(context.dim, length)
            self.items = nn.Embedding(self.n_items, context.dim)
            nn.init.normal_(self.items.weight, std=0.01)
        self.network.prepare(context.dim, length)

    def items_needed(self, batch: Batch) -> list[Tensor]:
        """The candidates and what the batch's users clicked before."""
        ends, counts = self._before(batch.users, batch.clicks)
        clicked, there = self._window(ends, counts)
        return [batch.candidates, torch.where(there, clicked, batch.candidates[:, :1])]

    def user_views(
        self, users: Tensor, items: ItemViews, leave_out: Tensor | None = None
    ) -> Tensor:
        """The states of all views; with ``leave_out``, those before these clicks."""
        table = items.views.flatten(1)

        def look(clicked: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
            rows = torch.where(there, items.rows(clicked), 0)  # a step need not know the padding
            views = take_rows(table, rows).unflatten(-1, items.views.shape[1:])
            return views, items.present[rows] & there[..., None]

        states = self._states(self.network, look, users, leave_out)
        nothing = items.views.new_zeros(len(users), *items.views.shape[1:])
        return nothing if states is None else states

    # IDs

    def user_factors(self, users: Tensor) -> Tensor | None:
        """g_u after all train clicks."""
        return self._of_ids(users, None) if self.item_ids else None

    def item_factors(self, items: Tensor) -> Tensor | None:
        """q_i."""
        return take_rows(self.items.weight, items) if self.item_ids else None

    def id_rows(self, batch: Batch) -> IdRows | None:
        """g_u before the clicks of the batch, and q."""
        if not self.item_ids:
            return None
        users = self._of_ids(batch.users, batch.clicks)
        return IdRows(users, take_rows(self.items.weight, batch.candidates))

    def _of_ids(self, users: Tensor, leave_out: Tensor | None) -> Tensor:
        table = self.items.weight

        def look(clicked: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
            there = there & (clicked < self.n_items)  # items added after training have no factors
            rows = torch.where(there, clicked, 0)
            return take_rows(table, rows)[:, :, None], there[..., None]

        states = self._states(self.of_ids, look, users, leave_out)
        return table.new_zeros(len(users), table.shape[1]) if states is None else states[:, 0]

    # Sequences

    def _before(self, users: Tensor, leave_out: Tensor | None) -> tuple[Tensor, Tensor]:
        """Where the clicks that a row may know end among all (b,), and how many it reads (b,)."""
        indptr = self.history.indptr
        ends = indptr[users + 1] if leave_out is None else leave_out
        return ends, (ends - indptr[users]).clamp(max=self.length)

    def _window(self, ends: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
        """The last ``counts`` items before ``ends``, the most recent first: (b, T), padded with
        others; and which are no padding."""
        ago = torch.arange(max(int(counts.max()), 1), device=ends.device)
        places = (ends[:, None] - 1 - ago).clamp(min=0)
        return self.history.items[places], ago < counts[:, None]

    def _states(
        self, network: SequenceNetwork, look: Look, users: Tensor, leave_out: Tensor | None
    ) -> Tensor | None:
        """States (b, K, D) of ``users`` (b,), zero where nothing is known; None if of nobody."""
        if not len(users) or not len(self.history.items):
            return None
        ends, counts = self._before(users, leave_out)
        order = counts.argsort()
        found = []
        for rows in order.split(ROWS):
            views, on = look(*self._window(ends[rows], counts[rows]))
            found.append(_read(network, views, on))
        return torch.cat(found)[order.argsort()]


def _read(network: SequenceNetwork, views: Tensor, on: Tensor) -> Tensor:
    """Each view (b, T, K, D) through the network, without the items that lack it: (b, K, D)."""
    x, there = rearrange(views, "b t k d -> (b k) t d"), rearrange(on, "b t k -> (b k) t")
    first = there.to(torch.uint8).argsort(dim=1, descending=True, stable=True)
    x = x.gather(1, first[..., None].expand_as(x))
    counts = there.sum(1)
    states = torch.where(counts[:, None] > 0, network(x, counts), 0)
    return rearrange(states, "(b k) d -> b k d", b=len(views))
