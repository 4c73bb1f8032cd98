"""A recommender on the shared small world, and its training, for the strategies of this level."""

import polars as pl
import torch

from fusionlab.data.interactions import Interactions
from fusionlab.fusion.contract import FUSIONS
from fusionlab.recommenders.contract import RECOMMENDERS, Context
from fusionlab.schema import validate
from fusionlab.seal import Sealed
from fusionlab.sections import Judging, Training
from fusionlab.training.ranking import RankingTask

D = 8


def pair_task(recommender, fusion, clicks, features, **options):
    """A ranking task whose hybrid has no IDs: an ensemble has nothing that modalities share."""
    if recommender == "hybrid":
        options = {"item_ids": False, **options}
    torch.manual_seed(0)
    strategy = FUSIONS.parse(fusion).build(features.specs, D)
    part = RECOMMENDERS.parse({"name": recommender, **options})
    model = part.build(Context(clicks, D), strategy)
    users = pl.Series([str(user) for user in range(clicks.n_users)])
    interactions = Interactions(users, clicks, clicks, Sealed("test", clicks))
    training = validate(Training, {"batch_size": 16})
    judging = validate(Judging, {})
    task = RankingTask(model, interactions, features, training, judging, "ndcg@20", "cpu")
    task.prepare()
    return task


def train(task, epochs=3):
    """A few epochs of Adam over the same batches whatever the model."""
    generator = torch.Generator().manual_seed(1)
    optimizer = torch.optim.Adam(task.model.parameters(), lr=0.01)
    for _ in range(epochs):
        for batch in task.batches(generator):
            loss = task.step(batch, generator).joint
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
