"""Recommenders: profiles against plain loops, one matrix product against the slow path."""

import pytest
import torch

from fusionlab.data.distinct import Distinct
from fusionlab.errors import FusionlabError
from fusionlab.fusion.contract import FUSIONS, specimen
from fusionlab.recommenders.contract import RECOMMENDERS, Context
from fusionlab.recommenders.step import Batch, ItemViews
from fusionlab.training.items import catalogue_views

D = 8


def build(name, clicks, features, fusion="mean_scores", **options):
    torch.manual_seed(0)
    context = Context(clicks, D)
    part = specimen(fusion) if isinstance(fusion, str) else FUSIONS.parse(fusion)
    strategy = part.build(features.specs, D)
    strategy.fit(features)
    model = RECOMMENDERS.parse({"name": name, **options}).build(context, strategy).eval()
    return model, catalogue_views(strategy, features)


def click_weights(profile, n):
    if profile == "recency":
        return [0.5 ** (n - 1 - j) for j in range(n)]
    return [1.0] * n


@pytest.mark.parametrize("profile", ["mean", "recency", "attention"])
@pytest.mark.parametrize("leave_out", [False, True])
def test_content_profile_equals_plain_loops(clicks, features, profile, leave_out):
    options = {"name": profile, **({"decay": 0.5} if profile == "recency" else {})}
    model, items = build("content", clicks, features, profile=options)
    rows = torch.arange(len(clicks))
    users = clicks.users
    found = model.user_views(users, items, rows if leave_out else None)
    item_weights = model.profile.item_weights(items.views) * items.present
    for row, user in zip(rows.tolist(), users.tolist(), strict=True):
        start, end = clicks.indptr[user].item(), clicks.indptr[user + 1].item()
        history = list(range(start, end))
        weights = dict(zip(history, click_weights(profile, end - start), strict=True))
        for view in range(2):
            total, weight = torch.zeros(D), 0.0
            for j in history:
                if leave_out and j == row:
                    continue
                item = clicks.items[j]
                w = weights[j] * item_weights[item, view]
                total = total + w * items.views[item, view]
                weight += w.item()
            expected = total / weight if weight > 1e-5 else torch.zeros(D)
            assert torch.allclose(found[row, view], expected, atol=2e-5)


def test_content_serves_a_user_without_history(clicks, features):
    model, items = build("content", clicks, features)
    assert (model.user_views(torch.tensor([1]), items) == 0).all()
    assert model.ranker(items)(torch.tensor([1])).isfinite().all()


@pytest.mark.parametrize("name", ["content", "hybrid"])
@pytest.mark.parametrize("fusion", FUSIONS.names())
def test_ranking_equals_scoring_pairs(clicks, features, name, fusion):
    options = {"item_ids": False} if name == "hybrid" and FUSIONS[fusion].by_rank else {}
    model, items = build(name, clicks, features, fusion, **options)
    users = torch.arange(2, 20)
    everything = torch.arange(30).expand(18, -1)
    ranked = model.ranker(items)(users)
    query = model.user_views(users, items)
    by_view = torch.einsum("bkd,bckd->bck", query, items.take(everything))
    slow = model.fusion.combine(by_view, query, items.present.expand(18, -1, -1))
    if model.user_factors(users) is not None:
        slow = slow + model.user_factors(users) @ model.item_factors(torch.arange(30)).T
    assert torch.allclose(ranked, slow, atol=1e-5)


def test_views_of_distinct_items_equal_views_of_all(clicks, features):
    model, items = build("content", clicks, features)
    rows = torch.tensor([2, 9, 40])
    batch = Batch(clicks.users[rows], clicks.items[rows, None], rows)
    distinct, position = Distinct(30)(model.items_needed(batch))
    fused = model.fusion(features.take(distinct))
    part = ItemViews(fused.views, fused.present, position)
    assert torch.allclose(
        model.pair_scores(model.touch(batch, part)),
        model.pair_scores(model.touch(batch, items)),
        atol=1e-6,
    )


