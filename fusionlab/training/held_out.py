"""Validation clicks against drawn items: what a ranking loss on validation is measured on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from fusionlab.data.interactions import Clicks
from fusionlab.recommenders.step import Batch
from fusionlab.training.sampling import NegativeSampler

BLOCK = 8192


class HeldOut:
    """Validation clicks and their negatives, the same in every epoch and for every seed.

    Negatives are uniform over what the user has clicked neither in train nor in validation; a user
    for whom nothing is left is not measured.

    Args:
        train: train clicks.
        valid: validation clicks over the same users and items.
        negatives: items drawn for each validation click.
        device: where the batches are wanted.
    """

    def __init__(
        self, train: Clicks, valid: Clicks, negatives: int, device: torch.device | str
    ) -> None:
        known = _union(train.only((valid.counts > 0).nonzero().flatten()), valid)
        measured = (known.counts < known.n_items).nonzero().flatten()
        known, valid = known.only(measured), valid.only(measured)
        sampler = NegativeSampler(known, device)
        generator = torch.Generator(device).manual_seed(0)
        self.users = valid.users.to(device)
        drawn = sampler.draw(self.users, negatives, generator)
        self.candidates = torch.cat([valid.items.to(device)[:, None], drawn], 1)
        self.situations = None if valid.context is None else valid.context.to(device)

    def batches(self) -> Iterator[Batch]:
        """The clicked item first among the candidates; ``clicks`` are positions in validation."""
        rows = torch.arange(len(self.users), device=self.users.device)
        for part in rows.split(BLOCK):
            situations = None if self.situations is None else self.situations[part]
            yield Batch(self.users[part], self.candidates[part], part, None, situations)


def _union(first: Clicks, second: Clicks) -> Clicks:
    """The pairs that stand in either."""
    keys = [clicks.users * clicks.n_items + clicks.items for clicks in (first, second)]
    pairs = np.unique(torch.cat(keys).numpy())
    n = first.n_items
    return Clicks.from_pairs(pairs // n, pairs % n, first.n_users, n)
