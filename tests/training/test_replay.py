"""What an epoch of tuning trains: each new click, some old ones, however the steps are made."""

import pytest
import torch

from fusionlab.config import experiment_from
from fusionlab.data.interactions import Clicks
from fusionlab.studies.build import build_task
from fusionlab.studies.datasets import load_dataset
from fusionlab.training.replay import Replay

NEW = torch.tensor([3, 7, 8, 50, 51, 52, 120])


def generator():
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize(("share", "old"), [(0.0, 0), (0.3, 3), (0.5, 7), (0.8, 28), (0.99, 193)])
def test_the_share_of_old_clicks(share, old):
    drawn = Replay(NEW, 200, share).draw(generator())
    assert len(drawn) == len(set(drawn.tolist())) == 7 + old
    assert set(NEW.tolist()) <= set(drawn.tolist())


def test_other_old_clicks_in_each_epoch():
    replay, draws = Replay(NEW, 200, 0.5), generator()
    first, second = (set(replay.draw(draws).tolist()) for _ in range(2))
    assert first != second
    assert first == set(replay.draw(generator()).tolist())


@pytest.mark.parametrize(
    "steps",
    [
        {"negatives": 2},
        {"pool": 12},
        {"sampling": "in_batch", "loss": "softmax", "negatives": 3, "batch_size": 8},
    ],
)
def test_steps_hold_what_was_drawn_and_nothing_else(steps):
    experiment = experiment_from(
        {
            "dataset": {"name": "synthetic", "users": 20, "items": 30, "clicks": 10},
            "recommender": "bpr_mf",
            "training": {"batch_size": 6, **steps},
        }
    )
    task = build_task(experiment, load_dataset(experiment))
    task.replay = Replay(NEW, len(task.train), 0.5)
    task.prepare()
    batches = list(task.batches(generator()))
    clicks = torch.cat([batch.clicks for batch in batches])
    drawn = task.replay.draw(generator()) if "pool" not in steps else clicks
    assert clicks.sort().values.equal(drawn.sort().values)
    assert set(NEW.tolist()) <= set(clicks.tolist())
    assert len(clicks) == 14
    for batch in batches:
        assert batch.users.equal(task.train.users[batch.clicks])
        assert batch.candidates[:, 0].equal(task.train.items[batch.clicks])
        clicked = task.train.only(batch.users)
        pairs = {*zip(clicked.users.tolist(), clicked.items.tolist(), strict=True)}
        if "sampling" not in steps:
            for user, row in zip(
                batch.users.tolist(), batch.candidates[:, 1:].tolist(), strict=True
            ):
                assert not pairs & {(user, item) for item in row}


def test_in_batch_corrects_for_what_is_drawn():
    experiment = experiment_from(
        {
            "dataset": {"name": "synthetic", "users": 20, "items": 30, "clicks": 10},
            "recommender": "bpr_mf",
            "training": {"sampling": "in_batch", "loss": "softmax", "batch_size": 64},
        }
    )
    task = build_task(experiment, load_dataset(experiment))
    task.prepare()
    batch = next(task.in_batch.batches(64, 1, generator(), NEW))
    assert isinstance(task.train, Clicks)
    counts = task.train.items[NEW].bincount(minlength=30)
    expected = (counts[batch.candidates[:, 1]].double() / (len(NEW) - 1)).log().float()
    kept = batch.subtracted[:, 1].isfinite()
    assert kept.any()
    assert batch.subtracted[kept, 1].equal(expected[kept])
