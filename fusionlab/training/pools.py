"""Item-pooled steps: the clicks and the negatives of a step lie in a small pool of items."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from fusionlab.balancing.contract import Balancer
from fusionlab.errors import ConfigError
from fusionlab.recommenders.contract import RECOMMENDERS, Recommender
from fusionlab.recommenders.step import Batch
from fusionlab.training.sampling import draw_unclicked


class Pools:
    """Epochs in which no step touches more than ``pool`` distinct items.

    An epoch deals the items that have train clicks at random into ceil(n / pool) pools, whose sizes
    differ by one at most. Pool after pool, all clicks on its items are trained in random order,
    ``batch_size`` at a time. Negatives are uniform over the pool's items that the user has not
    clicked, drawn exactly as `NegativeSampler` does, with a row a pair of pool and user. A user who
    clicked a whole pool has no negative in it: these clicks wait for an epoch that deals otherwise.

    Items without a train click, which unpooled training draws as negatives, are never drawn.

    Args:
        users: (E,) the user of each train click, on the device.
        items: (E,) the item of each.
        n_items: N.
        pool: most items of a step.
    """

    def __init__(self, users: Tensor, items: Tensor, n_items: int, pool: int) -> None:
        self.users, self.items = users, items
        clicked = torch.zeros(n_items, dtype=torch.bool, device=items.device)
        clicked[items] = True
        self.clicked = clicked.nonzero().flatten()
        self.slots = torch.zeros(n_items, dtype=torch.long, device=items.device)
        n = len(self.clicked)
        self.count = -(-n // pool)
        self.bounds = torch.arange(self.count + 1, device=items.device) * n // max(self.count, 1)

    def batches(
        self,
        batch_size: int,
        negatives: int,
        generator: torch.Generator,
        drawn: Tensor | None = None,
    ) -> Iterator[Batch]:
        """The steps of one epoch, over all clicks or those ``drawn`` (E',); the clicked item first
        among a step's candidates."""
        device = self.items.device
        shuffle = torch.randperm(len(self.clicked), generator=generator, device=device)
        dealt = self.clicked[shuffle]
        clicks, pools, places = self._drawn(dealt, negatives, generator, drawn)
        candidates = torch.cat([self.items[clicks, None], dealt[places]], 1)
        order = torch.randperm(len(clicks), generator=generator, device=device)
        order = order[pools[order].argsort(stable=True)]
        for rows in order.split(pools.bincount(minlength=self.count).tolist()):
            for some in rows.split(batch_size) if len(rows) else ():
                yield Batch(self.users[clicks[some]], candidates[some], clicks[some])

    def _drawn(
        self, dealt: Tensor, negatives: int, generator: torch.Generator, drawn: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Of the clicks that can be trained: positions (E',), pools (E',) and the places of their
        negatives (E', negatives) among the ``dealt`` items, pool by pool and user by user."""
        sizes = self.bounds.diff()
        width = int(sizes.max())
        self.slots[dealt] = torch.arange(len(dealt), device=dealt.device)
        slots = self.slots[self.items]
        pools = torch.searchsorted(self.bounds, slots, right=True) - 1
        n_users = int(self.users.max()) + 1
        rows = pools * n_users + self.users
        keys, clicks = (rows * width + slots - self.bounds[pools]).sort()
        rows, pools = rows[clicks], pools[clicks]
        group, counts = torch.unique_consecutive(rows, return_inverse=True, return_counts=True)[1:]
        starts = (counts.cumsum(0) - counts)[group]
        keys = keys - (torch.arange(1, len(keys) + 1, device=keys.device) - starts)
        unclicked = sizes[pools] - counts[group]
        able = unclicked > 0
        if drawn is not None:
            asked = torch.zeros_like(able)
            asked[drawn] = True
            able &= asked[clicks]
        kept = able.nonzero().flatten()
        pools = pools[kept]
        places = draw_unclicked(
            keys, rows[kept] * width, starts[kept], unclicked[kept], negatives, generator
        )
        return clicks[kept], pools, places + self.bounds[pools][:, None]


def check_pooled(recommender: type[Recommender], balancer: type[Balancer]) -> None:
    """Refuse `training.pool` for a recommender that reads more items than a step's candidates, and
    for a balancer that chooses the clicks of an epoch."""
    if balancer.draws:
        raise ConfigError(
            [
                (
                    ("training", "pool"),
                    f"found a number beside the balancer {balancer.name!r}, which draws some "
                    "clicks more often than others, while pools deal out each click once; expected "
                    "null, or another balancer",
                )
            ]
        )
    if _reads_candidates_only(recommender):
        return
    every = RECOMMENDERS.names()
    working = ", ".join(name for name in every if _reads_candidates_only(RECOMMENDERS[name]))
    raise ConfigError(
        [
            (
                ("training", "pool"),
                f"found a number beside the recommender {recommender.name!r}, whose steps read "
                "other items than their candidates too, those of histories or neighbours, so no "
                f"pool bounds them; expected null, or one of the recommenders: {working}",
            )
        ]
    )


def _reads_candidates_only(recommender: type[Recommender]) -> bool:
    return recommender.items_needed is Recommender.items_needed
