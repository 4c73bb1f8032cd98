"""LightGCN: smoothing against the dense formula, gradients, snapshots, and what is in the graph."""

import numpy as np
import polars as pl
import pytest
import torch

from fusionlab.config import experiment_from
from fusionlab.data.interactions import Clicks, Interactions
from fusionlab.recommenders.contract import RECOMMENDERS, Context
from fusionlab.recommenders.lightgcn import ClickGraph
from fusionlab.recommenders.step import Batch
from fusionlab.schema import validate
from fusionlab.seal import Sealed
from fusionlab.sections import Judging, Runtime, Training
from fusionlab.studies.build import build_task
from fusionlab.studies.datasets import load_dataset
from fusionlab.studies.run import run_experiment
from fusionlab.studies.store import RunStore
from fusionlab.training.loop import Loop
from fusionlab.training.ranking import RankingTask

D = 8


@pytest.fixture(autouse=True)
def deterministic():
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(before)


def build(clicks, seed=0, **options):
    torch.manual_seed(seed)
    recommender = RECOMMENDERS.parse({"name": "lightgcn_id", **options})
    return recommender.build(Context(clicks, D), None)


def adjacency(clicks):
    """The paper's D^-1/2 A D^-1/2 over users, then items; rows of isolated nodes are zero."""
    users, items = clicks.n_users, clicks.n_items
    edges = np.zeros((users + items, users + items))
    edges[clicks.users, users + clicks.items] = 1
    edges += edges.T
    degree = edges.sum(1)
    scale = np.divide(1, np.sqrt(degree), out=np.zeros_like(degree), where=degree > 0)
    return scale[:, None] * edges * scale


def dense(clicks, users, items, layers):
    """The mean of layers 0..L, layer by layer; differentiable where users and items are."""
    matrix = torch.from_numpy(adjacency(clicks)).to(users.dtype)
    layer = [torch.cat([users, items])]
    for _ in range(layers):
        layer.append(matrix @ layer[-1])
    return (sum(layer) / (layers + 1)).split([clicks.n_users, clicks.n_items])


def some_batch(clicks):
    rows = torch.tensor([0, 3, 9, 9, 40])
    candidates = torch.stack([clicks.items[rows], torch.tensor([3, 4, 5, 6, 3])], 1)
    return Batch(clicks.users[rows], candidates, rows)


@pytest.mark.parametrize("layers", [0, 1, 2, 3])
def test_smoothing_equals_the_dense_formula(clicks, layers):
    model = build(clicks, layers=layers)
    expected = dense(clicks, model.users.weight, model.items.weight, layers)
    for found, wanted in zip(model.smoothed(), expected, strict=True):
        assert torch.allclose(found, wanted, atol=1e-5)
    users, items = torch.tensor([5, 0, 5]), torch.tensor([[2, 7], [29, 2]])
    assert torch.allclose(model.user_factors(users), expected[0][users], atol=1e-5)
    assert torch.allclose(model.item_factors(items), expected[1][items], atol=1e-5)


@pytest.mark.parametrize("layers", [0, 1, 2, 3])
def test_gradients_equal_those_of_the_dense_formula(clicks, layers):
    model, batch = build(clicks, layers=layers), some_batch(clicks)
    scale = torch.arange(1.0, 11.0).view(5, 2)
    with torch.no_grad():
        model.users.weight.normal_()
        model.items.weight.normal_()
    (model.pair_scores(model.touch(batch, None)) * scale).sum().backward()
    leaves = [p.detach().clone().requires_grad_() for p in (model.users.weight, model.items.weight)]
    users, items = dense(clicks, *leaves, layers)
    scores = torch.einsum("be,bce->bc", users[batch.users], items[batch.candidates])
    (scores * scale).sum().backward()
    assert torch.allclose(model.pair_scores(model.touch(batch, None)), scores, atol=1e-5)
    assert torch.allclose(model.users.weight.grad, leaves[0].grad, atol=1e-5)
    assert torch.allclose(model.items.weight.grad, leaves[1].grad, atol=1e-5)


