"""A ranking task over items that lack modalities, trained in no time."""

import numpy as np
import polars as pl
import torch

from fusionlab.balancing.contract import BALANCERS
from fusionlab.data.features import ItemFeatures
from fusionlab.data.interactions import Clicks, Interactions
from fusionlab.fusion.contract import FUSIONS
from fusionlab.recommenders.contract import RECOMMENDERS, Context
from fusionlab.schema import validate
from fusionlab.seal import Sealed
from fusionlab.sections import Judging, Training
from fusionlab.training.ranking import RankingTask

USERS, ITEMS = 30, 20
WIDTHS = {"text": 5, "image": 7, "audio": 4}
GREEDY = 7
"""A user who has clicked every item, in train or in validation."""


def interactions():
    draw = np.random.default_rng(0)
    dealt = [draw.permutation(ITEMS) for _ in range(USERS)]
    train = [row[: 15 if user == GREEDY else 6] for user, row in enumerate(dealt)]
    valid = [
        row[15:] if user == GREEDY else row[6 : 6 + user % 3] for user, row in enumerate(dealt)
    ]

    def clicks(rows):
        users = np.repeat(np.arange(USERS), [len(row) for row in rows])
        return Clicks.from_pairs(users, np.concatenate(rows), USERS, ITEMS)

    train, valid = clicks(train), clicks(valid)
    return Interactions(pl.Series(map(str, range(USERS))), train, valid, Sealed("test", valid))


def features(m=2, lacking=None):
    """Of m modalities, of which no item has the one ``lacking``."""
    draw = torch.Generator().manual_seed(0)
    widths = dict(list(WIDTHS.items())[:m])
    values = {name: torch.randn(ITEMS, 1, d, generator=draw) for name, d in widths.items()}
    mask = {name: torch.rand(ITEMS, 1, generator=draw) < 0.7 for name in values}
    if lacking is not None:
        mask[lacking][:] = False
    return ItemFeatures(values, mask)


def task(balancer, fusion="sum", recommender="hybrid", items=None, **training):
    """A task with a balancer, by its options; the same weights each time."""
    clicks, items = interactions(), items or features()
    torch.manual_seed(0)
    strategy = FUSIONS.parse(fusion).build(items.specs, 4)
    model = RECOMMENDERS.parse(recommender).build(Context(clicks.train, 4), strategy)
    of = RankingTask(
        model,
        clicks,
        items,
        validate(Training, {"batch_size": 16, "learning_rate": 0.02, **training}),
        validate(Judging, {}),
        "ndcg@20",
        "cpu",
        balancer=BALANCERS.parse(balancer).build(items.modalities),
    )
    of.prepare()
    return of


def batch(of):
    """The first batch of an epoch."""
    return next(of.batches(torch.Generator().manual_seed(0)))
