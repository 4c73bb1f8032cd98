"""A closed-form fusion under a plain profile: nothing to train, and it recommends as it stands."""

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
from fusionlab.sections import Judging, Runtime, Training
from fusionlab.training.loop import Loop
from fusionlab.training.ranking import RankingTask

USERS, ITEMS, GROUPS, D = 30, 40, 4, 8


@pytest.fixture
def world():
    """Items in four groups that both modalities show; each user clicks within one group."""
    draw = np.random.default_rng(0)
    group = np.arange(ITEMS) % GROUPS
    values = {}
    for name, width in {"text": 6, "image": 5}.items():
        centres = draw.normal(size=(GROUPS, width))
        x = centres[group] + 0.3 * draw.normal(size=(ITEMS, width))
        values[name] = torch.tensor(x, dtype=torch.float32)[:, None]
    features = ItemFeatures(values, {n: torch.ones(ITEMS, 1, dtype=torch.bool) for n in values})
    chosen = [draw.permutation(np.flatnonzero(group == u % GROUPS))[:6] for u in range(USERS)]

    def clicks(part):
        picked = np.array([items[part] for items in chosen])
        users = np.repeat(np.arange(USERS), picked.shape[1])
        return Clicks.from_pairs(users, picked.ravel(), USERS, ITEMS)

    test = Sealed("test clicks", clicks(slice(5, 6)))
    ids = pl.Series([str(u) for u in range(USERS)])
    return Interactions(ids, clicks(slice(0, 4)), clicks(slice(4, 5)), test), features


def build(world, recommender, fusion):
    interactions, features = world
    torch.manual_seed(0)
    strategy = FUSIONS.parse(fusion).build(features.specs, D)
    strategy.fit(features.take(interactions.train.popularity.nonzero().flatten()))
    context = Context(interactions.train, D)
    return RECOMMENDERS.parse(recommender).build(context, strategy)


@pytest.mark.parametrize(
    ("recommender", "fusion", "trainable"),
    [
        ("content", "pca", False),
        ("content", "cca", False),
        ("popularity", "pca", False),
        ("random", "pca", False),
        ({"name": "content", "profile": "attention"}, "pca", True),
        ("content", "sum", True),
        ("hybrid", "pca", True),
        ("bpr_mf", "pca", True),
        ("lightgcn_id", "pca", True),
    ],
)
def test_a_recommender_knows_whether_it_has_anything_to_train(
    world, recommender, fusion, trainable
):
    assert build(world, recommender, fusion).trainable == trainable


@pytest.mark.parametrize("fusion", ["pca", "cca"])
def test_an_untrained_content_recommender_ranks_what_is_alike_first(world, fusion):
    interactions, features = world
    model = build(world, "content", fusion).eval()
    judging = Judging(metrics=("recall",), cutoffs=(6,))
    training = validate(Training, {})
    task = RankingTask(model, interactions, features, training, judging, "recall@6", "cpu")
    assert task.validate()["recall@6"] > 0.9


def test_a_hybrid_trains_its_tastes_on_views_that_stay(world):
    interactions, features = world
    model = build(world, "hybrid", "pca")
    before = model.fusion.state_dict()["maps.text.weight"].clone()
    tastes = model.tastes.weight.detach().clone()
    training = validate(Training, {"epochs": 2, "batch_size": 32})
    judging = Judging(cutoffs=(5,))
    task = RankingTask(model, interactions, features, training, judging, "ndcg@5", "cpu")
    task.prepare()
    assert Loop(task, training, Runtime(), seed=0).run().epochs == 2
    assert torch.equal(model.fusion.state_dict()["maps.text.weight"], before)
    assert not torch.equal(model.tastes.weight, tastes)
