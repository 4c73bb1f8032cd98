"""Clicks in compressed rows: what membership tests search, and clicks of some users alone."""

import numpy as np
import torch

from fusionlab.data.interactions import Clicks


def rows(clicks, items):
    return [row.tolist() for row in items.split(clicks.counts.tolist())]


def test_by_item_sorts_each_row_and_leaves_the_order_of_clicks_alone(clicks):
    before = clicks.items.clone()
    expected = [sorted(row) for row in rows(clicks, clicks.items)]
    assert rows(clicks, clicks.by_item) == expected
    assert torch.equal(clicks.items, before)


def test_only_keeps_the_rows_asked_for(clicks):
    kept = clicks.only(torch.tensor([7, 0, 1]))
    assert (kept.n_users, kept.n_items) == (clicks.n_users, clicks.n_items)
    expected = [
        row if user in (0, 1, 7) else [] for user, row in enumerate(rows(clicks, clicks.items))
    ]
    assert rows(kept, kept.items) == expected


def test_some_users_are_always_the_same_and_a_smaller_sample_is_part_of_a_larger(clicks):
    torch.manual_seed(1)
    few = clicks.some_users(5)
    torch.manual_seed(2)
    assert torch.equal(clicks.some_users(5), few)
    assert len(set(few.tolist())) == 5
    assert torch.equal(clicks.some_users(9)[:5], few)
    assert clicks.some_users(100).sort().values.tolist() == [0, *range(2, 20)]  # 1 has no click


def test_two_splits_share_the_users_that_both_have():
    everyone = np.arange(50)
    one = Clicks.from_pairs(everyone, everyone, 50, 50)
    other = Clicks.from_pairs(everyone[:40], everyone[10:], 50, 50)
    sample = one.some_users(50)
    assert torch.equal(other.some_users(50), sample[sample < 40])
