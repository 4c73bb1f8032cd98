"""Where every item has the same score a list is drawn; nobody else's list changes."""

import numpy as np
import pytest
import torch
from ranking_reference import clicks, draw

from fusionlab.data.interactions import Clicks
from fusionlab.evaluation.full_ranking import evaluate
from fusionlab.evaluation.ranking import NOTHING, first_k, score_blocks
from fusionlab.evaluation.situations import evaluate_situations
from fusionlab.evaluation.ties import COLUMNS, fair_k

USERS, ITEMS, K = 2000, 200, 20


def lists_of(table, exclude, k=K, block=None):
    users = torch.arange(len(table))
    found = [
        fair_k(part, k, part.users)
        for part in score_blocks(lambda u: table[u], exclude, users, block=block, device="cpu")
    ]
    return tuple(torch.cat(some) for some in zip(*found, strict=True))


def nobody(users, items=ITEMS):
    return clicks([[]] * users, items)


def test_tied_lists_are_worth_what_chance_is_worth() -> None:
    """Positives are the first items of the catalogue, which its own order would put on top."""
    table, relevant = torch.zeros(USERS, ITEMS), clicks([[0, 1, 2]] * USERS, ITEMS)
    options = {"metrics": ["recall", "hit_rate", "coverage", "auc"], "cutoffs": [K]}
    found = evaluate(lambda u: table[u], nobody(USERS), {"test": relevant}, **options)["test"]
    recall = found.per_unit[f"recall@{K}"]
    standard_error = float(recall.std()) / USERS**0.5
    assert abs(float(recall.mean()) - K / ITEMS) < 3 * standard_error
    assert standard_error < 0.01
    assert found.overall[f"coverage@{K}"] == 1
    assert (found.per_unit["auc"] == 0.5).all()
    assert found.tied.all()


def test_every_item_has_its_chance_at_every_place() -> None:
    lists, _ = lists_of(torch.full((USERS, ITEMS), 0.5), nobody(USERS))
    assert all(len(set(row)) == K for row in lists.tolist())
    for place in (0, K - 1):
        counts = np.bincount(lists[:, place], minlength=ITEMS)
        squared = ((counts - USERS / ITEMS) ** 2 / (USERS / ITEMS)).sum()
        assert abs(squared - (ITEMS - 1)) < 4 * (2 * (ITEMS - 1)) ** 0.5


def test_a_drawn_list_depends_on_the_user_alone() -> None:
    table, exclude = torch.zeros(70, ITEMS), nobody(70)
    expected, _ = lists_of(table, exclude)
    for block in (1, 13):
        assert torch.equal(lists_of(table - 4, exclude, block=block)[0], expected)
    assert torch.equal(lists_of(table, exclude, k=7)[0], expected[:, :7])


def test_everybody_else_is_ranked_as_ever() -> None:
    problem = draw(3, 60, 90, levels=5, busy=0.2)
    cold = torch.tensor([4, 17, 59])
    problem.table[cold] = 0.3
    users = torch.arange(60)
    (part,) = score_blocks(problem.scores, problem.exclude, users, device="cpu")
    expected, _ = first_k(part, K)
    found, tied = fair_k(part, K, users)
    assert tied.nonzero()[:, 0].tolist() == cold.tolist()
    assert torch.equal(found[~tied], expected[~tied])
    assert not (found[tied] == expected[tied]).all(1).any()


def test_equal_best_scores_or_first_columns_are_no_tie() -> None:
    table = torch.zeros(3, 4 * COLUMNS)
    table[0, -1] = -1  # the worst of all, beyond what is looked at first
    table[1, 2 * COLUMNS] = 1
    lists, tied = lists_of(table, nobody(3, 4 * COLUMNS), k=3)
    assert tied.tolist() == [False, False, True]
    assert lists[:2].tolist() == [[0, 1, 2], [2 * COLUMNS, 0, 1]]


def test_items_that_are_no_candidates_stay_out_of_a_drawn_list() -> None:
    table = torch.zeros(2, 8)
    table[:, 5] = -torch.inf
    lists, tied = lists_of(table, clicks([[0, 1], range(8)], 8), k=7)
    assert tied.tolist() == [True, False]  # the second has no candidate at all
    assert sorted(lists[0].tolist()) == [NOTHING, NOTHING, 2, 3, 4, 6, 7]
    assert lists[0, -1] == NOTHING
    assert (lists[1] == NOTHING).all()


@pytest.mark.parametrize("lacks", [False, True])
def test_in_situations_a_user_is_tied_where_every_list_is(lacks) -> None:
    users, items, codes = np.array([(0, 1, 0), (0, 2, 1), (1, 3, 0)]).T
    test = Clicks.from_pairs(users, items, 2, 40, torch.from_numpy(codes)[:, None])
    table = torch.zeros(2, 2, 40)
    table[1, 0, 7] = float(lacks)
    options = {"metrics": ["recall"], "cutoffs": [10]}
    found = evaluate_situations(
        lambda rows, situations: table[situations[:, 0], rows].clone(),
        clicks([[0], []], 40), {"test": test}, **options,
    )["test"]  # fmt: skip
    assert found.tied.tolist() == [not lacks, True]
    if not lacks:  # one list in all situations, that of the user
        plain = evaluate(lambda rows: table[0, rows].clone(), clicks([[0], []], 40),
                         {"test": test}, **options)["test"]  # fmt: skip
        assert torch.equal(found.per_unit["recall@10"], plain.per_unit["recall@10"])
