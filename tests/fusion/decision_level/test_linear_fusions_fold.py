"""Linear decision fusion ranks by one matrix product, equal to plain loops to 1e-6 of the largest
score."""

from copy import deepcopy
from math import exp

import numpy as np
import pytest
import torch
from decision_reference import random_items, views_by_loops

from fusionlab.data.features import ItemFeatures
from fusionlab.data.interactions import Clicks
from fusionlab.fusion.checks import Subject
from fusionlab.fusion.contract import FUSIONS, Level, specimen
from fusionlab.recommenders.contract import RECOMMENDERS, Context
from fusionlab.training.items import catalogue_views

ITEMS = 24
SIZES = [(modalities, dim) for modalities in (1, 2, 3, 4) for dim in (8, 64)]
HISTORIES = [
    [],
    *([item] for item in range(ITEMS)),
    [13, 3],
    [4, 16],
    [1, 0],
    [7, 8, 9, 10],
    [3, 11, 12, 13, 14, 15, 17],
]


def equal(alpha, on):
    """mean_scores: 1 / |S|, S the modalities that an item has."""
    return {m: 1 / len(on) for m in on}


def learned(alpha, on):
    """weighted_scores: exp(alpha_m) / sum over S of exp(alpha_j)."""
    total = sum(exp(alpha[m]) for m in on)
    return {m: exp(alpha[m]) / total for m in on}


WEIGHTS = {"mean_scores": equal, "weighted_scores": learned}
ALONE = {"confidence": equal, "user_gate": equal}
"""Fold where there is one modality alone, which has all the weight."""
LINEAR = [*WEIGHTS, {"name": "mean_scores", "objective": "views"}]


def world(modalities):
    """Items that lack none to all of the modalities, and users with and without views."""
    items = random_items(modalities, n=ITEMS)
    features = ItemFeatures({name: x.float() for name, x in items.values.items()}, items.mask)
    users = np.repeat(np.arange(len(HISTORIES)), [len(h) for h in HISTORIES])
    chosen = np.array([item for history in HISTORIES for item in history])
    return features, Clicks.from_pairs(users, chosen, len(HISTORIES), ITEMS)


def build(recommender, fusion, clicks, features, dim):
    torch.manual_seed(0)
    strategy = FUSIONS.parse(fusion).build(features.specs, dim)
    model = RECOMMENDERS.parse(recommender).build(Context(clicks, dim), strategy).eval()
    for parameter in model.parameters():
        parameter.data.normal_(std=0.4)
    return model


def tastes_by_loops(model, user, views):
    """content: the mean of the history's views of a modality; hybrid: the user's own vectors."""
    names, dim = list(model.fusion.specs), model.fusion.dim
    if hasattr(model, "tastes"):
        row = model.tastes.weight[user].tolist()
        return {m: row[k * dim : (k + 1) * dim] for k, m in enumerate(names)}
    found = {}
    for m in names:
        seen = [views[item][m] for item in HISTORIES[user] if m in views[item]]
        if seen:
            found[m] = [sum(float(v[d]) for v in seen) / len(seen) for d in range(dim)]
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
    every = set(range(len(features.specs) + 1))
    assert {len(v) for v in views} == every, "some subsets were not met"
    scores = [[0.0] * ITEMS for _ in HISTORIES]
    met = set()
    for user in range(len(HISTORIES)):
        tastes = tastes_by_loops(model, user, views)
        met.add(len(tastes))
        for item in range(ITEMS):
            total = id_score_by_loops(model, user, item)
            for m, weight in weights[item].items():
                for d in range(model.fusion.dim) if m in tastes else ():
                    total += weight * tastes[m][d] * float(views[item][m][d])
            scores[user][item] = total
    assert hasattr(model, "tastes") or met == every, "users lack none to all modalities"
    return torch.tensor(scores, dtype=torch.float64)


def weights_by_loops(model, features):
    """The weights of each item by the formula of the strategy's paper."""
    formula = (WEIGHTS | ALONE)[model.fusion.name]
    alpha = {m: a.item() for m, a in getattr(model.fusion, "alpha", {}).items()}
    has = {m: mask.any(1).tolist() for m, mask in features.mask.items()}
    return [formula(alpha, [m for m in has if has[m][item]]) for item in range(ITEMS)]


@pytest.mark.parametrize("modalities", [1, 2, 3, 4])
def test_the_strategies_that_fold_are_those_with_a_formula_here(modalities):
    folding = set()
    for name in FUSIONS.names():
        fusion = Subject(specimen(name), modalities).build()
        present = torch.ones(ITEMS, fusion.n_views, dtype=torch.bool)
        if fusion.level is Level.DECISION and fusion.fold(present) is not None:
            folding.add(name)
    assert folding == set(WEIGHTS | ALONE if modalities == 1 else WEIGHTS)


def assert_nearly(found, expected):
    """To 1e-6 of the largest score."""
    largest = expected.abs().max()
    assert largest > 0.5
    assert (found.double() - expected.double()).abs().max() <= 1e-6 * largest


@pytest.mark.parametrize("recommender", ["content", "hybrid"])
@pytest.mark.parametrize(
    ("fusion", "modalities", "dim"),
    [*((fusion, *size) for fusion in LINEAR for size in SIZES), *((f, 1, 64) for f in ALONE)],
    ids=str,
)
@torch.no_grad()
def test_the_folded_path_equals_the_slow_path(recommender, fusion, modalities, dim):
    features, clicks = world(modalities)
    model = build(recommender, fusion, clicks, features, dim)
    ranker = model.ranker(catalogue_views(model.fusion, features))
    width = modalities * dim + (dim + 1 if recommender == "hybrid" else 0)
    assert ranker.product.matrix.shape == (width, ITEMS), "views and IDs are one matrix"
    found = ranker(torch.arange(len(HISTORIES)))
    assert_nearly(found, scores_by_loops(model, features, weights_by_loops(model, features)))


@pytest.mark.parametrize("fusion", LINEAR, ids=str)
@pytest.mark.parametrize(("modalities", "dim"), SIZES)
@torch.no_grad()
def test_the_path_of_any_other_strategy_gives_the_same_with_these_weights(
    fusion, modalities, dim, monkeypatch
):
    """`Ranker` without a fold, fed the loops' weights, as a strategy that cannot fold would be."""
    features, clicks = world(modalities)
    model = build("hybrid", fusion, clicks, features, dim)
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
    assert not ranker.folded
    assert_nearly(folded, ranker(users))
