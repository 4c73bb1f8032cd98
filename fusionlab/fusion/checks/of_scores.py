"""Checks of `Fusion.combine` and of the weights behind it: scores by view in, one score out."""

from __future__ import annotations

import torch
from torch import Tensor

from fusionlab.fusion.checks.subject import B, D, Subject
from fusionlab.fusion.contract import FusedItems, Fusion, Level


def order_of_modalities(subject: Subject) -> None:
    """A strategy that calls itself symmetric gives the same views and scores in any order."""
    fusion, _, query, scores, present = _scored(subject)
    if not fusion.symmetric:
        return
    turned: Fusion = subject.part.build(dict(reversed(subject.specs.items())), D)
    turned.load_state_dict(fusion.state_dict())
    views, other = fusion(subject.items()).views, turned.eval()(subject.items()).views
    other = other.flip(1) if fusion.level is Level.DECISION else other
    assert torch.allclose(views, other, atol=1e-5), "the order of the modalities changes the views"
    if fusion.level is not Level.DECISION:
        return
    combined = fusion.combine(scores, query, present)
    other = turned.combine(scores.flip(-1), query.flip(-2), present.flip(-1))
    assert torch.allclose(combined, other, atol=1e-5), "the order changes the combined scores"


def weights_are_shares(subject: Subject) -> None:
    """View weights are zero where absent and sum to one over the views that are present."""
    fusion, _, query, scores, present = _scored(subject)
    weights = fusion.view_weights(scores, query, present)
    assert weights.shape == scores.shape, f"weights are {tuple(weights.shape)}"
    assert (weights[~present] == 0).all(), "an absent view has a weight"
    total = weights.sum(-1)
    assert torch.allclose(total, present.any(-1).to(total.dtype), atol=1e-5), (
        "weights do not sum to 1"
    )
    assert fusion.combine(scores, query, present).shape == scores.shape[:-1]


def folded_is_combined(subject: Subject) -> None:
    """Weights folded into the item views give the combined scores to 1e-6."""
    fusion, fused, query, scores, present = _scored(subject)
    weights = fusion.fold(fused.present)
    if weights is None:
        return
    folded = query.flatten(1) @ (fused.views * weights[..., None]).flatten(1).T
    assert torch.allclose(folded, fusion.combine(scores, query, present), atol=1e-6, rtol=1e-6)


def users_are_independent(subject: Subject) -> None:
    """A user's scores may depend on the list of candidates, but not on who is scored beside."""
    fusion, _, query, scores, present = _scored(subject)
    rows = torch.tensor([3, 1])
    whole = fusion.combine(scores, query, present)[rows]
    part = fusion.combine(scores[rows], query[rows], present[rows])
    assert torch.allclose(whole, part, atol=1e-6), "scores depend on the block of users"


def candidates_move(subject: Subject) -> None:
    """Permuting the candidates permutes their scores (where no two are equal)."""
    fusion, _, query, scores, present = _scored(subject)
    order = torch.randperm(B, generator=torch.Generator().manual_seed(4))
    whole = fusion.combine(scores, query, present)[:, order]
    moved = fusion.combine(scores[:, order], query, present[:, order])
    assert torch.allclose(whole, moved, atol=1e-5), "scores depend on the order of the candidates"


def extremes_are_finite(subject: Subject) -> None:
    """Zero and huge scores, and a zero query, give finite scores, shares and gradients."""
    fusion, _, query, scores, present = _scored(subject)
    for scale in (0.0, 1e4):
        s, q = (scores * scale).requires_grad_(), (query * scale).requires_grad_()
        combined = fusion.combine(s, q, present)
        assert combined.isfinite().all(), f"scores scaled by {scale:g} combine to no finite number"
        shares = fusion.view_weights(s, q, present).sum(-1)
        assert torch.allclose(shares, present.any(-1).to(shares.dtype), atol=1e-5), (
            f"with scores scaled by {scale:g} the weights do not sum to 1"
        )
        if combined.requires_grad:
            combined.square().sum().backward()
            for given in (s, q):
                assert given.grad is None or given.grad.isfinite().all(), "a gradient is not finite"


def _scored(subject: Subject) -> tuple[Fusion, FusedItems, Tensor, Tensor, Tensor]:
    """A strategy, its items, and five users' scores by view."""
    fusion = subject.build()
    with torch.no_grad():
        fused = fusion(subject.items())
    draw = torch.Generator().manual_seed(2)
    query = torch.randn(5, fusion.n_views, D, generator=draw)
    scores = torch.einsum("bkd,nkd->bnk", query, fused.views)
    return fusion, fused, query, scores, fused.present.expand(scores.shape)
