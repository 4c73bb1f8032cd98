"""rank_fusion: the mean of 1 / (k + rank), or of Borda points, over the modalities present."""

from itertools import permutations

import pytest
import torch
from decision_reference import MODALITIES, assert_combines, build, case
from small_world import pair_task, train

from fusionlab.data.interactions import Clicks
from fusionlab.evaluation.ranking import top_k
from fusionlab.fusion.checks import SPECS
from fusionlab.fusion.contract import Objective
from fusionlab.training.items import catalogue_views


def rank(scores, item, m):
    """1 + how many candidates stand before ``item`` in m's list, equals counting half."""
    mine = scores[item][m]
    others = [s[m] for other, s in enumerate(scores) if m in s and other != item]
    return 1 + sum(other > mine for other in others) + sum(other == mine for other in others) / 2


VOTES = {
    "reciprocal_rank": lambda r, listed: 1 / (60 + r),
    "borda": lambda r, listed: (listed - r + 1) / listed,
}


@pytest.mark.parametrize("modalities", MODALITIES)
@pytest.mark.parametrize("method", VOTES)
def test_equals_the_formula(modalities, method):
    def votes(scores, item):
        listed = {m: sum(m in s for s in scores) for m in scores[item]}
        return {m: VOTES[method](rank(scores, item, m), listed[m]) for m in scores[item]}

    def formula(state, query, scores):
        return [sum(votes(scores, i).values()) / len(s) if s else 0.0 for i, s in enumerate(scores)]

    def weights(state, query, scores):
        cast = [votes(scores, i) for i in range(len(scores))]
        return [{m: v[m] / sum(v.values()) for m in v} for v in cast]

    assert_combines({"name": "rank_fusion", "method": method}, modalities, formula, weights)


@pytest.mark.parametrize("method", VOTES)
def test_a_modality_to_which_all_are_alike_prefers_none(method):
    """As when a user's history lacks it: the query is zero, and so are all scores."""
    fusion = build({"name": "rank_fusion", "method": method}, 2)
    scores = torch.stack([torch.randn(30), torch.zeros(30)], -1)[None]
    combined = fusion.combine(scores, None, torch.ones_like(scores, dtype=torch.bool))
    assert torch.equal(combined.argsort(-1), scores[..., 0].argsort(-1))


def test_the_same_votes_are_a_tie_to_the_bit_whoever_cast_them(monkeypatch):
    fusion = build("rank_fusion", 4)
    cast = 1 / (60 + torch.tensor([1.0, 17.0, 230.0, 99_991.0]))
    votes = torch.stack([cast[list(order)] for order in permutations(range(4))])[None]
    monkeypatch.setattr(fusion, "votes", lambda scores, present: votes)
    combined = fusion.combine(votes, None, torch.ones_like(votes, dtype=torch.bool))
    assert combined.unique().numel() == 1
    assert votes.sum(-1).unique().numel() > 1


@pytest.mark.parametrize("modalities", MODALITIES)
@pytest.mark.parametrize("method", VOTES)
def test_unlisted_candidates_come_last_as_in_the_papers(modalities, method):
    """Cormack: sum over the lists that hold the candidate. Aslam and Montague: N points for the
    first of N candidates, one less for each next; the unlisted share what is left evenly."""

    def points(scores, item, m):
        listed, n = sum(m in s for s in scores), len(scores)
        if method == "reciprocal_rank":
            return 1 / (60 + rank(scores, item, m)) if m in scores[item] else 0
        if m in scores[item]:
            return n + 1 - rank(scores, item, m)
        return sum(range(1, n - listed + 1)) / (n - listed)

    names = list(SPECS)[:modalities]

    def formula(state, query, scores):
        scale = modalities * (len(scores) if method == "borda" else 1)
        return [sum(points(scores, i, m) for m in names) / scale for i in range(len(scores))]

    def weights(state, query, scores):
        cast = [{m: points(scores, i, m) for m in s} for i, s in enumerate(scores)]
        return [{m: v[m] / sum(v.values()) for m in v} for v in cast]

    part = {"name": "rank_fusion", "method": method, "unlisted": "last"}
    assert_combines(part, modalities, formula, weights)


