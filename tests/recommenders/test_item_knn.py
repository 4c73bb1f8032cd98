"""Neighbours by co-clicks against plain loops over users and items."""

import math

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fusionlab.data.interactions import Clicks
from fusionlab.recommenders import co_clicks
from fusionlab.recommenders.contract import RECOMMENDERS, Context
from fusionlab.recommenders.item_knn import nearest
from tests.conftest import random_clicks


def build(clicks, **options):
    return RECOMMENDERS.parse({"name": "item_knn", **options}).build(Context(clicks, 8), None)


def by_loops(clicks, k, shrinkage):
    users_of = [set(clicks.users[clicks.items == i].tolist()) for i in range(clicks.n_items)]
    near = []
    for i, own in enumerate(users_of):
        similar = []
        for j, other in enumerate(users_of):
            if i != j and own & other:
                both = len(own & other)  # a quotient of integers is rounded once: ties are ties
                root = math.sqrt(len(own) * len(other) / both**2)
                similar.append((-1 / (root + shrinkage / both), j))
        near.append(sorted(similar)[:k])
    scores = torch.zeros(clicks.n_users, clicks.n_items)
    for user, item in zip(clicks.users.tolist(), clicks.items.tolist(), strict=True):
        for similarity, j in near[item]:
            scores[user, j] -= similarity
    return scores


@given(
    seed=st.integers(0, 1000),
    k=st.integers(1, 12),
    shrinkage=st.floats(0, 20),
    block=st.integers(1, 12),
)
@example(seed=349, k=3, shrinkage=0.0, block=1)  # cosines that are equal but for rounding
@settings(max_examples=40, deadline=None)
def test_scores_equal_plain_loops(seed, k, shrinkage, block):
    clicks = random_clicks(users=14, items=11, per_user=4, seed=seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(co_clicks, "BLOCK", block)
        model = build(clicks, neighbours=k, shrinkage=shrinkage)
    scores = model.ranker(None)(torch.arange(14))
    torch.testing.assert_close(scores, by_loops(clicks, k, shrinkage), atol=1e-5, rtol=1e-5)


def test_equal_similarities_go_to_the_item_that_stands_first():
    # Everyone clicked everything: all similarities are one.
    clicks = Clicks(torch.tensor([0, 4, 8]), torch.tensor([0, 1, 2, 3] * 2), 4)
    similar = build(clicks, neighbours=2, shrinkage=0).similar
    assert similar.columns.view(4, 2).sort().values.tolist() == [[1, 2], [0, 2], [0, 1], [0, 1]]
    assert torch.equal(similar.weights, torch.ones(8))


def test_shrinkage_prefers_what_rests_on_more_users():
    # Items 0 and 1 have the same one user; 0 and 2, then 1 and 2, share only that one. Items 2 and
    # 3 share three of five users, and 3 and 4 the one user that 4 has.
    pairs = [(0, 0), (0, 1), (1, 2), (1, 3), (2, 2), (2, 3), (3, 2), (3, 3), (4, 3), (4, 4)]
    users, items = torch.tensor(pairs).T.numpy()
    clicks = Clicks.from_pairs(users, items, 5, 5)

    def to_item_3(shrinkage):
        return build(clicks, neighbours=4, shrinkage=shrinkage).ranker(None)(torch.tensor([4]))[0]

    plain, shrunk = to_item_3(0), to_item_3(10)
    assert plain[2] / plain[4] < shrunk[2] / shrunk[4]


def test_cosines_that_are_equal_but_for_rounding_are_ties():
    """1 / sqrt(3 * 1) and 3 / sqrt(3 * 9)."""
    users, items = np.array([0, 1, 2, *range(9), 0]), np.array([0] * 3 + [1] * 9 + [2])
    near = nearest(Clicks.from_pairs(users, items, 9, 3), 1, 0.0)
    assert near.indices[near.indptr[0] : near.indptr[1]].tolist() == [1]
