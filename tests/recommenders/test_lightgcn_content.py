"""LightGCN over content: the dense formula, its gradients, any fusion, and what the graph adds."""

import numpy as np
import pytest
import torch

from fusionlab.config import experiment_from
from fusionlab.data.distinct import Distinct
from fusionlab.data.interactions import Clicks
from fusionlab.errors import ConfigError, FusionlabError
from fusionlab.fusion.contract import FUSIONS, specimen
from fusionlab.recommenders.contract import RECOMMENDERS, Context
from fusionlab.recommenders.lightgcn import ClickGraph
from fusionlab.recommenders.step import Batch, ItemViews
from fusionlab.studies.build import build_task
from fusionlab.studies.datasets import load_dataset
from fusionlab.studies.run import run_experiment
from fusionlab.studies.store import RunStore
from fusionlab.training.items import catalogue_views

D, USERS, ITEMS = 8, 20, 30


def build(clicks, features, fusion="mean_scores", **options):
    torch.manual_seed(0)
    strategy = specimen(fusion).build(features.specs, D)
    strategy.fit(features)
    options = {"item_ids": not strategy.by_rank, **options}
    part = RECOMMENDERS.parse({"name": "lightgcn", **options})
    model = part.build(Context(clicks, D, features=features), strategy).eval()
    return model, catalogue_views(strategy, features)


def some_batch(clicks):
    rows = torch.tensor([0, 3, 9, 9, 40])
    candidates = torch.stack([clicks.items[rows], torch.tensor([3, 4, 5, 6, 3])], 1)
    return Batch(clicks.users[rows], candidates, rows)


def spread(clicks, users, items, layers):
    """The mean of layers 0..L by a dense D^-1/2 A D^-1/2, in the type of the tables."""
    edges = np.zeros((USERS + ITEMS, USERS + ITEMS))
    edges[clicks.users, USERS + clicks.items] = 1
    edges += edges.T
    degree = edges.sum(1)
    scale = np.divide(1, np.sqrt(degree), out=np.zeros_like(degree), where=degree > 0)
    matrix = torch.from_numpy(scale[:, None] * edges * scale).to(users.dtype)
    layer = [torch.cat([users, items])]
    for _ in range(layers):
        layer.append(matrix @ layer[-1])
    return (sum(layer) / (layers + 1)).split([USERS, ITEMS])


def slow_views(model, clicks, items):
    """p (U, K, D) and z (N, K, D), view by view."""
    views = items.views.to(model.tastes.weight.dtype)
    tastes = model.tastes.weight.unflatten(1, views.shape[1:])
    pairs = [spread(clicks, tastes[:, k], views[:, k], model.layers) for k in range(views.shape[1])]
    users, smoothed = (torch.stack(part, 1) for part in zip(*pairs, strict=True))
    return users, smoothed * items.present[..., None]


def slow_scores(model, clicks, items):
    """Every user and item by the formula."""
    users, smoothed = slow_views(model, clicks, items)
    by_view = torch.einsum("ukd,nkd->unk", users, smoothed)
    scores = model.fusion.combine(by_view, users, items.present.expand(USERS, -1, -1))
    if model.ids is None:
        return scores
    e = spread(clicks, model.ids.users.weight, model.ids.items.weight, model.layers)
    return scores + e[0] @ e[1].T


def touched(model, features, batch):
    distinct, position = Distinct(ITEMS)(model.items_needed(batch))
    fused = model.fuse(features.take(distinct))
    return model.touch(batch, ItemViews(fused.views, fused.present, position.clone()))


def enlarge(model):
    """Values at which every term of a score matters."""
    for table in (model.tastes, *([] if model.ids is None else [model.ids.users, model.ids.items])):
        torch.nn.init.normal_(table.weight)


