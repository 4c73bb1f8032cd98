"""EASE against a dense second computation and against what its optimum must satisfy."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fusionlab.data.interactions import Clicks
from fusionlab.errors import FusionlabError
from fusionlab.recommenders import co_clicks
from fusionlab.recommenders.contract import RECOMMENDERS, Context
from fusionlab.recommenders.ease import MOST_ITEMS, item_weights
from tests.conftest import random_clicks


def dense(clicks):
    x = np.zeros((clicks.n_users, clicks.n_items))
    x[clicks.users, clicks.items] = 1
    return x


def build(clicks, **options):
    return RECOMMENDERS.parse({"name": "ease", **options}).build(Context(clicks, 8), None)


@pytest.mark.parametrize("block", [7, 1024])
def test_scores_equal_the_formula(clicks, block, monkeypatch):
    monkeypatch.setattr(co_clicks, "BLOCK", block)
    x = dense(clicks)
    inverse = np.linalg.inv(x.T @ x + 3 * np.eye(30))
    weights = np.eye(30) - inverse @ np.diag(1 / np.diag(inverse))
    scores = build(clicks, l2=3).ranker(None)(torch.arange(20))
    np.testing.assert_allclose(scores.numpy(), x @ weights, atol=1e-6)


@given(seed=st.integers(0, 1000), l2=st.floats(0.1, 1000))
@settings(max_examples=25, deadline=None)
def test_each_column_is_the_ridge_regression_on_the_other_items(seed, l2):
    clicks = random_clicks(users=15, items=9, per_user=4, seed=seed)
    x, weights = dense(clicks), item_weights(clicks, l2).numpy()
    assert not weights.diagonal().any()
    for item in range(9):
        others = np.delete(x, item, 1)
        ridge = np.linalg.solve(others.T @ others + l2 * np.eye(8), others.T @ x[:, item])
        np.testing.assert_allclose(np.delete(weights[:, item], item), ridge, atol=1e-6)


def test_accuracy_is_that_of_float64_rounded_once():
    clicks = random_clicks(users=400, items=120, per_user=40)
    x = dense(clicks)
    inverse = np.linalg.inv(x.T @ x + 1e-3 * np.eye(120))
    exact = -inverse / np.diag(inverse)
    np.fill_diagonal(exact, 0)
    error = np.abs(item_weights(clicks, 1e-3).numpy() - exact).max()
    assert error < 1e-6 * np.abs(exact).max()


def test_items_nobody_clicked_neither_give_nor_get():
    weights = item_weights(Clicks(torch.tensor([0, 2, 3]), torch.tensor([0, 1, 1]), 4), 1.0)
    assert not weights[2:].any()
    assert not weights[:, 2:].any()
    assert weights[0, 1] > 0


def test_a_large_catalogue_is_refused_with_the_memory_it_needs():
    n = 100_000
    assert n > MOST_ITEMS
    clicks = Clicks(torch.tensor([0, 1]), torch.tensor([5]), n)
    with pytest.raises(FusionlabError, match=r"100,000 items.*240 GB.*30,000.*item_knn"):
        build(clicks)


def test_a_ridge_too_small_to_invert_is_refused():
    clicks = Clicks(torch.tensor([0, 3, 6]), torch.tensor([0, 1, 2, 0, 1, 2]), 3)
    with pytest.raises(FusionlabError, match=r"recommender.l2: found 1e-300"):
        build(clicks, l2=1e-300)
