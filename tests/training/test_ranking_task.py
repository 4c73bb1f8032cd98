"""Judging a recommender: for every user, or for a sample that all rows and seeds share."""

import numpy as np
import polars as pl
import pytest
import torch

from fusionlab.data.features import ItemFeatures
from fusionlab.data.interactions import Clicks, Interactions
from fusionlab.fusion.contract import FUSIONS
from fusionlab.recommenders.contract import RECOMMENDERS, Context
from fusionlab.schema import validate
from fusionlab.seal import Sealed
from fusionlab.sections import Judging, Training
from fusionlab.training.ranking import RankingTask

USERS, ITEMS = 40, 30


def pairs(seed, per_user):
    """Each user clicks ``per_user`` items, every fourth user nothing at all."""
    draw = np.random.default_rng(seed)
    users = np.flatnonzero(np.arange(USERS) % 4)
    items = np.concatenate([draw.choice(ITEMS, per_user, replace=False) for _ in users])
    return Clicks.from_pairs(np.repeat(users, per_user), items, USERS, ITEMS)


def task(users=None, seed=0):
    test = Sealed("test interactions", pairs(2, 3))
    interactions = Interactions(pl.Series(map(str, range(USERS))), pairs(0, 5), pairs(1, 2), test)
    torch.manual_seed(seed)
    model = RECOMMENDERS.parse("bpr_mf").build(Context(interactions.train, 4, seed), None)
    judging = Judging(cutoffs=(5,), metrics=("recall", "ndcg", "auc", "coverage"), users=users)
    return RankingTask(model, interactions, None, validate(Training, {}), judging, "ndcg@5", "cpu")


def judged(of):
    return of.judge({"valid": pairs(1, 2), "test": pairs(2, 3)})


def test_sampled_users_have_the_metrics_they_have_in_the_full_evaluation():
    every, some = judged(task()), judged(task(users=7))
    for split, result in some.items():
        assert len(result.units) == 7
        places = torch.searchsorted(every[split].units, result.units)
        assert torch.equal(every[split].units[places], result.units)
        for name, values in result.per_unit.items():
            assert torch.equal(every[split].per_unit[name][places], values), name


def test_every_seed_judges_the_same_users():
    first, second = (judged(task(users=7, seed=seed)) for seed in (0, 1))
    for split in first:
        assert torch.equal(first[split].units, second[split].units)


def test_more_users_than_there_are_is_all_of_them():
    every, more = judged(task()), judged(task(users=1000))
    for split in every:
        assert torch.equal(every[split].units, more[split].units)
        assert every[split].means() == more[split].means()


def test_validation_is_of_the_sample_too():
    some = task(users=7)
    expected = judged(some)["valid"].means()
    assert some.validate() == expected
    assert some.validate() != pytest.approx(task().validate())


@pytest.mark.parametrize("strategy", ["variational_experts", "mixture_of_experts"])
def test_padding_the_items_of_a_step_changes_nothing(strategy):
    losses = []
    for multiple in (1, 16):
        of = content_task(strategy, round_items=multiple)
        generator = torch.Generator().manual_seed(0)
        loss = of.step(next(of.batches(generator)), generator).joint
        loss.backward()
        losses.append((loss, [p.grad for p in of.model.parameters()]))
    torch.testing.assert_close(*losses)


def content_task(strategy, round_items):
    clicks, draw = pairs(0, 5), torch.Generator().manual_seed(0)
    values = {"image": torch.randn(ITEMS, 1, 7, generator=draw)}
    features = ItemFeatures(values, {"image": torch.rand(ITEMS, 1, generator=draw) < 0.8})
    torch.manual_seed(0)
    # strategies with a penalty, which is a mean over the items of the step
    fusion = FUSIONS.parse(strategy).build(features.specs, 4)
    fusion.training = strategy == "mixture_of_experts"  # the other one draws
    model = RECOMMENDERS.parse("hybrid").build(Context(clicks, 4), fusion)
    users = pl.Series(map(str, range(USERS)))
    interactions = Interactions(users, clicks, clicks, Sealed("test", clicks))
    training, judging = validate(Training, {"batch_size": 10}), validate(Judging, {})
    task = RankingTask(
        model, interactions, features, training, judging, "ndcg@20", "cpu", round_items=round_items
    )
    task.prepare()
    return task