@pytest.mark.parametrize("layers", [0, 1, 2, 3])
@pytest.mark.parametrize("item_ids", [False, True])
def test_scores_equal_those_of_the_dense_formula_in_float64(clicks, features, layers, item_ids):
    model, items = build(clicks, features, layers=layers, item_ids=item_ids)
    enlarge(model)
    model, items = model.double(), ItemViews(items.views.double(), items.present)
    expected = slow_scores(model, clicks, items)
    found = model.ranker(items)(torch.arange(USERS))
    assert found.dtype == torch.double
    # Weights of edges are kept in float32.
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-6)
    batch = some_batch(clicks)
    scores = model.pair_scores(model.touch(batch, items))
    wanted = expected[batch.users[:, None], batch.candidates]
    torch.testing.assert_close(scores, wanted, atol=1e-5, rtol=1e-6)
    rows = torch.tensor([7, 1, 7])
    views = slow_views(model, clicks, items)[0]
    torch.testing.assert_close(model.user_views(rows, items), views[rows], atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("fusion", FUSIONS.names())
def test_every_fusion_ranks_and_trains_by_the_formula(clicks, features, fusion):
    model, items = build(clicks, features, fusion)
    enlarge(model)
    expected = slow_scores(model, clicks, items)
    found = model.ranker(items)(torch.arange(USERS))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    batch = some_batch(clicks)
    step = touched(model, features, batch)
    scores = model.pair_scores(step)
    assert scores.shape == batch.candidates.shape
    if model.fusion.by_rank:  # its votes have no gradient
        return
    (scores.square().sum() + model.penalty(step)).backward()
    for name, p in model.named_parameters():
        assert p.grad is None or p.grad.isfinite().all(), name
    assert model.tastes.weight.grad.any()
    assert not model.fusion.trainable or any(
        p.grad is not None and p.grad.any() for p in model.fusion.parameters()
    )
    if model.fusion.fold(items.present) is not None:  # else the list of candidates may matter
        wanted = expected[batch.users[:, None], batch.candidates]
        torch.testing.assert_close(scores, wanted, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("item_ids", [False, True])
def test_gradients_equal_those_of_the_dense_formula(clicks, features, item_ids):
    model, _ = build(clicks, features, item_ids=item_ids)
    enlarge(model)
    batch, parameters = some_batch(clicks), list(model.parameters())
    scale = torch.arange(1.0, 11.0).view(5, 2)
    scores = model.pair_scores(touched(model, features, batch))
    found = torch.autograd.grad((scores * scale).sum(), parameters)
    fused = model.fuse(features)
    dense = slow_scores(model, clicks, ItemViews(fused.views, fused.present))
    wanted = (dense[batch.users[:, None], batch.candidates] * scale).sum()
    for one, other in zip(found, torch.autograd.grad(wanted, parameters), strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


def test_without_a_single_feature_it_is_lightgcn_id(clicks, features):
    model, _ = build(clicks, features)
    bare = features.only(set())
    items = catalogue_views(model.fusion, bare)
    assert not items.present.any()
    other = RECOMMENDERS.parse("lightgcn_id").build(Context(clicks, D), None)
    other.load_state_dict(model.ids.state_dict())
    everyone = torch.arange(USERS)
    found, wanted = model.ranker(items)(everyone), other.ranker(None)(everyone)
    torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-5)
    batch = some_batch(clicks)
    scores = model.pair_scores(model.touch(batch, items))
    wanted = other.pair_scores(other.touch(batch, None))
    torch.testing.assert_close(scores, wanted, atol=1e-6, rtol=1e-5)


def test_without_layers_content_is_scored_and_held_down_as_in_hybrid(clicks, features):
    model, items = build(clicks, features, layers=0, item_ids=False, l2=0.3)
    enlarge(model)
    part = RECOMMENDERS.parse({"name": "hybrid", "item_ids": False, "l2": 0.3})
    other = part.build(Context(clicks, D), model.fusion)
    other.tastes.load_state_dict(model.tastes.state_dict())
    batch = some_batch(clicks)
    steps = [one.touch(batch, items) for one in (model, other)]
    torch.testing.assert_close(model.pair_scores(steps[0]), other.pair_scores(steps[1]))
    torch.testing.assert_close(model.penalty(steps[0]), other.penalty(steps[1]))


def test_the_penalty_is_of_layer_0_and_of_the_rows_touched(clicks, features):
    model, items = build(clicks, features, l2=0.3)
    enlarge(model)
    batch = Batch(torch.tensor([3, 5]), torch.tensor([[1, 2], [4, 2]]), torch.tensor([0, 1]))
    of_users, of_items = [3, 5], [1, 2, 4, 2]
    rows = (
        model.tastes.weight[of_users],
        items.views[of_items],
        model.ids.users.weight[of_users],
        model.ids.items.weight[of_items],
    )
    wanted = 0.3 / 4 * sum(one.square().sum() for one in rows)
    torch.testing.assert_close(model.penalty(model.touch(batch, items)), wanted)


def test_the_graph_brings_what_tastes_have_not_learned(clicks, features):
    """With tastes of zero a user is content clicked; who clicked nothing is nothing."""
    model, items = build(clicks, features, item_ids=False)
    torch.nn.init.zeros_(model.tastes.weight)
    views = model.user_views(torch.arange(USERS), items)
    assert not views[1].any()
    assert views[2:].flatten(1).any(1).all()
    (only,) = clicks.items[clicks.indptr[0] : clicks.indptr[1]].tolist()
    degree = int(clicks.popularity[only])
    torch.testing.assert_close(views[0], items.views[only] / degree**0.5 / 3)


def test_items_without_an_edge_keep_their_share_of_their_views(clicks, features):
    inside = Clicks.from_pairs(clicks.users.numpy(), clicks.items.numpy() % 25, USERS, ITEMS)
    model, items = build(inside, features)
    _, smoothed = model.smoothed(items)
    torch.testing.assert_close(smoothed.views[25:], items.views[25:] / 3)
    # Items added after training have no edge either: they stay as they are, and change nothing of
    # the others.
    more = ItemViews(
        torch.cat([items.views, items.views[:4]]), torch.cat([items.present, items.present[:4]])
    )
    model, items = build(clicks, features)
    before, after = (model.ranker(some)(torch.arange(USERS)).clone() for some in (items, more))
    torch.testing.assert_close(after[:, :ITEMS], before)
    by_view = torch.einsum(
        "ukd,nkd->unk", model.user_views(torch.arange(USERS), items), items.views[:4]
    )
    present = items.present[:4].expand(USERS, -1, -1)
    torch.testing.assert_close(after[:, ITEMS:], model.fusion.combine(by_view, None, present))


def test_a_view_that_is_absent_is_not_filled_in_by_the_graph(clicks, features):
    model, items = build(clicks, features)
    enlarge(model)
    absent = ~items.present
    assert absent.any()
    assert not model.ranker(items).items.views[absent].any()
    assert model.ranker(items).items.views[items.present].any(-1).all()


def test_a_step_and_a_ranker_smooth_views_once_and_ids_once(clicks, features, monkeypatch):
    model, items = build(clicks, features)
    widths, smooth = [], ClickGraph.smooth

    def counted(self, users, *rest):
        widths.append(users.shape[1])
        return smooth(self, users, *rest)

    monkeypatch.setattr(ClickGraph, "smooth", counted)
    step = model.touch(some_batch(clicks), items)
    model.pair_scores(step)
    model.penalty(step)
    assert sorted(widths) == [D, 2 * D]
    ranker = model.ranker(items)
    for users in (torch.arange(4), torch.arange(4, USERS)):
        ranker(users)
    assert sorted(widths) == [D, D, 2 * D, 2 * D]


def test_votes_by_rank_take_no_id_score(clicks, features):
    with pytest.raises(FusionlabError, match="votes by rank"):
        build(clicks, features, "rank_fusion", item_ids=True)


EXPERIMENT = {
    "dataset": {"name": "synthetic", "users": 60, "items": 40, "clicks": 12, "nuisance": 0},
    "recommender": "lightgcn",
    "fusion": "gated",
    "dim": D,
    "training": {"epochs": 4, "batch_size": 128, "learning_rate": 0.01},
    "evaluation": {"cutoffs": [5], "one_missing": True},
}


@pytest.mark.parametrize(
    ("balancer", "precision"),
    [("none", "fp32"), ("none", "bf16"), ("unimodal_losses", "fp32"), ("ogm_ge", "fp32")],
)
def test_an_experiment_trains_it_and_repeats_its_bits(tmp_path, balancer, precision):
    runtime = {"precision": precision, "features": precision}
    experiment = experiment_from({**EXPERIMENT, "balancer": balancer, "runtime": runtime})
    first, second = (run_experiment(experiment, RunStore(tmp_path / n)) for n in ("a", "b"))
    assert first.metrics == second.metrics
    assert first.history[-1]["loss"] < first.history[0]["loss"]
    lost = {first.metrics["test"][f"ndcg@5 without {m}"] for m in ("text", "image", "audio")}
    assert len(lost) == 3


def test_pooled_steps_are_refused():
    experiment = experiment_from(EXPERIMENT).varied({"training.pool": 20})
    with pytest.raises(ConfigError, match=r"training\.pool.*'lightgcn'"):
        build_task(experiment, load_dataset(experiment))
