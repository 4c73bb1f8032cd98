"""Products of the pairs of a step and their size in one, against autograd's own way."""

import pytest
import torch

from fusionlab.recommenders.contract import Batch, ItemViews, Touched
from fusionlab.recommenders.pairs import (
    SHARED,
    pair_products,
    products_and_size,
    view_scores,
    view_scores_and_size,
)


def normal(*shape):
    draw = torch.Generator().manual_seed(sum(shape))
    return torch.randn(*shape, generator=draw, dtype=torch.float64, requires_grad=True)


@pytest.fixture(params=[(), (2,)], ids=["rows", "views"])
def drawn(request):
    return [normal(5, *request.param, 8), normal(5, 3, *request.param, 8)]


def test_both_are_what_they_are_apart(drawn):
    products, size = products_and_size(*drawn)
    assert torch.equal(products, pair_products(*drawn))
    torch.testing.assert_close(size, sum(x.square().sum() for x in drawn))


def test_their_gradients_add_up(drawn):
    assert torch.autograd.gradcheck(products_and_size, drawn)
    assert torch.autograd.gradgradcheck(products_and_size, drawn)


@pytest.mark.parametrize("which", [0, 1])
def test_one_of_them_alone_has_its_own_gradient(drawn, which):
    apart = pair_products(*drawn), sum(x.square().sum() for x in drawn)
    found, expected = (
        torch.autograd.grad(x[which].sum(), drawn) for x in (products_and_size(*drawn), apart)
    )
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("more", [0, 1], ids=["few items, scored at once", "many"])
def test_views_and_their_size(more):
    n, places = SHARED * 3 + more, torch.randperm(40, generator=torch.Generator().manual_seed(0))
    views, query = normal(n, 2, 8), normal(5, 2, 8)
    candidates = places.argsort()[torch.arange(15).view(5, 3) % 4]  # each item several times
    batch = Batch(torch.arange(5), candidates, torch.arange(5))
    touched = Touched(batch, ItemViews(views, torch.ones(n, 2).bool(), places), query, None)
    scores, size = view_scores_and_size(touched)
    torch.testing.assert_close(scores, view_scores(touched))
    theirs = views[places[candidates]]
    torch.testing.assert_close(scores, torch.einsum("bkd,bckd->bck", query, theirs))
    torch.testing.assert_close(size, query.square().sum() + theirs.square().sum())
    found, expected = (
        torch.autograd.grad(x, (views, query))
        for x in (size, query.square().sum() + theirs.square().sum())
    )
    torch.testing.assert_close(found, expected)
