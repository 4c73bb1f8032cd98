"""Scores in half precision, as a GPU or autocast gives them, are combined in float32."""

import pytest
import torch
from decision_reference import build

N = 700

LISTWISE = ["qmf", "confidence", "rank_fusion", "evidential", "product_of_experts"]


def given(dtype):
    """Scores in ``dtype``, and which candidates have which view."""
    draw = torch.Generator().manual_seed(0)
    scores = 3 * torch.randn(4, N, 3, generator=draw)
    return scores.to(dtype), torch.rand(4, N, 3, generator=draw) > 0.2


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", LISTWISE)
@torch.no_grad()
def test_the_combination_is_that_of_the_same_numbers_in_float64(name, dtype):
    exact, fusion = build(name, 3), build(name, 3).float()
    scores, present = given(dtype)
    combined = fusion.combine(scores, None, present)
    wanted = exact.combine(scores.double(), None, present)
    assert combined.dtype == torch.float32
    assert (combined - wanted).abs().max() < 1e-5 * wanted.abs().max()
    shares = fusion.view_weights(scores, None, present)
    assert (shares - exact.view_weights(scores.double(), None, present)).abs().max() < 1e-5


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_each_of_many_ranks_has_a_vote_of_its_own(dtype):
    falling = torch.arange(N, 0, -1, dtype=torch.int16).view(dtype)  # all different, as bits
    scores = falling[None, :, None].expand(1, N, 3)
    for method in ("reciprocal_rank", "borda"):
        fusion = build({"name": "rank_fusion", "method": method}, 3).to(dtype)
        combined = fusion.combine(scores, None, torch.ones_like(scores, dtype=torch.bool))
        assert (combined[0].diff() < 0).all()
