"""Products of the pairs of a step and their size in one, against autograd's own way."""

import pytest
import torch

from fusionlab.recommenders.pairs import pair_products, products_and_size
from tests.recommenders.draws import normal


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
