"""The situation of a click moves the weights of views, of every strategy that reads the query."""

from dataclasses import replace

import pytest
import torch

from fusionlab.data.situations import Situations
from fusionlab.fusion.contract import FUSIONS, specimen
from fusionlab.recommenders.contract import RECOMMENDERS, Context
from fusionlab.recommenders.step import Batch, ItemViews
from fusionlab.training.items import catalogue_ranker

D, USERS, ITEMS = 8, 20, 30
SITUATIONS = Situations({"device": ("phone", "tv"), "hour": ("1", "2", "3")}, ("device", "hour"))
ADAPTIVE = [name for name in FUSIONS.names() if FUSIONS[name].by_query]


def built(clicks, features, fusion, recommender="content", situations=SITUATIONS):
    torch.manual_seed(0)
    strategy = specimen(fusion).build(features.specs, D)
    context = Context(clicks, D, 0, None, features, situations)
    return RECOMMENDERS.parse(recommender).build(context, strategy)


def step_of(clicks, situations):
    draw = torch.Generator().manual_seed(0)
    negatives = torch.randint(ITEMS, (len(clicks), 1), generator=draw)
    candidates = torch.cat([clicks.items[:, None], negatives], 1)
    return Batch(clicks.users, candidates, torch.arange(len(clicks)), None, situations)


def random_situations(count, seed=0):
    draw = torch.Generator().manual_seed(seed)
    columns = [torch.randint(n, (count,), generator=draw) for n in (2, 3)]
    return torch.stack(columns, 1)


def test_there_are_strategies_that_adapt():
    assert {"user_gate", "mixture_of_experts"} <= set(ADAPTIVE)


@pytest.mark.parametrize(
    "recommender", ["content", "hybrid", "item_graph", "lightgcn", "sequential", "two_tower"]
)
@pytest.mark.parametrize("fusion", ADAPTIVE)
def test_training_moves_the_embedding_of_each_value_that_clicks_have(
    clicks, features, fusion, recommender
):
    model = built(clicks, features, fusion, recommender)
    batch = step_of(clicks, random_situations(len(clicks)))
    optimizer = torch.optim.SGD(model.parameters(), 1.0)
    for _ in range(3):  # a router that starts at zero must move before the situation can
        fused = model.fuse(features)
        scores = model.pair_scores(model.touch(batch, ItemViews(fused.views, fused.present)))
        optimizer.zero_grad()
        torch.nn.functional.softplus(scores[:, 1] - scores[:, 0]).mean().backward()
        optimizer.step()
    for name, table in model.situation.tables.items():
        moved = table.detach().ne(0).any(1)
        assert moved[:-1].all(), f"values of {name} that did not move: {moved.tolist()}"
        assert not moved[-1], "no click is in an unknown situation"


@pytest.mark.parametrize("fusion", ADAPTIVE)
def test_scores_by_view_do_not_see_the_situation_but_the_weights_do(clicks, features, fusion):
    model = built(clicks, features, fusion).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape) / 2)
    ranker = catalogue_ranker(model, features)
    users = torch.arange(USERS)
    one, other = random_situations(USERS, 1), random_situations(USERS, 2)
    query, _ = ranker.queries(users)
    by_view = torch.einsum("bkd,nkd->bnk", query, ranker.items.views)
    for situations in (one, other):
        asking = model.asking(query, situations)
        present = ranker.items.present.expand(by_view.shape)
        weights = model.fusion.view_weights(by_view, asking, present)
        scores = ranker.situated(users, situations)
        torch.testing.assert_close(scores, (weights * by_view).sum(-1))
    assert not torch.allclose(ranker.situated(users, one), ranker.situated(users, other))


@pytest.mark.parametrize("fusion", ADAPTIVE)
def test_a_run_begins_as_one_that_knows_of_no_situation(clicks, features, fusion):
    users, situations = torch.arange(USERS), random_situations(USERS)
    with_it = catalogue_ranker(built(clicks, features, fusion).eval(), features)
    without = catalogue_ranker(built(clicks, features, fusion, situations=None).eval(), features)
    assert torch.equal(with_it.situated(users, situations), without(users))
    assert torch.equal(with_it(users), without(users))


def test_not_to_be_told_is_to_be_in_an_unknown_situation(clicks, features):
    model = built(clicks, features, "user_gate").eval()
    with torch.no_grad():
        for table in model.situation.tables.values():
            table.copy_(torch.randn(table.shape))
    ranker, users = catalogue_ranker(model, features), torch.arange(USERS)
    unknown = SITUATIONS.unknown.expand(USERS, -1)
    assert torch.equal(ranker(users).clone(), ranker.situated(users, unknown))
    assert not torch.equal(ranker(users), ranker.situated(users, random_situations(USERS)))


def test_only_columns_that_are_read_move_anything(clicks, features):
    model = built(clicks, features, "user_gate", situations=SITUATIONS.reading(["hour"])).eval()
    with torch.no_grad():
        model.situation.tables["hour"].normal_()
    ranker, users = catalogue_ranker(model, features), torch.arange(USERS)
    one = random_situations(USERS)
    other_device, other_hour = one.clone(), one.clone()
    other_device[:, 0] = 1 - one[:, 0]
    other_hour[:, 1] = (one[:, 1] + 1) % 3
    first = ranker.situated(users, one).clone()
    assert torch.equal(first, ranker.situated(users, other_device))
    assert not torch.equal(first, ranker.situated(users, other_hour))


@pytest.mark.parametrize("fusion", ["sum", "mean_scores", "weighted_scores"])
def test_a_strategy_that_weighs_alike_for_everyone_has_no_situation(clicks, features, fusion):
    assert built(clicks, features, fusion).situation is None


def test_columns_not_read_make_no_situation(clicks, features):
    nothing = replace(SITUATIONS, reads=())
    assert built(clicks, features, "user_gate", situations=nothing).situation is None
    alone = features.without_columns({"image"})
    assert built(clicks, alone, "user_gate").situation is None  # one view has nothing to weigh
