"""The graph of items beside that of clicks: dense second computation, any fusion, what it reads."""

import pytest
import torch

from fusionlab.config import experiment_from
from fusionlab.data.distinct import Distinct
from fusionlab.errors import ConfigError, FusionlabError
from fusionlab.fusion.contract import FUSIONS, specimen
from fusionlab.recommenders.contract import RECOMMENDERS, Context
from fusionlab.recommenders.step import Batch, ItemViews
from fusionlab.studies.build import build_task
from fusionlab.studies.datasets import load_dataset
from fusionlab.studies.run import run_experiment
from fusionlab.studies.store import RunStore
from fusionlab.training.items import catalogue_views

D = 8


def build(clicks, features, fusion="mean_scores", **options):
    torch.manual_seed(0)
    part = specimen(fusion) if isinstance(fusion, str) else FUSIONS.parse(fusion)
    strategy = part.build(features.specs, D)
    strategy.fit(features)
    options = {"neighbours": 3, "item_ids": not strategy.by_rank, **options}
    context = Context(clicks, D, features=features)
    model = RECOMMENDERS.parse({"name": "item_graph", **options}).build(context, strategy).eval()
    return model, catalogue_views(strategy, features)


def some_batch(clicks):
    rows = torch.tensor([0, 3, 9, 9, 40])
    candidates = torch.stack([clicks.items[rows], torch.tensor([3, 4, 5, 6, 3])], 1)
    return Batch(clicks.users[rows], candidates, rows)


def graph_of(model):
    return model.similar.times(torch.eye(30))


def slow_scores(model, items):
    """Every user and item by the formula, from dense matrices."""
    graph = graph_of(model)
    users, smoothed = model.smoothed()
    spread = items.views + torch.einsum("ij,jkd->ikd", graph, items.views)
    spread = spread * items.present[..., None]
    by_view = torch.einsum("ud,nkd->unk", users, spread)
    query = users[:, None].expand(-1, items.views.shape[1], -1)
    scores = model.fusion.combine(by_view, query, items.present.expand(20, -1, -1))
    if not model.item_ids:
        return scores
    return scores + users @ (smoothed + graph @ model.items.weight).T


@pytest.mark.parametrize("fusion", FUSIONS.names())
def test_every_fusion_ranks_and_trains_by_the_formula(clicks, features, fusion):
    model, items = build(clicks, features, fusion)
    everyone = torch.arange(20)
    expected = slow_scores(model, items)
    torch.testing.assert_close(model.ranker(items)(everyone), expected, atol=1e-5, rtol=1e-4)
    # A step sees only its candidates and their neighbours.
    batch = some_batch(clicks)
    distinct, position = Distinct(30)(model.items_needed(batch))
    fused = model.fuse(features.take(distinct))
    touched = model.touch(batch, ItemViews(fused.views, fused.present, position))
    scores = model.pair_scores(touched)
    assert scores.shape == batch.candidates.shape
    if model.fusion.by_rank:  # its votes have no gradient
        return
    total = scores.sum() + model.penalty(touched)
    total.backward()
    for name, p in model.named_parameters():
        assert p.grad is None or p.grad.isfinite().all(), name
    assert model.users.weight.grad.any()
    if model.fusion.fold(items.present) is not None:  # else the list of candidates may matter
        wanted = expected[batch.users[:, None], batch.candidates]
        torch.testing.assert_close(scores, wanted, atol=1e-5, rtol=1e-4)


def test_gradients_of_a_step_equal_those_of_the_dense_formula(clicks, features):
    model, _ = build(clicks, features)
    torch.nn.init.normal_(model.users.weight)
    torch.nn.init.normal_(model.items.weight)
    batch = some_batch(clicks)
    parameters = list(model.parameters())
    scale = torch.arange(1.0, 11.0).view(5, 2)

    distinct, position = Distinct(30)(model.items_needed(batch))
    fused = model.fuse(features.take(distinct))
    touched = model.touch(batch, ItemViews(fused.views, fused.present, position))
    found = torch.autograd.grad((model.pair_scores(touched) * scale).sum(), parameters)
    fused = model.fuse(features)
    dense = slow_scores(model, ItemViews(fused.views, fused.present))
    wanted = (dense[batch.users[:, None], batch.candidates] * scale).sum()
    for one, other in zip(found, torch.autograd.grad(wanted, parameters), strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


def test_a_step_needs_its_candidates_and_their_neighbours(clicks, features):
    model, _ = build(clicks, features)
    batch = some_batch(clicks)
    needed = set(torch.cat([part.flatten() for part in model.items_needed(batch)]).tolist())
    own = set(batch.candidates.flatten().tolist())
    near = {int(j) for i in own for j in graph_of(model)[i].nonzero()}
    assert needed == own | near
    assert len(needed) < 30


def test_a_masked_modality_has_neither_views_nor_edges(clicks, features):
    model, _ = build(clicks, features)
    rest = features.only({"text"})
    items = catalogue_views(model.fusion, rest)
    found = model.ranker(items, rest)(torch.arange(20)).clone()
    without, _ = build(clicks, features.without_columns({"image"}), "mean_scores")
    model.similar = without.similar
    torch.testing.assert_close(found, slow_scores(model, items), atol=1e-5, rtol=1e-4)


def test_a_view_that_is_absent_is_not_filled_in_by_neighbours(clicks, features):
    model, items = build(clicks, features)
    absent = ~items.present
    assert absent.any()
    assert not model.ranker(items).items.views[absent].any()
    assert (graph_of(model)[absent.any(1)].sum(1) > 0).any()


def test_importance_weighs_the_graphs(clicks, features):
    even, _ = build(clicks, features)
    image, _ = build(clicks, features, importance={"image": 1e6})
    alone, _ = build(clicks, features.without_columns({"text"}), importance={"text": 5.0})
    both = features.present("image") & features.present("text")
    torch.testing.assert_close(graph_of(image)[both], graph_of(alone)[both], atol=1e-2, rtol=1e-2)
    assert not torch.allclose(graph_of(even)[both], graph_of(alone)[both], atol=1e-2)


EXPERIMENT = {
    "dataset": {"name": "synthetic", "users": 60, "items": 40, "clicks": 12, "nuisance": 0},
    "recommender": {"name": "item_graph", "neighbours": 4},
    "fusion": "gated",
    "dim": D,
    "training": {"epochs": 4, "batch_size": 128, "learning_rate": 0.01},
    "evaluation": {"cutoffs": [5], "one_missing": True},
}


def test_importance_of_an_unknown_modality_is_refused_and_of_one_left_out_is_not():
    experiment = experiment_from(EXPERIMENT)
    wrong = experiment.varied({"recommender.importance": {"txt": 2.0}})
    with pytest.raises(ConfigError, match=r"recommender.importance.*'txt'.*text"):
        build_task(wrong, load_dataset(wrong))
    alone = experiment.varied(
        {"recommender.importance": {"text": 2.0}, "inputs.modalities": ["image"]}
    )
    build_task(alone, load_dataset(alone))


def test_votes_by_rank_take_no_id_score(clicks, features):
    with pytest.raises(FusionlabError, match="votes by rank"):
        build(clicks, features, "rank_fusion", item_ids=True)


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
    with pytest.raises(ConfigError, match=r"training\.pool"):
        build_task(experiment, load_dataset(experiment))
