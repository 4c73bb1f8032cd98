"""Data of the shape of Amazon-Baby: 19,445 users, 7,050 items, 117,826 train clicks."""

from functools import cache

import numpy as np
import torch

from fusionlab.data.features import ItemFeatures
from fusionlab.data.interactions import Clicks

USERS, ITEMS, CLICKS, HELD_OUT, BATCH = 19_445, 7_050, 117_826, 21_483, 2048


@cache
def clicks(count=CLICKS, seed=0):
    """Random pairs, items by a Zipf law, each pair once."""
    draw = np.random.default_rng(seed)
    weights = 1 / np.arange(1, ITEMS + 1) ** 0.8
    pairs = np.unique(
        draw.integers(0, USERS, 2 * count) * ITEMS
        + draw.choice(ITEMS, 2 * count, p=weights / weights.sum())
    )
    pairs = np.sort(draw.permutation(pairs)[:count])
    return Clicks.from_pairs(pairs // ITEMS, pairs % ITEMS, USERS, ITEMS)


@cache
def features(**widths):
    """Pooled features of every item."""
    draw = torch.Generator().manual_seed(0)
    values = {n: torch.randn(ITEMS, 1, d, generator=draw) for n, d in widths.items()}
    return ItemFeatures(values, {n: torch.ones(ITEMS, 1).bool() for n in widths})
