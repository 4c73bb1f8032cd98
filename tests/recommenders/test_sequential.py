"""Recommendation from the order of clicks: what a state may know, any fusion, order that pays."""

import numpy as np
import polars as pl
import pytest
import torch

from fusionlab.config import experiment_from
from fusionlab.data.distinct import Distinct
from fusionlab.data.features import ItemFeatures
from fusionlab.data.interactions import Clicks, Interactions
from fusionlab.errors import FusionlabError
from fusionlab.fusion.contract import FUSIONS, specimen
from fusionlab.recommenders import sequential
from fusionlab.recommenders.contract import RECOMMENDERS, Context
from fusionlab.recommenders.networks import NETWORKS
from fusionlab.recommenders.step import Batch, ItemViews
from fusionlab.schema import validate
from fusionlab.seal import Sealed
from fusionlab.sections import Judging, Runtime, Training
from fusionlab.studies.run import run_experiment
from fusionlab.studies.store import RunStore
from fusionlab.training.items import catalogue_views
from fusionlab.training.loop import Loop
from fusionlab.training.ranking import RankingTask

D, USERS, ITEMS = 8, 20, 30


def build(clicks, features, fusion="mean_scores", network="sasrec", **options):
    torch.manual_seed(0)
    strategy = specimen(fusion).build(features.specs, D)
    strategy.fit(features)
    part = RECOMMENDERS.parse({"name": "sequential", "network": network, **options})
    model = part.build(Context(clicks, D, features=features), strategy).eval()
    return model, catalogue_views(strategy, features)


def a_step(model, clicks, features, rows):
    """A step whose views are of the items it asks for alone."""
    rows = torch.as_tensor(rows)
    candidates = torch.stack([clicks.items[rows], (clicks.items[rows] + 1) % ITEMS], 1)
    batch = Batch(clicks.users[rows], candidates, rows)
    items, position = Distinct(ITEMS)(model.items_needed(batch))
    fused = model.fuse(features.take(items))
    return model.touch(batch, ItemViews(fused.views, fused.present, position.clone()))


@pytest.mark.parametrize("network", NETWORKS.names())
@pytest.mark.parametrize("item_ids", [False, True])
def test_a_state_knows_the_clicks_before_and_no_later_one(clicks, features, network, item_ids):
    """Exchange the click at a place and all after it: views before that place keep every bit."""
    place = 3
    within = torch.arange(len(clicks)) - clicks.indptr[clicks.users]
    other = torch.where(within >= place, (clicks.items + 7) % ITEMS, clicks.items)
    changed = Clicks(clicks.indptr, other, ITEMS)
    model, items = build(clicks, features, network=network, item_ids=item_ids)
    later, _ = build(changed, features, network=network, item_ids=item_ids)
    rows = torch.arange(len(clicks))
    found, expected = (m.user_views(clicks.users, items, rows) for m in (later, model))
    known = within <= place  # the click at the place itself is not known to its own row
    assert torch.equal(found[known], expected[known])
    after = ~known & items.present[clicks.items].all(1)
    assert not torch.isclose(found[after], expected[after]).all(-1).any()
    if item_ids:
        batch = Batch(clicks.users, torch.zeros(len(rows), 1, dtype=torch.long), rows)
        found, expected = (m.id_rows(batch).users for m in (later, model))
        assert torch.equal(found[known], expected[known])
        assert not torch.isclose(found[~known], expected[~known]).all(-1).any()


@pytest.mark.parametrize("network", NETWORKS.names())
def test_the_state_before_a_click_is_that_of_a_user_who_had_not_clicked_it(
    clicks, features, network
):
    model, items = build(clicks, features, network=network, length=4)
    last = clicks.indptr[1:] - 1
    some = clicks.counts > 0
    before = model.user_views(torch.arange(USERS)[some], items, last[some])
    kept = torch.ones(len(clicks), dtype=torch.bool)
    kept[last[some]] = False
    shorter = Clicks.from_pairs(
        clicks.users[kept].numpy(), clicks.items[kept].numpy(), USERS, ITEMS
    )
    without, _ = build(shorter, features, network=network, length=4)
    ranked = without.user_views(torch.arange(USERS), items)
    torch.testing.assert_close(before, ranked[some])
    assert not ranked[~some].any()
    assert not before[0].any()  # user 0 has one click


