"""Ranking in situations: against the formula, list by list, and against the same without them."""

import numpy as np
import pytest
import torch

from fusionlab.data.interactions import Clicks
from fusionlab.evaluation.full_ranking import evaluate
from fusionlab.evaluation.situations import evaluate_situations

USERS, ITEMS, K = 6, 12, 3
NAMES = ("ndcg", "recall", "auc", "coverage", "novelty")


def clicks_from(rows):
    """Rows of (user, item, situation)."""
    users, items, codes = np.array(rows).T
    return Clicks.from_pairs(users, items, USERS, ITEMS, torch.from_numpy(codes)[:, None])


@pytest.fixture
def world():
    draw = np.random.default_rng(0)
    rows = [(u, i, s) for u in range(USERS) for i in range(ITEMS) for s in [draw.integers(3)]]
    part = draw.integers(0, 3, len(rows))
    split = [
        clicks_from([row for row, p in zip(rows, part, strict=True) if p == n]) for n in (0, 1, 2)
    ]
    table = torch.from_numpy(draw.normal(size=(3, USERS, ITEMS)))
    return split, table


def test_a_user_s_figure_is_the_mean_over_the_user_s_situations(world):
    (train, valid, test), table = world
    found = evaluate_situations(
        lambda users, situations: table[situations[:, 0], users].clone(),
        train,
        {"valid": valid, "test": test},
        metrics=NAMES,
        cutoffs=[K],
    )
    for split, clicks in (("valid", valid), ("test", test)):
        ndcg = []
        for user in found[split].units.tolist():
            by_situation = []
            mine = clicks.users == user
            for s in clicks.context[mine, 0].unique().tolist():
                scores = table[s, user].clone()
                scores[train.items[train.users == user]] = -torch.inf
                top = scores.argsort(descending=True)[:K].tolist()
                liked = set(clicks.items[mine & (clicks.context[:, 0] == s)].tolist())
                gain = sum(1 / np.log2(r + 2) for r, item in enumerate(top) if item in liked)
                ideal = sum(1 / np.log2(r + 2) for r in range(min(K, len(liked))))
                by_situation.append(gain / ideal)
            ndcg.append(np.mean(by_situation))
        assert found[split].units.tolist() == clicks.users.unique().tolist()
        np.testing.assert_allclose(found[split].per_unit[f"ndcg@{K}"].numpy(), ndcg, atol=1e-12)


def test_one_situation_is_as_good_as_none(world):
    (train, valid, test), table = world
    same = [
        Clicks(c.indptr, c.items, ITEMS, torch.zeros(len(c), 1, dtype=torch.long))
        for c in (valid, test)
    ]
    splits = dict(zip(("valid", "test"), same, strict=True))
    warm = train.items % 4 > 0  # the others are cold, and so is the last user
    warm &= train.users < USERS - 1
    train = Clicks.from_pairs(train.users[warm].numpy(), train.items[warm].numpy(), USERS, ITEMS)
    options = {"metrics": NAMES, "cutoffs": [K], "cold": True}
    found = evaluate_situations(lambda users, _: table[0, users].clone(), train, splits, **options)
    plain = evaluate(lambda users: table[0, users].clone(), train, splits, **options)
    for split in splits:
        assert torch.equal(found[split].units, plain[split].units)
        assert found[split].means() == plain[split].means()
        assert {f"ndcg@{K} on cold items", f"ndcg@{K} of cold users"} <= set(found[split].of_some)


def test_a_user_counts_once_whatever_the_number_of_situations():
    train = clicks_from([(u, 11, 0) for u in range(USERS)])
    test = clicks_from([(0, 0, 0), (0, 1, 1), (0, 2, 2), (1, 5, 0)])
    scores = torch.zeros(USERS, ITEMS)
    scores[0, 5] = scores[1, 5] = 1.0
    found = evaluate_situations(
        lambda users, _: scores[users], train, {"": test}, metrics=["recall"], cutoffs=[1]
    )[""]
    assert found.units.tolist() == [0, 1]
    assert found.per_unit["recall@1"].tolist() == [0.0, 1.0]
    assert found.means()["recall@1"] == 0.5