def columns(*lists):
    scores = torch.tensor(lists).T
    return scores, torch.ones_like(scores, dtype=torch.bool)


def test_worked_example():
    """Ranks (1, 2), (2, 3), (3, 1): 1/61 + 1/62, 1/62 + 1/63, 1/63 + 1/61, each over two."""
    scores, present = columns([9.0, 5.0, 1.0], [0.2, 0.1, 0.3])
    found = build("rank_fusion", 2).combine(scores, None, present).tolist()
    expected = [(1 / 61 + 1 / 62) / 2, (1 / 62 + 1 / 63) / 2, (1 / 63 + 1 / 61) / 2]
    assert found == pytest.approx(expected, abs=1e-8)
    borda = build({"name": "rank_fusion", "method": "borda"}, 2)
    points = borda.combine(scores, None, present).tolist()
    assert points == pytest.approx([(3 + 2) / 6, (2 + 1) / 6, (1 + 3) / 6])


def test_only_the_order_counts():
    found = case("rank_fusion", 3)
    bent = found.given.exp() * torch.tensor([1.0, 50.0, 1e-3], dtype=torch.float64)
    first, second = (found.fusion.combine(s, None, found.present) for s in (found.given, bent))
    everyone_but_the_zero_query = slice(1, None)
    assert torch.equal(first[everyone_but_the_zero_query], second[everyone_but_the_zero_query])


def test_absent_views_neither_vote_nor_take_a_rank():
    scores = torch.tensor([[1.0, 99.0], [2.0, 1.0], [3.0, 0.5]])
    present = torch.tensor([[True, False], [True, True], [True, True]])
    found = build("rank_fusion", 2).combine(scores, None, present).tolist()
    expected = [1 / 63, (1 / 62 + 1 / 61) / 2, (1 / 61 + 1 / 62) / 2]
    assert found == pytest.approx(expected, abs=1e-8)
    assert found[1] == found[2], "swapped ranks are an exact tie"


@pytest.mark.parametrize("method", VOTES)
def test_ties_break_as_in_evaluation(method):
    draw = torch.Generator().manual_seed(0)
    scores = torch.randint(4, (6, 40), generator=draw).float()
    nobody = Clicks(torch.zeros(7, dtype=torch.long), torch.empty(0, dtype=torch.long), 40)
    fusion = build({"name": "rank_fusion", "method": method}, 1)
    fused = fusion.combine(scores[..., None], None, torch.ones(6, 40, 1, dtype=torch.bool))
    users = torch.arange(6)
    direct, by_rank = (
        top_k(lambda rows, table=table: table[rows].clone(), nobody, users, 40)[0]
        for table in (scores, fused)
    )
    assert torch.equal(direct, by_rank)


def test_which_modality_cast_which_vote_changes_no_bit():
    draw = torch.Generator().manual_seed(1)
    scores = torch.randn(2, 500, 4, generator=draw)
    present = torch.rand(2, 500, 4, generator=draw) < 0.8
    fusion = build("rank_fusion", 4)
    turned = [2, 0, 3, 1]
    assert torch.equal(
        fusion.combine(scores, None, present),
        fusion.combine(scores[..., turned], None, present[..., turned]),
    )


def test_trains_by_view_and_ranks_by_votes(clicks, features):
    task = pair_task("content", "rank_fusion", clicks, features)
    assert task.model.fusion.objective is Objective.VIEWS
    batch = next(task.batches(torch.Generator().manual_seed(0)))
    touched = task.model.touch(batch, items_of(task))
    assert len(task.model.scores_by_view(touched)) == 2
    before = task.step(batch, torch.Generator()).joint.item()
    train(task, epochs=20)
    assert task.step(batch, torch.Generator()).joint.item() < before - 0.1
    scores = task.ranker()(torch.tensor([3]))[0]
    nothing = ~items_of(task).present.any(1)
    assert ((scores == 0) == nothing).all()
    assert scores.max() <= 1 / 61


def items_of(task):
    return catalogue_views(task.model.fusion, task.features)
