"""Negatives out of the batch: what they estimate, what is left out, what is refused."""

import itertools
import math

import numpy as np
import pytest
import torch

from fusionlab.config import experiment_from
from fusionlab.data.interactions import Clicks
from fusionlab.errors import ConfigError
from fusionlab.recommenders import step as step_module
from fusionlab.studies.build import build_task
from fusionlab.studies.run import run_experiment
from fusionlab.studies.store import RunStore
from fusionlab.training.in_batch import InBatch
from fusionlab.training.losses import LOSSES
from tests.conftest import random_clicks

CLICKERS = np.array([0, 0, 0, 1, 1, 2, 3])
ITEMS = np.array([0, 1, 3, 0, 2, 0, 4])
"""Item 0 is clicked three times, item 5 never."""


def toy():
    clicks = Clicks.from_pairs(CLICKERS, ITEMS, 4, 6)
    return InBatch(clicks, clicks.users, clicks.items), clicks


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("row", range(len(ITEMS)))
def test_the_expected_sum_and_its_gradient_are_those_of_the_full_softmax(row):
    """Over every step that has the click: exactly, not in the limit."""
    of, _ = toy()
    scores = torch.tensor([0.3, -1.0, 2.0, 0.5, 1.2, 4.0], dtype=torch.double, requires_grad=True)
    rest = [other for other in range(len(ITEMS)) if other != row]
    steps = list(itertools.permutations(rest, 3))
    total = 0
    for step in steps:
        batch = of.batch(torch.tensor([row, *step]), 3, generator())
        total = total + batch.corrected(scores[batch.candidates])[0].exp().sum() / len(steps)
    user, clicked = CLICKERS[row], ITEMS[row]
    mine = set(ITEMS[user == CLICKERS].tolist())
    summed = [clicked, *(i for i in range(5) if i not in mine)]
    expected = scores[summed].exp().sum()
    torch.testing.assert_close(total, expected, rtol=1e-6, atol=0)
    found, wanted = (torch.autograd.grad(x, scores)[0] for x in (total, expected))
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-9)


def test_the_gradient_of_the_loss_nears_that_of_the_full_softmax():
    """Mean gradients of the loss over many steps: the bias shrinks with M, without correction it
    does not."""
    clicks = random_clicks(users=60, items=12, per_user=2)
    of = InBatch(clicks, clicks.users, clicks.items)
    scores = torch.randn(12, generator=generator(), dtype=torch.double, requires_grad=True)
    loss, row = LOSSES.parse("softmax").build(), 20
    user = int(clicks.users[row])
    mine = clicks.items[clicks.users == user].tolist()
    seen = [i for i in clicks.items.unique().tolist() if i not in mine]
    full = loss(scores[[int(clicks.items[row]), *seen]])
    wanted = torch.autograd.grad(full, scores)[0]

    def bias(negatives, corrected):
        total, draw = torch.zeros_like(scores), generator(1)
        rest = torch.tensor([other for other in range(len(clicks)) if other != row])
        for _ in range(400):
            others = rest[torch.randperm(len(rest), generator=draw)[:negatives]]
            batch = of.batch(torch.cat([torch.tensor([row]), others]), negatives, draw)
            found = scores[batch.candidates]
            if corrected:
                found = batch.corrected(found)
            else:
                found = found.masked_fill(batch.subtracted.isinf(), -torch.inf)
            total += torch.autograd.grad(loss(found)[0], scores)[0] / 400
        return float((total - wanted).norm())

    few, many = bias(4, True), bias(80, True)
    assert many < few / 3
    assert many < bias(80, False) / 3


def test_accidental_hits_are_left_out_and_others_are_not():
    of, clicks = toy()
    batch = of.batch(torch.arange(len(ITEMS)), 6, generator())
    assert batch.candidates.shape == (7, 7)
    assert torch.equal(batch.candidates[:, 0], clicks.items)
    for row, user in enumerate(CLICKERS):
        others = sorted(np.delete(ITEMS, row).tolist())
        assert sorted(batch.candidates[row, 1:].tolist()) == others
        mine = set(ITEMS[user == CLICKERS].tolist())
        for item, less in zip(batch.candidates[row, 1:], batch.subtracted[row, 1:], strict=True):
            if int(item) in mine:
                assert less == torch.inf
            else:
                rate = (int(item) == ITEMS).sum() / 6
                assert float(less) == pytest.approx(math.log(6 * rate), abs=1e-6)
    assert not batch.subtracted[:, 0].any()
    scores = torch.randn(7, 7, generator=generator(), requires_grad=True)
    LOSSES.parse("softmax").build()(batch.corrected(scores)).sum().backward()
    assert scores.grad.isfinite().all()
    assert torch.equal(scores.grad == 0, batch.subtracted.isinf())


def test_an_epoch_meets_every_click_once_and_a_lone_last_one_has_no_negatives():
    clicks = random_clicks()
    of = InBatch(clicks, clicks.users, clicks.items)
    steps = list(of.batches(12, 5, generator()))
    assert torch.equal(torch.cat([step.clicks for step in steps]).sort()[0], torch.arange(109))
    assert steps[0].candidates.shape == (12, 6)
    assert steps[-1].candidates.shape == (1, 1)
    assert not torch.equal(steps[0].clicks, next(of.batches(12, 5, generator(1))).clicks)


EXPERIMENT = {
    "dataset": {"name": "synthetic", "users": 60, "items": 40, "clicks": 12, "nuisance": 0},
    "recommender": {"name": "two_tower", "item_ids": True},
    "fusion": "user_gate",
    "dim": 8,
    "training": {
        "epochs": 3,
        "batch_size": 64,
        "learning_rate": 0.01,
        "loss": "softmax",
        "sampling": "in_batch",
        "negatives": 63,
    },
    "evaluation": {"cutoffs": [5]},
}


@pytest.mark.parametrize("balancer", ["none", "agm"])
def test_an_experiment_trains_on_its_batches_and_repeats_its_bits(tmp_path, balancer):
    experiment = experiment_from({**EXPERIMENT, "balancer": balancer})
    first, second = (run_experiment(experiment, RunStore(tmp_path / n)) for n in ("a", "b"))
    assert first.metrics == second.metrics
    assert first.history[-1]["loss"] < first.history[0]["loss"]


@pytest.mark.parametrize("fusion", ["gated", "user_gate", "mean_scores"])
def test_shared_candidates_are_scored_by_one_product_as_one_by_one(monkeypatch, fusion):
    experiment = experiment_from(EXPERIMENT).varied({"fusion": fusion})
    found = []
    for shared in (8, -1):
        monkeypatch.setattr(step_module, "SHARED", shared)
        torch.manual_seed(0)
        task = build_task(experiment, experiment.dataset.build().load())
        task.prepare()
        loss = task.step(next(task.batches(generator())), generator()).joint
        loss.backward()
        found.append([loss, *(p.grad for p in task.model.parameters())])
    assert all(x is not None for x in found[0])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"training.loss": "bpr"}, r"training\.loss: found 'bpr'.*expected one of: softmax"),
        ({"training.pool": 8}, r"training\.pool: found a number beside sampling: in_batch"),
        ({"balancer": "balanced_resampling"}, r"training\.sampling: found 'in_batch' beside"),
        ({"training.negatives": 64}, r"training\.negatives: found 64.*batch_size = 64"),
    ],
)
def test_what_it_cannot_serve_is_refused(change, said):
    experiment = experiment_from(EXPERIMENT).varied({"recommender": "hybrid", **change})
    with pytest.raises(ConfigError, match=said):
        build_task(experiment, experiment.dataset.build().load())
