"""What a step reads of its items: scores by view and their size, against the formula."""

import pytest
import torch

from fusionlab.recommenders.step import SHARED, Batch, ItemViews, Touched
from tests.recommenders.draws import normal


@pytest.mark.parametrize("more", [0, 1], ids=["few items, scored at once", "many"])
def test_views_and_their_size(more):
    n, places = SHARED * 3 + more, torch.randperm(40, generator=torch.Generator().manual_seed(0))
    views, query = normal(n, 2, 8), normal(5, 2, 8)
    candidates = places.argsort()[torch.arange(15).view(5, 3) % 4]  # each item several times
    batch = Batch(torch.arange(5), candidates, torch.arange(5))
    touched = Touched(batch, ItemViews(views, torch.ones(n, 2).bool(), places), query, None)
    scores, size = touched.view_scores_and_size
    torch.testing.assert_close(scores, touched.view_scores)
    theirs = views[places[candidates]]
    torch.testing.assert_close(scores, torch.einsum("bkd,bckd->bck", query, theirs))
    torch.testing.assert_close(size, query.square().sum() + theirs.square().sum())
    found, expected = (
        torch.autograd.grad(x, (views, query))
        for x in (size, query.square().sum() + theirs.square().sum())
    )
    torch.testing.assert_close(found, expected)
