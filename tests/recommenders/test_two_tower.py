"""Two towers over any fusion: by the formula, without the answer, and absent stays absent."""

import pytest
import torch
import torch.nn.functional as F

from fusionlab.data.distinct import Distinct
from fusionlab.errors import FusionlabError
from fusionlab.fusion.contract import FUSIONS, specimen
from fusionlab.recommenders.contract import RECOMMENDERS, Context
from fusionlab.recommenders.step import Batch, ItemViews
from fusionlab.training.items import catalogue_views

D = 8


def build(clicks, features, fusion="mean_scores", **options):
    torch.manual_seed(0)
    strategy = specimen(fusion).build(features.specs, D)
    strategy.fit(features)
    part = RECOMMENDERS.parse({"name": "two_tower", **options})
    model = part.build(Context(clicks, D, features=features), strategy).eval()
    return model, catalogue_views(strategy, features)


def by_hand(tower, x):
    """Unit vectors of a tower with one hidden layer; zero where nothing goes in."""
    y = torch.relu(x @ tower[0].weight.T + tower[0].bias) @ tower[2].weight.T + tower[2].bias
    return F.normalize(y, dim=-1) * x.ne(0).any(-1, keepdim=True)


def slow_scores(model, items, user, left_out=None):
    """Scores of all items (N,) by the formula, without one click of the user."""
    clicks = model.context.clicks
    start, end = clicks.indptr[user], clicks.indptr[user + 1]
    history = [int(clicks.items[c]) for c in range(start, end) if c != left_out]
    count = items.present[history].sum(0).clamp(min=1)
    profile = (items.views[history] * items.present[history][..., None]).sum(0) / count[:, None]
    query = by_hand(model.of_users, profile) / model.temperature
    by_view = torch.einsum("kd,nkd->nk", query, by_hand(model.of_items, items.views))
    scores = model.fusion.combine(by_view[None], query[None], items.present[None])[0]
    if model.ids is not None:
        scores = scores + model.ids.items.weight @ model.ids.users.weight[user]
        scores = scores + model.ids.bias.weight[:, 0]
    return scores


@pytest.mark.parametrize("fusion", FUSIONS.names())
@pytest.mark.parametrize("item_ids", [False, True])
def test_every_fusion_ranks_and_trains_by_the_formula(clicks, features, fusion, item_ids):
    votes = FUSIONS[fusion].by_rank
    if votes and item_ids:
        with pytest.raises(FusionlabError, match="votes by rank"):
            build(clicks, features, fusion, item_ids=True)
        return
    model, items = build(clicks, features, fusion, item_ids=item_ids)
    ranked = model.ranker(items)(torch.arange(20))
    for user in (0, 1, 7):
        torch.testing.assert_close(
            ranked[user], slow_scores(model, items, user), atol=1e-4, rtol=1e-4
        )
    rows = torch.tensor([0, 3, 9, 9, 40])
    negatives = torch.tensor([[3, 4], [4, 5], [5, 9], [6, 2], [3, 8]])
    batch = Batch(clicks.users[rows], torch.cat([clicks.items[rows, None], negatives], 1), rows)
    distinct, position = Distinct(30)(model.items_needed(batch))
    fused = model.fuse(features.take(distinct))
    touched = model.touch(batch, ItemViews(fused.views, fused.present, position.clone()))
    scores = model.pair_scores(touched)
    if not votes and model.fusion.fold(items.present) is not None:  # else the list matters
        for b, row in enumerate(rows):
            wanted = slow_scores(model, items, int(clicks.users[row]), int(row))
            torch.testing.assert_close(scores[b], wanted[batch.candidates[b]], atol=1e-4, rtol=1e-4)
    total = sum(one[on].square().sum() for one, on in model.scores_by_view(touched))
    (total if votes else total + scores.square().sum()).backward()
    for tower in (model.of_users, model.of_items):
        assert all(p.grad.any() and p.grad.isfinite().all() for p in tower.parameters())
    for name, p in model.named_parameters():
        assert p.grad is None or p.grad.isfinite().all(), name


def test_a_view_that_is_absent_scores_nothing(clicks, features):
    model, items = build(clicks, features)
    towered = model.item_views(items).views
    assert not towered[~items.present].any()
    lengths = towered[items.present].norm(dim=-1)
    torch.testing.assert_close(lengths, torch.ones_like(lengths))
    assert not items.present.all()
    assert not model.user_views(torch.tensor([1]), items).any()  # user 1 has clicked nothing


@pytest.mark.parametrize("layers", [0, 1, 2])
def test_towers_have_the_layers_they_are_told(clicks, features, layers):
    model, _ = build(clicks, features, layers=layers)
    for tower in (model.of_users, model.of_items):
        assert sum(isinstance(part, torch.nn.Linear) for part in tower) == layers + 1


def test_the_temperature_scales_the_content_alone(clicks, features):
    one, items = build(clicks, features, temperature=1.0)
    tenth, _ = build(clicks, features, temperature=0.1)
    users = torch.arange(20)
    torch.testing.assert_close(tenth.ranker(items)(users), 10 * one.ranker(items)(users).clone())
