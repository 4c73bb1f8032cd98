"""A recommender over items that lack modalities, whose steps a balancer turns into gradients."""

import numpy as np
import polars as pl
import torch
from toy import NAMES

from fusionlab.balancing.contract import BALANCERS
from fusionlab.config import Judging, Training
from fusionlab.data.features import ItemFeatures
from fusionlab.data.interactions import Clicks, Interactions, Sealed
from fusionlab.fusion.contract import FUSIONS
from fusionlab.recommenders.contract import RECOMMENDERS, Context
from fusionlab.schema import validate
from fusionlab.training.ranking import RankingTask

USERS, ITEMS = 20, 24


def ranking(m=2, lacking=None, **balancer):
    """A ranking task with a balancer, by its options; no item has the modality ``lacking``."""
    draw = np.random.default_rng(0)
    chosen = np.concatenate([draw.choice(ITEMS, 4, replace=False) for _ in range(USERS)])
    clicks = Clicks.from_pairs(np.repeat(np.arange(USERS), 4), chosen, USERS, ITEMS)
    generator = torch.Generator().manual_seed(0)
    values = {n: torch.randn(ITEMS, 1, 2 + k, generator=generator) for k, n in enumerate(NAMES[:m])}
    mask = {n: torch.rand(ITEMS, 1, generator=generator) < 0.8 for n in values}
    if lacking is not None:
        mask[lacking][:] = False
    features = ItemFeatures(values, mask)
    torch.manual_seed(0)
    strategy = FUSIONS.parse("sum").build(features.specs, 4)
    people = pl.Series(map(str, range(USERS)))
    task = RankingTask(
        RECOMMENDERS.parse("hybrid").build(Context(clicks, 4), strategy),
        Interactions(people, clicks, clicks, Sealed("test", clicks)),
        features,
        validate(Training, {"batch_size": 32}),
        validate(Judging, {}),
        "ndcg@20",
        "cpu",
        balancer=BALANCERS.parse(balancer).build(features.modalities),
    )
    task.prepare()
    return task


def batch(of):
    return next(of.batches(torch.Generator().manual_seed(0)))
