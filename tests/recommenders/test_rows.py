"""Rows and sizes against autograd's own way, bits that repeat, and second derivatives."""

import pytest
import torch
import torch.nn.functional as F

from fusionlab.recommenders.rows import squared_size, take_rows


@pytest.fixture(params=[1, 7, 64])
def drawn(request):
    draw = torch.Generator().manual_seed(0)
    table = torch.randn(50, request.param, generator=draw, requires_grad=True)
    return table, torch.randint(50, (40, 3), generator=draw)


def test_rows_are_those_of_an_embedding(drawn):
    table, rows = drawn
    weights = torch.randn(40, 3, table.shape[1])
    expected, taken = F.embedding(rows, table), take_rows(table, rows)
    assert torch.equal(taken, expected)
    gradients = [torch.autograd.grad((x * weights).sum(), table)[0] for x in (taken, expected)]
    torch.testing.assert_close(*gradients)


def test_a_row_alone_and_no_rows(drawn):
    table, _ = drawn
    assert torch.equal(take_rows(table, torch.tensor(7)), table[7])
    assert take_rows(table, torch.empty(0, 2, dtype=torch.long)).shape == (0, 2, table.shape[1])


@pytest.mark.parametrize("threads", [1, 2])
def test_the_gradient_repeats_its_bits(threads):
    before = torch.get_num_threads()
    table = torch.randn(500, 64, requires_grad=True)
    rows, weights = torch.randint(500, (4000,)), torch.randn(4000, 64)

    def gradient():
        return torch.autograd.grad((take_rows(table, rows) * weights).sum(), table)[0]

    expected = gradient()
    torch.set_num_threads(threads)
    assert all(torch.equal(gradient(), expected) for _ in range(5))
    torch.set_num_threads(before)


def test_the_size_is_the_sum_of_squares(drawn):
    table, _ = drawn
    expected = table.square().sum()
    size = squared_size(table)
    torch.testing.assert_close(size, expected)
    torch.testing.assert_close(*[torch.autograd.grad(3 * x, table)[0] for x in (size, expected)])


def test_the_size_can_be_derived_twice():
    x = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(squared_size, x)
