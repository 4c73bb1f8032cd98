"""Item-pooled steps: every click once, negatives from the pool, few items, the same bits again."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from fusionlab.balancing.none import NoBalancer
from fusionlab.config import Experiment
from fusionlab.data.interactions import Clicks
from fusionlab.errors import ConfigError
from fusionlab.recommenders.contract import RECOMMENDERS
from fusionlab.registry import family
from fusionlab.schema import validate
from fusionlab.sections import Training
from fusionlab.studies.build import build_task
from fusionlab.training import loop as loop_module
from fusionlab.training.loop import Loop
from fusionlab.training.pools import Pools, check_pooled


def clicks_of(rows, n_items):
    users = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    items = np.array([item for row in rows for item in row], dtype=np.int64)
    return Clicks.from_pairs(users, items, len(rows), n_items)


def epoch(clicks, pool, seed, size=5, negatives=2):
    pools = Pools(clicks.users, clicks.items, clicks.n_items, pool)
    return list(pools.batches(size, negatives, torch.Generator().manual_seed(seed)))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_an_epoch_is_every_click_once_within_pools(data):
    n_items = data.draw(st.integers(2, 14))
    row = st.lists(st.integers(0, n_items - 1), unique=True)
    rows = data.draw(st.lists(row, min_size=1, max_size=6).filter(any))
    pool = data.draw(st.integers(2, n_items + 2))
    size, negatives = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 3))
    clicks = clicks_of(rows, n_items)
    seed = data.draw(st.integers(0, 999))
    batches = epoch(clicks, pool, seed, size, negatives)

    # The pools by their definition: one permutation of the clicked items, cut evenly.
    clicked = np.unique(clicks.items.numpy())
    order = torch.randperm(len(clicked), generator=torch.Generator().manual_seed(seed))
    dealt = clicked[order.numpy()]
    cuts = -(-len(clicked) // pool)
    cut_at = [len(clicked) * cut // cuts for cut in range(1, cuts)]
    pools = [set(part.tolist()) for part in np.split(dealt, cut_at)]
    assert max(map(len, pools)) <= pool
    assert max(map(len, pools)) - min(map(len, pools)) <= 1
    pool_of = {item: number for number, part in enumerate(pools) for item in part}

    expected = [
        place
        for place, (user, item) in enumerate(
            zip(clicks.users.tolist(), clicks.items.tolist(), strict=True)
        )
        if not pools[pool_of[item]] <= set(rows[user])
    ]
    seen = [place for batch in batches for place in batch.clicks.tolist()]
    assert sorted(seen) == expected
    last = -1
    for batch in batches:
        assert 1 <= len(batch.clicks) <= size
        assert batch.candidates.shape == (len(batch.clicks), 1 + negatives)
        assert torch.equal(batch.users, clicks.users[batch.clicks])
        assert torch.equal(batch.candidates[:, 0], clicks.items[batch.clicks])
        numbers = {pool_of[item] for item in batch.candidates.flatten().tolist()}
        assert len(numbers) == 1
        last, before = numbers.pop(), last
        assert last >= before
        for user, others in zip(
            batch.users.tolist(), batch.candidates[:, 1:].tolist(), strict=True
        ):
            assert not set(others) & set(rows[user])


def test_negatives_are_uniform_over_the_unclicked_of_the_pool():
    rows = [[0, 3, 7, 9], [1, 2], [4, 5, 6, 8, 10, 11, 12], [0, 12]]
    clicks = clicks_of(rows, 13)
    drawn = 4_000
    statistic = freedom = 0
    for batch in epoch(clicks, 7, seed=5, size=100, negatives=drawn):
        pool = set(batch.candidates.flatten().tolist())
        for user, others in zip(batch.users.tolist(), batch.candidates[:, 1:], strict=True):
            rest = sorted(pool - set(rows[user]))
            counts = torch.bincount(others, minlength=13)[rest].double()
            assert counts.sum() == drawn
            expected = drawn / len(rest)
            statistic += float(((counts - expected) ** 2 / expected).sum())
            freedom += len(rest) - 1
    assert freedom > 40
    # The sum over independent draws is chi-square distributed: a right sampler fails 1 in 10,000.
    assert chi2.ppf(5e-5, freedom) < statistic < chi2.ppf(1 - 5e-5, freedom)


def test_pools_are_dealt_anew_so_that_all_pairs_meet():
    clicks = clicks_of([[item] for item in range(12)], 12)
    pools, generator = Pools(clicks.users, clicks.items, 12, 4), torch.Generator().manual_seed(0)
    met = torch.zeros(12, 12, dtype=torch.bool)
    for _ in range(40):
        for batch in pools.batches(100, 30, generator):
            met[batch.candidates[:, :1], batch.candidates[:, 1:]] = True
    assert torch.equal(met, ~torch.eye(12, dtype=torch.bool))


def test_a_user_who_clicked_a_whole_pool_waits_for_another_deal():
    clicks = clicks_of([[0, 1], [2, 3]], 4)
    seen = [sum(len(batch.clicks) for batch in epoch(clicks, 2, seed)) for seed in range(40)]
    assert set(seen) == {0, 4}  # the pools are the users' items, or they are not


def experiment(**training):
    return validate(
        Experiment,
        {
            "dataset": {"name": "synthetic", "users": 60, "items": 50, "clicks": 12},
            "dim": 8,
            "recommender": "hybrid",
            "training": {"epochs": 6, "batch_size": 64, "learning_rate": 0.01, **training},
        },
    )


def new_task(wanted):
    torch.manual_seed(0)
    task = build_task(wanted, wanted.dataset.build().load())
    task.prepare()
    return task


def test_a_step_fuses_no_more_items_than_the_pool():
    task = new_task(experiment(pool=8, negatives=3))
    sizes = []
    task.model.fusion.register_forward_pre_hook(lambda _, given: sizes.append(len(given[0])))
    generator = torch.Generator().manual_seed(0)
    for batch in task.batches(generator):
        task.step(batch, generator)
    assert 0 < max(sizes) <= 8
    assert len(sizes) >= 7


def test_an_interrupted_run_repeats_the_bits(tmp_path, monkeypatch):
    wanted = experiment(pool=8)

    def trained(checkpoint=None, on_epoch=None):
        task = new_task(wanted)
        loop = Loop(
            task,
            wanted.training,
            wanted.runtime,
            seed=3,
            checkpoint=checkpoint,
            on_epoch=on_epoch,
        )
        loop.run()
        return task.model.state_dict()

    def stop(entry):
        if entry["epoch"] == 4:
            raise KeyboardInterrupt

    whole = trained()
    monkeypatch.setattr(loop_module, "CHECKPOINT_SECONDS", 0.0)
    file = tmp_path / "checkpoint.pt"
    with pytest.raises(KeyboardInterrupt):
        trained(file, stop)
    assert file.exists()
    resumed = trained(file)
    assert all(torch.equal(resumed[name], value) for name, value in whole.items())


@pytest.mark.parametrize("name", ["hybrid", "bpr_mf", "lightgcn_id"])
def test_recommenders_that_read_their_candidates_alone_are_not_refused(name):
    check_pooled(RECOMMENDERS[name], NoBalancer)


@pytest.mark.parametrize("name", ["content", "item_graph", "lightgcn"])
def test_recommenders_that_read_other_items_too_are_refused(name):
    wanted = experiment(pool=8).varied({"recommender": name})
    with pytest.raises(ConfigError) as refused:
        build_task(wanted, wanted.dataset.build().load())
    said = str(refused.value)
    assert said.startswith(f"training.pool: found a number beside the recommender {name!r}")
    working = said.partition("one of the recommenders: ")[2].split(", ")
    assert {"hybrid", "bpr_mf", "lightgcn_id"} <= {*working}
    assert not {"content", "item_graph", "lightgcn"} & {*working}


def test_every_recommender_that_is_let_through_needs_its_candidates_alone():
    """What `check_pooled` reads off the class, seen in a step."""
    wanted = experiment(pool=8)
    dataset = wanted.dataset.build().load()
    for name in family("recommender").names():
        try:
            check_pooled(RECOMMENDERS[name], NoBalancer)
        except ConfigError:
            continue
        task = build_task(wanted.varied({"recommender": name}), dataset)
        task.prepare()
        batch = next(task.batches(torch.Generator().manual_seed(0)))
        needed = torch.cat([part.flatten() for part in task.model.items_needed(batch)])
        assert set(needed.tolist()) <= set(batch.candidates.flatten().tolist())


@pytest.mark.parametrize("pool", [0, 1, 2.5])
def test_a_pool_has_at_least_two_items(pool):
    with pytest.raises(ConfigError, match="pool"):
        validate(Training, {"pool": pool})
