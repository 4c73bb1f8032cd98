"""Products of the pairs of a step and their size in one, against autograd's own way."""

import pytest
import torch

from fusionlab.recommenders.pairs import pair_products, products_and_size


@pytest.fixture
def drawn():
    draw = torch.Generator().manual_seed(0)
    return [
        torch.randn(*shape, 8, generator=draw, dtype=torch.float64, requires_grad=True)
        for shape in ((5,), (5, 3))
    ]


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
