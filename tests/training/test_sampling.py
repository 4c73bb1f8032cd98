"""Negative sampling: exactly uniform over what a user has not clicked."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from fusionlab.data.interactions import Clicks
from fusionlab.errors import FusionlabError
from fusionlab.training import sampling
from fusionlab.training.sampling import NegativeSampler


def clicks_of(rows, n_items):
    users = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    items = np.array([item for row in rows for item in row], dtype=np.int64)
    return Clicks.from_pairs(users, items, len(rows), n_items)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_never_a_click_and_always_an_item(data):
    n_items = data.draw(st.integers(2, 12))
    row = st.lists(st.integers(0, n_items - 1), unique=True, max_size=n_items - 1)
    rows = data.draw(st.lists(row, min_size=1, max_size=6))
    sampler = NegativeSampler(clicks_of(rows, n_items))
    users = torch.arange(len(rows)).repeat(3)
    drawn = sampler.draw(users, 40, torch.Generator().manual_seed(data.draw(st.integers(0, 99))))
    assert drawn.shape == (3 * len(rows), 40)
    for user, items in zip(users.tolist(), drawn.tolist(), strict=True):
        assert all(0 <= item < n_items for item in items)
        assert not set(items) & set(rows[user])


def test_uniform_over_the_rest():
    rows = [[5, 1, 3], [0], [6, 0, 2, 1, 4], []]
    sampler = NegativeSampler(clicks_of(rows, 7))
    drawn = sampler.draw(torch.arange(4), 30_000, torch.Generator().manual_seed(1))
    for user, row in enumerate(rows):
        counts = torch.bincount(drawn[user], minlength=7)
        rest = [item for item in range(7) if item not in row]
        assert counts[row].sum() == 0
        assert chisquare(counts[rest].numpy()).pvalue > 1e-3


def test_every_item_of_one_seed_can_be_reached():
    sampler = NegativeSampler(clicks_of([[0, 1, 2, 4]], 6))
    drawn = sampler.draw(torch.zeros(1, dtype=torch.long), 200, torch.Generator().manual_seed(0))
    assert set(drawn.flatten().tolist()) == {3, 5}


def test_drawn_for_some_users_after_the_others_they_are_the_same(monkeypatch):
    sampler = NegativeSampler(clicks_of([[5, 1, 3], [0], [6, 0, 2, 1, 4], []], 7))
    users = torch.tensor([3, 0, 0, 2, 1, 1, 2, 0, 3, 2])
    at_once = sampler.draw(users, 3, torch.Generator().manual_seed(0))
    monkeypatch.setattr(sampling, "AT_ONCE", 4)
    assert torch.equal(sampler.draw(users, 3, torch.Generator().manual_seed(0)), at_once)


def test_a_user_who_clicked_everything_is_named():
    with pytest.raises(FusionlabError, match="user row 1 clicked all 3 items"):
        NegativeSampler(clicks_of([[0], [0, 1, 2]], 3))
