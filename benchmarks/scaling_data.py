"""Random clicks and features of any size, made in little more memory than they take."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import polars as pl
import torch

from fusionlab.data.dataset import Dataset
from fusionlab.data.features import ItemFeatures
from fusionlab.data.interactions import Clicks, Interactions
from fusionlab.seal import Sealed

CHUNK = 2_000_000


def random_clicks(users: int, items: int, count: int, seed: int) -> Clicks:
    """``count`` distinct pairs: users alike, items by a power law with exponent -.8, by inversion.

    Drawn for some users after the others: it takes little more memory than what comes out.
    """
    draw = np.random.default_rng(seed)
    rows = draw.permutation(items)
    edges = np.linspace(0, users, count // CHUNK + 2).astype(np.int64)
    parts = []
    for first, last in pairwise(edges):
        wanted = count * last // users - count * first // users
        drawn = wanted * 3 // 2 + 100
        uniform = draw.random(drawn)
        rank = (((items + 1) ** 0.2 - 1) * uniform + 1) ** 5 - 1
        item = rows[np.minimum(rank.astype(np.int64), items - 1)]
        keys = np.unique(draw.integers(first, last, drawn) * items + item)
        if len(keys) < wanted:
            raise SystemExit(f"clicks: found {count}, too many for {users} users x {items} items")
        parts.append(np.sort(draw.permutation(keys)[:wanted]))
    keys = np.concatenate(parts)
    return Clicks.from_pairs(keys // items, keys % items, users, items)


def random_dataset(users: int, items: int, clicks: int, modalities: int, width: int) -> Dataset:
    """Clicks, about one held-out click a user and split, and pooled features of every item."""
    draw = torch.Generator().manual_seed(0)
    names = [f"m{index}" for index in range(modalities)]
    shape = (items, 1, width)
    features = ItemFeatures(
        {name: torch.randn(shape, generator=draw) for name in names},
        {name: torch.ones(shape[:2], dtype=torch.bool) for name in names},
    )
    sizes = (users, items)
    valid, test = (random_clicks(*sizes, users, seed) for seed in (1, 2))
    train = random_clicks(*sizes, clicks, 0)
    ids = [pl.int_range(size, eager=True).cast(pl.String) for size in sizes]
    interactions = Interactions(ids[0], train, valid, Sealed("test interactions", test))
    content = f"random {sizes} {clicks} {modalities} x {width}"
    return Dataset("random", ids[1], features, interactions, None, fingerprint=content)