@pytest.mark.parametrize("network", NETWORKS.names())
def test_states_do_not_depend_on_padding_nor_on_company(clicks, features, network, monkeypatch):
    model, items = build(clicks, features, network=network)
    users = torch.arange(USERS)
    together = model.user_views(users, items)
    x, counts = torch.randn(3, 4, D), torch.tensor([4, 2, 1])
    padded = torch.cat([x, torch.full((3, 5, D), 1e3)], 1)
    padded[1, 2:], padded[2, 1:] = -1e3, 1e3
    net = model.network
    torch.testing.assert_close(net(padded, counts), net(x, counts))
    for u in users:
        torch.testing.assert_close(model.user_views(u[None], items)[0], together[u])
    monkeypatch.setattr(sequential, "ROWS", 3)
    torch.testing.assert_close(model.user_views(users.flip(0), items).flip(0), together)


@pytest.mark.parametrize("network", NETWORKS.names())
def test_only_the_last_clicks_are_read_in_their_order(clicks, features, network):
    full = ItemFeatures(
        {name: x.nan_to_num(0.5) for name, x in features.values.items()},
        {name: torch.ones_like(mask) for name, mask in features.mask.items()},
    )
    model, items = build(clicks, full, network=network, length=3)
    states = model.user_views(torch.arange(USERS), items)
    start = clicks.indptr[5]  # of user 5, who has 6 clicks
    for swapped, same in (((0, 1), True), ((3, 4), False), ((2, 3), False)):
        other = clicks.items.clone()
        for one, two in (swapped, swapped[::-1]):
            other[start + one] = clicks.items[start + two]
        changed, _ = build(Clicks(clicks.indptr, other, ITEMS), full, network=network, length=3)
        found = changed.user_views(torch.arange(USERS), items)
        assert torch.equal(found[6:], states[6:])
        assert torch.equal(found[5], states[5]) == same


def test_items_that_lack_a_view_are_left_out_of_its_sequence(clicks, features):
    """As if they had not been clicked: so a modality that is masked is one that never was there."""
    model, items = build(clicks, features)
    text = items.present[:, 0]
    on = text[clicks.items]
    rest = Clicks.from_pairs(clicks.users[on].numpy(), clicks.items[on].numpy(), USERS, ITEMS)
    without, _ = build(rest, features)
    users = torch.arange(USERS)
    found, expected = (m.user_views(users, items)[:, 0] for m in (model, without))
    torch.testing.assert_close(found, expected)
    assert not on.all()


@pytest.mark.parametrize("fusion", FUSIONS.names())
@pytest.mark.parametrize("network", NETWORKS.names())
def test_every_fusion_ranks_and_trains(clicks, features, fusion, network):
    votes = FUSIONS[fusion].by_rank
    model, items = build(clicks, features, fusion, network, item_ids=not votes)
    rows = [0, 3, 9, 9, 40]
    model.train()
    touched = a_step(model, clicks, features, rows)
    by_view = model.scores_by_view(touched)
    total = sum(scores[on].square().sum() for scores, on in by_view)
    if not votes:  # which have no gradient
        total = total + model.pair_scores(touched).square().sum()
    total.backward()
    for name, p in model.named_parameters():
        assert p.grad is None or p.grad.isfinite().all(), name
    assert all(p.grad.any() for p in model.network.parameters() if p.grad is not None)
    assert any(p.grad is not None for p in model.network.parameters())
    scores = model.eval().ranker(items)(torch.arange(USERS))
    assert scores.shape == (USERS, ITEMS)
    assert scores.isfinite().all()


