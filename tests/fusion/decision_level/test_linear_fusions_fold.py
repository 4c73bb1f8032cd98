"""Linear decision fusion ranks by one matrix product, equal to the slow path to 1e-6."""

import pytest
import torch

from fusionlab.fusion.contract import FUSIONS
from fusionlab.recommenders.contract import RECOMMENDERS, Context
from fusionlab.training.items import catalogue_views

D = 8
LINEAR = ["mean_scores", {"name": "mean_scores", "objective": "views"}, "weighted_scores"]


def build(recommender, fusion, clicks, features):
    torch.manual_seed(0)
    strategy = FUSIONS.parse(fusion).build(features.specs, D)
    for p in strategy.parameters():
        p.data.normal_()
    model = RECOMMENDERS.parse(recommender).build(Context(clicks, D), strategy).eval()
    return model, catalogue_views(strategy, features)


def shares(model, present):
    """Weights of one item's modalities, by loops over the plain formulas."""
    alpha = getattr(model.fusion, "alpha", None)
    raw = [1.0 if alpha is None else alpha[name].exp().item() for name in model.fusion.specs]
    total = sum(w for w, on in zip(raw, present, strict=True) if on) or 1.0
    return [w / total if on else 0.0 for w, on in zip(raw, present, strict=True)]


@pytest.mark.parametrize("recommender", ["content", "hybrid"])
@pytest.mark.parametrize("fusion", LINEAR, ids=str)
@torch.no_grad()
def test_one_matrix_product_equals_scores_by_loops(clicks, features, recommender, fusion):
    model, items = build(recommender, fusion, clicks, features)
    missing = items.present.sum(1)
    assert {0, 1, 2} <= set(missing.tolist()), "items with none, one and all of the modalities"
    ranker = model.ranker(items)
    users = torch.arange(clicks.n_users)
    ids = model.item_factors(torch.arange(clicks.n_items))
    width = 2 * D + (0 if ids is None else ids.shape[1])
    assert ranker.matrix.shape == (width, clicks.n_items), "views and IDs are one matrix"
    found = ranker(users).double()
    query = model.user_views(users, items).double()
    views = items.views.double()
    expected = torch.zeros(clicks.n_users, clicks.n_items, dtype=torch.float64)
    for item in range(clicks.n_items):
        weights = shares(model, items.present[item].tolist())
        for user in range(clicks.n_users):
            for m in range(2):
                expected[user, item] += weights[m] * (query[user, m] @ views[item, m])
            if ids is not None:
                expected[user, item] += (
                    model.user_factors(users[user, None])[0].double() @ ids[item].double()
                )
    assert torch.allclose(found, expected, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("recommender", ["content", "hybrid"])
@pytest.mark.parametrize("fusion", LINEAR, ids=str)
@torch.no_grad()
def test_the_folded_path_equals_the_slow_path(clicks, features, recommender, fusion, monkeypatch):
    model, items = build(recommender, fusion, clicks, features)
    users = torch.arange(clicks.n_users)
    folded = model.ranker(items)(users)
    weights = model.fusion.fold(items.present)
    monkeypatch.setattr(model.fusion, "fold", lambda present: None)
    monkeypatch.setattr(
        model.fusion, "view_weights", lambda scores, query, present: weights.expand(scores.shape)
    )
    ranker = model.ranker(items)
    assert ranker.folded is None
    assert torch.allclose(folded, ranker(users), atol=1e-6, rtol=1e-6)
