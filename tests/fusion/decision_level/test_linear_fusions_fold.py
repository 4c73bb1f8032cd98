"""Linear decision fusion ranks by one matrix product, equal to plain loops to 1e-6."""

from copy import deepcopy
from math import exp

import numpy as np
import pytest
import torch
from decision_reference import random_items, views_by_loops

from fusionlab.data.features import ItemFeatures
from fusionlab.data.interactions import Clicks
from fusionlab.fusion.checks import Subject
from fusionlab.fusion.contract import FUSIONS, specimen
from fusionlab.recommenders.contract import RECOMMENDERS, Context
from fusionlab.training.items import catalogue_views

MODALITIES, D, ITEMS = 3, 8, 24
HISTORIES = [[], [0], [10], [13, 3], [4, 16], [1, 0], [7, 8, 9, 10], [3, 11, 12, 13, 14, 15, 17]]


def equal(alpha, on):
    """mean_scores: 1 / |S|, S the modalities that an item has."""
    return {m: 1 / len(on) for m in on}


def learned(alpha, on):
    """weighted_scores: exp(alpha_m) / sum over S of exp(alpha_j)."""
    total = sum(exp(alpha[m]) for m in on)
    return {m: exp(alpha[m]) / total for m in on}


WEIGHTS = {"mean_scores": equal, "weighted_scores": learned}
LINEAR = [*WEIGHTS, {"name": "mean_scores", "objective": "views"}]


def world():
    """Items with every subset of the modalities, none too, and users with and without views."""
    items = random_items(MODALITIES, n=ITEMS)
    features = ItemFeatures({name: x.float() for name, x in items.values.items()}, items.mask)
    users = np.repeat(np.arange(len(HISTORIES)), [len(h) for h in HISTORIES])
    chosen = np.array([item for history in HISTORIES for item in history])
    return features, Clicks.from_pairs(users, chosen, len(HISTORIES), ITEMS)


def build(recommender, fusion, clicks, features):
    torch.manual_seed(0)
    strategy = FUSIONS.parse(fusion).build(features.specs, D)
    model = RECOMMENDERS.parse(recommender).build(Context(clicks, D), strategy).eval()
    for parameter in model.parameters():
        parameter.data.normal_(std=0.4)
    return model


def tastes_by_loops(model, user, views):
    """content: the mean of the history's views of a modality; hybrid: the user's own vectors."""
    names = list(model.fusion.specs)
    if hasattr(model, "tastes"):
        row = model.tastes.weight[user].tolist()
        return {m: row[k * D : (k + 1) * D] for k, m in enumerate(names)}
    found = {}
    for m in names:
        seen = [views[item][m] for item in HISTORIES[user] if m in views[item]]
        if seen:
            found[m] = [sum(float(v[d]) for v in seen) / len(seen) for d in range(D)]
    return found


def id_score_by_loops(model, user, item):
    """<p_u, q_i> + b_i, or nothing where the recommender has no IDs."""
    if getattr(model, "ids", None) is None:
        return 0.0
    p, q = model.ids.users.weight[user].tolist(), model.ids.items.weight[item].tolist()
    return sum(a * b for a, b in zip(p, q, strict=True)) + model.ids.bias.weight[item].item()


def scores_by_loops(model, features, weights):
    """s(u, i) = sum over the modalities m of item i of w_im <q_um, v_im>, plus the ID score."""
    exact = ItemFeatures({n: x.double() for n, x in features.values.items()}, features.mask)
    views = views_by_loops(deepcopy(model.fusion).double(), exact)
    assert {len(v) for v in views} == set(range(MODALITIES + 1)), "some subsets were not met"
    scores = [[0.0] * ITEMS for _ in HISTORIES]
    met = set()
    for user in range(len(HISTORIES)):
        tastes = tastes_by_loops(model, user, views)
        met.add(len(tastes))
        for item in range(ITEMS):
            total = id_score_by_loops(model, user, item)
            for m, weight in weights[item].items():
                for d in range(D) if m in tastes else ():
                    total += weight * tastes[m][d] * float(views[item][m][d])
            scores[user][item] = total
    assert hasattr(model, "tastes") or {0, 1, 2, 3} <= met, "users lack none to all modalities"
    return torch.tensor(scores, dtype=torch.float64)


def weights_by_loops(model, features):
    """The weights of each item by the formula of the strategy's paper."""
    formula = WEIGHTS[model.fusion.name]
    alpha = {m: a.item() for m, a in getattr(model.fusion, "alpha", {}).items()}
    has = {m: mask.any(1).tolist() for m, mask in features.mask.items()}
    return [formula(alpha, [m for m in has if has[m][item]]) for item in range(ITEMS)]


def test_the_strategies_that_fold_are_those_with_a_formula_here():
    folding = set()
    for name in FUSIONS.names():
        fusion = Subject(specimen(name), MODALITIES).build()
        present = torch.ones(ITEMS, fusion.n_views, dtype=torch.bool)
        if fusion.n_views > 1 and fusion.fold(present) is not None:
            folding.add(name)
    assert folding == set(WEIGHTS)


@pytest.mark.parametrize("recommender", ["content", "hybrid"])
@pytest.mark.parametrize("fusion", LINEAR, ids=str)
@torch.no_grad()
def test_the_folded_path_equals_the_slow_path(recommender, fusion):
    features, clicks = world()
    model = build(recommender, fusion, clicks, features)
    ranker = model.ranker(catalogue_views(model.fusion, features))
    width = MODALITIES * D + (D + 1 if recommender == "hybrid" else 0)
    assert ranker.product.matrix.shape == (width, ITEMS), "views and IDs are one matrix"
    found = ranker(torch.arange(len(HISTORIES))).double()
    expected = scores_by_loops(model, features, weights_by_loops(model, features))
    assert expected.abs().max() > 0.5
    assert torch.allclose(found, expected, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("fusion", LINEAR, ids=str)
@torch.no_grad()
def test_the_path_of_any_other_strategy_gives_the_same_with_these_weights(fusion, monkeypatch):
    """`Ranker` without a fold, fed the loops' weights, as a strategy that cannot fold would be."""
    features, clicks = world()
    model = build("hybrid", fusion, clicks, features)
    items, users = catalogue_views(model.fusion, features), torch.arange(len(HISTORIES))
    folded = model.ranker(items)(users)
    rows = [[w.get(m, 0.0) for m in model.fusion.specs] for w in weights_by_loops(model, features)]
    monkeypatch.setattr(model.fusion, "fold", lambda present: None)
    monkeypatch.setattr(
        model.fusion,
        "view_weights",
        lambda scores, query, present: torch.tensor(rows).expand(scores.shape),
    )
    ranker = model.ranker(items)
    assert ranker.folded is None
    assert torch.allclose(folded, ranker(users), atol=1e-6, rtol=1e-6)