def test_gradients_pass_the_finite_difference_check(clicks):
    graph = ClickGraph(clicks).double()
    tables = [torch.randn(n, 2, dtype=torch.double, requires_grad=True) for n in (20, 30)]

    def smooth(users, items):
        return graph.smooth(users, items, 2)

    assert torch.autograd.gradcheck(smooth, tables)
    assert torch.autograd.gradgradcheck(smooth, tables)


def test_isolated_nodes_keep_their_share_of_layer_0(clicks):
    # A catalogue of five more items that nobody clicked; user 1 has no click.
    wider = Clicks(clicks.indptr, clicks.items, 35)
    model = build(wider, layers=3)
    users, items = model.smoothed()
    assert torch.equal(users[1], model.users.weight[1] / 4)
    assert torch.equal(items[30:], model.items.weight[30:] / 4)
    model.pair_scores(model.touch(some_batch(wider), None)).sum().backward()
    for value in (users, items, model.users.weight.grad, model.items.weight.grad):
        assert value.isfinite().all()
    assert model.ranker(None)(torch.arange(20)).isfinite().all()


def test_a_catalogue_without_clicks_is_matrix_factorisation_shrunk():
    model = build(Clicks(torch.zeros(4, dtype=torch.long), torch.zeros(0, dtype=torch.long), 5))
    assert torch.equal(model.smoothed()[0], model.users.weight / 3)


def test_graph_follows_type_and_is_not_saved(clicks, tmp_path):
    model = build(clicks)
    assert set(model.state_dict()) == {"users.weight", "items.weight"}
    torch.save(model.state_dict(), tmp_path / "model.pt")
    other = build(clicks, seed=1)
    users = torch.arange(20)
    assert not torch.equal(other.ranker(None)(users), model.ranker(None)(users))
    other.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True))
    assert torch.equal(other.ranker(None)(users), model.ranker(None)(users))
    turned = other.double().ranker(None)(users)
    assert turned.dtype == torch.double
    assert torch.allclose(turned.float(), model.ranker(None)(users), atol=1e-6)
    assert {part.device.type for part in other.to("meta").graph.buffers()} == {"meta"}


def test_smoothing_stays_exact_under_autocast(clicks):
    model, batch = build(clicks), some_batch(clicks)
    with torch.autocast("cpu", torch.bfloat16):
        users, _ = model.smoothed()
        scores = model.pair_scores(model.touch(batch, None))
    assert torch.equal(users, model.smoothed()[0])
    assert torch.allclose(scores.float(), model.pair_scores(model.touch(batch, None)), atol=1e-2)
    scores.float().sum().backward()
    assert model.users.weight.grad.isfinite().all()


def test_a_ranker_sees_the_parameters_of_the_moment(clicks):
    model, users = build(clicks), torch.arange(20)
    before = model.ranker(None)
    old = before(users)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    model.pair_scores(model.touch(some_batch(clicks), None)).sum().backward()
    optimizer.step()
    new = model.ranker(None)(users)
    p, q = dense(clicks, model.users.weight, model.items.weight, 2)
    assert torch.allclose(new, p @ q.T, atol=1e-5)
    assert not torch.allclose(new, old, atol=1e-3)
    assert torch.equal(before(users), old)
    assert not new.requires_grad
    assert torch.allclose(new, model.user_factors(users) @ model.item_factors(torch.arange(30)).T)


def test_a_step_smooths_once_and_a_ranker_once(clicks, monkeypatch):
    model, passes = build(clicks), []
    smooth = ClickGraph.smooth
    monkeypatch.setattr(
        ClickGraph, "smooth", lambda self, *args: passes.append(1) or smooth(self, *args)
    )
    loss = model.pair_scores(model.touch(some_batch(clicks), None)).sum()
    assert len(passes) == 1
    loss.backward()
    assert len(passes) == 2
    ranker = model.ranker(None)
    ranker(torch.arange(4))
    ranker(torch.arange(4, 20))
    assert len(passes) == 3