def test_a_step_asks_for_its_candidates_and_what_was_clicked_before(clicks, features):
    model, items = build(clicks, features, length=2)
    touched = a_step(model, clicks, features, [5, 20])
    needed = set(torch.cat([x.flatten() for x in model.items_needed(touched.batch)]).tolist())
    before = {int(clicks.items[place]) for place in (3, 4, 19)}  # 19 begins a user
    assert needed == before | set(touched.batch.candidates.flatten().tolist())
    whole = model.pair_scores(model.touch(touched.batch, items))
    torch.testing.assert_close(model.pair_scores(touched), whole)


def test_what_does_not_fit_is_refused(clicks, features):
    with pytest.raises(FusionlabError, match=r"item_ids.*votes by rank"):
        build(clicks, features, "rank_fusion", item_ids=True)
    with pytest.raises(FusionlabError, match=r"network\.heads: found 3.*dim = 8"):
        build(clicks, features, network={"name": "sasrec", "heads": 3})


# Order that pays


def walks(users=150, items=24, steps=9, seed=0):
    """Users walk through a ring of items that features place anywhere: after item i comes i + 1
    with chance .9, else any. The next to last step is validation, the last is test."""
    draw = np.random.default_rng(seed)
    rows = []
    for _ in range(users):
        walk = [int(draw.integers(items))]
        while len(walk) < steps:
            follower = (walk[-1] + 1) % items
            if draw.random() < 0.1 or follower in walk:
                follower = int(draw.choice([i for i in range(items) if i not in walk]))
            walk.append(follower)
        rows.append(walk)
    taken = np.array(rows)
    parts = [
        Clicks.from_pairs(np.repeat(np.arange(users), part.shape[1]), part.flatten(), users, items)
        for part in (taken[:, :-2], taken[:, -2:-1], taken[:, -1:])
    ]
    ids = pl.Series(map(str, range(users)))
    values = torch.randn(items, 1, 16, generator=torch.Generator().manual_seed(seed))
    features = {"text": values[..., :8].contiguous(), "image": values[..., 8:].contiguous()}
    on = torch.ones(items, 1, dtype=torch.bool)
    features = ItemFeatures(features, dict.fromkeys(features, on))
    return Interactions(ids, *parts[:2], Sealed("test", parts[2])), features


def hit_rate(recommender, seed):
    """The share of users whose next step after train is among the first three."""
    interactions, features = walks(seed=seed)
    torch.manual_seed(seed)
    fusion = FUSIONS.parse("mean_scores").build(features.specs, 16)
    context = Context(interactions.train, 16, seed, features=features)
    model = RECOMMENDERS.parse(recommender).build(context, fusion)
    training = validate(
        Training,
        {"epochs": 12, "batch_size": 128, "learning_rate": 0.01, "loss": "softmax", "negatives": 8},
    )
    judging = validate(Judging, {"cutoffs": [3], "metrics": ["hit_rate"]})
    task = RankingTask(model, interactions, features, training, judging, "hit_rate@3", "cpu")
    task.prepare()
    Loop(task, training, validate(Runtime, {}), seed=seed).run()
    return task.validate()["hit_rate@3"]


@pytest.mark.parametrize("network", NETWORKS.names())
def test_where_order_matters_it_beats_profiles_that_know_none(network):
    for seed in range(2):
        mine = hit_rate({"name": "sequential", "network": network}, seed)
        profile = hit_rate("content", seed)
        assert mine > profile + 0.3, (seed, mine, profile)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("network", NETWORKS.names())
def test_an_experiment_trains_it_and_repeats_its_bits(tmp_path, network, precision):
    experiment = experiment_from(
        {
            "dataset": {"name": "synthetic", "users": 60, "items": 40, "clicks": 12, "nuisance": 0},
            "recommender": {"name": "sequential", "network": network, "item_ids": True},
            "fusion": "user_gate",
            "dim": D,
            "balancer": "unimodal_losses",
            "training": {"epochs": 4, "batch_size": 128, "learning_rate": 0.01},
            "evaluation": {"cutoffs": [5]},
            "runtime": {"precision": precision},
        }
    )
    first, second = (run_experiment(experiment, RunStore(tmp_path / n)) for n in ("a", "b"))
    assert first.metrics == second.metrics
    assert first.history[-1]["loss"] < first.history[0]["loss"]
