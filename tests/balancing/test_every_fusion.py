"""Every balancer with every strategy: an epoch of clicks, two steps of classes."""

import pytest
import torch
from toy import BATCHES, task

from fusionlab.balancing.contract import BALANCERS
from fusionlab.config import experiment_from
from fusionlab.fusion.contract import FUSIONS, specimen
from fusionlab.studies.build import build_task
from fusionlab.studies.datasets import load_dataset
from fusionlab.training.loop import Loop

OPTIONS = {"fixed_weights": {"weight": {"text": 0.5, "image": 2.0}}}


def balancer(name):
    return {"name": name, **OPTIONS.get(name, {})}


@pytest.mark.parametrize("fusion", FUSIONS.names())
@pytest.mark.parametrize("name", BALANCERS.names())
def test_an_epoch_of_clicks(name, fusion):
    experiment = experiment_from(
        {
            "dataset": {"name": "synthetic", "users": 16, "items": 20, "clicks": 6, "seed": 1},
            "fusion": specimen(fusion).model_dump(),
            "balancer": balancer(name),
            "recommender": {"name": "hybrid", "item_ids": False},
            "dim": 8,
            "training": {"batch_size": 64},
        }
    )
    trained = build_task(experiment, load_dataset(experiment))
    trained.prepare()
    before = {n: p.detach().clone() for n, p in trained.model.named_parameters()}
    loop = Loop(trained, experiment.training, experiment.runtime, seed=0)
    loop.train_epoch()
    assert any(not torch.equal(p, before[n]) for n, p in trained.model.named_parameters())
    assert all(p.isfinite().all() for p in trained.model.parameters())
    told = loop.signals.of_the_epoch()
    assert all(value == value for value in told.values())
    assert told or name in ("none", "modality_dropout", "greedy_freeze")


@pytest.mark.parametrize("fusion", FUSIONS.names())
@pytest.mark.parametrize("name", BALANCERS.names())
def test_steps_of_classes(name, fusion):
    of = task(3, fusion, **balancer(name))
    for rows in BATCHES:
        loss = of.balancer.backward(of.step(rows, torch.Generator().manual_seed(0)))
        assert loss.isfinite()
    gradients = [p.grad for p in of.model.parameters() if p.grad is not None]
    assert gradients
    assert all(gradient.isfinite().all() for gradient in gradients)