def test_penalty_is_of_layer_0_and_of_the_rows_touched(clicks):
    model = build(clicks, l2=0.3)
    batch = Batch(torch.tensor([3, 5]), torch.tensor([[1, 2], [4, 2]]), torch.tensor([0, 1]))
    p, q = model.users.weight, model.items.weight
    rows = p[[3, 5]].square().sum() + q[[1, 2, 4, 2]].square().sum()
    assert torch.allclose(model.penalty(model.touch(batch, None)), 0.3 / 4 * rows)
    model.penalty(model.touch(batch, None)).backward()
    assert p.grad.any(1).nonzero().flatten().tolist() == [3, 5]


def blocks():
    """Users and items in four blocks; 5 train clicks and 1 held-out click within the own block."""
    draw = np.random.default_rng(0)
    group = np.arange(32) % 4
    chosen = np.stack([draw.permutation(np.flatnonzero(group == u % 4))[:7] for u in range(24)])

    def clicks(part):
        picked = chosen[:, part]
        return Clicks.from_pairs(np.repeat(np.arange(24), picked.shape[1]), picked.ravel(), 24, 32)

    ids = pl.Series(map(str, range(24)))
    test = Sealed("test clicks", clicks(slice(6, 7)))
    return Interactions(ids, clicks(slice(0, 5)), clicks(slice(5, 6)), test)


def test_trained_on_blocks_it_ranks_the_own_block_first():
    interactions = blocks()
    model = build(interactions.train)
    start = [p.detach().clone() for p in model.parameters()]
    training = validate(Training, {"epochs": 30, "batch_size": 64, "learning_rate": 0.02})
    judging = Judging(metrics=("recall",), cutoffs=(3,))
    task = RankingTask(model, interactions, None, training, judging, "recall@3", "cpu")
    task.prepare()
    Loop(task, training, Runtime(), seed=0).run()
    assert all((p != old).any(1).all() for p, old in zip(model.parameters(), start, strict=True))
    scores = task.ranker()(torch.arange(24))
    own = torch.arange(24)[:, None] % 4 == torch.arange(32) % 4
    lowest = scores.masked_fill(~own, torch.inf).min(1).values
    highest = scores.masked_fill(own, -torch.inf).max(1).values
    assert (lowest > highest).all()


EXPERIMENT = {
    "dataset": {"name": "synthetic", "users": 60, "items": 40, "clicks": 12, "nuisance": 0},
    "recommender": "lightgcn_id",
    "dim": D,
    "training": {"epochs": 4, "batch_size": 128, "learning_rate": 0.01},
    "evaluation": {"cutoffs": [5]},
}


def test_only_train_clicks_are_in_the_graph():
    experiment = experiment_from(EXPERIMENT)
    interactions = load_dataset(experiment).interactions
    by_user, by_item = build_task(experiment, load_dataset(experiment)).model.graph.matrices()
    train = torch.zeros(60, 40, dtype=torch.bool)
    train[interactions.train.users, interactions.train.items] = True
    assert torch.equal(by_user.to_dense() > 0, train)
    assert torch.equal(by_item.to_dense(), by_user.to_dense().T)
    valid = interactions.valid
    assert len(valid) > 0
    assert not train[valid.users, valid.items].any()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_an_experiment_trains_it_and_repeats_its_bits(tmp_path, precision):
    experiment = experiment_from({**EXPERIMENT, "runtime": {"precision": precision}})
    first, second = (run_experiment(experiment, RunStore(tmp_path / n)) for n in ("a", "b"))
    assert first.metrics == second.metrics
    assert first.history[-1]["loss"] < first.history[0]["loss"]
    assert first.cost.parameters == (60 + 40) * D
    assert "synergy" in first.truth["gain"]