def test_views_and_ids_train_on_their_own(clicks, features):
    model, items = build("hybrid", clicks, features, {"name": "mean_scores", "objective": "views"})
    assert model.trains_by_view
    rows = torch.tensor([2, 9, 40])
    candidates = torch.stack([clicks.items[rows], torch.tensor([3, 4, 5])], 1)
    batch = Batch(clicks.users[rows], candidates, rows)
    *views, (ids, counted) = model.scores_by_view(model.touch(batch, items))
    assert len(views) == 2
    assert counted.all()
    fused = model.pair_scores(model.touch(batch, items))
    present = items.present[candidates]
    mean = (torch.stack([scores for scores, _ in views], -1) * present).sum(-1)
    assert torch.allclose(fused, mean / present.sum(-1).clamp(min=1) + ids, atol=1e-6)
    ids.sum().backward()
    assert model.ids.users.weight.grad.any()
    assert model.tastes.weight.grad is None


def test_hybrid_without_item_ids_has_no_id_score(clicks, features):
    model, _ = build("hybrid", clicks, features, item_ids=False)
    assert model.item_factors(torch.arange(3)) is None
    assert not any("ids" in name for name, _ in model.named_parameters())


def test_popularity_counts_and_random_is_seeded(clicks):
    popularity = RECOMMENDERS.parse("popularity").build(Context(clicks, D), None)
    scores = popularity.ranker(None)(torch.arange(2))
    assert torch.equal(scores, clicks.popularity.float().expand(2, -1))
    first, same, other = (
        RECOMMENDERS.parse("random").build(Context(clicks, D, seed), None).ranker(None)
        for seed in (3, 3, 4)
    )
    users = torch.tensor([4, 7])
    assert torch.equal(first(users), same(users))
    assert torch.equal(first(users)[1:], first(users[1:]))
    assert not torch.equal(first(users), other(users))
    assert not torch.equal(first(users)[0], first(users)[1])


def test_content_needs_a_fusion_and_oracle_a_truth(clicks):
    with pytest.raises(FusionlabError, match="found none, expected a fusion"):
        RECOMMENDERS.parse("content").build(Context(clicks, D), None)
    with pytest.raises(FusionlabError, match="known truth"):
        RECOMMENDERS.parse("oracle").build(Context(clicks, D), None)


def test_penalty_touches_only_the_rows_of_the_step(clicks):
    model = RECOMMENDERS.parse({"name": "bpr_mf", "l2": 0.3}).build(Context(clicks, D), None)
    batch = Batch(torch.tensor([3, 5]), torch.tensor([[1, 2], [4, 2]]), torch.tensor([0, 1]))
    p, q = model.ids.users.weight, model.ids.items.weight
    rows = p[[3, 5]].square().sum() + q[[1, 2, 4, 2]].square().sum()
    assert torch.allclose(model.penalty(model.touch(batch, None)), 0.3 / 4 * rows)
    model.penalty(model.touch(batch, None)).backward()
    assert p.grad.any(1).nonzero().flatten().tolist() == [3, 5]


@pytest.mark.parametrize("item_ids", [False, True])
def test_hybrid_penalty_is_of_tastes_views_and_ids(clicks, features, item_ids):
    """l2 / (2 B) times the squared rows of both sides, a candidate as often as it stands there."""
    model, items = build("hybrid", clicks, features, l2=0.3, item_ids=item_ids)
    torch.nn.init.normal_(model.tastes.weight)
    batch = Batch(torch.tensor([3, 5]), torch.tensor([[1, 2], [4, 2]]), torch.tensor([0, 1]))
    rows = [model.tastes.weight[[3, 5]], items.views[[1, 2, 4, 2]]]
    if item_ids:
        rows += [model.ids.users.weight[[3, 5]], model.ids.items.weight[[1, 2, 4, 2]]]
    wanted = 0.3 / 4 * sum(one.square().sum() for one in rows)
    distinct, position = Distinct(30)([batch.candidates])
    for known in (items, items.only(distinct, position)):
        torch.testing.assert_close(model.penalty(model.touch(batch, known)), wanted)
