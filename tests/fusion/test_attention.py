"""Attention against the library's, with keys masked in part, wholly, and not at all."""

import pytest
import torch
from torch import nn

from fusionlab.errors import FusionlabError
from fusionlab.fusion.layers import Attention, KeyMask, check_heads

DIM, HEADS = 16, 4


@pytest.fixture
def both():
    """The same weights in our attention and in the library's."""
    torch.manual_seed(0)
    ours, theirs = Attention(DIM, HEADS), nn.MultiheadAttention(DIM, HEADS, batch_first=True)
    with torch.no_grad():
        maps = (ours.query, ours.key, ours.value)
        theirs.in_proj_weight.copy_(torch.cat([linear.weight for linear in maps]))
        theirs.in_proj_bias.copy_(torch.cat([ours.query.bias, torch.zeros(DIM), ours.value.bias]))
        theirs.out_proj.weight.copy_(ours.out.weight)
        theirs.out_proj.bias.copy_(ours.out.bias)
    return ours.double(), theirs.double()


@pytest.mark.parametrize("masking", ["none", "some", "whole rows"])
@pytest.mark.parametrize("tokens", [1, 5])
def test_equals_the_library(both, tokens, masking):
    ours, theirs = both
    queries = torch.randn(6, 3, DIM, dtype=torch.float64)
    keys = torch.randn(6, tokens, DIM, dtype=torch.float64)
    mask = torch.ones(6, tokens, dtype=torch.bool)
    if masking != "none":
        mask = torch.rand(6, tokens) > 0.5
        mask[:, 0] = True
    expected, _ = theirs(queries, keys, keys, key_padding_mask=~mask)
    if masking == "whole rows":
        mask[2] = False
        expected[2] = 0
    result = ours(queries, keys, KeyMask.of(mask)).expand(expected.shape)
    torch.testing.assert_close(result, expected)


def test_queries_shared_by_all_rows(both):
    ours, _ = both
    queries, keys = torch.randn(1, 3, DIM).double(), torch.randn(4, 5, DIM).double()
    mask = KeyMask.of(torch.ones(4, 5, dtype=torch.bool))
    shared = ours(queries, keys, mask)
    torch.testing.assert_close(shared, ours(queries.expand(4, -1, -1), keys, mask))


def test_a_mask_says_only_what_it_must():
    full = KeyMask.of(torch.tensor([[True, True]]))
    assert full == KeyMask(None, None)
    partial = KeyMask.of(torch.tensor([[True, False], [True, True]]))
    assert partial.some is None
    empty = KeyMask.of(torch.tensor([[False, False], [False, True]]))
    assert empty.some.flatten().tolist() == [False, True]
    assert empty.open.squeeze().tolist() == [[True, False], [False, True]]


def test_heads_must_divide_the_width():
    check_heads(12, 4)
    with pytest.raises(FusionlabError, match="found 5, expected a divisor of dim = 12"):
        check_heads(12, 5)
