"""Integrated gradients: completeness, and a model in which they are known."""

import sys

import pytest
import torch

from fusionlab.config import experiment_from
from fusionlab.data.features import ItemFeatures
from fusionlab.errors import FusionlabError
from fusionlab.evaluation.attribution import token_attributions
from fusionlab.fusion.imputers.contract import IMPUTERS
from fusionlab.studies.build import build_task
from fusionlab.training.items import catalogue_views


def setting(fusion, recommender="content", **changes):
    experiment = experiment_from(
        {
            "dataset": {
                "name": "synthetic",
                "users": 30,
                "items": 40,
                "clicks": 10,
                "tokens": {"text": 4, "image": 1, "audio": 2},
                "missing": 0.2,
            },
            "dim": 8,
            "recommender": recommender,
            "fusion": fusion,
            **changes,
        }
    )
    torch.manual_seed(0)
    task = build_task(experiment, experiment.dataset.build().load())
    task.model.eval()
    views = catalogue_views(task.model.fusion, task.features) if task.model.fusion else None
    return task, (task.model, task.features, views, torch.arange(6), torch.arange(10, 16))


@pytest.mark.parametrize("fusion", ["concat", "transformer", "attention_pooling", "mean_scores"])
def test_attributions_add_up_to_the_score(fusion):
    pytest.importorskip("captum", reason="pip install 'fusionlab-recsys[attribution]'")
    task, given = setting(fusion)
    found = token_attributions(*given)
    with torch.no_grad():
        scores = task.ranker()(given[3]).gather(1, given[4][:, None])[:, 0]
    total = sum(found.modalities.values())
    assert (total - found.difference).abs().max() <= 0.01 * found.difference.abs().max() + 1e-6
    features = task.features
    means = {}
    for name, x in features.values.items():
        mask = features.mask[name]
        mean = torch.where(mask[..., None], x, 0).sum((0, 1)) / mask.sum()
        means[name] = mean.expand_as(x)
    _, _, views, users, items = given
    average = ItemFeatures(means, features.mask).take(items)
    with torch.no_grad():
        query = task.model.user_views(users, views)
        fused = task.model.fusion(average)
        by_view = (query * fused.views).sum(-1)[:, None]
        below = task.model.fusion.combine(by_view, query, fused.present[:, None])[:, 0]
    torch.testing.assert_close(found.difference, scores - below, atol=1e-4, rtol=1e-3)
    for name, tokens in found.tokens.items():
        off = ~features.mask[name][items]
        assert (tokens[off] == 0).all()
        assert tokens[~off].abs().min() > 0


@pytest.mark.parametrize("imputer", IMPUTERS.names())
def test_what_stands_in_for_a_modality_is_seen_and_counts_for_nothing(imputer):
    pytest.importorskip("captum", reason="pip install 'fusionlab-recsys[attribution]'")
    task, given = setting("concat_mlp", inputs={"imputer": imputer})
    model, features, views, users, items = given
    found = token_attributions(*given)
    total = sum(found.modalities.values())
    assert (total - found.difference).abs().max() <= 0.01 * found.difference.abs().max()
    lacking = torch.stack([~features.present(name)[items] for name in features.modalities])
    assert lacking.any(), "otherwise nothing stands in for anything"
    for name, tokens in found.tokens.items():
        assert (tokens[~features.mask[name][items]] == 0).all()
    # The baseline: mean tokens in place of an item's own, what stands in for others as it was.
    given = features.take(items)
    seen = given if imputer == "none" else model.fusion.imputer(given)
    means = {}
    for name, x in features.values.items():
        mask = features.mask[name]
        mean = torch.where(mask[..., None], x, 0).sum((0, 1)) / mask.sum()
        means[name] = torch.where(given.mask[name][..., None], mean, seen.values[name])
    with torch.no_grad():
        query = model.user_views(users, views)
        below = (query * model.fusion.forward(ItemFeatures(means, seen.mask)).views).sum((1, 2))
        scores = task.ranker()(users).gather(1, items[:, None])[:, 0]
    torch.testing.assert_close(found.difference, scores - below, atol=1e-4, rtol=1e-3)


def test_of_a_sum_they_are_the_weights_times_the_inputs():
    pytest.importorskip("captum", reason="pip install 'fusionlab-recsys[attribution]'")
    _, given = setting("sum")
    found = token_attributions(*given)
    model, features, views, users, items = given
    with torch.no_grad():
        query = model.user_views(users, views)[:, 0]
        whole = features.take(items)
        for name, mine in found.modalities.items():
            weight = next(model.fusion.modality_parameters(name))
            mask = features.mask[name]
            every = torch.where(mask[..., None], features.values[name], 0)
            mean = every.sum((0, 1)) / mask.sum()
            on = whole.mask[name]
            moved = torch.where(on[..., None], whole.values[name] - mean, 0)
            moved = moved.sum(1) / on.sum(1, keepdim=True).clamp(min=1)
            torch.testing.assert_close(
                mine, (moved @ weight.T * query).sum(1), atol=1e-5, rtol=1e-4
            )


def test_what_has_no_attributions_is_said(monkeypatch):
    pytest.importorskip("captum", reason="pip install 'fusionlab-recsys[attribution]'")
    _, given = setting("concat")
    model, features, *rest = given
    ids = ItemFeatures(features.values, features.mask, {"text": 9})
    with pytest.raises(FusionlabError, match="token ids"):
        token_attributions(model, ids, *rest)
    with pytest.raises(FusionlabError, match=r"'popularity' reads no item features; .*'content'"):
        token_attributions(setting("concat", "popularity")[0].model, *given[1:])
    with pytest.raises(FusionlabError, match=r"with 1024 points; fusion 'concat' bends too"):
        token_attributions(*given, steps=1024, tolerance=0.0)
    with pytest.raises(FusionlabError, match="depends on the whole list"):
        token_attributions(*setting("rank_fusion")[1])
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    with pytest.raises(FusionlabError, match=r"fusionlab-recsys\[attribution\]"):
        token_attributions(*given)


@pytest.mark.parametrize("recommender", ["two_tower", "item_graph", "lightgcn"])
def test_recommenders_that_score_no_fused_views_are_refused(recommender):
    pytest.importorskip("captum", reason="pip install 'fusionlab-recsys[attribution]'")
    with pytest.raises(
        FusionlabError, match=f"'{recommender}' scores what it makes of fused views"
    ):
        token_attributions(*setting("concat", recommender)[1])
